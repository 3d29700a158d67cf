/** Certificates in appraisal: chains, dates, revocation, and that they are of the keys and the device in question. */
import { webcrypto } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { base64 } from '../../test/attestation/corim.ts';
import { NONCE, type SoftwareKey, softwareKey, softwareMachine } from '../../test/attestation/machine.ts';
import {
  type Authority,
  authority,
  der,
  deviceName,
  EK_USAGE,
  issue,
  newKeys,
  platformCertificate,
  revocationList,
} from '../../test/support/certificate-authority.ts';
import { encode, TPM_GENERATED_VALUE, TPM_ST, TPMS_ATTEST } from '../../tpm/structures/index.ts';
import { verification } from '../crypto/port.ts';
import { EvidenceError } from '../evidence.ts';
import { publicKey } from '../quote.ts';
import { tpmName } from '../verifier/tpm-public.ts';
import { readCertificate } from '../x509/certificate.ts';
import { appraiseMachine } from './appraise.ts';
import { decodeCertificates, encodeCertificates, type MachineCertificates } from './certificates.ts';
import { idevidStatement } from './device-identity.ts';
import { decodeMachineEvidence, encodeMachineEvidence } from './evidence.ts';

const NOW = new Date('2026-06-01');
const LATER = new Date('2027-06-01');
const UNTIL_2027 = { notBefore: new Date('2020-01-01'), notAfter: new Date('2027-01-01') };
const machine = softwareMachine();
const idevid = softwareKey('ecdsa');
/** tcg-kp-AIKCertificate; nothing hangs on it. */
const AK_USAGE = '2.23.133.8.3';

/** The key of a TPMT_PUBLIC, to have it certified. */
function cryptoKey(publicArea: Uint8Array): Promise<webcrypto.CryptoKey> {
  const jwk = { ...verification().exportJwk(publicKey(publicArea)) };
  return webcrypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']);
}

/** TPM2_Certify of the IDevID by the attestation key. */
function certification(publicArea = idevid.publicArea, nonce = NONCE, signer = machine.key) {
  const attest = encode(TPMS_ATTEST, {
    magic: TPM_GENERATED_VALUE,
    type: TPM_ST.ATTEST_CERTIFY,
    qualifiedSigner: new Uint8Array(34),
    extraData: nonce,
    clockInfo: { clock: 1n, resetCount: 3, restartCount: 0, safe: true },
    firmwareVersion: 1n,
    attested: { name: tpmName(publicArea), qualifiedName: new Uint8Array(34) },
  });
  return { public: idevid.publicArea, attest, signature: signer.sign(attest) };
}

let root: Authority;
let issuer: Authority;
let stranger: Authority;
let ek: Uint8Array;
let all: Required<Omit<MachineCertificates, 'signed'>>;
let make: (device: string, until?: typeof UNTIL_2027) => Promise<Uint8Array>;
let revoke: (certificate: Uint8Array) => Promise<string>;

beforeAll(async () => {
  root = await authority('Root');
  issuer = await authority('Manufacturer', root);
  stranger = await authority('Root');
  const ekCertificate = await issue(issuer, (await newKeys()).publicKey, EK_USAGE, UNTIL_2027);
  ek = der(ekCertificate);
  const akKey = await cryptoKey(machine.key.publicArea);
  const idevidKey = await cryptoKey(idevid.publicArea);
  make = async (device, until) => der(await issue(issuer, akKey, AK_USAGE, until, [deviceName(device)]));
  revoke = async (certificate) => base64(await revocationList(issuer, [readCertificate(certificate)]));
  const intermediate = der(issuer.certificate);
  all = {
    ek: [ek, intermediate],
    iak: [await make('device-1', UNTIL_2027), intermediate],
    idevid: [der(await issue(issuer, idevidKey, AK_USAGE, undefined, [deviceName('device-1')])), intermediate],
    platform: [platformCertificate(issuer, ekCertificate), intermediate],
    certified: certification(),
  };
});

interface Situation {
  readonly certificates?: MachineCertificates | undefined;
  readonly anchors?: readonly Authority[];
  readonly revocationLists?: readonly string[];
  readonly require?: readonly string[];
  readonly now?: Date;
  readonly enrolled?: Uint8Array | undefined;
}

