/**
 * Enrolment by the initial attestation key (IAK) that the device's manufacturer certified, where there is no endorsement
 * certificate to go by: the quoting key is that IAK, and a quote over a nonce of ours proves that the caller has its TPM.
 * TCG, TPM 2.0 Keys for Device Identity and Attestation 1.0, section 5. Nothing is stored before the proof.
 */

import { sameBytes } from '../bytes.ts';
import { sameKey } from '../crypto/port.ts';
import { decodeMachineEvidence, type MachineEvidence } from '../machine/evidence.ts';
import { decodeQuote, publicKey, verifyTpmSignature } from '../quote.ts';
import type { Challenge, Challenges } from './challenges.ts';
import type { Database } from './database/open.ts';
import type { Manufacturers } from './ek-certificates.ts';
import { VerifierError } from './errors.ts';
import { enrolmentNonce } from './nonces.ts';
import { type EnrolledPlatform, platformName, recordPlatform } from './platform-record.ts';
import type { Caller } from './roles.ts';
import { readAttestationKey } from './tpm-keys.ts';

/** A nonce to enrol is good for nothing else. */
const PURPOSE = 'device-enrolment';
const NONE = new Uint8Array(0);

export class DeviceEnrolment {
  readonly #db: Database;
  readonly #clock: () => Date;
  readonly #manufacturers: Manufacturers;
  readonly #challenges: Challenges;

  constructor(db: Database, clock: () => Date, manufacturers: Manufacturers, challenges: Challenges) {
    this.#db = db;
    this.#clock = clock;
    this.#manufacturers = manufacturers;
    this.#challenges = challenges;
  }

  begin(caller: Caller): Promise<Challenge> {
    return this.#challenges.issue(caller.tenant, PURPOSE);
  }

  /**
   * Enrol on evidence of a machine over `enrolmentNonce` with the certificates of its IAK. Throws `challenge-spent`,
   * `evidence-malformed`, `ak-unsuitable`, `iak-untrusted`, `possession-refused`, or as `recordPlatform`.
   */
  async finish(
    caller: Caller,
    challenge: string,
    bytes: Uint8Array,
    wished: string | undefined,
  ): Promise<EnrolledPlatform> {
    const { nonce } = await this.#challenges.spend(caller.tenant, PURPOSE, challenge);
    const evidence = read(bytes);
    const { akPublic } = evidence;
    const ak = readAttestationKey(akPublic);
    const now = this.#clock();
    const certified = this.#manufacturers.validateDeviceKey(evidence.certificates?.iak ?? [], now);
    if (!sameKey(certified, publicKey(akPublic))) {
      throw new VerifierError('iak-untrusted', 'The IAK certificate is of another key than the one that quotes.', {
        failed: ['iak-key'],
        remedy: 'Quote with the IAK itself.',
      });
    }
    requirePossession(evidence, enrolmentNonce(wished, nonce));
    const platform = platformName(wished, 'iak', akPublic);
    const keys = { ek_public: akPublic, ek_certificate: NONE, ak_public: akPublic, ak_name: ak.name };
    return recordPlatform(this.#db, caller, now, { platform, ...keys });
  }
}

function read(bytes: Uint8Array): MachineEvidence {
  try {
    return decodeMachineEvidence(bytes);
  } catch (cause) {
    throw new VerifierError('evidence-malformed', 'The evidence is not that of a machine.', {
      remedy: 'Send what docs/evidence.md describes, with the certificates of the IAK.',
      cause,
    });
  }
}

function requirePossession({ akPublic, quoted, signature }: MachineEvidence, nonce: Uint8Array): void {
  if (isProof()) return;
  throw new VerifierError('possession-refused', 'The quote is not one of this key over this nonce and name.', {
    failed: ['proof-of-possession'],
    remedy: 'Begin again, and quote over the nonce of this enrolment.',
  });

  function isProof(): boolean {
    try {
      return verifyTpmSignature(akPublic, quoted, signature) && sameBytes(decodeQuote(quoted).extraData, nonce);
    } catch {
      return false; // no quote at all
    }
  }
}
