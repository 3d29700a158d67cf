/** Device identity by a whole TPM: it makes IAK and IDevID, certifies one by the other and quotes; a manufacturer certifies both. */
import { webcrypto } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { verification } from '../../attestation/crypto/port.ts';
import { appraiseMachine } from '../../attestation/machine/appraise.ts';
import type { MachineCertificates } from '../../attestation/machine/certificates.ts';
import {
  decodeMachineEvidence,
  encodeMachineEvidence,
  type MachineEvidence,
} from '../../attestation/machine/evidence.ts';
import { publicKey } from '../../attestation/quote.ts';
import { Tpm, TpmClient } from '../../tpm/index.ts';
import {
  encode,
  TPM_ALG,
  TPM_RH,
  TPM_SU,
  TPMA_OBJECT,
  TPMT_PUBLIC,
  TPMT_SIGNATURE,
} from '../../tpm/structures/index.ts';
import { type Authority, authority, der, deviceName, issue } from '../support/certificate-authority.ts';
import { base64 } from './corim.ts';

const NONCE = new Uint8Array(32).fill(7);
/** Any register that no boot log is about. */
const PCR = 16;
const none = new Uint8Array(0);
const RESIDENT =
  TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent | TPMA_OBJECT.sensitiveDataOrigin | TPMA_OBJECT.userWithAuth;

let tpm: Tpm;
let client: TpmClient;
let manufacturer: Authority;
let evidence: MachineEvidence;
let certificates: MachineCertificates;

/** A primary signing key of P-256; `unique` makes it one of several. */
async function signingKey(unique: number, attributes: number, restricted: boolean) {
  const scheme = restricted
    ? ({ scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } } as const)
    : ({ scheme: TPM_ALG.NULL } as const);
  const { objectHandle, outPublic } = await client.CreatePrimary({
    primaryHandle: TPM_RH.ENDORSEMENT,
    inSensitive: { userAuth: none, data: none },
    inPublic: {
      type: TPM_ALG.ECC,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes: attributes | TPMA_OBJECT.sign,
      authPolicy: none,
      parameters: { symmetric: { algorithm: TPM_ALG.NULL }, scheme, curveID: 3, kdf: { scheme: TPM_ALG.NULL } },
      unique: { x: Uint8Array.of(unique), y: none },
    },
    outsideInfo: none,
    creationPCR: [],
  });
  return { handle: objectHandle, area: encode(TPMT_PUBLIC, outPublic) };
}

async function certify(area: Uint8Array, device: string): Promise<Uint8Array> {
  const jwk = { ...verification().exportJwk(publicKey(area)) };
  const key = await webcrypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']);
  return der(await issue(manufacturer, key, '2.23.133.8.3', undefined, [deviceName(device)]));
}

beforeAll(async () => {
  tpm = await Tpm.create();
  tpm.powerOn();
  client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  manufacturer = await authority('Manufacturer');
  const iak = await signingKey(1, RESIDENT | TPMA_OBJECT.restricted, true);
  const idevid = await signingKey(2, RESIDENT, false);
  const { certifyInfo, signature } = await client.Certify({
    objectHandle: idevid.handle,
    signHandle: iak.handle,
    qualifyingData: NONCE,
    inScheme: { scheme: TPM_ALG.NULL },
  });
  const quote = await client.Quote({
    signHandle: iak.handle,
    qualifyingData: NONCE,
    inScheme: { scheme: TPM_ALG.NULL },
    PCRselect: [{ hash: TPM_ALG.SHA256, pcrSelect: [PCR] }],
  });
  certificates = {
    iak: [await certify(iak.area, 'device-1')],
    idevid: [await certify(idevid.area, 'device-1')],
    certified: { public: idevid.area, attest: certifyInfo, signature: encode(TPMT_SIGNATURE, signature) },
  };
  evidence = {
    quoted: quote.quoted,
    signature: encode(TPMT_SIGNATURE, quote.signature),
    akPublic: iak.area,
    eventLog: none,
    pcrs: new Map([[TPM_ALG.SHA256, new Map([[PCR, new Uint8Array(32)]])]]),
    certificates,
  };
});
afterAll(() => tpm?.close());

function verdict(changed: MachineCertificates = certificates) {
  const sent = decodeMachineEvidence(encodeMachineEvidence({ ...evidence, certificates: changed }));
  const reference = {
    selection: [{ bank: 'sha256', pcrs: [PCR] }],
    certificates: { anchors: [base64(der(manufacturer.certificate))], require: ['iak', 'idevid'] },
  };
  const context = { nonce: NONCE, akPublic: evidence.akPublic, reference, clock: null, now: new Date('2026-01-01') };
  const { state, checks } = appraiseMachine(sent, context);
  return { state, failed: checks.filter(({ passed }) => !passed).map(({ name }) => name) };
}

test('a device that its manufacturer certified is affirmed without an enrolled EK', () => {
  expect(verdict()).toEqual({ state: 'affirming', failed: [] });
});

test('an IDevID that is not in this TPM, or of another device, is not', async () => {
  const idevid = [await certify(evidence.akPublic, 'device-1')];
  expect(verdict({ ...certificates, idevid })).toEqual({ state: 'contraindicated', failed: ['idevid-key'] });
  const iak = [await certify(evidence.akPublic, 'device-2')];
  expect(verdict({ ...certificates, iak })).toEqual({ state: 'contraindicated', failed: ['device-identity'] });
});
