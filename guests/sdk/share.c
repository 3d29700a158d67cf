#include "share.h"

struct share share_from_mode(const char *mode)
{
    return (struct share) {
        .peer = mode_number(mode, "peer", 0),
        .grant = mode_number(mode, "grant", 0),
        .page = mode_number(mode, "page", 0),
        .channel = mode_number(mode, "channel", 0),
        .frame = mode_number(mode, "frame", 0),
    };
}

uint32_t share_gpa_page(const struct share *share)
{
    return NEXUS_WINDOW_BASE / NEXUS_PAGE_SIZE + share->page;
}

volatile char *share_page(const struct share *share)
{
    return (volatile char *) (share_gpa_page(share) * NEXUS_PAGE_SIZE);
}

void share_write(volatile char *at, const char *text)
{
    size_t i = 0;
    for (; i < SHARE_TEXT - 1 && text[i] != 0; i++) {
        at[i] = text[i];
    }
    at[i] = 0;
}

void share_read(const volatile char *at, char out[SHARE_TEXT])
{
    size_t i = 0;
    for (; i < SHARE_TEXT - 1; i++) {
        const char byte = at[i]; /* once: the peer may change it between two reads */
        if (byte == 0) {
            break;
        }
        out[i] = byte >= ' ' && byte <= '~' && byte != '"' ? byte : '.';
    }
    out[i] = 0;
}

void share_signal(const struct share *share)
{
    const uint32_t result = nexus_call(NEXUS_CALL_CHANNEL_SIGNAL, share->channel, 0, 0, 0, 0, 0);
    if (failed(result)) {
        guest_fail("the channel cannot be signalled");
    }
}

void share_wait(const struct share *share)
{
    for (;;) {
        const uint32_t result = nexus_call(NEXUS_CALL_CHANNEL_TAKE, share->channel, 0, 0, 0, 0, 0);
        if (failed(result)) {
            guest_fail("the channel cannot be read");
        }
        if (result != 0) {
            return;
        }
        nexus_call(NEXUS_CALL_PARTITION_YIELD, 0, 0, 0, 0, 0, 0);
    }
}
