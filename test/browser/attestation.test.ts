/** Attestation in a browser: evidence of machines and hosts, and results, come to the same verdicts as on Node. */
import { generateKeyPairSync } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toBase64Url } from '../../attestation/bytes.ts';
import { encodeCoseKey } from '../../attestation/cose/sign.ts';
import { signEarCwt } from '../../attestation/ear/cwt-sign.ts';
import { parseEventLog } from '../../attestation/eventlog/format.ts';
import { replayLog } from '../../attestation/eventlog/replay.ts';
import { SHA256 } from '../../attestation/hash.ts';
import { CERTIFICATE, FILE, FILE_SIGNATURE, KEY_ID } from '../../attestation/ima/vectors.test-support.ts';
import { encodeMachineEvidence } from '../../attestation/machine/evidence.ts';
import { base64, signedCorim } from '../attestation/corim.ts';
import { bootAggregate, imaList } from '../attestation/ima-list.ts';
import { bootLog, type KeyKind, NONCE, SELECTION, softwareMachine } from '../attestation/machine.ts';
import { authority, der, EK_USAGE, issue, newKeys } from '../support/certificate-authority.ts';
import { softwareHost } from '../support/software-host.ts';
import { appraise, type Question } from './attestation-page.ts';
import { executablePath, type Opened, openModule } from './bundle.ts';

const NOW = '2026-01-01T00:00:00Z';
const names = ({ state, checks }: ReturnType<typeof appraise>) => ({
  state,
  checks: checks.map(({ name, passed }) => [name, passed]),
});

/** A question that uses every part: manifests, policies, IMA with ECDSA, certificates. */
async function machineQuestion(kind: KeyKind): Promise<{ good: Question; bad: readonly Question[] }> {
  const machine = softwareMachine(kind);
  const pcrs = replayLog(parseEventLog(bootLog()), SHA256.id);
  const digest = SHA256.digest(new TextEncoder().encode(FILE));
  const header = Uint8Array.of(3, 2, 4, ...Buffer.from(KEY_ID, 'hex'), 0, FILE_SIGNATURE.length);
  const signature = Uint8Array.of(...header, ...FILE_SIGNATURE);
  const list = imaList([bootAggregate(pcrs), { path: '/x', template: 'ima-sig', digest, signature }]);
  const signer = generateKeyPairSync('ed25519');
  const root = await authority('Root');
  const akKey = (await newKeys()).publicKey;
  const stranger = der(await issue(root, akKey, EK_USAGE));
  const variation = { selection: [...SELECTION, 10], registers: { 10: list.pcr }, ima: list.bytes };
  const reference = {
    selection: [{ bank: 'sha256', pcrs: [...SELECTION, 10] }],
    manifests: [
      {
        corim: base64(signedCorim({ registers: { 7: [pcrs[7] ?? new Uint8Array()] } }, signer.privateKey)),
        key: base64(signer.publicKey.export({ format: 'der', type: 'spki' })),
      },
    ],
    policies: [
      'secure-boot',
      'linux-command-line',
      { name: 'signed', clauses: [{ expect: `ima.files[1].signer == "${KEY_ID}"` }] },
    ],
    ima: { certificates: [base64(CERTIFICATE)] },
    certificates: { anchors: [base64(der(root.certificate))], require: [] },
  };
  const ask = (evidence: Uint8Array, more: Partial<Question> = {}): Question => ({
    format: 'machine',
    evidence: toBase64Url(evidence),
    nonce: toBase64Url(NONCE),
    ak: toBase64Url(machine.key.publicArea),
    reference,
    now: NOW,
    ...more,
  });
  return {
    good: ask(machine.evidence(variation)),
    bad: [
      ask(machine.evidence({ ...variation, nonce: NONCE.slice(1) })),
      ask(machine.evidence({ ...variation, signer: softwareMachine(kind).key })),
      ask(machine.evidence({ ...variation, claimed: { 0: new Uint8Array(32) } })),
      ask(encodeMachineEvidence({ ...machine.parts(variation), certificates: { iak: [stranger] } })),
    ],
  };
}

describe.skipIf(!executablePath)('in headless Chromium (needs chromium)', () => {
  let opened: Opened;
  beforeAll(async () => {
    opened = await openModule('test/browser/attestation-page.ts');
  });
  afterAll(() => opened?.browser.close());

  test('nothing of Node is there, nor imported', async () => {
    expect(await opened.call('hasNode')).toBe(false);
    for (const code of opened.chunks.values()) expect(code).not.toMatch(/(from|import)\s*\(?["']node:/);
  });

  test.each(['ecdsa', 'rsassa', 'rsapss'] as const)(
    'a machine that quotes by %s has the verdict it has on Node',
    async (kind) => {
      const { good, bad } = await machineQuestion(kind);
      expect(await opened.call('appraise', good)).toMatchObject({ state: 'affirming' });
      for (const question of [good, ...bad]) {
        const there = await opened.call<ReturnType<typeof appraise>>('appraise', question);
        expect(names(there)).toEqual(names(appraise(question)));
      }
      const verdicts = await Promise.all(bad.map((question) => opened.call<{ state: string }>('appraise', question)));
      expect(verdicts.map(({ state }) => state)).toEqual(bad.map(() => 'contraindicated'));
    },
  );

  test('a nexus host and its partition have the verdict they have on Node', async () => {
    const host = await softwareHost(await authority('Manufacturer'));
    const question: Question = {
      format: 'nexus',
      evidence: toBase64Url(host.evidence(NONCE, new Uint8Array(64))),
      nonce: toBase64Url(NONCE),
      ak: toBase64Url(host.tpm.akPublic),
      reference: host.reference,
      now: NOW,
    };
    expect(await opened.call('appraise', question)).toMatchObject({ state: 'affirming' });
    const stale = { ...question, nonce: toBase64Url(new Uint8Array(32)) };
    expect(names(await opened.call('appraise', stale))).toEqual(names(appraise(stale)));
  });

  test('results verify, as JWT and as CWT, and not after their time', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const claims = {
      eat_profile: 'tag:ietf.org,2026:rats/ear#01',
      iat: 1_700_000_000,
      exp: 1_700_000_300,
      'ear.verifier-id': { developer: 'https://example.com', build: '1' },
      submods: { platform: { 'ear.status': 'affirming' } },
    };
    const question = {
      jwt: await new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).sign(privateKey),
      jwk: publicKey.export({ format: 'jwk' }),
      cwt: toBase64Url(signEarCwt(claims, privateKey, 'key')),
      coseKey: toBase64Url(encodeCoseKey(publicKey)),
    };
    expect(await opened.call('results', { ...question, now: '2023-11-14T22:14:00Z' })).toEqual([claims, claims]);
    await expect(opened.call('results', { ...question, now: NOW })).rejects.toThrow('the result has expired');
  });
});
