/* Good messages, for the targets that read messages. */
#ifndef GY_TESTS_FUZZ_MESSAGES_H
#define GY_TESTS_FUZZ_MESSAGES_H

#include "tests/fuzz/fuzz.h"

/* As fuzz_seed. The first MESSAGES_REQUESTS are requests for app_gyro. */
size_t messages_seed(unsigned n, uint8_t *out);
#define MESSAGES_REQUESTS 3

#endif
