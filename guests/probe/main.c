/* A guest that does what a test tells it. It asks for the next step with call 0 of the test's own handler, gets a step
   number, fetches its operands with call 1, and hands the outcome to call 2. No part of the product runs it. */
#include "hpke.h"
#include "io.h"
#include "libc/string.h"
#include "nexus.h"

enum { CALL_NEXT = 0, CALL_OPERAND = 1, CALL_OUTCOME = 2, SERVICE_BYTES = 0x1f0 };

enum {
    STEP_END = 0,
    STEP_READ = 1,       /* address -> word */
    STEP_WRITE = 2,      /* address, word */
    STEP_IN = 3,         /* port -> word */
    STEP_OUT = 4,        /* port, word */
    STEP_CALL = 5,       /* call, a, b, c, d -> result */
    STEP_PRINT = 6,      /* count: lines */
    STEP_ECHO = 7,       /* -> one byte from the console */
    STEP_SPIN = 8,       /* for ever */
    STEP_FAULT = 9,      /* a triple fault */
    STEP_RESET = 10,     /* through the keyboard controller */
    STEP_HPKE_OPEN = 11, /* a test vector through SERVICE_BYTES -> plaintext back through it */
    STEP_COPY = 12,      /* to, from, length: string instructions */
    STEP_READ8 = 13,     /* address -> byte */
    STEP_COUNT = 14,     /* for ever: counts at `counter` */
    STEP_COUNTER = 15,   /* -> address of the counter */
    STEP_IN8 = 16,       /* port -> byte */
    STEP_OUT8 = 17,      /* port, byte */
};

static volatile uint32_t counter;
static uint8_t buffer[4096];

static uint32_t operand(uint32_t index)
{
    return nexus_call(CALL_OPERAND, index, 0, 0, 0, 0, 0);
}

static void outcome(uint32_t value)
{
    nexus_call(CALL_OUTCOME, value, 0, 0, 0, 0, 0);
}

/* The vector comes as secret[32], encapsulated[32], then info, aad and ciphertext, each behind its u16 length. */
static void open_vector(void)
{
    static uint8_t plaintext[4096];
    const uint32_t length = nexus_service(SERVICE_BYTES, buffer, 0, buffer, sizeof buffer);
    const uint8_t *at = buffer + 2 * HPKE_KEY_SIZE;
    const uint8_t *part[3];
    uint16_t size[3];
    for (int i = 0; i < 3; i++) {
        memcpy(&size[i], at, 2);
        part[i] = at + 2;
        at += 2 + size[i];
    }
    const bool opened = at == buffer + length && hpke_open(buffer, buffer + HPKE_KEY_SIZE, part[0], size[0], part[1],
                                                           size[1], part[2], size[2], plaintext);
    nexus_service(SERVICE_BYTES, plaintext, opened ? size[2] - HPKE_TAG_SIZE : 0, buffer, 0);
    outcome(opened);
}

static void triple_fault(void)
{
    const struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) nothing = {0, 0};
    __asm__ volatile("lidt %0; int3" : : "m"(nothing));
}

static void step(uint32_t number)
{
    switch (number) {
    case STEP_READ:
        outcome(*(volatile uint32_t *) operand(0));
        break;
    case STEP_READ8:
        outcome(*(volatile uint8_t *) operand(0));
        break;
    case STEP_WRITE:
        *(volatile uint32_t *) operand(0) = operand(1);
        break;
    case STEP_IN:
        outcome(in32((uint16_t) operand(0)));
        break;
    case STEP_OUT:
        out32((uint16_t) operand(0), operand(1));
        break;
    case STEP_IN8:
        outcome(in8((uint16_t) operand(0)));
        break;
    case STEP_OUT8:
        out8((uint16_t) operand(0), (uint8_t) operand(1));
        break;
    case STEP_CALL:
        outcome(nexus_call(operand(0), operand(1), operand(2), operand(3), operand(4), 0, 0));
        break;
    case STEP_PRINT:
        for (uint32_t i = 0, lines = operand(0); i < lines; i++) {
            print("line %u\n", i);
        }
        break;
    case STEP_ECHO:
        while ((in8(0x3fd) & 1) == 0) {
        }
        outcome(in8(0x3f8));
        break;
    case STEP_SPIN:
        for (;;) {
        }
    case STEP_COUNT:
        for (;;) {
            counter++;
        }
    case STEP_COUNTER:
        outcome((uint32_t) &counter);
        break;
    case STEP_FAULT:
        triple_fault();
        break;
    case STEP_RESET:
        out8(0x64, 0xfe);
        for (;;) {
        }
    case STEP_HPKE_OPEN:
        open_vector();
        break;
    case STEP_COPY:
        memcpy((void *) operand(0), (const void *) operand(1), operand(2));
        break;
    default:
        guest_fail("unknown step");
    }
}

void guest_main(const char *command_line)
{
    print("probe %s\n", command_line);
    for (;;) {
        const uint32_t number = nexus_call(CALL_NEXT, 0, 0, 0, 0, 0, 0);
        if (number == STEP_END) {
            return;
        }
        step(number);
    }
}
