/** Credential protection. Part 1, section 24; Part 3, sections 12.5 and 12.6. */
import { isStorageParent } from '../state/objects.ts';
import {
  DIGEST_SIZE,
  decode,
  encode,
  TPM_ALG,
  TPM_CC,
  TPM_RC,
  TPM2B_DIGEST,
  TPM2B_ENCRYPTED_SECRET,
  TPM2B_ID_OBJECT,
  TPM2B_NAME,
  type TPMT_PUBLIC_OR_NULL,
  TpmError,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import { TPMI_DH_OBJECT } from './handles.ts';
import { type Protector, unwrap, wrap } from './protection.ts';
import { about } from './refusal.ts';
import { protectSecret, recoverSecret } from './secrets.ts';

function protector(key: TPMT_PUBLIC_OR_NULL, seed: Uint8Array): Protector {
  if (key.type !== TPM_ALG.RSA && key.type !== TPM_ALG.ECC) throw new TpmError(TPM_RC.TYPE);
  return { hashAlg: key.nameAlg, seed, symmetric: key.parameters.symmetric };
}

/** Encrypt `credential` so that only a TPM with this endorsement key and an object of this name can read it. */
export function makeCredential(
  crypto: Pick<Context, 'crypto'>,
  key: TPMT_PUBLIC_OR_NULL,
  credential: Uint8Array,
  name: Uint8Array,
): { credentialBlob: Uint8Array; secret: Uint8Array } {
  const { seed, encrypted } = protectSecret(crypto.crypto, key, 'IDENTITY');
  const credentialBlob = wrap(crypto, protector(key, seed), name, encode(TPM2B_DIGEST, credential));
  return { credentialBlob, secret: encrypted };
}

/** TPM2_MakeCredential. Part 3, section 12.6. */
export const MakeCredential = command(
  TPM_CC.MakeCredential,
  {
    handles: { handle: TPMI_DH_OBJECT },
    params: { credential: TPM2B_DIGEST, objectName: TPM2B_NAME },
    response: { credentialBlob: TPM2B_ID_OBJECT, secret: TPM2B_ENCRYPTED_SECRET },
  },
  (tpm, { handle, credential, objectName }) => {
    const { publicArea } = handle;
    const restrictedDecrypt = (publicArea.objectAttributes & 0x3_0000) === 0x3_0000;
    if ((publicArea.type !== TPM_ALG.RSA && publicArea.type !== TPM_ALG.ECC) || !restrictedDecrypt)
      throw new TpmError(TPM_RC.TYPE, 'handle');
    if (credential.length > (DIGEST_SIZE[publicArea.nameAlg] ?? 0)) throw new TpmError(TPM_RC.SIZE, 'credential');
    return makeCredential(tpm, publicArea, credential, objectName);
  },
);

/** TPM2_ActivateCredential. Part 3, section 12.5. */
export const ActivateCredential = command(
  TPM_CC.ActivateCredential,
  {
    handles: { activateHandle: auth(TPMI_DH_OBJECT, 'admin'), keyHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: { credentialBlob: TPM2B_ID_OBJECT, secret: TPM2B_ENCRYPTED_SECRET },
    response: { certInfo: TPM2B_DIGEST },
  },
  (tpm, { activateHandle, keyHandle, credentialBlob, secret }) => {
    const { publicArea } = keyHandle;
    const asymmetric = publicArea.type === TPM_ALG.RSA || publicArea.type === TPM_ALG.ECC;
    if (!asymmetric || !isStorageParent(keyHandle)) throw new TpmError(TPM_RC.TYPE, 'keyHandle');
    const seed = about('secret', () => recoverSecret(tpm.crypto, keyHandle, 'IDENTITY', secret));
    const certInfo = about('credentialBlob', () =>
      decode(TPM2B_DIGEST, unwrap(tpm, protector(publicArea, seed), activateHandle.name, credentialBlob, false)),
    );
    return { certInfo };
  },
);

export const credentialCommands = [MakeCredential, ActivateCredential];
