/**
 * Evidence of a guest with a TPM of its own on a nexus host: what the guest's TPM quotes, the certificate of that
 * TPM's endorsement key, and what the host's platform TPM quotes about the nexus that signed the certificate. One
 * CBOR map, a conceptual-messages-wrapper collection (RFC 9999). Documented in docs/evidence.md.
 */
import { encodeCbor } from '../cbor.ts';
import { decodeEvidence, decodeMap, EVIDENCE_MEDIA_TYPE, type Evidence, EvidenceError, message } from '../evidence.ts';
import { decodeMachineEvidence, MACHINE_MEDIA_TYPE, type MachineEvidence } from '../machine/evidence.ts';

export const GUEST_MEDIA_TYPE = 'application/vnd.nexus-tcb.guest+cbor';
const COLLECTION_TYPE = 'tag:nexus-tcb,2026:guest';
const CERTIFICATE_TYPE = 'application/pkix-cert';
const EVIDENCE_MAX = 68 * 2 ** 20;
/** Several times the largest endorsement certificate. */
const CERTIFICATE_MAX = 16 * 1024;

export interface GuestEvidence {
  /** Of the host, over the same nonce; without a partition's report. */
  readonly host: Evidence;
  /** DER, from the NV index of the guest's TPM. */
  readonly ekCertificate: Uint8Array;
  readonly guest: MachineEvidence;
}

/** Put together what host and guest gave, each encoded already. */
export function encodeGuestEvidence(parts: {
  readonly host: Uint8Array;
  readonly ekCertificate: Uint8Array;
  readonly guest: Uint8Array;
}): Uint8Array {
  return encodeCbor({
    __cmwc_t: COLLECTION_TYPE,
    host: [EVIDENCE_MEDIA_TYPE, parts.host],
    ek: [CERTIFICATE_TYPE, parts.ekCertificate],
    guest: [MACHINE_MEDIA_TYPE, parts.guest],
  });
}

/** Parse. Throws EvidenceError; what the parts hold is checked by appraisal. */
export function decodeGuestEvidence(bytes: Uint8Array): GuestEvidence {
  if (bytes.length > EVIDENCE_MAX) throw new EvidenceError(`${bytes.length} bytes; at most ${EVIDENCE_MAX}`);
  const collection = decodeMap(bytes, 'the evidence');
  if (collection.get('__cmwc_t') !== COLLECTION_TYPE) throw new EvidenceError('not a collection of a guest');
  if (collection.size !== 4) throw new EvidenceError('a message that is not known here');
  const ekCertificate = message(collection, 'ek', CERTIFICATE_TYPE);
  if (ekCertificate.length > CERTIFICATE_MAX) throw new EvidenceError('the certificate is too large');
  const host = decodeEvidence(message(collection, 'host', EVIDENCE_MEDIA_TYPE));
  if (host.partition !== undefined) throw new EvidenceError("the host's evidence reports another partition");
  return { host, ekCertificate, guest: decodeMachineEvidence(message(collection, 'guest', MACHINE_MEDIA_TYPE)) };
}
