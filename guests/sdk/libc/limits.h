/* libsodium includes it; gcc's own limits.h would look for the host's. */
#pragma once

#define INT_MAX 0x7fffffff
#define UINT_MAX 0xffffffffU
