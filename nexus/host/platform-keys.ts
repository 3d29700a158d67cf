/** The platform TPM's keys as a host uses them: storage parent and attestation key. */
import { createHash } from 'node:crypto';
import type { TpmClient } from '../../tpm/client/index.ts';
import { encode, TPM_ALG, TPM_RH, TPMA_OBJECT, TPMT_PUBLIC } from '../../tpm/index.ts';

const EMPTY = new Uint8Array();
const P256 = 3;

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
