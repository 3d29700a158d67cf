/* What a guest may ask of the nexus. Calls return a value, or an error for which `failed` is true. Numbers and layouts
   are in nexus_abi.h, which is generated from the nexus's own declarations. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console.h"
#include "nexus_abi.h"

static inline bool failed(uint32_t result)
{
    return result >= NEXUS_ERROR_BASE;
}

/* Code of a failed result: NEXUS_E_* of a service, or a code of the core. */
static inline uint32_t error_code(uint32_t result)
{
    return result - NEXUS_ERROR_BASE;
}

/* The guest's program. When it returns, the partition ends. */
void guest_main(const char *command_line);

_Noreturn void guest_halt(void);

/* Report a failure to the root and the console, and end the partition. */
_Noreturn void guest_fail(const char *why);

/* Any call, with up to six arguments. */
uint32_t nexus_call(uint32_t call, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f);

/* Any service: `in` is copied by the nexus at the call, at most `capacity` bytes come back. */
uint32_t nexus_service(uint32_t service, const void *in, size_t length, void *out, size_t capacity);

struct nexus_identity {
    uint8_t code_identity[32];
    uint32_t svn;
    uint32_t flags;
};

uint32_t nexus_identity(struct nexus_identity *identity);

/* Evidence over nonce and 64 bytes of the guest's own; gives its length. */
uint32_t nexus_report(const uint8_t *nonce, size_t nonce_length, const uint8_t user_data[64], void *out,
                      size_t capacity);

/* Seal `length` bytes (at most 4096); gives the length of the blob. */
uint32_t nexus_seal(uint8_t selector, uint8_t flags, uint32_t minimum_svn, const void *data, size_t length, void *out,
                    size_t capacity);

struct nexus_unsealed {
    uint8_t sealer_identity[32];
    uint32_t sealer_svn;
    uint32_t counter;
    uint8_t data[4096];
};

/* Open a blob; gives the length of `data`. */
uint32_t nexus_unseal(const void *blob, size_t length, struct nexus_unsealed *unsealed);

uint32_t nexus_random(void *out, size_t count);

/* A message to the untrusted root. The answer is hostile until it is checked. */
uint32_t nexus_relay(uint8_t operation, const void *payload, size_t length, void *out, size_t capacity);

/* Messages that begin with a name: u16 length, name, then the payload. */
uint32_t nexus_store(const char *name, const void *blob, size_t length);
uint32_t nexus_load(const char *name, void *out, size_t capacity);

/* What the root asks this guest to do: a line of at most capacity - 1 ASCII characters. Ends the guest if it says
   nothing. */
void nexus_mode(char *out, size_t capacity);

/* Whether the first word of a mode is `word`. */
bool mode_is(const char *mode, const char *word);

/* The decimal number behind ` key=` in a mode, or `otherwise`. */
uint32_t mode_number(const char *mode, const char *key, uint32_t otherwise);

/* A line of result for whoever runs the guest; also printed. */
void nexus_result(const char *format, ...);