function verdict(situation: Situation) {
  const { certificates = all, anchors = [root], revocationLists, require = [], now = NOW } = situation;
  const rules = {
    anchors: anchors.map(({ certificate }) => base64(der(certificate))),
    require,
    ...(revocationLists !== undefined && { revocationLists }),
  };
  const reference = { ...machine.reference, certificates: rules };
  const evidence = decodeMachineEvidence(encodeMachineEvidence({ ...machine.parts(), certificates }));
  const ekCertificate = 'enrolled' in situation ? situation.enrolled : ek;
  const context = { nonce: NONCE, akPublic: machine.key.publicArea, ekCertificate, reference, clock: null, now };
  const { state, checks } = appraiseMachine(evidence, context);
  const failed = checks.filter(({ passed }) => !passed);
  return { state, failed: failed.map(({ name }) => name), detail: failed[0]?.detail, checks };
}

const EVERYTHING = ['ek', 'iak', 'idevid', 'platform'];

test('a machine with all of them is affirmed, each by its check', () => {
  const { state, failed, checks } = verdict({ require: EVERYTHING });
  expect({ state, failed }).toEqual({ state: 'affirming', failed: [] });
  const names = checks.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining([
      'ek-certificate',
      'iak-certificate',
      'iak-key',
      'idevid-certificate',
      'idevid-key',
      'device-identity',
      'platform-certificate',
    ]),
  );
});

test('what is required must be there; what is not, need not', () => {
  expect(verdict({ certificates: {}, require: [] }).state).toBe('affirming');
  for (const [subject, checks] of [
    ['iak', ['iak-certificate', 'iak-key']],
    ['idevid', ['idevid-certificate', 'idevid-key', 'device-identity']],
    ['platform', ['platform-certificate']],
  ] as const) {
    expect(verdict({ certificates: {}, require: [subject] })).toMatchObject({
      state: 'contraindicated',
      failed: checks,
    });
  }
  // The issuers of the enrolled certificate must come from somewhere.
  expect(verdict({ certificates: {}, require: ['ek'] })).toMatchObject({ failed: ['ek-certificate'] });
  expect(verdict({ certificates: {}, require: ['ek'], anchors: [issuer] }).state).toBe('affirming');
  expect(verdict({ certificates: {}, require: ['ek'], enrolled: undefined }).detail).toBe(
    'no EK certificate was enrolled',
  );
});

test('a chain that is out of its dates makes expired; one that nobody trusts is contraindicated however old it is', () => {
  expect(verdict({ now: LATER })).toMatchObject({
    state: 'expired',
    failed: ['ek-certificate', 'iak-certificate'],
    detail: expect.stringContaining('is out of its dates'),
  });
  expect(verdict({ now: LATER, anchors: [stranger] }).state).toBe('contraindicated');
  expect(verdict({ anchors: [stranger] })).toMatchObject({
    state: 'contraindicated',
    failed: ['ek-certificate', 'iak-certificate', 'idevid-certificate', 'platform-certificate'],
  });
});

describe('a revocation list', () => {
  test('of the issuer makes revoked whoever it names', async () => {
    expect(verdict({ revocationLists: [await revoke(ek)] })).toMatchObject({
      state: 'revoked',
      failed: ['ek-certificate'],
    });
    const iak = await revoke(all.iak[0] ?? ek);
    expect(verdict({ revocationLists: [iak] })).toMatchObject({
      state: 'revoked',
      failed: ['iak-certificate'],
    });
    const none = base64(await revocationList(issuer, []));
    expect(verdict({ revocationLists: [none] }).state).toBe('affirming');
  });

  test('that is out of date proves nothing: expired', async () => {
    const list = base64(await revocationList(issuer, []));
    const later = { certificates: { idevid: all.idevid, iak: all.iak, certified: all.certified } };
    expect(verdict({ ...later, revocationLists: [list], now: new Date('2050-01-01') }).state).toBe('expired');
  });

  test('in the name of the issuer that it did not sign contraindicates', async () => {
    const forged = await revocationList({ ...stranger, certificate: issuer.certificate }, []);
    expect(verdict({ revocationLists: [base64(forged)] })).toMatchObject({
      state: 'contraindicated',
      detail: 'a revocation list that its issuer did not sign',
    });
  });
});

