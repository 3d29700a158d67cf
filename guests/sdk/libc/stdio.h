/* libsodium's headers include it and use nothing of it. */
#pragma once
#include <stddef.h>
