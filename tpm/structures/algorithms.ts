/** Interface types of algorithms, and schemes. Part 2, sections 9 and 11. */
import { algorithm, type Infer, oneOf, struct, tagged, u16 } from './codec.ts';
import { TPM_ALG, TPM_ECC, TPM_RC } from './constants.ts';

const HASHES = [
  TPM_ALG.SHA1,
  TPM_ALG.SHA256,
  TPM_ALG.SHA384,
  TPM_ALG.SHA512,
  TPM_ALG.SHA3_256,
  TPM_ALG.SHA3_384,
  TPM_ALG.SHA3_512,
] as const;
const SYMMETRIC_MODES = [TPM_ALG.CTR, TPM_ALG.OFB, TPM_ALG.CBC, TPM_ALG.CFB, TPM_ALG.ECB] as const;

/** TPM_ALG_ID: any number. */
export const TPM_ALG_ID = u16;
/** TPMI_ALG_HASH. Part 2, section 9.27. */
export const TPMI_ALG_HASH = algorithm(HASHES, TPM_RC.HASH);
export const TPMI_ALG_HASH_OR_NULL = algorithm([...HASHES, TPM_ALG.NULL], TPM_RC.HASH);
/** Hash algorithms by number. */
export type TPMI_ALG_HASH = Infer<typeof TPMI_ALG_HASH>;

export const TPMI_ALG_SYM = algorithm([TPM_ALG.AES, TPM_ALG.XOR, TPM_ALG.NULL], TPM_RC.SYMMETRIC);
export const TPMI_ALG_SYM_OBJECT = algorithm([TPM_ALG.AES, TPM_ALG.NULL], TPM_RC.SYMMETRIC);
/** TPMI_ALG_SYM_MODE+, and CMAC where TPMI_ALG_CIPHER_MODE+ lets it in. Part 2, sections 9.31, 9.35. */
export const TPMI_ALG_SYM_MODE_OR_NULL = algorithm([...SYMMETRIC_MODES, TPM_ALG.CMAC, TPM_ALG.NULL], TPM_RC.MODE);
export const TPMI_ALG_CIPHER_MODE_OR_NULL = algorithm([...SYMMETRIC_MODES, TPM_ALG.NULL], TPM_RC.MODE);
/** TPMI_ALG_MAC_SCHEME+. Part 2, section 9.36. */
export const TPMI_ALG_MAC_SCHEME_OR_NULL = algorithm([...HASHES, TPM_ALG.CMAC, TPM_ALG.NULL], TPM_RC.SYMMETRIC);
export const TPMI_ALG_KDF_OR_NULL = algorithm(
  [TPM_ALG.MGF1, TPM_ALG.KDF1_SP800_56A, TPM_ALG.KDF2, TPM_ALG.KDF1_SP800_108, TPM_ALG.NULL],
  TPM_RC.KDF,
);
export const TPMI_ECC_KEY_EXCHANGE = algorithm([TPM_ALG.ECDH], TPM_RC.SCHEME);

/** TPMI_ECC_CURVE. Part 2, section 11.2.5.5. */
export const TPMI_ECC_CURVE = oneOf(
  u16,
  [TPM_ECC.NIST_P256, TPM_ECC.NIST_P384, TPM_ECC.NIST_P521, TPM_ECC.BN_P256],
  TPM_RC.CURVE,
);
/** TPMI_RSA_KEY_BITS. Part 2, section 11.2.4.6. */
export const TPMI_RSA_KEY_BITS = oneOf(u16, [1024, 2048, 3072, 4096], TPM_RC.VALUE);
/** TPMI_AES_KEY_BITS. Part 2, section 11.1.6. */
export const TPMI_AES_KEY_BITS = oneOf(u16, [128, 192, 256], TPM_RC.VALUE);

/** TPMT_SYM_DEF+: parameter encryption of a session. Part 2, section 11.1.6. */
export const TPMT_SYM_DEF = tagged(
  { algorithm: TPMI_ALG_SYM },
  'algorithm',
  {
    [TPM_ALG.AES]: { keyBits: TPMI_AES_KEY_BITS, mode: TPMI_ALG_CIPHER_MODE_OR_NULL },
    [TPM_ALG.XOR]: { keyBits: TPMI_ALG_HASH },
    [TPM_ALG.NULL]: {},
  },
  TPM_RC.SYMMETRIC,
);
export type TPMT_SYM_DEF = Infer<typeof TPMT_SYM_DEF>;

/** TPMT_SYM_DEF_OBJECT+: the symmetric algorithm of a parent or a symmetric key. Part 2, section 11.1.7. */
export const TPMT_SYM_DEF_OBJECT = tagged(
  { algorithm: TPMI_ALG_SYM_OBJECT },
  'algorithm',
  { [TPM_ALG.AES]: { keyBits: TPMI_AES_KEY_BITS, mode: TPMI_ALG_SYM_MODE_OR_NULL }, [TPM_ALG.NULL]: {} },
  TPM_RC.SYMMETRIC,
);
export type TPMT_SYM_DEF_OBJECT = Infer<typeof TPMT_SYM_DEF_OBJECT>;

const SCHEME_HASH = { details: struct({ hashAlg: TPMI_ALG_HASH }) };
const SCHEME_ECDAA = { details: struct({ hashAlg: TPMI_ALG_HASH, count: u16 }) };