describe('keys and names are held together', () => {
  test('the IAK certificate is of the key that quotes', async () => {
    const other = der(await issue(root, (await newKeys()).publicKey, AK_USAGE));
    expect(verdict({ certificates: { iak: [other] } })).toMatchObject({
      state: 'contraindicated',
      failed: ['iak-key'],
    });
  });

  test('the IDevID is certified by that key, over this nonce, and is the key of its certificate', async () => {
    const other = softwareKey('ecdsa');
    const proofs = {
      'another key was certified': certification(other.publicArea),
      'the certification is not over the nonce of this challenge': certification(idevid.publicArea, NONCE.slice(1)),
      'the certification does not verify': certification(idevid.publicArea, NONCE, other),
      'the certificate is of another key than the one that was certified': {
        ...certification(machine.key.publicArea),
        public: machine.key.publicArea,
      },
    };
    for (const [detail, certified] of Object.entries(proofs)) {
      expect(verdict({ certificates: { ...all, certified } })).toMatchObject({ failed: ['idevid-key'], detail });
    }
    const { quoted, signature } = machine.parts();
    const quote = { public: idevid.publicArea, attest: quoted, signature };
    expect(verdict({ certificates: { ...all, certified: quote } }).detail).toBe(
      'an attestation of another kind than a certification',
    );
  });

  test('or it has signed for that key, over this nonce', async () => {
    const { certified: _, ...others } = all;
    const by = (key: SoftwareKey, akPublic = machine.key.publicArea, nonce = NONCE) => ({
      certificates: { ...others, signed: key.sign(idevidStatement(akPublic, nonce)) },
    });
    expect(verdict({ ...by(idevid), require: EVERYTHING })).toMatchObject({ state: 'affirming', failed: [] });
    for (const wrong of [
      by(softwareKey('ecdsa')),
      by(softwareKey('rsassa')),
      by(idevid, idevid.publicArea),
      by(idevid, machine.key.publicArea, NONCE.slice(1)),
    ]) {
      expect(verdict(wrong)).toMatchObject({ state: 'contraindicated', failed: ['idevid-key'] });
    }
    // A good certification does not make up for a bad signature.
    const signed = softwareKey('ecdsa').sign(NONCE);
    expect(verdict({ certificates: { ...all, signed } })).toMatchObject({ failed: ['idevid-key'] });
  });

  test('a certificate alone is a warning, unless more is required', () => {
    const { certified: _, ...bare } = all;
    expect(verdict({ certificates: bare })).toMatchObject({ state: 'warning', failed: ['idevid-key'] });
    expect(verdict({ certificates: bare, require: ['idevid'] })).toMatchObject({
      state: 'contraindicated',
      failed: ['idevid-key'],
    });
  });

  test('IDevID and IAK are of one device', async () => {
    const iak = [await make('device-2'), der(issuer.certificate)];
    expect(verdict({ certificates: { ...all, iak } })).toMatchObject({ failed: ['device-identity'] });
  });

  test('the EK certificate is the enrolled one, and the platform certificate is about it', async () => {
    const other = der(await issue(issuer, (await newKeys()).publicKey));
    expect(verdict({ enrolled: other })).toMatchObject({
      failed: ['ek-certificate', 'platform-certificate'],
      detail: 'another EK certificate than the one that was enrolled',
    });
    const platform = { platform: all.platform };
    expect(verdict({ certificates: platform, enrolled: other })).toMatchObject({
      failed: ['platform-certificate'],
      detail: 'the platform certificate is of another endorsement key',
    });
    const server = der(await issue(issuer, (await newKeys()).publicKey, '1.3.6.1.5.5.7.3.1'));
    expect(verdict({ certificates: { ek: [server, der(issuer.certificate)] }, enrolled: server }).detail).toBe(
      'the certificate is not for an endorsement key',
    );
  });
});

test('rules that do not parse are refused when they are stored', () => {
  const reference = { ...machine.reference, certificates: { anchors: ['AAAA'], require: [] } };
  const context = { nonce: NONCE, akPublic: machine.key.publicArea, reference, clock: null, now: NOW };
  const { checks } = appraiseMachine(machine.parts(), context);
  expect(checks[0]).toMatchObject({ name: 'reference-values', passed: false });
});

test('property: mutated certificates never pass and never throw, but for their enclosing message', () => {
  const bytes = encodeCertificates(all);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const mutated = Uint8Array.from(bytes, (byte, i) => (i === at ? byte ^ flip : byte));
      try {
        const { state } = verdict({ certificates: decodeCertificates(mutated), require: EVERYTHING });
        expect(state).not.toBe('affirming');
      } catch (error) {
        expect(error).toBeInstanceOf(EvidenceError);
      }
    }),
    { numRuns: 300 },
  );
});
