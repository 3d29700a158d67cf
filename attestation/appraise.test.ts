import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { base64, corim, type Manifest } from '../test/attestation/corim.ts';
import {
  encode,
  TPM_ALG,
  TPM_GENERATED_VALUE,
  TPM_ST,
  TPMS_ATTEST,
  TPMT_PUBLIC,
  TPMT_SIGNATURE,
} from '../tpm/structures/index.ts';
import { nexusEvidence, QUOTED_PCRS } from './appraise.ts';
import { encodeCoseKey } from './cose/index.ts';
import { signEat } from './eat-sign.ts';
import { EVENT, EventLogWriter, parseEventLog } from './eventlog/format.ts';
import { appendLabelled, HOST_EVENT } from './eventlog/host-log.ts';
import { replayLog } from './eventlog/replay.ts';
import { type Evidence, EvidenceError, encodeEvidence, quoteBinding } from './evidence.ts';

const SHA256 = TPM_ALG.SHA256;
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');
const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return Uint8Array.from(hash.digest());
};
const filled = (fill: number, length = 32) => new Uint8Array(length).fill(fill);
const nonce = filled(5);

const ec = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ak = ec();
const nexus = ec();

/** TPMT_PUBLIC of a restricted ECDSA P-256 signing key. */
function publicArea(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: 'jwk' });
  const coordinate = (text: string | undefined) => Uint8Array.from(Buffer.from(text ?? '', 'base64url'));
  return encode(TPMT_PUBLIC, {
    type: TPM_ALG.ECC,
    nameAlg: SHA256,
    objectAttributes: 0x00050072,
    authPolicy: new Uint8Array(),
    parameters: {
      symmetric: { algorithm: TPM_ALG.NULL },
      scheme: { scheme: TPM_ALG.ECDSA, details: { hashAlg: SHA256 } },
      curveID: 3,
      kdf: { scheme: TPM_ALG.NULL },
    },
    unique: { x: coordinate(x), y: coordinate(y) },
  });
}

const eventLog = (() => {
  const log = new EventLogWriter([SHA256]);
  const add = (pcr: number, type: number, text: string) => {
    const data = Buffer.from(text);
    log.append(pcr, type, new Map([[SHA256, sha256(data)]]), data);
  };
  add(0, EVENT.S_CRTM_VERSION, 'crtm');
  for (const pcr of [0, 1, 2, 3, 4, 5, 6, 7]) add(pcr, EVENT.SEPARATOR, '\0\0\0\0');
  appendLabelled(log, HOST_EVENT.NEXUS, new Map([[SHA256, filled(3)]]));
  add(18, EVENT.EVENT_TAG, 'policy');
  return log.bytes();
})();
const pcrs = replayLog(parseEventLog(eventLog), SHA256);

interface Variation {
  readonly magic?: number;
  readonly selection?: readonly number[];
  readonly nonce?: Uint8Array;
  readonly reportNonce?: Uint8Array;
  readonly log?: Uint8Array;
  readonly signWith?: KeyObject;
  readonly eatWith?: KeyObject;
  readonly svn?: number;
  readonly debug?: boolean;
  readonly identity?: Uint8Array;
  readonly signer?: Uint8Array;
}

function evidence(variation: Variation = {}): Uint8Array {
  const nexusKey = encodeCoseKey(nexus.publicKey);
  const selection = variation.selection ?? QUOTED_PCRS;
  const quoted = encode(TPMS_ATTEST, {
    magic: TPM_GENERATED_VALUE,
    type: TPM_ST.ATTEST_QUOTE,
    qualifiedSigner: filled(1, 34),
    extraData: quoteBinding(nexusKey, variation.nonce ?? nonce),
    clockInfo: { clock: 1000n, resetCount: 3, restartCount: 0, safe: true },
    firmwareVersion: 1n,
    attested: {
      pcrSelect: [{ hash: SHA256, pcrSelect: selection }],
      pcrDigest: sha256(...selection.map((index) => pcrs[index] ?? new Uint8Array())),
    },
  });
  const raw = sign('sha256', quoted, { key: variation.signWith ?? ak.privateKey, dsaEncoding: 'ieee-p1363' });
  const signature = encode(TPMT_SIGNATURE, {
    sigAlg: TPM_ALG.ECDSA,
    signature: { hash: SHA256, signatureR: raw.subarray(0, 32), signatureS: raw.subarray(32) },
  });
  const report = signEat(
    {
      nonce: variation.reportNonce ?? variation.nonce ?? nonce,
      name: 'vault',
      codeIdentity: variation.identity ?? filled(7),
      measurement: filled(8),
      signer: variation.signer ?? filled(9),
      svn: variation.svn ?? 2,
      debug: variation.debug ?? false,
      userData: filled(10, 64),
    },
    variation.eatWith ?? nexus.privateKey,
  );
  const value: Evidence = {
    platform: { quoted, signature, akPublic: publicArea(ak.publicKey), eventLog: variation.log ?? eventLog },
    nexusKey,
    partition: report,
  };
  return encodeEvidence(value);
}

const reference = {
  pcrs: Object.fromEntries([0, 17, 18].map((index) => [index, [hex(pcrs[index])]])),
  partitions: [{ codeIdentity: hex(filled(7)), signer: hex(filled(9)), minimumSvn: 2 }],
};
const context = { nonce, akPublic: publicArea(ak.publicKey), reference, clock: null, now: new Date(0) };
const appraise = (bytes: Uint8Array, changed: Partial<typeof context> | { reference?: undefined } = {}) =>
  nexusEvidence.open(bytes).appraise({ ...context, reference: context.reference, ...changed });
