/* The serial console, COM1, and the small formatter behind every line of text. */
#include "console.h"
#include "io.h"
#include "libc/string.h"

#define COM1 0x3f8
#define LINE_STATUS (COM1 + 5)
#define TRANSMITTER_EMPTY 0x20

static void put(char byte)
{
    while ((in8(LINE_STATUS) & TRANSMITTER_EMPTY) == 0) {
    }
    out8(COM1, (uint8_t) byte);
}

struct text {
    char *at;
    size_t left;
};

static void add(struct text *text, char byte)
{
    if (text->left > 1) {
        *text->at++ = byte;
        text->left--;
    }
}

static void add_number(struct text *text, uint32_t value, uint32_t base)
{
    char digits[10];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0) {
        add(text, digits[--count]);
    }
}

static void add_hex(struct text *text, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        add(text, "0123456789abcdef"[bytes[i] >> 4]);
        add(text, "0123456789abcdef"[bytes[i] & 15]);
    }
}

size_t format_list(char *out, size_t size, const char *format, va_list list)
{
    struct text text = {out, size};
    for (; *format != 0; format++) {
        if (*format != '%') {
            add(&text, *format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *s = va_arg(list, const char *); *s != 0; s++) {
                add(&text, *s);
            }
            break;
        case 'u':
            add_number(&text, va_arg(list, uint32_t), 10);
            break;
        case 'x':
            add_number(&text, va_arg(list, uint32_t), 16);
            break;
        case 'b': {
            const uint8_t *bytes = va_arg(list, const uint8_t *);
            add_hex(&text, bytes, va_arg(list, size_t));
            break;
        }
        case 0:
            format--;
            break;
        default:
            add(&text, *format);
        }
    }
    *text.at = 0;
    return (size_t) (text.at - out);
}

void print(const char *format, ...)
{
    char line[512];
    va_list list;
    va_start(list, format);
    format_list(line, sizeof line, format, list);
    va_end(list);
    for (const char *s = line; *s != 0; s++) {
        put(*s);
    }
}
