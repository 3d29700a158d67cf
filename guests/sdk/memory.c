/* The memory and string functions that the compiler emits calls to, and libsodium's platform hooks. */
#include "libc/errno.h"
#include "libc/stdlib.h"
#include "libc/string.h"
#include "nexus.h"

int errno;

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
    return start;
}

void *memmove(void *to, const void *from, size_t length)
{
    if ((size_t) to - (size_t) from >= length) {
        return memcpy(to, from, length);
    }
    char *last_to = (char *) to + length - 1;
    const char *last_from = (const char *) from + length - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(last_to), "+S"(last_from), "+c"(length) : : "memory");
    return to;
}

void *memset(void *to, int byte, size_t length)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(byte) : "memory");
    return start;
}

int memcmp(const void *a, const void *b, size_t length)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < length; i++) {
        if (x[i] != y[i]) {
            return x[i] - y[i];
        }
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != 0) {
        length++;
    }
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++, b++;
    }
    return (unsigned char) *a - (unsigned char) *b;
}

int strncmp(const char *a, const char *b, size_t length)
{
    while (length > 0 && *a != 0 && *a == *b) {
        a++, b++, length--;
    }
    return length == 0 ? 0 : (unsigned char) *a - (unsigned char) *b;
}

void abort(void)
{
    guest_fail("abort");
}

/* libsodium's: erase memory so that the compiler cannot drop it. */
void sodium_memzero(void *const memory, const size_t length)
{
    memset(memory, 0, length);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

/* libsodium's: called on arguments that break its contract. */
void sodium_misuse(void)
{
    guest_fail("libsodium was misused");
}
