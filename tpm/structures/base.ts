/** Buffers, handles, tickets, clocks and PCR selections. Part 2, sections 8 to 10. */

import { TPMI_ALG_HASH, TPMI_ALG_HASH_OR_NULL } from './algorithms.ts';
import {
  attributes,
  buffer,
  type Infer,
  list,
  oneOf,
  type Schema,
  struct,
  tagged,
  u8,
  u16,
  u32,
  u64,
  yesNo,
} from './codec.ts';
import {
  DIGEST_SIZE,
  MAX_BUFFER,
  MAX_DIGEST_SIZE,
  MAX_ECC_BYTES,
  MAX_NV_BUFFER,
  MAX_RSA_BYTES,
  TPM_EO,
  TPM_RC,
  TPM_RH,
  TPM_SE,
  TPM_ST,
  TPM_SU,
} from './constants.ts';
import { TpmError } from './errors.ts';
import type { Reader, Writer } from './octets.ts';

/** TPM_HANDLE: any 32-bit number; commands declare which kinds they take. */
export const TPM_HANDLE = u32;
export const TPM2B_DIGEST = buffer(MAX_DIGEST_SIZE);
/** TPM2B_DATA holds a tagged digest at most. Part 2, section 10.4.3. */
export const TPM2B_DATA = buffer(MAX_DIGEST_SIZE + 2);
export const TPM2B_NONCE = buffer(MAX_DIGEST_SIZE);
export const TPM2B_AUTH = buffer(MAX_DIGEST_SIZE);
export const TPM2B_OPERAND = buffer(MAX_DIGEST_SIZE);
export const TPM2B_EVENT = buffer(MAX_BUFFER);
export const TPM2B_MAX_BUFFER = buffer(MAX_BUFFER);
export const TPM2B_MAX_NV_BUFFER = buffer(MAX_NV_BUFFER);
export const TPM2B_TIMEOUT = buffer(8);
export const TPM2B_IV = buffer(16);
export const TPM2B_NAME = buffer(MAX_DIGEST_SIZE + 2);
export const TPM2B_PUBLIC_KEY_RSA = buffer(MAX_RSA_BYTES);
export const TPM2B_ECC_PARAMETER = buffer(MAX_ECC_BYTES);
/** TPM2B_ENCRYPTED_SECRET holds an RSA ciphertext or an ECC point. Part 2, section 11.4.33. */
export const TPM2B_ENCRYPTED_SECRET = buffer(MAX_RSA_BYTES);
/** TPM2B_PRIVATE: integrity, then the encrypted TPMT_SENSITIVE. Part 2, section 12.3.7. */
export const TPM2B_PRIVATE = buffer(3072);
export const TPM2B_ID_OBJECT = buffer(2 + MAX_DIGEST_SIZE * 2 + 4);
export const TPM2B_CREATION_DATA_BYTES = buffer(1024);

/** TPMI_YES_NO as a boolean. */
export const TPMI_YES_NO = yesNo;
export const TPM_SU_TYPE = oneOf(u16, [TPM_SU.CLEAR, TPM_SU.STATE], TPM_RC.VALUE);
export const TPM_SE_TYPE = oneOf(u8, [TPM_SE.HMAC, TPM_SE.POLICY, TPM_SE.TRIAL], TPM_RC.VALUE);
export const TPM_EO_OPERATION = oneOf(u16, Object.values(TPM_EO), TPM_RC.VALUE);

/** TPMA_SESSION. Part 2, section 8.4. */
export const TPMA_SESSION = attributes(u8, {
  continueSession: 0x01,
  auditExclusive: 0x02,
  auditReset: 0x04,
  decrypt: 0x20,
  encrypt: 0x40,
  audit: 0x80,
});

/** TPMA_LOCALITY: localities 0-4 as bits, or an extended locality of 32 and up. Part 2, section 8.5. */
export const TPMA_LOCALITY = u8;

/** TPMS_PCR_SELECT: a bit map of PCR; `pcrs` is the ascending list of the selected ones. Part 2, section 10.6.1. */
export interface PcrSelect {
  readonly sizeofSelect: number;
  readonly pcrs: readonly number[];
}

