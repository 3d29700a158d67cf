/** CoRIM in appraisal: provisioned, signed, changed, superseded, out of date and revoked. */
import { generateKeyPairSync, KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { base64, corim, type Manifest, signedCorim } from '../../test/attestation/corim.ts';
import { NONCE, SELECTION, softwareMachine } from '../../test/attestation/machine.ts';
import { type Authority, authority, der, issue, newKeys } from '../../test/support/certificate-authority.ts';
import { CorimError } from '../corim/comid.ts';
import { parseEventLog } from '../eventlog/format.ts';
import { SHA256 } from '../hash.ts';
import { appraiseMachine } from './appraise.ts';
import { compileReference } from './reference.ts';

const machine = softwareMachine();
const NOW = new Date('2026-01-01T00:00:00Z');
const evidence = machine.parts();
const values = evidence.pcrs.get(SHA256.id) ?? new Map<number, Uint8Array>();
const registers = Object.fromEntries([0, 7].map((pcr) => [pcr, [values.get(pcr) ?? new Uint8Array()]]));
const log = parseEventLog(evidence.eventLog);
const digestsOf = (pcr: number) =>
  log.events
    .filter((event) => event.pcr === pcr)
    .map((event) => Uint8Array.from(event.digestOf(log.algorithms.indexOf(SHA256.id)) ?? []));
const events = { 8: digestsOf(8) };
const changed = (bytes: Uint8Array) => Uint8Array.from(bytes, (byte, at) => (at === 3 ? byte ^ 1 : byte));
const none = new Uint8Array(32).fill(9);
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const key = base64(publicKey.export({ format: 'der', type: 'spki' }));

interface Provisioned extends Manifest {
  readonly revoked?: string;
  readonly signed?: boolean;
}
const document = ({ revoked, signed, ...manifest }: Provisioned) => ({
  corim: base64(signed === true ? signedCorim(manifest, privateKey) : corim(manifest)),
  ...(signed === true && { key }),
  ...(revoked !== undefined && { revoked }),
});
const referenceOf = (...manifests: readonly Provisioned[]) => ({
  selection: [{ bank: 'sha256', pcrs: SELECTION }],
  manifests: manifests.map(document),
});

function verdict(reference: object, now = NOW) {
  const context = { nonce: NONCE, akPublic: machine.key.publicArea, reference, clock: null, now };
  const { state, checks, modules } = appraiseMachine(evidence, context);
  const failed = checks.filter(({ passed }) => !passed);
  return { state, failed: failed.map(({ name }) => name), detail: failed[0]?.detail, ear: modules.platform };
}

describe.each([false, true])('a manifest (signed: %s)', (signed) => {
  const good = { registers, events, signed };

  test('whose values the machine has affirms it, each by its own check', () => {
    const context = { nonce: NONCE, akPublic: machine.key.publicArea, clock: null, now: NOW };
    const { state, checks } = appraiseMachine(evidence, { ...context, reference: referenceOf(good) });
    expect(state).toBe('affirming');
    const names = checks.map(({ name }) => name).filter((name) => name.startsWith('reference-'));
    expect(names).toEqual([
      'reference-values',
      'reference-pcr-sha256-0',
      'reference-pcr-sha256-7',
      'reference-event-sha256-8',
    ]);
  });

  test('with one digest changed contraindicates it, by the check of that register or event', () => {
    const register = { ...good, registers: { ...registers, 7: [changed(values.get(7) ?? none)] } };
    expect(verdict(referenceOf(register))).toMatchObject({
      state: 'contraindicated',
      failed: ['reference-pcr-sha256-7'],
    });
    const event = { ...good, events: { 8: events[8].map(changed) } };
    expect(verdict(referenceOf(event))).toMatchObject({
      state: 'contraindicated',
      failed: ['reference-event-sha256-8'],
      detail: expect.stringMatching(/^event \d+ \(EV_IPL\): [0-9a-f]{64} is not a reference value$/),
    });
  });

  test('that is revoked affirms nobody: a machine that has its values is revoked, any other contraindicated', () => {
    const revoked = { ...good, revoked: 'CVE-2026-0001' };
    expect(verdict(referenceOf(revoked))).toEqual({
      state: 'revoked',
      failed: ['reference-pcr-sha256-0', 'reference-pcr-sha256-7', 'reference-event-sha256-8'],
      detail: 'a value of "example-manifest/firmware", which was revoked: CVE-2026-0001',
      ear: expect.objectContaining({ status: 'contraindicated' }),
    });
    expect(verdict(referenceOf({ ...revoked, registers: { 0: [none] } })).state).toBe('contraindicated');
    // The same values in a manifest that stands are good.
    expect(verdict(referenceOf(revoked, { ...good, tagId: 'another' })).state).toBe('affirming');
  });

  test('that is out of date makes expired, which is no claim against the machine', () => {
    const until = { ...good, notAfter: new Date('2026-01-02T00:00:00Z') };
    expect(verdict(referenceOf(until)).state).toBe('affirming');
    expect(verdict(referenceOf(until), new Date('2026-01-03T00:00:00Z'))).toMatchObject({
      state: 'expired',
      detail: 'a value of "example-manifest/firmware", which does not stand: no longer valid',
      ear: { status: 'none', vector: {} },
    });
  });
});

test('a newer version of a tag supersedes the older: its values alone count', () => {
  const older = { registers };
  const newer = { registers: { 0: [none] }, tagVersion: 2 };
  expect(verdict(referenceOf(older, newer))).toMatchObject({
    state: 'expired',
    failed: ['reference-pcr-sha256-0', 'reference-pcr-sha256-7'],
  });
  expect(verdict(referenceOf(older, { ...newer, registers })).state).toBe('affirming');
  // A revoked version supersedes nothing.
  expect(verdict(referenceOf(older, { ...newer, revoked: 'recalled' })).state).toBe('affirming');
});

test('values are of the environments that were asked for', () => {
  const [first] = referenceOf({ registers: { 0: [none] }, vendor: 'Other' }, { registers, tagId: 'mine' }).manifests;
  const reference = referenceOf({ registers, tagId: 'mine' });
  const other = { ...first, vendor: 'Example' };
  expect(() => compileReference({ ...reference, manifests: [other] })).toThrow('has no value');
  expect(verdict({ ...reference, manifests: [...reference.manifests, { ...first, vendor: 'Other' }] }).state).toBe(
    'affirming',
  );
});

describe('a manifest that carries the certificates of its signer', () => {
  const UNTIL_2026 = { notBefore: new Date('2020-01-01'), notAfter: new Date('2026-07-01') };
  async function provisioned(root: Authority, trusted = root) {
    const issuer = await authority('Issuer', root);
    const keys = await newKeys();
    const leaf = await issue(issuer, keys.publicKey, '1.3.6.1.5.5.7.3.36', UNTIL_2026);
    const chain = [der(leaf), der(issuer.certificate)];
    const signer = KeyObject.from(keys.privateKey);
    const manifest = {
      corim: base64(signedCorim({ registers }, signer, chain)),
      anchors: [base64(der(trusted.certificate))],
    };
    return { selection: [{ bank: 'sha256', pcrs: SELECTION }], manifests: [manifest] };
  }

  test('counts when they lead to an anchor, at the time of the appraisal', async () => {
    const reference = await provisioned(await authority('Root'));
    expect(verdict(reference).state).toBe('affirming');
    expect(verdict(reference, new Date('2027-01-01'))).toMatchObject({
      state: 'expired',
      detail: expect.stringContaining('is out of its dates'),
    });
    expect(verdict(reference).state).toBe('affirming');
    const stranger = await provisioned(await authority('Root'), await authority('Root'));
    expect(verdict(stranger)).toMatchObject({
      state: 'contraindicated',
      failed: ['reference-pcr-sha256-0', 'reference-pcr-sha256-7'],
    });
  });

  test('is refused without them, and when it is held to a key as well', async () => {
    const root = base64(der((await authority('Root')).certificate));
    const bare = { corim: base64(signedCorim({ registers }, privateKey)), anchors: [root] };
    expect(() => compileReference({ selection: [{ bank: 'sha256', pcrs: SELECTION }], manifests: [bare] })).toThrow(
      'it carries no certificate of its signer',
    );
    expect(() =>
      compileReference({ selection: [{ bank: 'sha256', pcrs: SELECTION }], manifests: [{ ...bare, key }] }),
    ).toThrow('held to a key or to anchors');
  });
});

describe('a manifest is refused when it is provisioned', () => {
  const compile = (manifest: object, selection = SELECTION) =>
    compileReference({ selection: [{ bank: 'sha256', pcrs: selection }], manifests: [manifest] });

  test('when it is signed by another key, or signed without a key to hold it to, or not signed at all', () => {
    const other = generateKeyPairSync('ed25519').privateKey;
    expect(() => compile({ corim: base64(signedCorim({ registers }, other)), key })).toThrow(
      expect.objectContaining({ code: 'corim-signature' }),
    );
    expect(() => compile({ corim: base64(signedCorim({ registers }, privateKey)) })).toThrow(CorimError);
    expect(() => compile({ corim: base64(corim({ registers })), key })).toThrow(CorimError);
  });

  test('when a register of it is not in the selection, or is no PCR, or a digest no hash of a TPM', () => {
    expect(() => compile(document({ registers }), [0, 1])).toThrow('manifests: sha256:7 is not in the selection');
    expect(() => compile(document({ events }), [0, 1])).toThrow('manifests: sha256:8 is not in the selection');
    expect(() => compile(document({ registers: { 24: [none] } }))).toThrow('register "24" is not a PCR');
    expect(() => compile(document({ registers: { 0: [none.subarray(1)] } }))).toThrow('of 31 bytes');
    expect(() => compile(document({ registers: { 0: [none] }, algorithm: 'md5' }))).toThrow('a digest "md5"');
    expect(() => compile(document({}))).toThrow(CorimError);
    expect(() => compile({ corim: '!' })).toThrow(RangeError);
  });
});
