/**
 * The part of OpenSSL's libcrypto that the fast provider calls directly. Node's own executable exports it (official
 * builds) or brings it along as a shared library (distributions); the optional package koffi makes the calls.
 * Signatures: OpenSSL 3.0 manual pages EC_POINT_mul(3), EC_POINT_add(3), BN_bn2bin(3), BN_mod_exp_mont(3), ECDSA_sign(3),
 * EVP_DigestInit(3), EVP_EncryptInit(3).
 */

/** What we use of koffi; its package is optional, so its types cannot be imported where it is missing. */
interface Koffi {
  load(library: string | null): { func(prototype: string): (...values: unknown[]) => unknown };
}

/** An address in OpenSSL's memory; 0n or null where it gave none. */
export type Pointer = bigint | null;

const PROTOTYPES = {
  OPENSSL_version_major: 'unsigned int OPENSSL_version_major()',
  BN_new: 'void *BN_new()',
  BN_CTX_new: 'void *BN_CTX_new()',
  BN_clear: 'void BN_clear(void *a)',
  BN_clear_free: 'void BN_clear_free(void *a)',
  BN_set_flags: 'void BN_set_flags(void *a, int flags)',
  BN_bin2bn: 'void *BN_bin2bn(const uint8_t *s, int len, void *ret)',
  BN_bn2binpad: 'int BN_bn2binpad(void *a, _Out_ uint8_t *to, int tolen)',
  BN_mod_exp_mont: 'int BN_mod_exp_mont(void *rr, void *a, void *p, void *m, void *ctx, void *mont)',
  BN_mod_exp_mont_consttime:
    'int BN_mod_exp_mont_consttime(void *rr, void *a, void *p, void *m, void *ctx, void *mont)',
  EC_GROUP_new_by_curve_name: 'void *EC_GROUP_new_by_curve_name(int nid)',
  EC_POINT_new: 'void *EC_POINT_new(void *group)',
  EC_POINT_mul: 'int EC_POINT_mul(void *group, void *r, void *n, void *q, void *m, void *ctx)',
  EC_POINT_oct2point: 'int EC_POINT_oct2point(void *group, void *p, const uint8_t *buf, size_t len, void *ctx)',
  EC_POINT_point2oct:
    'size_t EC_POINT_point2oct(void *group, void *p, int form, _Out_ uint8_t *buf, size_t len, void *ctx)',
  EC_POINT_is_at_infinity: 'int EC_POINT_is_at_infinity(void *group, void *p)',
  EC_KEY_new: 'void *EC_KEY_new()',
  EC_KEY_set_group: 'int EC_KEY_set_group(void *key, void *group)',
  EC_KEY_set_private_key: 'int EC_KEY_set_private_key(void *key, void *scalar)',
  EC_KEY_set_public_key: 'int EC_KEY_set_public_key(void *key, void *point)',
  EC_KEY_free: 'void EC_KEY_free(void *key)',
  ECDSA_do_sign: 'void *ECDSA_do_sign(const uint8_t *digest, int length, void *key)',
  ECDSA_do_verify: 'int ECDSA_do_verify(const uint8_t *digest, int length, void *signature, void *key)',
  ECDSA_SIG_new: 'void *ECDSA_SIG_new()',
  ECDSA_SIG_get0_r: 'void *ECDSA_SIG_get0_r(void *signature)',
  ECDSA_SIG_get0_s: 'void *ECDSA_SIG_get0_s(void *signature)',
  ECDSA_SIG_set0: 'int ECDSA_SIG_set0(void *signature, void *r, void *s)',
  ECDSA_SIG_free: 'void ECDSA_SIG_free(void *signature)',
  EVP_MD_fetch: 'void *EVP_MD_fetch(void *context, const char *name, const char *properties)',
  EVP_Digest:
    'int EVP_Digest(const uint8_t *data, size_t n, _Out_ uint8_t *digest, void *size, void *type, void *engine)',
  EVP_CIPHER_fetch: 'void *EVP_CIPHER_fetch(void *context, const char *name, const char *properties)',
  EVP_CIPHER_CTX_new: 'void *EVP_CIPHER_CTX_new()',
  EVP_CIPHER_CTX_set_padding: 'int EVP_CIPHER_CTX_set_padding(void *c, int padding)',
  EVP_CipherInit_ex:
    'int EVP_CipherInit_ex(void *c, void *type, void *engine, const uint8_t *key, const uint8_t *iv, int encrypt)',
  EVP_CipherUpdate:
    'int EVP_CipherUpdate(void *c, _Out_ uint8_t *to, _Out_ uint8_t *length, const uint8_t *from, int n)',
  ERR_clear_error: 'void ERR_clear_error()',
} as const;

type Returns<Prototype> = Prototype extends `void *${string}`
  ? Pointer
  : Prototype extends `void ${string}`
    ? undefined
    : number;

/** Each function by its name. Calls are synchronous; whoever calls owns what `_new` gave. */
export type Libcrypto = {
  readonly [Name in keyof typeof PROTOTYPES]: (...values: unknown[]) => Returns<(typeof PROTOTYPES)[Name]>;
};

/** Where the functions may be: in the executable itself, or in the library that a distribution's Node links. */
const PLACES = [null, 'libcrypto.so.3'] as const;
const MAJOR = 3;

/** Undefined where koffi, the symbols or OpenSSL 3 are missing: then the provider over node:crypto serves. */
export async function loadLibcrypto(): Promise<Libcrypto | undefined> {
  let koffi: Koffi;
  try {
    koffi = ((await import('koffi')) as unknown as { default: Koffi }).default;
  } catch {
    return undefined;
  }
  for (const place of PLACES) {
    try {
      const library = koffi.load(place);
      const entries = Object.entries(PROTOTYPES).map(([name, prototype]) => [name, library.func(prototype)]);
      const functions = Object.fromEntries(entries) as unknown as Libcrypto; // each entry made from its prototype
      if (functions.OPENSSL_version_major() === MAJOR) return functions;
    } catch {
      // not here
    }
  }
  return undefined;
}