const PCR_SELECT_MAX = 3;
const PCR_SELECT_MIN = 3;

const pcrsOfOctets = (r: Reader, size: number): number[] => {
  const pcrs: number[] = [];
  for (let octet = 0; octet < size; octet++) {
    const bits = r.u8();
    for (let bit = 0; bit < 8; bit++) if ((bits & (1 << bit)) !== 0) pcrs.push(octet * 8 + bit);
  }
  return pcrs;
};

/** TPMS_PCR_SELECTION: PCR of one bank. Part 2, section 10.6.2. `sizeofSelect` is 3 for a PC client. */
export interface TPMS_PCR_SELECTION {
  hash: TPMI_ALG_HASH;
  pcrSelect: readonly number[];
}
export const TPMS_PCR_SELECTION: Schema<TPMS_PCR_SELECTION> = {
  read(r) {
    const hash = TPMI_ALG_HASH.read(r);
    const size = r.u8();
    if (size < PCR_SELECT_MIN || size > PCR_SELECT_MAX) throw new TpmError(TPM_RC.VALUE);
    return { hash, pcrSelect: pcrsOfOctets(r, size) };
  },
  write(w, v) {
    w.u16(v.hash);
    w.u8(PCR_SELECT_MIN);
    writePcrOctets(w, v.pcrSelect);
  },
};

function writePcrOctets(w: Writer, pcrs: readonly number[]): void {
  let bits = 0;
  for (const pcr of pcrs) bits |= 1 << pcr;
  w.u8(bits & 0xff);
  w.u8((bits >> 8) & 0xff);
  w.u8((bits >> 16) & 0xff);
}

/** TPMS_TAGGED_PCR_SELECT: PCR that have a property. Part 2, section 10.8.4. */
export const TPMS_TAGGED_PCR_SELECT: Schema<{ tag: number; pcrSelect: readonly number[] }> = {
  read(r) {
    const tag = r.u32();
    return { tag, pcrSelect: pcrsOfOctets(r, r.u8()) };
  },
  write(w, v) {
    w.u32(v.tag);
    w.u8(PCR_SELECT_MIN);
    writePcrOctets(w, v.pcrSelect);
  },
};

/** One selection per bank at most: 16 is HASH_COUNT of the reference. */
export const TPML_PCR_SELECTION = list(TPMS_PCR_SELECTION, 16);
export type TPML_PCR_SELECTION = Infer<typeof TPML_PCR_SELECTION>;
/** TPML_DIGEST. Part 2, section 10.9.4. */
export const TPML_DIGEST = list(TPM2B_DIGEST, 8);
/** TPML_DIGEST as PolicyOR takes it: at least two. */
export const TPML_DIGEST_OR = list(TPM2B_DIGEST, 8, 2);

/** TPMT_HA: a digest with its algorithm; the length follows from it. Part 2, section 10.3.2. */
export interface TPMT_HA {
  hashAlg: TPMI_ALG_HASH;
  digest: Uint8Array;
}
export const TPMT_HA: Schema<TPMT_HA> = {
  read(r) {
    const hashAlg = TPMI_ALG_HASH.read(r);
    return { hashAlg, digest: r.bytes(DIGEST_SIZE[hashAlg]!) };
  },
  write(w, v) {
    w.u16(v.hashAlg);
    w.bytes(v.digest);
  },
};
/** TPMT_HA+: TPM_ALG_NULL has no digest. */
export const TPMT_HA_OR_NULL: Schema<{ hashAlg: Infer<typeof TPMI_ALG_HASH_OR_NULL>; digest: Uint8Array }> = {
  read(r) {
    const hashAlg = TPMI_ALG_HASH_OR_NULL.read(r);
    return { hashAlg, digest: r.bytes(DIGEST_SIZE[hashAlg] ?? 0) };
  },
  write(w, v) {
    w.u16(v.hashAlg);
    w.bytes(v.digest);
  },
};
export const TPML_DIGEST_VALUES = list(TPMT_HA, 16);

