/* One page shared between two partitions by a grant, and a channel that says whose turn it is. The mode that the root
   gives names the numbers: peer (partition), grant (slot of the owner), page (of this guest's window), channel (end of
   this guest), and for the owner frame. */
#pragma once
#include "nexus.h"

#define SHARE_TEXT 64
/* The answer stands in the second half of the page. */
#define SHARE_ANSWER 2048

struct share {
    uint32_t peer, grant, page, channel, frame;
};

struct share share_from_mode(const char *mode);

/* The page number that the core knows, and the address of the same page. */
uint32_t share_gpa_page(const struct share *share);
volatile char *share_page(const struct share *share);

/* Text of at most SHARE_TEXT - 1 bytes; the reader makes it printable, for the writer is another partition. */
void share_write(volatile char *at, const char *text);
void share_read(const volatile char *at, char out[SHARE_TEXT]);

void share_signal(const struct share *share);

/* Yield until the peer has signalled. */
void share_wait(const struct share *share);
