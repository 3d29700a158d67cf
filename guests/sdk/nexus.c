#include "nexus.h"

#include "io.h"
#include "libc/string.h"

/* Every request is built here; the largest carries evidence or a blob behind its header. */
static uint8_t request[NEXUS_SERVICE_BUFFER_MAX];

uint32_t nexus_call(uint32_t call, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f)
{
    const uint32_t arguments[NEXUS_ARGS] = {a, b, c, d, e, f};
    for (uint16_t i = 0; i < NEXUS_ARGS; i++) {
        out32((uint16_t) (NEXUS_PORT_ARG0 + 4 * i), arguments[i]);
    }
    out32(NEXUS_PORT_CALL, call);
    return in32(NEXUS_PORT_CALL);
}

uint32_t nexus_service(uint32_t service, const void *in, size_t length, void *out, size_t capacity)
{
    return nexus_call(service, (uint32_t) in, length, (uint32_t) out, capacity, 0, 0);
}

/* Append to the request, or end the guest: no request of ours is that long. */
static size_t append(size_t at, const void *bytes, size_t length)
{
    if (length > sizeof request - at) {
        guest_fail("request too long");
    }
    memcpy(request + at, bytes, length);
    return at + length;
}

static size_t append8(size_t at, uint8_t value)
{
    return append(at, &value, 1);
}

static size_t append16(size_t at, uint16_t value)
{
    return append(at, &value, 2);
}

static size_t append32(size_t at, uint32_t value)
{
    return append(at, &value, 4);
}

uint32_t nexus_identity(struct nexus_identity *identity)
{
    return nexus_service(NEXUS_SERVICE_IDENTITY, request, 0, identity, sizeof *identity);
}

uint32_t nexus_report(const uint8_t *nonce, size_t nonce_length, const uint8_t user_data[64], void *out,
                      size_t capacity)
{
    size_t at = append8(0, (uint8_t) nonce_length);
    at = append(at, nonce, nonce_length);
    at = append(at, user_data, 64);
    return nexus_service(NEXUS_SERVICE_REPORT, request, at, out, capacity);
}

uint32_t nexus_seal(uint8_t selector, uint8_t flags, uint32_t minimum_svn, const void *data, size_t length, void *out,
                    size_t capacity)
{
    size_t at = append8(0, selector);
    at = append8(at, flags);
    at = append16(at, 0);
    at = append32(at, minimum_svn);
    at = append(at, data, length);
    uint32_t result = nexus_service(NEXUS_SERVICE_SEAL, request, at, out, capacity);
    memset(request, 0, at);
    return result;
}

uint32_t nexus_unseal(const void *blob, size_t length, struct nexus_unsealed *unsealed)
{
    uint32_t result = nexus_service(NEXUS_SERVICE_UNSEAL, blob, length, unsealed, sizeof *unsealed);
    if (failed(result)) {
        return result;
    }
    const size_t header = offsetof(struct nexus_unsealed, data);
    return result < header ? NEXUS_ERROR_BASE + NEXUS_E_BAD_INPUT : result - header;
}

uint32_t nexus_random(void *out, size_t count)
{
    size_t at = append32(0, count);
    return nexus_service(NEXUS_SERVICE_RANDOM, request, at, out, count);
}

uint32_t nexus_relay(uint8_t operation, const void *payload, size_t length, void *out, size_t capacity)
{
    size_t at = append8(0, operation);
    at = append(at, payload, length);
    return nexus_service(NEXUS_SERVICE_RELAY, request, at, out, capacity);
}

static size_t append_name(size_t at, const char *name)
{
    const size_t length = strlen(name);
    at = append16(at, (uint16_t) length);
    return append(at, name, length);
}

uint32_t nexus_store(const char *name, const void *blob, size_t length)
{
    size_t at = append_name(append8(0, NEXUS_RELAY_STORE), name);
    at = append(at, blob, length);
    return nexus_service(NEXUS_SERVICE_RELAY, request, at, request, 0);
}

uint32_t nexus_load(const char *name, void *out, size_t capacity)
{
    size_t at = append_name(append8(0, NEXUS_RELAY_LOAD), name);
    return nexus_service(NEXUS_SERVICE_RELAY, request, at, out, capacity);
}

void nexus_mode(char *out, size_t capacity)
{
    const uint32_t length = nexus_relay(NEXUS_RELAY_MODE, request, 0, out, capacity - 1);
    if (failed(length) || length >= capacity) {
        guest_fail("the root gave no mode");
    }
    out[length] = 0;
}

bool mode_is(const char *mode, const char *word)
{
    const size_t length = strlen(word);
    return strncmp(mode, word, length) == 0 && (mode[length] == 0 || mode[length] == ' ');
}

uint32_t mode_number(const char *mode, const char *key, uint32_t otherwise)
{
    const size_t length = strlen(key);
    for (; *mode != 0; mode++) {
        if (*mode != ' ' || strncmp(mode + 1, key, length) != 0 || mode[1 + length] != '=') {
            continue;
        }
        uint32_t value = 0;
        for (const char *digit = mode + length + 2; *digit >= '0' && *digit <= '9'; digit++) {
            value = 10 * value + (uint32_t) (*digit - '0');
        }
        return value;
    }
    return otherwise;
}

void nexus_result(const char *format, ...)
{
    char line[512];
    va_list list;
    va_start(list, format);
    const size_t length = format_list(line, sizeof line, format, list);
    va_end(list);
    print("%s\n", line);
    /* A root that will not listen cannot be told. */
    (void) nexus_relay(NEXUS_RELAY_RESULT, line, length, request, 0);
}

void guest_fail(const char *why)
{
    nexus_result("failed %s", why);
    guest_halt();
}

/* Fields of the Multiboot information (section 3.3). */
struct boot_information {
    uint32_t flags, memory_lower, memory_upper, boot_device;
    const char *command_line;
};
#define BOOT_MAGIC 0x2badb002
#define HAS_COMMAND_LINE 4

void guest_start(uint32_t magic, const struct boot_information *information);
void guest_start(uint32_t magic, const struct boot_information *information)
{
    if (magic != BOOT_MAGIC || in32(NEXUS_PORT_PROBE) != NEXUS_MAGIC) {
        print("this guest runs under the nexus only\n");
        guest_halt();
    }
    guest_main((information->flags & HAS_COMMAND_LINE) != 0 ? information->command_line : "");
}
