/**
 * The identity that a device's manufacturer gave it (IDevID; IEEE 802.1AR; TCG, TPM 2.0 Keys for Device Identity and
 * Attestation 1.0), beside the key that quotes. Two things are asked: does the machine hold the IDevID's key now, and is
 * the device that it names the one that quotes. TPM2_Certify by the quoting key answers both. TCG's templates demand a
 * policy for that which an agent cannot satisfy, but let the key sign: a signature over the nonce and the quoting key's name
 * answers the first, and the certificates of IDevID and IAK, where they name one device, the second.
 */
import { decode, TPM_ST, TPMS_ATTEST } from '../../tpm/structures/index.ts';
import { concatBytes, fromLatin1, sameBytes } from '../bytes.ts';
import { type Checks, Failing, type Fault, required } from '../checks.ts';
import { sameKey } from '../crypto/port.ts';
import { publicKey, verifySignatureBy, verifyTpmSignature } from '../quote.ts';
import type { AppraisalContext } from '../verifier/evidence-format.ts';
import { tpmName } from '../verifier/tpm-public.ts';
import { publicKeyOf, readCertificate } from '../x509/certificate.ts';
import { deviceIdentities } from '../x509/device.ts';

const LABEL = fromLatin1('nexus-tcb idevid v1');

/** TPM2_Certify of the IDevID by the quoting key over the verifier's nonce: both are in this TPM. */
export interface Certified {
  /** TPMT_PUBLIC of the IDevID. */
  readonly public: Uint8Array;
  /** TPMS_ATTEST of type certify. */
  readonly attest: Uint8Array;
  /** TPMT_SIGNATURE by the quoting key. */
  readonly signature: Uint8Array;
}

/** What a machine shows of its device's identity. */
export interface DeviceEvidence {
  /** DER, leaf first. */
  readonly idevid?: readonly Uint8Array[];
  readonly iak?: readonly Uint8Array[];
  readonly certified?: Certified;
  /** TPMT_SIGNATURE by the IDevID over `idevidStatement`. */
  readonly signed?: Uint8Array;
}

/** What an IDevID signs: label || TPM name of the quoting key || what that key quotes over. */
export const idevidStatement = (akPublic: Uint8Array, nonce: Uint8Array): Uint8Array =>
  concatBytes(LABEL, tpmName(akPublic), nonce);

/**
 * The checks `idevid-key` and `device-identity`. What a machine need not show weighs as a warning where it lacks; what it
 * shows must hold. Returns the device's names where it is the one that quotes.
 */
export function checkDeviceIdentity(
  evidence: DeviceEvidence,
  { isRequired }: { readonly isRequired: boolean },
  context: AppraisalContext,
  checks: Checks,
): Readonly<Record<string, string>> | undefined {
  const lacking: Fault = isRequired ? 'contraindicated' : 'warning';
  const holdsKey = checks.holds('idevid-key', () => hasKey(evidence, context, lacking), '');
  const isThis = checks.holds(
    'device-identity',
    () => {
      const { iak, idevid } = evidence;
      if (iak === undefined) throw new Failing(lacking, 'no certificate of the IAK names the device that quotes');
      return sameDevice(required(idevid?.[0]), required(iak[0]));
    },
    'the certificates of IDevID and IAK do not name one device',
  );
  const [leaf] = evidence.idevid ?? [];
  return holdsKey && isThis && leaf !== undefined
    ? Object.fromEntries(deviceIdentities(readCertificate(leaf)))
    : undefined;
}

function hasKey({ idevid, certified, signed }: DeviceEvidence, context: AppraisalContext, lacking: Fault): boolean {
  if (certified === undefined && signed === undefined) {
    throw new Failing(lacking, 'neither a certification of the key nor a signature by it was sent');
  }
  const key = publicKeyOf(readCertificate(required(idevid?.[0])));
  const { akPublic, nonce } = context;
  if (signed !== undefined && !verifySignatureBy(key, idevidStatement(akPublic, nonce), signed)) {
    throw new Error('its signature over the nonce and the quoting key does not verify');
  }
  if (certified === undefined) return true;
  // Part 3, section 18.2.
  if (!verifyTpmSignature(akPublic, certified.attest, certified.signature)) {
    throw new Error('the certification does not verify');
  }
  const attest = decode(TPMS_ATTEST, certified.attest);
  if (attest.type !== TPM_ST.ATTEST_CERTIFY) throw new Error('an attestation of another kind than a certification');
  if (!sameBytes(attest.extraData, nonce)) throw new Error('the certification is not over the nonce of this challenge');
  if (!sameBytes(attest.attested.name, tpmName(certified.public))) throw new Error('another key was certified');
  if (!sameKey(publicKey(certified.public), key)) {
    throw new Error('the certificate is of another key than the one that was certified');
  }
  return true;
}

/** At least one name in common, and no kind of name in which they differ. */
function sameDevice(idevid: Uint8Array, iak: Uint8Array): boolean {
  const [a, b] = [deviceIdentities(readCertificate(idevid)), deviceIdentities(readCertificate(iak))];
  const common = [...a.keys()].filter((kind) => b.has(kind));
  return common.length > 0 && common.every((kind) => a.get(kind) === b.get(kind));
}
