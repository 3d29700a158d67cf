/** Signing and verification. Part 3, section 20. */
import { equalSecret, u16be } from '../crypto/bytes.ts';
import { has } from '../state/objects.ts';
import {
  DIGEST_SIZE,
  TPM_ALG,
  TPM_CC,
  TPM_RC,
  TPM_RH,
  TPM_ST,
  TPM2B_DIGEST,
  TPMA_OBJECT,
  TPMT_SIG_SCHEME,
  TPMT_SIGNATURE,
  TPMT_SIGNATURE_PRESENT,
  TPMT_TK_HASHCHECK,
  TPMT_TK_VERIFIED,
  TpmError,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import { TPMI_DH_OBJECT } from './handles.ts';
import { ticketDigest } from './object-logic.ts';
import { requireSigningKey, selectScheme, sign, verify } from './signing-logic.ts';

/** TPM2_VerifySignature. Part 3, section 20.1. */
export const VerifySignature = command(
  TPM_CC.VerifySignature,
  {
    handles: { keyHandle: TPMI_DH_OBJECT },
    params: { digest: TPM2B_DIGEST, signature: TPMT_SIGNATURE_PRESENT },
    response: { validation: TPMT_TK_VERIFIED },
  },
  (tpm, { keyHandle, digest, signature }) => {
    if (!has(keyHandle, TPMA_OBJECT.sign)) throw new TpmError(TPM_RC.ATTRIBUTES, 'keyHandle');
    let good: boolean;
    try {
      good = verify(tpm, keyHandle, digest, signature);
    } catch (error) {
      throw error instanceof TpmError ? new TpmError(error.code, 'signature') : error;
    }
    if (!good) throw new TpmError(TPM_RC.SIGNATURE, 'signature');
    const hierarchy = keyHandle.hierarchy as typeof TPM_RH.OWNER; // a hierarchy's TPM_RH
    const empty = keyHandle.hierarchy === TPM_RH.NULL || keyHandle.publicArea.nameAlg === TPM_ALG.NULL;
    return {
      validation: {
        tag: TPM_ST.VERIFIED,
        hierarchy: empty ? TPM_RH.NULL : hierarchy,
        digest: empty ? new Uint8Array(0) : ticketDigest(tpm, hierarchy, TPM_ST.VERIFIED, digest, keyHandle.name),
      },
    };
  },
);

/** TPM2_Sign. Part 3, section 20.2. */
export const Sign = command(
  TPM_CC.Sign,
  {
    handles: { keyHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: { digest: TPM2B_DIGEST, inScheme: TPMT_SIG_SCHEME, validation: TPMT_TK_HASHCHECK },
    response: { signature: TPMT_SIGNATURE },
  },
  (tpm, { keyHandle, digest, inScheme, validation }) => {
    requireSigningKey(keyHandle, 'keyHandle');
    if (has(keyHandle, TPMA_OBJECT.x509sign)) throw new TpmError(TPM_RC.ATTRIBUTES, 'keyHandle');
    const scheme = selectScheme(keyHandle, inScheme);
    if (scheme === undefined) throw new TpmError(TPM_RC.SCHEME, 'inScheme');
    const { hashAlg } = scheme.details;
    if (has(keyHandle, TPMA_OBJECT.restricted) || validation.digest.length > 0) {
      if (validation.digest.length === 0) throw new TpmError(TPM_RC.TICKET, 'validation');
      const expected = ticketDigest(tpm, validation.hierarchy, TPM_ST.HASHCHECK, u16be(hashAlg), digest);
      if (!equalSecret(expected, validation.digest)) throw new TpmError(TPM_RC.TICKET, 'validation');
    }
    if (digest.length !== DIGEST_SIZE[hashAlg]) throw new TpmError(TPM_RC.SIZE, 'digest');
    return { signature: sign(tpm, keyHandle, scheme, digest) };
  },
);

export const signingCommands = [VerifySignature, Sign];
