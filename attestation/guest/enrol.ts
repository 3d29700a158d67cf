/** Enrolment of a guest without a service: the proof that an attestation key lives in the TPM of an endorsement key. */
import { randomBytes } from 'node:crypto';
import { type Credential, makeCredential } from '../verifier/make-credential.ts';
import { readAttestationKey, readEndorsementKey } from '../verifier/tpm-keys.ts';
import type { EnrolledGuest } from './appraise.ts';

export interface GuestChallenge extends Credential {
  /** What TPM2_ActivateCredential gives back in the TPM that holds both keys, and nothing else does. */
  readonly secret: Uint8Array;
}

/** Throws VerifierError `ek-malformed`, `ak-malformed` or `ak-unsuitable`. */
export function challengeGuest({ akPublic, ekPublic }: EnrolledGuest): GuestChallenge {
  const secret = Uint8Array.from(randomBytes(32));
  return { ...makeCredential(readEndorsementKey(ekPublic), readAttestationKey(akPublic).name, secret), secret };
}
