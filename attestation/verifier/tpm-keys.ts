/** What a verifier demands of an endorsement key and of an attestation key before it enrols them. */
import { VerifierError } from './errors.ts';
import { ATTRIBUTE, parseTpmPublic, type TpmPublic } from './tpm-public.ts';

const { fixedTPM, fixedParent, sensitiveDataOrigin, restricted, decrypt, sign } = ATTRIBUTE;
/** Made in this TPM, never to leave it. */
const RESIDENT = fixedTPM | fixedParent | sensitiveDataOrigin;
/** TCG EK Credential Profile, template attributes that matter here. */
const EK_ATTRIBUTES = RESIDENT | restricted | decrypt;
/** A restricted signing key signs only what the TPM itself made, or hashed and found not to imitate TPM structures. */
const AK_ATTRIBUTES = RESIDENT | restricted | sign;

function read(bytes: Uint8Array, code: 'ek-malformed' | 'ak-malformed'): TpmPublic {
  try {
    return parseTpmPublic(bytes);
  } catch (cause) {
    throw new VerifierError(code, 'The public area is malformed or of a kind that is not supported.', {
      remedy: 'Send TPMT_PUBLIC of an RSA or NIST-curve key, as TPM2_ReadPublic returns it without its size.',
      cause,
    });
  }
}

/** Throws `ek-malformed`. */
export function readEndorsementKey(bytes: Uint8Array): TpmPublic {
  const ek = read(bytes, 'ek-malformed');
  if ((ek.attributes & (EK_ATTRIBUTES | sign)) === EK_ATTRIBUTES && ek.nameAlg !== 'sha1') return ek;
  throw new VerifierError(
    'ek-malformed',
    'The key is not an endorsement key (restricted, decrypting, fixed to its TPM).',
    {
      failed: ['ek-attributes'],
      remedy: 'Create the EK with a template of the TCG EK Credential Profile.',
    },
  );
}

/** Throws `ak-malformed` or `ak-unsuitable`. */
export function readAttestationKey(bytes: Uint8Array): TpmPublic {
  const ak = read(bytes, 'ak-malformed');
  if ((ak.attributes & (AK_ATTRIBUTES | decrypt)) === AK_ATTRIBUTES && ak.nameAlg !== 'sha1') return ak;
  throw new VerifierError('ak-unsuitable', 'An attestation key is restricted, signing, and fixed to its TPM.', {
    failed: ['ak-attributes'],
    remedy: 'Create it in the TPM as a restricted signing key (tpm2_createak does).',
  });
}