const failed = (bytes: Uint8Array, changed = {}) =>
  appraise(bytes, changed)
    .checks.filter(({ passed }) => !passed)
    .map(({ name }) => name);

describe('appraisal of a host', () => {
  test('good evidence is affirmed, and says what was attested', () => {
    const result = appraise(evidence());
    expect(result.checks.filter(({ passed }) => !passed)).toEqual([]);
    expect(result.state).toBe('affirming');
    expect(result.partition).toMatchObject({ codeIdentity: hex(filled(7)), svn: 2, debug: false });
  });

  const otherLog = (() => {
    const log = new EventLogWriter([SHA256]);
    appendLabelled(log, HOST_EVENT.NEXUS, new Map([[SHA256, filled(1)]]));
    return log.bytes();
  })();
  test.each<[string, Variation, string[]]>([
    ['a quote signed by another key', { signWith: ec().privateKey }, ['quote-signature']],
    ['a quote over another nonce', { nonce: filled(6), reportNonce: nonce }, ['quote-binding']],
    ['a report over another nonce', { reportNonce: filled(6) }, ['report-nonce']],
    ['a selection without PCR 17', { selection: [0, 1, 2, 3, 4, 5, 6, 7, 18] }, ['quote-selection', 'log-replay']],
    ['another event log', { log: otherLog }, ['log-replay', 'reference-pcr-0', 'reference-pcr-17', 'reference-pcr-18']],
    [
      'a truncated event log',
      { log: eventLog.subarray(0, -1) },
      ['event-log', 'log-replay', 'reference-pcr-0', 'reference-pcr-17', 'reference-pcr-18'],
    ],
    [
      'a report by another nexus key',
      { eatWith: ec().privateKey },
      ['report-signature', 'report-nonce', 'signer', 'code-identity', 'security-version', 'debug'],
    ],
    ['another code identity', { identity: filled(1) }, ['code-identity', 'security-version']],
    ['another signer', { signer: filled(1) }, ['signer', 'code-identity', 'security-version']],
    ['an older security version', { svn: 1 }, ['security-version']],
    ['a partition that may be inspected', { debug: true }, ['debug']],
  ])('%s is contraindicated, by name', (_, variation, names) => {
    expect(appraise(evidence(variation)).state).toBe('contraindicated');
    expect(failed(evidence(variation))).toEqual(names);
  });

  test('without reference values nothing is affirmed', () => {
    const result = appraise(evidence(), { reference: undefined });
    expect(result.state).toBe('contraindicated');
    expect(failed(evidence(), { reference: undefined })).toContain('reference-values');
  });

  describe('with values in CoRIM', () => {
    const registers = (values: Readonly<Record<number, Uint8Array | undefined>>) =>
      Object.fromEntries(Object.entries(values).map(([index, value]) => [index, [value ?? filled(0)]]));
    const launched = registers({ 17: pcrs[17], 18: pcrs[18] });
    const withManifest = (manifest: Manifest, more: object = {}) => ({
      reference: { ...reference, pcrs: {}, manifests: [{ corim: base64(corim(manifest)), ...more }] } as never,
    });

    test('a host that has them is affirmed, a host that has others is not, by the register', () => {
      expect(appraise(evidence(), withManifest({ registers: launched })).state).toBe('affirming');
      const changed = { registers: { ...launched, 17: [filled(1)] } };
      expect(failed(evidence(), withManifest(changed))).toEqual(['reference-pcr-17']);
      expect(appraise(evidence(), withManifest(changed)).state).toBe('contraindicated');
    });

    test('a revoked or outdated manifest is told from tampering', () => {
      const revoked = withManifest({ registers: launched }, { revoked: 'CVE-2026-0001' });
      expect(appraise(evidence(), revoked)).toMatchObject({
        state: 'revoked',
        modules: { platform: { vector: { executables: 96 } } },
      });
      const old = withManifest({ registers: launched, notAfter: new Date(-1000) });
      expect(appraise(evidence(), old)).toMatchObject({ state: 'expired', modules: { platform: { status: 'none' } } });
    });

    test.each<[string, Manifest]>([
      ['no value of PCR 18', { registers: registers({ 17: pcrs[17] }) }],
      ['a register that hosts do not quote', { registers: { ...launched, 9: [filled(1)] } }],
      ['events', { registers: launched, events: { 0: [filled(1)] } }],
    ])('a manifest with %s is refused', (_, manifest) => {
      expect(failed(evidence(), withManifest(manifest))[0]).toBe('reference-values');
    });
  });

  test('another enrolled key is not taken for this one', () => {
    expect(failed(evidence(), { akPublic: publicArea(ec().publicKey) })).toEqual([
      'attestation-key',
      'quote-signature',
    ]);
  });

  test('no change of any byte of good evidence is affirmed', () => {
    const good = evidence();
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (offset, change) => {
        const mutant = Uint8Array.from(good);
        mutant[offset] = (mutant[offset] ?? 0) ^ change;
        let state = 'refused';
        try {
          state = appraise(mutant).state;
        } catch {
          // Malformed evidence is refused at the border.
        }
        expect(state).not.toBe('affirming');
      }),
      { numRuns: 2000 },
    );
  });

  test('any bytes are refused at the border without a crash', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(() => nexusEvidence.open(bytes)).toThrow(EvidenceError);
      }),
    );
  });
});
