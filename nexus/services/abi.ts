/**
 * The services a partition may ask for, by number. Calls of the core have their own numbers in `nexus/core/calls.ts`;
 * `guests/sdk/nexus_abi.h` is generated from both. All integers in buffers are little-endian.
 */

/** First service number; equals `SERVICE_BASE` of the hypercall port. */
const BASE = 0x100;

export const SERVICE = {
  /** in: u8 nonceLength (8..64), nonce, userData[64] -> out: evidence (CBOR), docs/evidence.md. Trusted only. */
  REPORT: BASE + 0,
  /** in: u8 selector, u8 flags, u16 zero, u32 minimumSvn, data -> out: blob (COSE_Encrypt0), docs/sealed-blob.md. */
  SEAL: BASE + 1,
  /** in: blob -> out: sealerIdentity[32], u32 sealerSvn, u32 counter (low word), data. */
  UNSEAL: BASE + 2,
  /** in: u32 counter index, u32 operation (0 read, 1 increment) -> out: u64 value. */
  COUNTER: BASE + 3,
  /** in: u32 count (1..4096) -> out: count bytes of the platform's randomness. */
  RANDOM: BASE + 4,
  /**
   * in: u8 operation (RELAY_*), payload -> out: reply. A message to the *untrusted* root, which stands for the network
   * and the disk: a trusted guest must treat the reply as hostile.
   */
  RELAY: BASE + 5,
  /** in: nothing -> out: codeIdentity[32], u32 svn, u32 flags (bit 0: debug). Trusted only. */
  IDENTITY: BASE + 6,
} as const;

/** Selector of SEAL: whom the blob opens to. */
export const SEAL_TO_IDENTITY = 0;
export const SEAL_TO_SIGNER = 1;
/** Flag of SEAL: bind to this partition's counter 0, so that an older blob is refused. */
export const SEAL_FLAG_ROLLBACK = 1;

export const RELAY = {
  /** -> 32-byte nonce of the verifier. */
  CHALLENGE: 1,
  /** payload: u16 nameLength, name, u16 keyLength, X25519 public key, evidence -> HPKE enc[32], ciphertext. */
  RELEASE: 2,
  /** payload: u16 nameLength, name, blob -> nothing; durable when it returns. */
  STORE: 3,
  /** payload: u16 nameLength, name -> blob. */
  LOAD: 4,
  /** payload: a line of the guest's own result, for the demo and for tests. */
  RESULT: 5,
  /** -> what the root asks this partition to do, in words (`mode` of host.yaml). Not measured; a request, not an order. */
  MODE: 6,
} as const;

/** Errors of services, at ERROR_BASE + code; the core's own codes stay below 0x40. */
export const SERVICE_ERROR = {
  /** The buffer or a field of it is malformed or too long. */
  BAD_INPUT: 0x40,
  /** The output buffer is too small. */
  NO_SPACE: 0x41,
  /** This partition may not ask for it (standard, or not sealed). */
  DENIED: 0x42,
  /** The blob does not open to this partition: other identity, other signer, or tampered. */
  UNSEAL_REFUSED: 0x43,
  /** The security version is lower than the blob demands. */
  SVN_TOO_LOW: 0x44,
  /** The blob is older than the partition's counter. */
  ROLLED_BACK: 0x45,
  /** The root did not do it: no verifier, network refused, nothing stored. */
  RELAY_FAILED: 0x46,
  /** No such service. */
  UNKNOWN: 0x47,
  /** The platform failed (TPM or disk); nothing was done. */
  PLATFORM: 0x48,
} as const;