const TPMI_RH_HIERARCHY_VALUES = [TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM, TPM_RH.NULL] as const;
/** TPMI_RH_HIERARCHY+ where it is a parameter. Part 2, section 9.13. */
export const TPMI_RH_HIERARCHY = oneOf(u32, TPMI_RH_HIERARCHY_VALUES, TPM_RC.VALUE);
/** TPMI_RH_ENABLES: what HierarchyControl switches. Part 2, section 9.14. */
export const TPMI_RH_ENABLES = oneOf(
  u32,
  [TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM, TPM_RH.PLATFORM_NV],
  TPM_RC.VALUE,
);

const ticket = <const T extends number>(...tags: T[]) =>
  struct({ tag: oneOf(u16, tags, TPM_RC.TAG), hierarchy: TPMI_RH_HIERARCHY, digest: TPM2B_DIGEST });
/** TPMT_TK_CREATION. Part 2, section 10.7.3. */
export const TPMT_TK_CREATION = ticket(TPM_ST.CREATION);
export type TPMT_TK_CREATION = Infer<typeof TPMT_TK_CREATION>;
/** TPMT_TK_VERIFIED. Part 2, section 10.7.4. */
export const TPMT_TK_VERIFIED = ticket(TPM_ST.VERIFIED);
export type TPMT_TK_VERIFIED = Infer<typeof TPMT_TK_VERIFIED>;
/** TPMT_TK_AUTH. Part 2, section 10.7.5. */
export const TPMT_TK_AUTH = ticket(TPM_ST.AUTH_SECRET, TPM_ST.AUTH_SIGNED);
export type TPMT_TK_AUTH = Infer<typeof TPMT_TK_AUTH>;
/** TPMT_TK_HASHCHECK. Part 2, section 10.7.6. */
export const TPMT_TK_HASHCHECK = ticket(TPM_ST.HASHCHECK);
export type TPMT_TK_HASHCHECK = Infer<typeof TPMT_TK_HASHCHECK>;

/** TPMS_CLOCK_INFO: `clock` in milliseconds. Part 2, section 10.11.1. */
export const TPMS_CLOCK_INFO = struct({ clock: u64, resetCount: u32, restartCount: u32, safe: yesNo });
export type TPMS_CLOCK_INFO = Infer<typeof TPMS_CLOCK_INFO>;
/** TPMS_TIME_INFO: `time` in milliseconds since _TPM_Init. Part 2, section 10.11.6. */
export const TPMS_TIME_INFO = struct({ time: u64, clockInfo: TPMS_CLOCK_INFO });
export type TPMS_TIME_INFO = Infer<typeof TPMS_TIME_INFO>;

export const TPML_CC = list(u32, 256);
export const TPML_CCA = list(u32, 256);
export const TPML_HANDLE = list(u32, 254);
export const TPML_ALG = list(u16, 128);
export const TPML_ECC_CURVE = list(u16, 508);
const TPMS_ALG_PROPERTY = struct({ alg: u16, algProperties: u32 });
export const TPMS_TAGGED_PROPERTY = struct({ property: u32, value: u32 });
export type TPMS_TAGGED_PROPERTY = Infer<typeof TPMS_TAGGED_PROPERTY>;
const TPMS_TAGGED_POLICY = struct({ handle: u32, policyHash: TPMT_HA_OR_NULL });
const TPMS_ACT_DATA = struct({ handle: u32, timeout: u32, attributes: u32 });

/** TPMS_CAPABILITY_DATA. Part 2, section 10.10.2. */
export const TPMS_CAPABILITY_DATA = tagged(
  { capability: u32 },
  'capability',
  {
    0: { data: list(TPMS_ALG_PROPERTY, 169) },
    1: { data: TPML_HANDLE },
    2: { data: TPML_CCA },
    3: { data: TPML_CC },
    4: { data: TPML_CC },
    5: { data: TPML_PCR_SELECTION },
    6: { data: list(TPMS_TAGGED_PROPERTY, 127) },
    7: { data: list(TPMS_TAGGED_PCR_SELECT, 169) },
    8: { data: TPML_ECC_CURVE },
    9: { data: list(TPMS_TAGGED_POLICY, 14) },
    10: { data: list(TPMS_ACT_DATA, 84) },
  },
  TPM_RC.VALUE,
);
export type TPMS_CAPABILITY_DATA = Infer<typeof TPMS_CAPABILITY_DATA>;
