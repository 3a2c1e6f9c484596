/* What a fuzz target is: an entry that libFuzzer knows, and good inputs to begin with.
 *
 * Linked with libFuzzer (tests/fuzz/run, clang), or, in every ordinary build, with driver.c, so
 * that the targets always compile and run a little. */
#ifndef GY_TESTS_FUZZ_H
#define GY_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_INPUT_MAX 8192

/* Aborts on what must never happen. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The n-th good input, at most FUZZ_INPUT_MAX octets; 0: there is none. */
size_t fuzz_seed(unsigned n, uint8_t *out);

/* A few octets of it changed, copied over each other, or cut off; never empty. *state: not 0. */
void fuzz_damage(uint64_t *state, uint8_t *data, size_t *size);
/* xorshift64. */
uint64_t fuzz_next(uint64_t *state);

#endif
