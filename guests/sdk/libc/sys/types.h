/* libsodium's headers include it for size_t. */
#pragma once
#include <stddef.h>
