/* The neighbour: a standard guest beside the vault. By mode it greets, shares a page with the vault, or tries what it
   must not do. Each attempt is reported with what answered it, so that whoever runs it can count the refusals. */
#include "io.h"
#include "libc/string.h"
#include "nexus.h"
#include "share.h"

#define BLOB "vault/identity"

/* Numbers that no partition of a demo owns; a mode may name others (attack partition=1 frame=7). */
#define FOREIGN_FRAME 0
#define UNUSED_END 7
#define UNUSED_GRANT 7
#define UNUSED_PARTITION 7
#define LOCALITY_OF_LATE_LAUNCH 4

static uint8_t blob[8192];
static uint8_t out[4096];
static uint32_t refused, accepted;

static void report(const char *name, uint32_t result)
{
    if (failed(result)) {
        refused++;
        nexus_result("refused call=%s code=0x%x", name, error_code(result));
    } else {
        accepted++;
        nexus_result("accepted call=%s value=0x%x", name, result);
    }
}

struct attempt {
    const char *name;
    uint32_t call, a, b, c, d;
};

/* Calls of the core on what belongs to others, or is reserved for the root. */
static void attack_core(const char *mode)
{
    const uint32_t self = nexus_call(NEXUS_CALL_SELF, 0, 0, 0, 0, 0, 0);
    const uint32_t victim = mode_number(mode, "partition", self == 1 ? 2 : 1);
    const uint32_t frame = mode_number(mode, "frame", FOREIGN_FRAME);
    const uint32_t page = NEXUS_WINDOW_BASE / NEXUS_PAGE_SIZE;
    const uint32_t all = NEXUS_PERM_READ | NEXUS_PERM_WRITE;
    const uint32_t nowhere = 0xfffffff0U;
    const struct attempt attempts[] = {
        {"partitionCreate", NEXUS_CALL_PARTITION_CREATE, UNUSED_PARTITION, 1, 0, 0},
        {"partitionSeal", NEXUS_CALL_PARTITION_SEAL, victim, 0, 0, 0},
        {"partitionRun", NEXUS_CALL_PARTITION_RUN, victim, 0, 0, 0},
        {"partitionPause", NEXUS_CALL_PARTITION_PAUSE, victim, 0, 0, 0},
        {"partitionStop", NEXUS_CALL_PARTITION_STOP, victim, 0, 0, 0},
        {"partitionDestroy", NEXUS_CALL_PARTITION_DESTROY, victim, 0, 0, 0},
        {"frameAssign", NEXUS_CALL_FRAME_ASSIGN, frame, self, page, all},
        {"frameMeasure", NEXUS_CALL_FRAME_MEASURE, frame, 0, 0, 0},
        {"frameProtect", NEXUS_CALL_FRAME_PROTECT, frame, 0, 0, 0},
        {"frameDonate", NEXUS_CALL_FRAME_DONATE, UNUSED_GRANT, frame, victim, all},
        {"frameRelease", NEXUS_CALL_FRAME_RELEASE, frame, 0, 0, 0},
        {"frameScrub", NEXUS_CALL_FRAME_SCRUB, frame, 0, 0, 0},
        {"grantOffer", NEXUS_CALL_GRANT_OFFER, UNUSED_GRANT, frame, victim, all},
        {"grantLend", NEXUS_CALL_GRANT_LEND, UNUSED_GRANT, frame, victim, all},
        {"grantAccept", NEXUS_CALL_GRANT_ACCEPT, victim, UNUSED_GRANT, page, 0},
        {"grantRelease", NEXUS_CALL_GRANT_RELEASE, victim, UNUSED_GRANT, 0, 0},
        {"grantRevoke", NEXUS_CALL_GRANT_REVOKE, UNUSED_GRANT, 0, 0, 0},
        {"channelOpen", NEXUS_CALL_CHANNEL_OPEN, self, UNUSED_END, victim, UNUSED_END},
        {"channelSignal", NEXUS_CALL_CHANNEL_SIGNAL, UNUSED_END, 0, 0, 0},
        {"channelTake", NEXUS_CALL_CHANNEL_TAKE, UNUSED_END, 0, 0, 0},
        {"channelMask", NEXUS_CALL_CHANNEL_MASK, UNUSED_END, 1, 0, 0},
        {"channelClose", NEXUS_CALL_CHANNEL_CLOSE, UNUSED_END, 0, 0, 0},
        {"deviceAssign", NEXUS_CALL_DEVICE_ASSIGN, 0, self, 0, 0},
        {"deviceRevoke", NEXUS_CALL_DEVICE_REVOKE, 0, 0, 0, 0},
        {"gate", NEXUS_CALL_GATE, 0, LOCALITY_OF_LATE_LAUNCH, 0, 0},
        {"bootLock", NEXUS_CALL_BOOT_LOCK, 0, 0, 0, 0},
        {"frameRelease-out-of-range", NEXUS_CALL_FRAME_RELEASE, nowhere, 0, 0, 0},
        {"partitionStop-out-of-range", NEXUS_CALL_PARTITION_STOP, nowhere, 0, 0, 0},
        {"grantRevoke-out-of-range", NEXUS_CALL_GRANT_REVOKE, nowhere, 0, 0, 0},
        {"unknown-call", 0xff, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        const struct attempt *attempt = &attempts[i];
        report(attempt->name,
               nexus_call(attempt->call, attempt->a, attempt->b, attempt->c, attempt->d, 0, 0));
    }
}

/* Services that are for trusted partitions, or ask for another's secret. */
static void attack_services(void)
{
    const uint8_t nonce[32] = {1}, user_data[64] = {2};
    const uint32_t length = nexus_load(BLOB, blob, sizeof blob);
    if (failed(length)) {
        nexus_result("note no blob named %s, code=0x%x", BLOB, error_code(length));
    }
    report("UNSEAL", nexus_unseal(blob, failed(length) ? 64 : length, (struct nexus_unsealed *) out));
    report("REPORT", nexus_report(nonce, sizeof nonce, user_data, out, sizeof out));
    report("IDENTITY", nexus_identity((struct nexus_identity *) out));
    report("SEAL", nexus_seal(NEXUS_SEAL_TO_IDENTITY, 0, 0, nonce, sizeof nonce, out, sizeof out));
    report("SEAL-malformed", nexus_service(NEXUS_SERVICE_SEAL, nonce, 3, out, sizeof out));
    report("buffer-outside-memory", nexus_service(NEXUS_SERVICE_RANDOM, (void *) 0xfffff000U, 16, out, 16));
    report("buffer-too-long", nexus_service(NEXUS_SERVICE_RANDOM, blob, 0xffffffffU, out, 16));
    report("unknown-service", nexus_service(0xfff, nonce, 8, out, 16));
}

/* Read and write every page of the 4 GiB that is not this program itself. */
static void scan(void)
{
    extern char _start, guest_end;
    uint32_t answering = 0;
    for (uint32_t page = 0; page < 0x100000U; page++) {
        volatile uint32_t *const word = (volatile uint32_t *) (page * NEXUS_PAGE_SIZE);
        const uint32_t address = (uint32_t) word;
        if (address + NEXUS_PAGE_SIZE > ((uint32_t) &_start & ~0xfffU) && address < (uint32_t) &guest_end) {
            continue;
        }
        const uint32_t before = *word;
        *word = ~before;
        answering += *word == ~before;
    }
    nexus_result("scanned pages=1048576 writable=%u", answering);
}

static uint32_t random_word(uint32_t *state)
{
    /* xorshift32, Marsaglia 2003: reproducible, which is all that a fuzzer needs. */
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Arguments near the borders of ranges find more than uniform ones. */
static uint32_t random_argument(uint32_t *state)
{
    const uint32_t word = random_word(state);
    switch (word >> 29) {
    case 0:
        return word & 7;
    case 1:
        return 0U - (word & 7);
    case 2:
        return word & 0xfff;
    case 3:
        return 1U << (word & 31);
    default:
        return word;
    }
}

/* Random calls with random arguments. The relay's store and the end of this partition are left out: they would only
   end the test. */
static void fuzz(uint32_t seed, uint32_t count)
{
    uint32_t state = seed | 1, refusals = 0;
    for (uint32_t i = 0; count == 0 || i < count; i++) {
        const uint32_t pick = random_word(&state);
        const uint32_t call = (pick & 0x100) != 0 ? NEXUS_SERVICE_REPORT + (pick & 7) : pick & 0x7f;
        uint32_t a[6];
        for (int j = 0; j < 6; j++) {
            a[j] = random_argument(&state);
        }
        if (call >= NEXUS_SERVICE_REPORT) {
            a[2] = (uint32_t) out; /* an answer may land here only */
            a[3] &= 0xfff;
        }
        refusals += failed(nexus_call(call, a[0], a[1], a[2], a[3], a[4], a[5]));
    }
    nexus_result("fuzzed calls=%u refused=%u", count, refusals);
}

/* Random words to the ports of the machine's devices: commands, DMA addresses and descriptors that make no sense.
   `only` is the first of 16 ports, or 0 for all of the list. */
static void poke_ports(uint32_t seed, uint32_t count, uint32_t only)
{
    /* DMA, interrupt controllers, timer, keyboard, clock, IDE, VGA, floppy, serial, power, IDE's bus master. */
    static const uint16_t bases[] = {0x00, 0x20, 0x40, 0x60, 0x70, 0x80, 0xa0, 0xc0, 0x170, 0x1f0, 0x3c0, 0x3d0,
                                     0x3f0, 0x2f0, 0xb400, 0xc000};
    uint32_t state = seed | 1;
    for (uint32_t i = 0; count == 0 || i < count; i++) {
        const uint32_t pick = random_word(&state), value = random_argument(&state);
        const uint16_t port = (uint16_t) ((only != 0 ? only : bases[pick & 15]) + (pick >> 4 & 15));
        if (port == 0x64 || port == 0x92 || port == 0xcf9) {
            continue; /* a reset would only end the test */
        }
        switch (pick >> 8 & 3) {
        case 0:
            out8(port, (uint8_t) value);
            break;
        case 1:
            out32(port, value);
            break;
        case 2:
            (void) in8(port);
            break;
        default:
            (void) in32(port);
        }
    }
    nexus_result("poked count=%u", count);
}

static void triple_fault(void)
{
    const struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) nothing = {0, 0};
    __asm__ volatile("lidt %0; int3" : : "m"(nothing));
}

/* Answer the vault over a page that it lends, then see that the page is gone when it says so. */
static void share(const char *mode)
{
    const struct share share = share_from_mode(mode);
    char heard[SHARE_TEXT];
    share_wait(&share);
    const uint32_t result = nexus_call(NEXUS_CALL_GRANT_ACCEPT, share.peer, share.grant, share_gpa_page(&share), 0, 0, 0);
    if (failed(result)) {
        nexus_result("failed op=grantAccept code=0x%x", error_code(result));
        return;
    }
    volatile char *const page = share_page(&share);
    share_read(page, heard);
    share_write(page + SHARE_ANSWER, "the neighbour says good day");
    share_signal(&share);
    share_wait(&share);
    nexus_result("shared heard=\"%s\" after-revoke=0x%x", heard, *(volatile uint32_t *) page);
}

void guest_main(const char *command_line)
{
    char mode[160];
    (void) command_line;
    nexus_mode(mode, sizeof mode);
    print("neighbour: %s\n", mode);
    if (mode_is(mode, "greet")) {
        nexus_result("greeted");
    } else if (mode_is(mode, "share")) {
        share(mode);
    } else if (mode_is(mode, "attack")) {
        attack_core(mode);
        attack_services();
        nexus_result("done refused=%u accepted=%u", refused, accepted);
    } else if (mode_is(mode, "scan")) {
        scan();
    } else if (mode_is(mode, "fuzz")) {
        fuzz(mode_number(mode, "seed", 1), mode_number(mode, "count", 0));
    } else if (mode_is(mode, "ports")) {
        poke_ports(mode_number(mode, "seed", 1), mode_number(mode, "count", 0), mode_number(mode, "only", 0));
    } else if (mode_is(mode, "flood")) {
        for (;;) {
            nexus_call(NEXUS_CALL_VERSION, 0, 0, 0, 0, 0, 0);
        }
    } else if (mode_is(mode, "spin")) {
        for (;;) {
        }
    } else if (mode_is(mode, "fault")) {
        triple_fault();
    } else {
        nexus_result("failed mode=%s", mode);
    }
}
