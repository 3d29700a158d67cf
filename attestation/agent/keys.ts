/**
 * The keys of a real machine's TPM as an agent uses them: the endorsement key that its manufacturer certified, and an
 * attestation key. Both are primary keys, made again from the TPM's seeds when they are needed: nothing is stored.
 * Templates: TCG EK Credential Profile 2.5, annex B.3 (L-1, L-2).
 */
import type { CommandOptions, TpmClient } from '../../tpm/client/index.ts';
import {
  encode,
  TPM_ALG,
  TPM_ECC,
  TPM_RH,
  TPMA_NV,
  TPMA_OBJECT,
  TPMT_PUBLIC,
  type TPMT_PUBLIC as TpmtPublic,
} from '../../tpm/structures/index.ts';
import { concatBytes, fromHex } from '../bytes.ts';

/** Kinds of keys that are made from the TPM's seeds. */
type PrimaryKind = 'ecc' | 'rsa';
/** What quotes: a primary key of a kind, or the initial attestation key that the device's manufacturer certified. */
export type KeyKind = PrimaryKind | 'iak';

/** A loaded key; the caller flushes it, where it is transient. */
export interface LoadedKey {
  readonly handle: number;
  readonly name: Uint8Array;
  /** TPMT_PUBLIC. */
  readonly publicArea: Uint8Array;
}

export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: string;
  readonly remedy: string;
  constructor(code: string, message: string, remedy: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.remedy = remedy;
  }
}

const { fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, adminWithPolicy, noDA } = TPMA_OBJECT;
const { restricted, decrypt, sign } = TPMA_OBJECT;
const EK_ATTRIBUTES = fixedTPM | fixedParent | sensitiveDataOrigin | adminWithPolicy | restricted | decrypt;
const AK_ATTRIBUTES = fixedTPM | fixedParent | sensitiveDataOrigin | userWithAuth | noDA | restricted | sign;
/** PolicySecret(TPM_RH_ENDORSEMENT), SHA-256 (profile, B.6.2). */
const EK_POLICY = fromHex('837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa');
const EMPTY = new Uint8Array(0);
const NONE = { algorithm: TPM_ALG.NULL } as const;
const AES_128_CFB = { algorithm: TPM_ALG.AES, keyBits: 128, mode: TPM_ALG.CFB } as const;

/** TCG, TPM 2.0 Keys for Device Identity and Attestation 1.0: where the IAK and its certificate are. */
const IAK_HANDLE = 0x81020001;
const IAK_CERTIFICATE_INDEX = 0x01c90001;

/** Certificates: NV indices of the profile, section 2.2.1.4. */
const EK_CERTIFICATE_INDEX: Readonly<Record<PrimaryKind, number>> = { rsa: 0x01c00002, ecc: 0x01c0000a };
const CHAIN_FIRST = 0x01c00100;
const CHAIN_LAST = 0x01c001ff;
/** Smallest TPM_PT_NV_BUFFER_MAX of a PC Client TPM. */
const NV_CHUNK = 512;

function ekTemplate(kind: PrimaryKind): TpmtPublic {
  const common = { nameAlg: TPM_ALG.SHA256, objectAttributes: EK_ATTRIBUTES, authPolicy: EK_POLICY } as const;
  if (kind === 'rsa') {
    const parameters = {
      symmetric: AES_128_CFB,
      scheme: { scheme: TPM_ALG.NULL },
      keyBits: 2048,
      exponent: 0,
    } as const;
    return { ...common, type: TPM_ALG.RSA, parameters, unique: new Uint8Array(256) };
  }
  const parameters = {
    symmetric: AES_128_CFB,
    scheme: { scheme: TPM_ALG.NULL },
    curveID: TPM_ECC.NIST_P256,
    kdf: { scheme: TPM_ALG.NULL },
  } as const;
  return { ...common, type: TPM_ALG.ECC, parameters, unique: { x: new Uint8Array(32), y: new Uint8Array(32) } };
}

/** Restricted signing key, SHA-256: ECDSA P-256 or RSASSA 2048. */
function akTemplate(kind: PrimaryKind): TpmtPublic {
  const common = { nameAlg: TPM_ALG.SHA256, objectAttributes: AK_ATTRIBUTES, authPolicy: EMPTY } as const;
  const details = { hashAlg: TPM_ALG.SHA256 } as const;
  if (kind === 'rsa') {
    const scheme = { scheme: TPM_ALG.RSASSA, details } as const;
    const parameters = { symmetric: NONE, scheme, keyBits: 2048, exponent: 0 } as const;
    return { ...common, type: TPM_ALG.RSA, parameters, unique: EMPTY };
  }
  const scheme = { scheme: TPM_ALG.ECDSA, details } as const;
  const parameters = {
    symmetric: NONE,
    scheme,
    curveID: TPM_ECC.NIST_P256,
    kdf: { scheme: TPM_ALG.NULL },
  } as const;
  return { ...common, type: TPM_ALG.ECC, parameters, unique: { x: EMPTY, y: EMPTY } };
}

