/** The platform TPM's keys as a host uses them: storage parent, attestation key, the sealed root secret. */
import { createHash } from 'node:crypto';
import { type ClientSession, type TpmClient, TpmResponseError } from '../../tpm/client/index.ts';
import { encode, TPM_ALG, TPM_RH, TPMA_OBJECT, TPMT_PUBLIC } from '../../tpm/index.ts';
import { PCR_LAUNCH_POLICY, PCR_NEXUS_CODE } from '../launch/index.ts';
import { HostError } from './errors.ts';
import type { SealedRoot } from './store.ts';

const EMPTY = new Uint8Array();
const P256 = 3;
/** TPM_RC_POLICY_FAIL, format-one code without its session number. */
const RC_POLICY_FAIL = 0x09d;
const FORMAT_ONE_CODE = 0x0bf;
const LAUNCH_PCRS = [{ hash: TPM_ALG.SHA256, pcrSelect: [PCR_NEXUS_CODE, PCR_LAUNCH_POLICY] }] as const;

type EccParameters = Extract<TPMT_PUBLIC, { readonly type: typeof TPM_ALG.ECC }>['parameters'];

/** A P-256 primary that needs no authorization value and is bound to nothing but its hierarchy. */
const p256 = (
  attributes: number,
  symmetric: EccParameters['symmetric'],
  scheme: EccParameters['scheme'],
): TPMT_PUBLIC => ({
  type: TPM_ALG.ECC,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes:
    TPMA_OBJECT.fixedTPM |
    TPMA_OBJECT.fixedParent |
    TPMA_OBJECT.sensitiveDataOrigin |
    TPMA_OBJECT.userWithAuth |
    TPMA_OBJECT.noDA |
    TPMA_OBJECT.restricted |
    attributes,
  authPolicy: EMPTY,
  parameters: { symmetric, scheme, curveID: P256, kdf: { scheme: TPM_ALG.NULL } },
  unique: { x: EMPTY, y: EMPTY },
});

/** TCG Provisioning Guidance, section 7.5.1: the ECC storage primary of the owner hierarchy. */
const STORAGE_TEMPLATE = p256(
  TPMA_OBJECT.decrypt,
  { algorithm: TPM_ALG.AES, keyBits: 128, mode: TPM_ALG.CFB },
  { scheme: TPM_ALG.NULL },
);

/** A restricted ECDSA P-256 key of the endorsement hierarchy: it signs only what the TPM itself says. */
const ATTESTATION_TEMPLATE = p256(
  TPMA_OBJECT.sign,
  { algorithm: TPM_ALG.NULL },
  { scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } },
);

export interface LoadedKey {
  readonly handle: number;
  readonly publicArea: TPMT_PUBLIC;
  /** TPMT_PUBLIC as bytes. */
  readonly bytes: Uint8Array;
}

async function primary(client: TpmClient, hierarchy: number, template: TPMT_PUBLIC): Promise<LoadedKey> {
  const { objectHandle, outPublic } = await client.CreatePrimary({
    primaryHandle: hierarchy,
    inSensitive: { userAuth: EMPTY, data: EMPTY },
    inPublic: template,
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  return { handle: objectHandle, publicArea: outPublic, bytes: encode(TPMT_PUBLIC, outPublic) };
}

export const storageKey = (client: TpmClient) => primary(client, TPM_RH.OWNER, STORAGE_TEMPLATE);
export const attestationKey = (client: TpmClient) => primary(client, TPM_RH.ENDORSEMENT, ATTESTATION_TEMPLATE);

/** Seal `secret` to this nexus build and launch policy: PolicyPCR over PCR 17 and 18. The transfer is encrypted. */
export async function sealRoot(client: TpmClient, storage: LoadedKey, secret: Uint8Array): Promise<SealedRoot> {
  const trial = await client.startSession({ type: 'trial' });
  await policyOfLaunch(client, trial);
  const { policyDigest } = await client.PolicyGetDigest({ policySession: trial.handle });
  await client.FlushContext({ flushHandle: trial.handle });

  const session = await client.startSession({ salt: storage, decrypt: true });
  try {
    const { outPrivate, outPublic } = await client.Create(
      {
        parentHandle: storage.handle,
        inSensitive: { userAuth: EMPTY, data: secret },
        inPublic: {
          type: TPM_ALG.KEYEDHASH,
          nameAlg: TPM_ALG.SHA256,
          objectAttributes: TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent | TPMA_OBJECT.noDA,
          authPolicy: policyDigest,
          parameters: { scheme: { scheme: TPM_ALG.NULL } },
          unique: EMPTY,
        },
        outsideInfo: EMPTY,
        creationPCR: [],
      },
      { auth: { session } },
    );
    return { publicArea: encode(TPMT_PUBLIC, outPublic), privateArea: Uint8Array.from(outPrivate) };
  } finally {
    await client.FlushContext({ flushHandle: session.handle });
  }
}

/** Unseal the root secret. Throws HostError E_ROOT_SEALED when PCR 17 or 18 is not what it was sealed under. */
export async function unsealRoot(
  client: TpmClient,
  storage: LoadedKey,
  { publicArea, privateArea }: SealedRoot,
  decodePublic: (bytes: Uint8Array) => TPMT_PUBLIC,
): Promise<Uint8Array> {
  const { objectHandle } = await client.Load({
    parentHandle: storage.handle,
    inPrivate: privateArea,
    inPublic: decodePublic(publicArea),
  });
  const session = await client.startSession({ type: 'policy', salt: storage, encrypt: true });
  try {
    await policyOfLaunch(client, session);
    const { outData } = await client.Unseal({ itemHandle: objectHandle }, { auth: { session } });
    return Uint8Array.from(outData);
  } catch (error) {
    if (!(error instanceof TpmResponseError) || (error.code & FORMAT_ONE_CODE) !== RC_POLICY_FAIL) throw error;
    throw new HostError(
      'E_ROOT_SEALED',
      `${error.message}: the root secret is sealed to another build of the nexus or another launch policy (its engine among it)`,
      'start the build that made this state directory, with the same engine, or begin anew in an empty one',
      { cause: error },
    );
  } finally {
    await client.FlushContext({ flushHandle: session.handle });
    await client.FlushContext({ flushHandle: objectHandle });
  }
}

async function policyOfLaunch(client: TpmClient, session: ClientSession): Promise<void> {
  const selection = LAUNCH_PCRS.map(({ hash, pcrSelect }) => ({ hash, pcrSelect: [...pcrSelect] }));
  await client.PolicyPCR({ policySession: session.handle, pcrDigest: EMPTY, pcrs: selection });
}

/** TPM2_ActivateCredential by the endorsement key at `ek`, whose policy is PolicySecret(endorsement). */
export async function activateCredential(
  client: TpmClient,
  ak: LoadedKey,
  ek: number,
  credentialBlob: Uint8Array,
  secret: Uint8Array,
): Promise<Uint8Array> {
  const session = await client.startSession({ type: 'policy' });
  try {
    await client.PolicySecret({
      authHandle: TPM_RH.ENDORSEMENT,
      policySession: session.handle,
      nonceTPM: EMPTY,
      cpHashA: EMPTY,
      policyRef: EMPTY,
      expiration: 0,
    });
    const { certInfo } = await client.ActivateCredential(
      { activateHandle: ak.handle, keyHandle: ek, credentialBlob, secret },
      { auth: [EMPTY, { session }] },
    );
    return Uint8Array.from(certInfo);
  } finally {
    await client.FlushContext({ flushHandle: session.handle }).catch(() => {}); // it may have ended with the command
  }
}

export const sha256Hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
