#include "hpke.h"

#include <sodium/crypto_aead_chacha20poly1305.h>
#include <sodium/crypto_auth_hmacsha256.h>
#include <sodium/crypto_hash_sha256.h>
#include <sodium/crypto_scalarmult_curve25519.h>
#include <sodium/utils.h>

#include "libc/string.h"

/* Identifiers of the suite, RFC 9180 section 7. */
static const uint8_t kem_suite[] = {'K', 'E', 'M', 0x00, 0x20};
static const uint8_t hpke_suite[] = {'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, 0x03};

struct suite {
    const uint8_t *id;
    size_t length;
};
static const struct suite kem = {kem_suite, sizeof kem_suite};
static const struct suite hpke = {hpke_suite, sizeof hpke_suite};

void sha256(const void *data, size_t length, uint8_t digest[SHA256_SIZE])
{
    crypto_hash_sha256(digest, data, length);
}

void hpke_public_key(const uint8_t secret[HPKE_KEY_SIZE], uint8_t public_key[HPKE_KEY_SIZE])
{
    crypto_scalarmult_curve25519_base(public_key, secret);
}

static void add(crypto_auth_hmacsha256_state *hmac, const void *data, size_t length)
{
    crypto_auth_hmacsha256_update(hmac, data, length);
}

static void add_label(crypto_auth_hmacsha256_state *hmac, struct suite suite, const char *label)
{
    add(hmac, "HPKE-v1", 7);
    add(hmac, suite.id, suite.length);
    add(hmac, label, strlen(label));
}

/* LabeledExtract, section 4. An empty salt is HMAC's all-zero key. */
static void labeled_extract(const uint8_t *salt, size_t salt_length, struct suite suite, const char *label,
                            const void *ikm, size_t length, uint8_t out[SHA256_SIZE])
{
    crypto_auth_hmacsha256_state hmac;
    crypto_auth_hmacsha256_init(&hmac, salt, salt_length);
    add_label(&hmac, suite, label);
    add(&hmac, ikm, length);
    crypto_auth_hmacsha256_final(&hmac, out);
    sodium_memzero(&hmac, sizeof hmac);
}

/* LabeledExpand, section 4, for one block of output: length is at most 32. */
static void labeled_expand(const uint8_t prk[SHA256_SIZE], struct suite suite, const char *label, const void *info,
                           size_t info_length, uint8_t *out, uint8_t length)
{
    const uint8_t prefix[2] = {0, length};
    const uint8_t counter = 1;
    uint8_t block[SHA256_SIZE];
    crypto_auth_hmacsha256_state hmac;
    crypto_auth_hmacsha256_init(&hmac, prk, SHA256_SIZE);
    add(&hmac, prefix, sizeof prefix);
    add_label(&hmac, suite, label);
    add(&hmac, info, info_length);
    add(&hmac, &counter, 1);
    crypto_auth_hmacsha256_final(&hmac, block);
    memcpy(out, block, length);
    sodium_memzero(block, sizeof block);
    sodium_memzero(&hmac, sizeof hmac);
}

/* Decap, section 4.1. False for an encapsulated key of small order, whose shared secret anyone knows. */
static bool decapsulate(const uint8_t secret[HPKE_KEY_SIZE], const uint8_t encapsulated[HPKE_KEY_SIZE],
                        uint8_t shared[SHA256_SIZE])
{
    uint8_t dh[HPKE_KEY_SIZE], prk[SHA256_SIZE], context[2 * HPKE_KEY_SIZE];
    if (crypto_scalarmult_curve25519(dh, secret, encapsulated) != 0) {
        return false;
    }
    memcpy(context, encapsulated, HPKE_KEY_SIZE);
    hpke_public_key(secret, context + HPKE_KEY_SIZE);
    labeled_extract(NULL, 0, kem, "eae_prk", dh, sizeof dh, prk);
    labeled_expand(prk, kem, "shared_secret", context, sizeof context, shared, SHA256_SIZE);
    sodium_memzero(dh, sizeof dh);
    sodium_memzero(prk, sizeof prk);
    return true;
}

bool hpke_open(const uint8_t secret[HPKE_KEY_SIZE], const uint8_t encapsulated[HPKE_KEY_SIZE], const void *info,
               size_t info_length, const void *aad, size_t aad_length, const uint8_t *ciphertext, size_t length,
               uint8_t *plaintext)
{
    uint8_t shared[SHA256_SIZE], prk[SHA256_SIZE], key[32], nonce[12];
    uint8_t context[1 + 2 * SHA256_SIZE] = {0}; /* mode_base, psk_id_hash, info_hash */
    if (length < HPKE_TAG_SIZE || !decapsulate(secret, encapsulated, shared)) {
        return false;
    }
    /* Key schedule, section 5.1, with an empty psk and psk_id. */
    labeled_extract(NULL, 0, hpke, "psk_id_hash", NULL, 0, context + 1);
    labeled_extract(NULL, 0, hpke, "info_hash", info, info_length, context + 1 + SHA256_SIZE);
    labeled_extract(shared, sizeof shared, hpke, "secret", NULL, 0, prk);
    labeled_expand(prk, hpke, "key", context, sizeof context, key, sizeof key);
    labeled_expand(prk, hpke, "base_nonce", context, sizeof context, nonce, sizeof nonce);
    const int refused = crypto_aead_chacha20poly1305_ietf_decrypt(plaintext, NULL, NULL, ciphertext, length, aad,
                                                                  aad_length, nonce, key);
    sodium_memzero(shared, sizeof shared);
    sodium_memzero(prk, sizeof prk);
    sodium_memzero(key, sizeof key);
    return refused == 0;
}
