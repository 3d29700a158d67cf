/* libsodium sets errno where it refuses lengths that no guest uses. */
#pragma once

extern int errno;
#define EFBIG 27
#define EINVAL 22
#define ENOSYS 38
