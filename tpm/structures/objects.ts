/** Public and sensitive areas, creation data, signatures, contexts. Part 2, sections 11 to 15. */
import {
  TPMI_ALG_HASH,
  TPMI_ALG_HASH_OR_NULL,
  TPMI_ECC_CURVE,
  TPMI_RSA_KEY_BITS,
  TPMT_ECC_SCHEME,
  TPMT_KDF_SCHEME,
  TPMT_KEYEDHASH_SCHEME,
  TPMT_RSA_SCHEME,
  TPMT_SYM_DEF_OBJECT,
} from './algorithms.ts';
import {
  TPM2B_AUTH,
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPM2B_ECC_PARAMETER,
  TPM2B_NAME,
  TPM2B_PUBLIC_KEY_RSA,
  TPMA_LOCALITY,
  TPML_PCR_SELECTION,
  TPMT_HA,
} from './base.ts';
import {
  algorithm,
  attributes,
  buffer,
  type Infer,
  type Schema,
  sized,
  sizedOptional,
  struct,
  tagged,
  u16,
  u32,
  u64,
} from './codec.ts';
import { MAX_DIGEST_SIZE, MAX_RSA_BYTES, TPM_ALG, TPM_RC } from './constants.ts';

/** TPMA_OBJECT. Part 2, section 8.3. */
export const TPMA_OBJECT = attributes(u32, {
  fixedTPM: 0x0000_0002,
  stClear: 0x0000_0004,
  fixedParent: 0x0000_0010,
  sensitiveDataOrigin: 0x0000_0020,
  userWithAuth: 0x0000_0040,
  adminWithPolicy: 0x0000_0080,
  noDA: 0x0000_0400,
  encryptedDuplication: 0x0000_0800,
  restricted: 0x0001_0000,
  decrypt: 0x0002_0000,
  sign: 0x0004_0000,
  x509sign: 0x0008_0000,
});

/** TPMS_ECC_POINT. Part 2, section 11.2.5.2. */
export const TPMS_ECC_POINT = struct({ x: TPM2B_ECC_PARAMETER, y: TPM2B_ECC_PARAMETER });
export type TPMS_ECC_POINT = Infer<typeof TPMS_ECC_POINT>;
export const TPM2B_ECC_POINT = sized(TPMS_ECC_POINT);

/** TPMS_RSA_PARMS: an exponent of 0 stands for 65537. Part 2, section 12.2.3.5. */
export const TPMS_RSA_PARMS = struct({
  symmetric: TPMT_SYM_DEF_OBJECT,
  scheme: TPMT_RSA_SCHEME,
  keyBits: TPMI_RSA_KEY_BITS,
  exponent: u32,
});
export type TPMS_RSA_PARMS = Infer<typeof TPMS_RSA_PARMS>;
/** TPMS_ECC_PARMS. Part 2, section 12.2.3.6. */
export const TPMS_ECC_PARMS = struct({
  symmetric: TPMT_SYM_DEF_OBJECT,
  scheme: TPMT_ECC_SCHEME,
  curveID: TPMI_ECC_CURVE,
  kdf: TPMT_KDF_SCHEME,
});
export type TPMS_ECC_PARMS = Infer<typeof TPMS_ECC_PARMS>;
export const TPMS_KEYEDHASH_PARMS = struct({ scheme: TPMT_KEYEDHASH_SCHEME });
export const TPMS_SYMCIPHER_PARMS = struct({ sym: TPMT_SYM_DEF_OBJECT });

const TPMI_ALG_PUBLIC = algorithm([TPM_ALG.RSA, TPM_ALG.ECC, TPM_ALG.KEYEDHASH, TPM_ALG.SYMCIPHER], TPM_RC.TYPE);

/** TPMT_PUBLIC_PARMS: what TestParms asks about. Part 2, section 12.2.3.8. */
export const TPMT_PUBLIC_PARMS = tagged(
  { type: TPMI_ALG_PUBLIC },
  'type',
  {
    [TPM_ALG.RSA]: { parameters: TPMS_RSA_PARMS },
    [TPM_ALG.ECC]: { parameters: TPMS_ECC_PARMS },
    [TPM_ALG.KEYEDHASH]: { parameters: TPMS_KEYEDHASH_PARMS },
    [TPM_ALG.SYMCIPHER]: { parameters: TPMS_SYMCIPHER_PARMS },
  },
  TPM_RC.TYPE,
);

