/** States of appraisal through the service: what a manifest or a certificate was, is no longer, or never was. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '../../attestation/bytes.ts';
import { SHA256 } from '../../attestation/hash.ts';
import { readCertificate } from '../../attestation/x509/certificate.ts';
import { der, revocationList } from '../support/certificate-authority.ts';
import { base64, corim } from './corim.ts';
import { type EnrolledMachine, enrolledMachine } from './enrolled-machine.ts';

let now = new Date('2026-01-01T00:00:00Z');
let host: EnrolledMachine;
let pcr7: Uint8Array;

beforeAll(async () => {
  host = await enrolledMachine({ clock: () => now });
  pcr7 = host.machine.parts().pcrs.get(SHA256.id)?.get(7) ?? new Uint8Array();
});
afterAll(() => host?.verifier.close());

/** Attest over reference values. */
async function attest(reference: object) {
  await host.admin.putReference('default', host.reference(reference));
  const { checks, ...verdict } = await host.attest();
  return verdict;
}

const manifest = (values: readonly Uint8Array[], more: object = {}, notAfter?: Date) => ({
  manifests: [{ corim: base64(corim({ registers: { 7: values }, ...(notAfter && { notAfter }) })), ...more }],
});

test('a manifest affirms, then one digest of it is changed, then it is revoked, then it runs out', async () => {
  expect(await attest(manifest([pcr7]))).toEqual({
    state: 'affirming',
    failed: [],
    ear: 'affirming',
    fleet: 'affirming',
  });
  const changed = Uint8Array.from(pcr7, (byte, at) => (at === 0 ? byte ^ 1 : byte));
  expect(toHex(changed)).not.toBe(toHex(pcr7));
  const failed = ['reference-pcr-sha256-7'];
  const against = { state: 'contraindicated', failed, ear: 'contraindicated', fleet: 'contraindicated' };
  expect(await attest(manifest([changed]))).toEqual(against);
  expect(await attest(manifest([pcr7], { revoked: 'withdrawn' }))).toEqual({
    ...against,
    state: 'revoked',
    fleet: 'revoked',
  });
  expect(await attest(manifest([pcr7], {}, new Date('2025-01-01')))).toEqual({
    state: 'expired',
    failed,
    ear: 'none',
    fleet: 'expired',
  });
});

test('the enrolled EK certificate is asked again: revoked when a list names it, expired when its time is over', async () => {
  const anchors = [base64(der(host.manufacturer.certificate))];
  const rules = (revocationLists: readonly string[]) => ({
    certificates: { anchors, require: ['ek'], revocationLists },
  });
  expect(await attest(rules([]))).toMatchObject({ state: 'affirming', failed: [] });
  const [ek = new Uint8Array()] = host.tpm.ekCertificates;
  const list = base64(await revocationList(host.manufacturer, [readCertificate(ek)]));
  expect(await attest(rules([list]))).toMatchObject({ state: 'revoked', failed: ['ek-certificate'] });
  now = new Date('2050-01-01T00:00:00Z');
  expect(await attest(rules([]))).toMatchObject({ state: 'expired', failed: ['ek-certificate'] });
});