async function primary(tpm: TpmClient, template: TpmtPublic): Promise<LoadedKey> {
  const made = await tpm.CreatePrimary({
    primaryHandle: TPM_RH.ENDORSEMENT,
    inSensitive: { userAuth: EMPTY, data: EMPTY },
    inPublic: template,
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  return { handle: made.objectHandle, name: made.name, publicArea: encode(TPMT_PUBLIC, made.outPublic) };
}

export const endorsementKey = (tpm: TpmClient, kind: PrimaryKind): Promise<LoadedKey> => primary(tpm, ekTemplate(kind));
/** Throws `AgentError` `E_AGENT_NO_IAK`. */
export const attestationKey = (tpm: TpmClient, kind: KeyKind): Promise<LoadedKey> =>
  kind === 'iak' ? initialAttestationKey(tpm) : primary(tpm, akTemplate(kind));

async function initialAttestationKey(tpm: TpmClient): Promise<LoadedKey> {
  const read = await tpm.ReadPublic({ objectHandle: IAK_HANDLE }).catch((cause: unknown) => {
    throw noIak(`no key at 0x${IAK_HANDLE.toString(16)}`, cause);
  });
  return { handle: IAK_HANDLE, name: read.name, publicArea: encode(TPMT_PUBLIC, read.outPublic) };
}

const noIak = (what: string, cause?: unknown): AgentError =>
  new AgentError(
    'E_AGENT_NO_IAK',
    `The TPM has no initial attestation key: ${what}.`,
    'Enrol by the endorsement key: --key ecc or --key rsa.',
    cause,
  );

/** The IAK's certificate and its issuers from NV, leaf first. Throws `AgentError` `E_AGENT_NO_IAK`. */
export async function iakCertificates(tpm: TpmClient): Promise<Uint8Array[]> {
  const leaf = await readNv(tpm, IAK_CERTIFICATE_INDEX);
  if (leaf === undefined) throw noIak(`no certificate at NV index 0x0${IAK_CERTIFICATE_INDEX.toString(16)}`);
  return [...splitDer(leaf), ...(await issuers(tpm))];
}

const isTransient = (handle: number): boolean => handle >>> 24 === 0x80;

/** Run with a key, and flush it whatever happens. */
export async function withKey<T>(
  tpm: TpmClient,
  made: Promise<LoadedKey>,
  use: (key: LoadedKey) => Promise<T>,
): Promise<T> {
  const key = await made;
  try {
    return await use(key);
  } finally {
    if (isTransient(key.handle)) await tpm.FlushContext({ flushHandle: key.handle });
  }
}

/** Content of an NV index; undefined where it does not exist. */
export async function readNv(tpm: TpmClient, nvIndex: number): Promise<Uint8Array | undefined> {
  const found = await tpm.NV_ReadPublic({ nvIndex }).catch(() => undefined);
  if (found === undefined) return undefined;
  const { attributes, dataSize } = found.nvPublic;
  const authHandle = (attributes & TPMA_NV.AUTHREAD) !== 0 ? nvIndex : TPM_RH.OWNER;
  const content = new Uint8Array(dataSize);
  for (let offset = 0; offset < dataSize; offset += NV_CHUNK) {
    const size = Math.min(NV_CHUNK, dataSize - offset);
    content.set((await tpm.NV_Read({ authHandle, nvIndex, size, offset })).data, offset);
  }
  return content;
}

/** DER certificates that follow one another; padding behind the last is dropped. */
export function splitDer(bytes: Uint8Array): Uint8Array[] {
  const certificates: Uint8Array[] = [];
  let at = 0;
  // SEQUENCE with a two-byte length: every certificate has between 256 bytes and 64 KiB.
  while (bytes[at] === 0x30 && bytes[at + 1] === 0x82 && at + 4 <= bytes.length) {
    const length = 4 + (bytes[at + 2] ?? 0) * 256 + (bytes[at + 3] ?? 0);
    certificates.push(bytes.slice(at, at + length));
    at += length;
  }
  return certificates;
}

/** The EK's certificate and its issuers from NV, leaf first. Throws `AgentError` `E_AGENT_NO_EK_CERTIFICATE`. */
export async function ekCertificates(tpm: TpmClient, kind: PrimaryKind): Promise<Uint8Array[]> {
  const leaf = await readNv(tpm, EK_CERTIFICATE_INDEX[kind]);
  if (leaf === undefined) {
    throw new AgentError(
      'E_AGENT_NO_EK_CERTIFICATE',
      `The TPM holds no ${kind.toUpperCase()} EK certificate.`,
      'Try the other kind (--key), or give the certificate of the manufacturer with --ek-certificate.',
    );
  }
  return [...splitDer(leaf), ...(await issuers(tpm))];
}

/** Certificates of authorities that the manufacturer left in NV. */
export async function issuers(tpm: TpmClient): Promise<Uint8Array[]> {
  const chain: Uint8Array[] = [];
  for (let index = CHAIN_FIRST; index <= CHAIN_LAST; index += 1) {
    const part = await readNv(tpm, index);
    if (part === undefined) break;
    chain.push(part);
  }
  return splitDer(concatBytes(...chain));
}

/** TPM2_ActivateCredential, with the EK authorised by its policy. */
export async function activateCredential(
  tpm: TpmClient,
  ak: LoadedKey,
  ek: LoadedKey,
  credentialBlob: Uint8Array,
  secret: Uint8Array,
): Promise<Uint8Array> {
  const session = await tpm.startSession({ type: 'policy' });
  const authorizations: CommandOptions = { auth: [EMPTY, { session }] };
  try {
    await tpm.PolicySecret({
      authHandle: TPM_RH.ENDORSEMENT,
      policySession: session.handle,
      nonceTPM: EMPTY,
      cpHashA: EMPTY,
      policyRef: EMPTY,
      expiration: 0,
    });
    const handles = { activateHandle: ak.handle, keyHandle: ek.handle };
    return (await tpm.ActivateCredential({ ...handles, credentialBlob, secret }, authorizations)).certInfo;
  } finally {
    await tpm.FlushContext({ flushHandle: session.handle });
  }
}