const PUBLIC_COMMON = { objectAttributes: TPMA_OBJECT, authPolicy: TPM2B_DIGEST };
const PUBLIC_VARIANTS = {
  [TPM_ALG.RSA]: { parameters: TPMS_RSA_PARMS, unique: TPM2B_PUBLIC_KEY_RSA },
  [TPM_ALG.ECC]: { parameters: TPMS_ECC_PARMS, unique: TPMS_ECC_POINT },
  [TPM_ALG.KEYEDHASH]: { parameters: TPMS_KEYEDHASH_PARMS, unique: TPM2B_DIGEST },
  [TPM_ALG.SYMCIPHER]: { parameters: TPMS_SYMCIPHER_PARMS, unique: TPM2B_DIGEST },
} as const;

/** TPMT_PUBLIC: the public area of an object. Part 2, section 12.2.4. */
export const TPMT_PUBLIC = tagged(
  { type: TPMI_ALG_PUBLIC, nameAlg: TPMI_ALG_HASH, ...PUBLIC_COMMON },
  'type',
  PUBLIC_VARIANTS,
  TPM_RC.TYPE,
);
export type TPMT_PUBLIC = Infer<typeof TPMT_PUBLIC>;
/** A public area whose name algorithm may be TPM_ALG_NULL (LoadExternal). */
export const TPMT_PUBLIC_OR_NULL = tagged(
  { type: TPMI_ALG_PUBLIC, nameAlg: TPMI_ALG_HASH_OR_NULL, ...PUBLIC_COMMON },
  'type',
  PUBLIC_VARIANTS,
  TPM_RC.TYPE,
);
export type TPMT_PUBLIC_OR_NULL = Infer<typeof TPMT_PUBLIC_OR_NULL>;
export const TPM2B_PUBLIC = sized(TPMT_PUBLIC);
export const TPM2B_PUBLIC_OR_NULL = sized(TPMT_PUBLIC_OR_NULL);

/** TPMS_DERIVE: label and context of a derived key. Part 2, section 11.1.10. */
export const TPMS_DERIVE = struct({ label: buffer(32), context: buffer(32) });
const TEMPLATE_VARIANTS = {
  [TPM_ALG.RSA]: { parameters: TPMS_RSA_PARMS, unique: TPMS_DERIVE },
  [TPM_ALG.ECC]: { parameters: TPMS_ECC_PARMS, unique: TPMS_DERIVE },
  [TPM_ALG.KEYEDHASH]: { parameters: TPMS_KEYEDHASH_PARMS, unique: TPMS_DERIVE },
  [TPM_ALG.SYMCIPHER]: { parameters: TPMS_SYMCIPHER_PARMS, unique: TPMS_DERIVE },
} as const;
/** The public area of a derivation template: `unique` is a TPMS_DERIVE. Part 2, section 12.2.6. */
export const TPMT_PUBLIC_DERIVE = tagged(
  { type: TPMI_ALG_PUBLIC, nameAlg: TPMI_ALG_HASH, ...PUBLIC_COMMON },
  'type',
  TEMPLATE_VARIANTS,
  TPM_RC.TYPE,
);
/** TPM2B_TEMPLATE: bytes, since their meaning depends on the parent. Part 2, section 12.2.6. */
export const TPM2B_TEMPLATE = buffer(1024);

/** TPM2B_SENSITIVE_DATA: sealed data or a caller's key. Part 2, section 11.1.14. */
export const TPM2B_SENSITIVE_DATA = buffer(256);
/** TPMS_SENSITIVE_CREATE. Part 2, section 11.1.15. */
export const TPMS_SENSITIVE_CREATE = struct({ userAuth: TPM2B_AUTH, data: TPM2B_SENSITIVE_DATA });
export type TPMS_SENSITIVE_CREATE = Infer<typeof TPMS_SENSITIVE_CREATE>;
export const TPM2B_SENSITIVE_CREATE = sized(TPMS_SENSITIVE_CREATE);

/** TPMT_SENSITIVE: what a TPM keeps secret of an object. `sensitive` is, by type: one RSA prime, the ECC scalar, the
 * keyed-hash data or key, or the symmetric key. Part 2, section 12.3.2.4. */
