/** States of appraisal through the service: what a manifest or a certificate was, is no longer, or never was. */
import { KeyObject, sign } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '../../attestation/bytes.ts';
import { VerifierClient } from '../../attestation/client.ts';
import { parseEarClaims } from '../../attestation/ear/claims.ts';
import { SHA256 } from '../../attestation/hash.ts';
import { encodeMachineEvidence } from '../../attestation/machine/evidence.ts';
import { createVerifier, type Verifier } from '../../attestation/verifier/verifier.ts';
import { readCertificate } from '../../attestation/x509/certificate.ts';
import { encode, TPM_ALG, TPMT_SIGNATURE } from '../../tpm/structures/index.ts';
import { type Authority, authority, der, revocationList } from '../support/certificate-authority.ts';
import { type SoftwareTpm, softwareTpm } from '../support/software-tpm.ts';
import { base64, corim } from './corim.ts';
import { SELECTION, softwareMachine } from './machine.ts';

const machine = softwareMachine();
const registers = machine.parts().pcrs.get(SHA256.id);
const pcr7 = registers?.get(7) ?? new Uint8Array();
let now = new Date('2026-01-01T00:00:00Z');
let manufacturer: Authority;
let verifier: Verifier;
let client: VerifierClient;
let admin: VerifierClient;
let tpm: SoftwareTpm;

beforeAll(async () => {
  manufacturer = await authority('Manufacturer');
  verifier = await createVerifier({
    database: { memory: true },
    manufacturers: [der(manufacturer.certificate)],
    clock: () => now,
    jobs: false,
  });
  const base = await verifier.listen();
  client = new VerifierClient(base);
  tpm = await softwareTpm(manufacturer);
  await client.enrol(tpm, 'host-1');
  admin = new VerifierClient(base, { token: await verifier.createToken('admin', ['admin']) });
});
afterAll(() => verifier?.close());

/** A signature by the enrolled attestation key. */
function signed(message: Uint8Array): Uint8Array {
  const key = KeyObject.from(tpm.ak.privateKey);
  const raw = sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' });
  const [signatureR, signatureS] = [raw.subarray(0, 32), raw.subarray(32)];
  const signature = { hash: TPM_ALG.SHA256, signatureR, signatureS } as const;
  return encode(TPMT_SIGNATURE, { sigAlg: TPM_ALG.ECDSA, signature });
}

/** Attest over reference values; the result is verified with the published keys and read as an EAR. */
async function attest(reference: object) {
  await admin.putReference('default', { selection: [{ bank: 'sha256', pcrs: SELECTION }], ...reference });
  const { id, nonce } = await client.challenge();
  const parts = machine.parts({ nonce, signer: { publicArea: tpm.akPublic, sign: signed } });
  const reply = await client.attest(id, encodeMachineEvidence({ ...parts, akPublic: tpm.akPublic }));
  const keys = createLocalJWKSet((await client.jwks()) as never);
  const { payload } = await jwtVerify(reply.result, keys, { currentDate: now });
  const { submods } = parseEarClaims(payload);
  const [platform] = await verifier.service.platforms.list('default');
  return { state: reply.state, failed: reply.failed, ear: submods.platform?.['ear.status'], fleet: platform?.state };
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
  const anchors = [base64(der(manufacturer.certificate))];
  const rules = (revocationLists: readonly string[]) => ({
    certificates: { anchors, require: ['ek'], revocationLists },
  });
  expect(await attest(rules([]))).toMatchObject({ state: 'affirming', failed: [] });
  const [ek = new Uint8Array()] = tpm.ekCertificates;
  const list = base64(await revocationList(manufacturer, [readCertificate(ek)]));
  expect(await attest(rules([list]))).toMatchObject({ state: 'revoked', failed: ['ek-certificate'] });
  now = new Date('2050-01-01T00:00:00Z');
  expect(await attest(rules([]))).toMatchObject({ state: 'expired', failed: ['ek-certificate'] });
});
