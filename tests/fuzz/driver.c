/* A fuzz target without libFuzzer: its good inputs, and damaged ones.
 *
 *   fuzz-TARGET [--seconds N] [--seed N]    (or GYRO_SEED; the seed is printed first)
 *   fuzz-TARGET --write DIR                 the good inputs as files, a corpus for libFuzzer
 *
 * Each input is in memory exactly as long as it is, so that a sanitizer sees what reads beyond it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/fuzz/fuzz.h"

static void run(const uint8_t *input, size_t size)
{
	uint8_t *data = malloc(size);

	if (data == NULL)
		abort();
	memcpy(data, input, size);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
}

static int write_all(const char *folder)
{
	static uint8_t input[FUZZ_INPUT_MAX];
	char path[4096];
	size_t size;

	for (unsigned n = 0; (size = fuzz_seed(n, input)) > 0; n++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/seed-%u", folder, n);
		file = fopen(path, "wb");
		if (file == NULL || fwrite(input, size, 1, file) != 1 || fclose(file) != 0) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

static uint64_t damaged(unsigned n_seeds, uint64_t seed, long seconds)
{
	static uint8_t input[FUZZ_INPUT_MAX];
	uint64_t state = seed * UINT64_C(2654435761) + 1, count = 0;
	time_t until = time(NULL) + seconds;

	while (time(NULL) < until)
		for (unsigned i = 0; i < 1000; i++, count++) {
			size_t size = fuzz_seed((unsigned)(fuzz_next(&state) % n_seeds), input);

			for (uint64_t times = 1 + fuzz_next(&state) % 3; times > 0; times--)
				fuzz_damage(&state, input, &size);
			run(input, size);
		}
	return count;
}

int main(int argc, char **argv)
{
	const char *given = getenv("GYRO_SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL), count;
	static uint8_t input[FUZZ_INPUT_MAX];
	unsigned n_seeds = 0;
	long seconds = 3;
	size_t size;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--write") == 0)
			return write_all(argv[i + 1]);
		if (strcmp(argv[i], "--seconds") == 0)
			seconds = strtol(argv[i + 1], NULL, 10);
		if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 10);
	}
	printf("# seed %" PRIu64 "\n", seed);
	fflush(stdout);
	for (; (size = fuzz_seed(n_seeds, input)) > 0; n_seeds++)
		run(input, size);
	printf("ok 1 - %u good inputs\n", n_seeds);
	count = damaged(n_seeds, seed, seconds);
	printf("ok 2 - %" PRIu64 " damaged ones: no crash\n1..2\n", count);
	return n_seeds > 0 && count > 0 ? 0 : 1;
}
