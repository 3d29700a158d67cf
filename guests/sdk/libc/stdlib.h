/* libsodium includes it for abort, which the guests do not reach. */
#pragma once
#include <stddef.h>

_Noreturn void abort(void);
