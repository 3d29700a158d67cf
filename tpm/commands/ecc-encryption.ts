/** ECC encryption: an ephemeral Diffie-Hellman key masks the message. Part 3, sections 14.8 and 14.9; Part 1, annex D. */
import { concat, equalSecret, padLeft, u32be } from '../crypto/bytes.ts';
import { deriveScalar } from '../crypto/primes.ts';
import type { EcPoint } from '../crypto/provider.ts';
import { has, type TpmObject } from '../state/objects.ts';
import {
  DIGEST_SIZE,
  type Infer,
  TPM_ALG,
  TPM_CC,
  TPM_RC,
  TPM2B_DIGEST,
  TPM2B_ECC_POINT,
  TPM2B_MAX_BUFFER,
  TPMA_OBJECT,
  TPMT_KDF_SCHEME,
  TpmError,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import { TPMI_DH_OBJECT } from './handles.ts';
import { eccFieldBytes, eccOrder } from './keys.ts';

type EccPublic = Extract<TpmObject['publicArea'], { type: typeof TPM_ALG.ECC }>;

function eccKey(key: TpmObject): EccPublic {
  if (key.publicArea.type !== TPM_ALG.ECC) throw new TpmError(TPM_RC.KEY, 'keyHandle');
  return key.publicArea;
}

/** The hash of the one scheme there is, KDF2. A key's own scheme is always open. TPM_RC_SCHEME. */
function schemeHash(inScheme: Infer<typeof TPMT_KDF_SCHEME>): number {
  if (inScheme.scheme === TPM_ALG.NULL) throw new TpmError(TPM_RC.SCHEME, 'inScheme');
  if (inScheme.scheme !== TPM_ALG.KDF2) throw new TpmError(TPM_RC.SCHEME);
  return inScheme.details.hashAlg;
}

/** XOR with KDF2(x || y) (IEEE 1363a, section 13.2: MGF1 counting from 1). Its own inverse. */
function mask(tpm: Context, hashAlg: number, { x, y }: EcPoint, data: Uint8Array): Uint8Array {
  const blocks: Uint8Array[] = [];
  const size = DIGEST_SIZE[hashAlg]!; // the schema admits hash algorithms only
  for (let i = 1; (i - 1) * size < data.length; i++) blocks.push(tpm.crypto.hash(hashAlg, x, y, u32be(i)));
  const stream = concat(...blocks);
  return data.map((octet, i) => octet ^ stream[i]!); // the stream is at least as long
}

/** H(x || message || y): shows that the message is the one that was encrypted. */
const check = (tpm: Context, hashAlg: number, { x, y }: EcPoint, message: Uint8Array): Uint8Array =>
  tpm.crypto.hash(hashAlg, x, message, y);

/** TPM2_ECC_Encrypt: needs no more than a public point. TPM_RC_KEY, TPM_RC_ATTRIBUTES, TPM_RC_SCHEME. Section 14.8. */
export const ECC_Encrypt = command(
  TPM_CC.ECC_Encrypt,
  {
    handles: { keyHandle: TPMI_DH_OBJECT },
    params: { plainText: TPM2B_MAX_BUFFER, inScheme: TPMT_KDF_SCHEME },
    response: { C1: TPM2B_ECC_POINT, C2: TPM2B_MAX_BUFFER, C3: TPM2B_DIGEST },
  },
  (tpm, { keyHandle, plainText, inScheme }) => {
    const { unique, parameters } = eccKey(keyHandle);
    if (has(keyHandle, TPMA_OBJECT.restricted)) throw new TpmError(TPM_RC.ATTRIBUTES, 'keyHandle');
    const hashAlg = schemeHash(inScheme);
    const { curveID } = parameters;
    const scalar = deriveScalar(tpm.random, eccOrder(curveID));
    const shared = tpm.crypto.ecMultiply(curveID, unique, scalar);
    if (shared === undefined) throw new TpmError(TPM_RC.NO_RESULT);
    return {
      C1: tpm.crypto.ecPublic(curveID, scalar),
      C2: mask(tpm, hashAlg, shared, plainText),
      C3: check(tpm, hashAlg, shared, plainText),
    };
  },
);

/** TPM2_ECC_Decrypt: one TPM_RC_VALUE for whatever is wrong with C1, C2 or C3. TPM_RC_ATTRIBUTES. Section 14.9. */
export const ECC_Decrypt = command(
  TPM_CC.ECC_Decrypt,
  {
    handles: { keyHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: { C1: TPM2B_ECC_POINT, C2: TPM2B_MAX_BUFFER, C3: TPM2B_DIGEST, inScheme: TPMT_KDF_SCHEME },
    response: { plainText: TPM2B_MAX_BUFFER },
  },
  (tpm, { keyHandle, C1, C2, C3, inScheme }) => {
    const { parameters } = eccKey(keyHandle);
    if (has(keyHandle, TPMA_OBJECT.restricted) || !has(keyHandle, TPMA_OBJECT.decrypt))
      throw new TpmError(TPM_RC.ATTRIBUTES, 'keyHandle');
    if (keyHandle.sensitive === undefined) throw new TpmError(TPM_RC.KEY, 'keyHandle');
    const hashAlg = schemeHash(inScheme);
    const { curveID } = parameters;
    const size = eccFieldBytes(curveID);
    if (!tpm.crypto.ecOnCurve(curveID, C1)) throw new TpmError(TPM_RC.VALUE);
    const point = { x: padLeft(C1.x, size), y: padLeft(C1.y, size) };
    const shared = tpm.crypto.ecMultiply(curveID, point, keyHandle.sensitive.sensitive);
    if (shared === undefined) throw new TpmError(TPM_RC.VALUE);
    const plainText = mask(tpm, hashAlg, shared, C2);
    if (!equalSecret(C3, check(tpm, hashAlg, shared, plainText))) throw new TpmError(TPM_RC.VALUE);
    return { plainText };
  },
);

export const eccEncryptionCommands = [ECC_Encrypt, ECC_Decrypt] as const;
