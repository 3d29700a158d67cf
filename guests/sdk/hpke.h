/* HPKE base mode, receiver (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HPKE_KEY_SIZE 32
#define HPKE_TAG_SIZE 16
#define SHA256_SIZE 32

void sha256(const void *data, size_t length, uint8_t digest[SHA256_SIZE]);

/* The public key of a secret key of 32 random bytes. */
void hpke_public_key(const uint8_t secret[HPKE_KEY_SIZE], uint8_t public_key[HPKE_KEY_SIZE]);

/* Open the first message to `secret`. `plaintext` holds length - HPKE_TAG_SIZE bytes. False, and plaintext erased, if
   the ciphertext, info or aad is not what the sender sealed. */
bool hpke_open(const uint8_t secret[HPKE_KEY_SIZE], const uint8_t encapsulated[HPKE_KEY_SIZE], const void *info,
               size_t info_length, const void *aad, size_t aad_length, const uint8_t *ciphertext, size_t length,
               uint8_t *plaintext);