export const TPMT_SENSITIVE = tagged(
  { sensitiveType: TPMI_ALG_PUBLIC, authValue: TPM2B_AUTH, seedValue: TPM2B_DIGEST },
  'sensitiveType',
  {
    [TPM_ALG.RSA]: { sensitive: buffer(MAX_RSA_BYTES / 2) },
    [TPM_ALG.ECC]: { sensitive: TPM2B_ECC_PARAMETER },
    [TPM_ALG.KEYEDHASH]: { sensitive: TPM2B_SENSITIVE_DATA },
    [TPM_ALG.SYMCIPHER]: { sensitive: buffer(32) },
  },
  TPM_RC.TYPE,
);
export type TPMT_SENSITIVE = Infer<typeof TPMT_SENSITIVE>;
export const TPM2B_SENSITIVE = sized(TPMT_SENSITIVE);
export const TPM2B_SENSITIVE_OPTIONAL: Schema<TPMT_SENSITIVE | undefined> = sizedOptional(TPMT_SENSITIVE);

/** TPMS_CREATION_DATA. Part 2, section 15.1. */
export const TPMS_CREATION_DATA = struct({
  pcrSelect: TPML_PCR_SELECTION,
  pcrDigest: TPM2B_DIGEST,
  locality: TPMA_LOCALITY,
  parentNameAlg: u16,
  parentName: TPM2B_NAME,
  parentQualifiedName: TPM2B_NAME,
  outsideInfo: TPM2B_DATA,
});
export type TPMS_CREATION_DATA = Infer<typeof TPMS_CREATION_DATA>;
export const TPM2B_CREATION_DATA = sized(TPMS_CREATION_DATA);

const SIGNATURE_RSA = { signature: struct({ hash: TPMI_ALG_HASH, sig: TPM2B_PUBLIC_KEY_RSA }) };
const SIGNATURE_ECC = {
  signature: struct({ hash: TPMI_ALG_HASH, signatureR: TPM2B_ECC_PARAMETER, signatureS: TPM2B_ECC_PARAMETER }),
};
const SIGNATURE_VARIANTS = {
  [TPM_ALG.RSASSA]: SIGNATURE_RSA,
  [TPM_ALG.RSAPSS]: SIGNATURE_RSA,
  [TPM_ALG.ECDSA]: SIGNATURE_ECC,
  [TPM_ALG.ECDAA]: SIGNATURE_ECC,
  [TPM_ALG.ECSCHNORR]: SIGNATURE_ECC,
  [TPM_ALG.HMAC]: { signature: TPMT_HA },
} as const;
const SIGNATURE_ALGS = [
  TPM_ALG.RSASSA,
  TPM_ALG.RSAPSS,
  TPM_ALG.ECDSA,
  TPM_ALG.ECDAA,
  TPM_ALG.ECSCHNORR,
  TPM_ALG.HMAC,
] as const;

/** TPMT_SIGNATURE+. Part 2, section 11.3.4. */
export const TPMT_SIGNATURE = tagged(
  { sigAlg: algorithm([...SIGNATURE_ALGS, TPM_ALG.NULL], TPM_RC.SCHEME) },
  'sigAlg',
  { ...SIGNATURE_VARIANTS, [TPM_ALG.NULL]: {} },
  TPM_RC.SCHEME,
);
export type TPMT_SIGNATURE = Infer<typeof TPMT_SIGNATURE>;
/** TPMT_SIGNATURE where no signature is not one: an input to verify. */
export const TPMT_SIGNATURE_PRESENT = tagged(
  { sigAlg: algorithm(SIGNATURE_ALGS, TPM_RC.SCHEME) },
  'sigAlg',
  SIGNATURE_VARIANTS,
  TPM_RC.SCHEME,
);

/** TPMS_ID_OBJECT. Part 2, section 12.4.2. */
export const TPMS_ID_OBJECT = struct({ integrityHMAC: TPM2B_DIGEST, encIdentity: buffer(MAX_DIGEST_SIZE + 2) });

/** TPMS_CONTEXT. Part 2, section 14.5. */
export const TPMS_CONTEXT = struct({ sequence: u64, savedHandle: u32, hierarchy: u32, contextBlob: buffer(6144) });
export type TPMS_CONTEXT = Infer<typeof TPMS_CONTEXT>;

/** TPMS_ALGORITHM_DETAIL_ECC. Part 2, section 11.2.5.9. */
export const TPMS_ALGORITHM_DETAIL_ECC = struct({
  curveID: u16,
  keySize: u16,
  kdf: TPMT_KDF_SCHEME,
  sign: TPMT_ECC_SCHEME,
  p: TPM2B_ECC_PARAMETER,
  a: TPM2B_ECC_PARAMETER,
  b: TPM2B_ECC_PARAMETER,
  gX: TPM2B_ECC_PARAMETER,
  gY: TPM2B_ECC_PARAMETER,
  n: TPM2B_ECC_PARAMETER,
  h: TPM2B_ECC_PARAMETER,
});
