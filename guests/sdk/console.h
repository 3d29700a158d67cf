/* The serial console. Formats: %s text, %u decimal, %x hexadecimal, %b bytes as hex (pointer, size_t), %% percent. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* Print on the console; at most 511 bytes a call. */
void print(const char *format, ...);

/* Format into `out`, always terminated; gives the length written without the end. */
size_t format_list(char *out, size_t size, const char *format, va_list list);