const SIGN_SCHEMES = {
  [TPM_ALG.RSASSA]: SCHEME_HASH,
  [TPM_ALG.RSAPSS]: SCHEME_HASH,
  [TPM_ALG.ECDSA]: SCHEME_HASH,
  [TPM_ALG.ECDAA]: SCHEME_ECDAA,
  [TPM_ALG.ECSCHNORR]: SCHEME_HASH,
} as const;

const signSchemeNames = [
  TPM_ALG.RSASSA,
  TPM_ALG.RSAPSS,
  TPM_ALG.ECDSA,
  TPM_ALG.ECDAA,
  TPM_ALG.ECSCHNORR,
  TPM_ALG.HMAC,
] as const;

/** TPMT_SIG_SCHEME+. Part 2, section 11.2.1.5. */
export const TPMT_SIG_SCHEME = tagged(
  { scheme: algorithm([...signSchemeNames, TPM_ALG.NULL], TPM_RC.SCHEME) },
  'scheme',
  { ...SIGN_SCHEMES, [TPM_ALG.HMAC]: SCHEME_HASH, [TPM_ALG.NULL]: {} },
  TPM_RC.SCHEME,
);
export type TPMT_SIG_SCHEME = Infer<typeof TPMT_SIG_SCHEME>;

const KDF_SCHEMES = {
  [TPM_ALG.MGF1]: SCHEME_HASH,
  [TPM_ALG.KDF1_SP800_56A]: SCHEME_HASH,
  [TPM_ALG.KDF2]: SCHEME_HASH,
  [TPM_ALG.KDF1_SP800_108]: SCHEME_HASH,
  [TPM_ALG.NULL]: {},
} as const;

/** TPMT_KDF_SCHEME+. Part 2, section 11.2.3.3. */
export const TPMT_KDF_SCHEME = tagged({ scheme: TPMI_ALG_KDF_OR_NULL }, 'scheme', KDF_SCHEMES, TPM_RC.KDF);
export type TPMT_KDF_SCHEME = Infer<typeof TPMT_KDF_SCHEME>;

/** TPMT_KEYEDHASH_SCHEME+. Part 2, section 11.1.23. */
export const TPMT_KEYEDHASH_SCHEME = tagged(
  { scheme: algorithm([TPM_ALG.HMAC, TPM_ALG.XOR, TPM_ALG.NULL], TPM_RC.VALUE) },
  'scheme',
  {
    [TPM_ALG.HMAC]: SCHEME_HASH,
    [TPM_ALG.XOR]: { details: struct({ hashAlg: TPMI_ALG_HASH, kdf: TPMI_ALG_KDF_OR_NULL }) },
    [TPM_ALG.NULL]: {},
  },
  TPM_RC.VALUE,
);
export type TPMT_KEYEDHASH_SCHEME = Infer<typeof TPMT_KEYEDHASH_SCHEME>;

/** TPMT_RSA_SCHEME+: the scheme in a key's public area. Part 2, section 11.2.4.2. */
export const TPMT_RSA_SCHEME = tagged(
  {
    scheme: algorithm([TPM_ALG.RSASSA, TPM_ALG.RSAPSS, TPM_ALG.RSAES, TPM_ALG.OAEP, TPM_ALG.NULL], TPM_RC.VALUE),
  },
  'scheme',
  {
    [TPM_ALG.RSASSA]: SCHEME_HASH,
    [TPM_ALG.RSAPSS]: SCHEME_HASH,
    [TPM_ALG.RSAES]: {},
    [TPM_ALG.OAEP]: SCHEME_HASH,
    [TPM_ALG.NULL]: {},
  },
  TPM_RC.VALUE,
);
export type TPMT_RSA_SCHEME = Infer<typeof TPMT_RSA_SCHEME>;

/** TPMT_RSA_DECRYPT+. Part 2, section 11.2.4.4. */
export const TPMT_RSA_DECRYPT = tagged(
  { scheme: algorithm([TPM_ALG.RSAES, TPM_ALG.OAEP, TPM_ALG.NULL], TPM_RC.VALUE) },
  'scheme',
  { [TPM_ALG.RSAES]: {}, [TPM_ALG.OAEP]: SCHEME_HASH, [TPM_ALG.NULL]: {} },
  TPM_RC.VALUE,
);
export type TPMT_RSA_DECRYPT = Infer<typeof TPMT_RSA_DECRYPT>;

/** TPMT_ECC_SCHEME+. Part 2, section 11.2.5.6. */
export const TPMT_ECC_SCHEME = tagged(
  {
    scheme: algorithm([TPM_ALG.ECDSA, TPM_ALG.ECDAA, TPM_ALG.ECSCHNORR, TPM_ALG.ECDH, TPM_ALG.NULL], TPM_RC.SCHEME),
  },
  'scheme',
  {
    [TPM_ALG.ECDSA]: SCHEME_HASH,
    [TPM_ALG.ECDAA]: SCHEME_ECDAA,
    [TPM_ALG.ECSCHNORR]: SCHEME_HASH,
    [TPM_ALG.ECDH]: SCHEME_HASH,
    [TPM_ALG.NULL]: {},
  },
  TPM_RC.SCHEME,
);
export type TPMT_ECC_SCHEME = Infer<typeof TPMT_ECC_SCHEME>;
