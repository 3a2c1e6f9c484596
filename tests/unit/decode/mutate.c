/* Random damage to good requests: nothing may crash, read outside, or be answered malformed.
 *
 * usage: mutate [COUNT [SEED]]. The buffer is allocated exactly as long as the message, so that
 * a sanitizer, or the allocator, sees a read beyond it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "extensions/app_gyro/wire.h"
#include "tests/fuzz/messages.h"
#include "tests/unit/decode/check-bytes.h"
#include "tests/unit/decode/tap.h"

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 300000;
	unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : (unsigned long)time(NULL);
	static unsigned long seen[GY_RC_COUNT];
	static uint8_t original[FUZZ_INPUT_MAX];
	uint64_t state;
	unsigned kinds = 0;

	printf("# seed %lu\n", seed);
	state = seed * 2654435761u + 1;
	for (unsigned long i = 0; i < count; i++) {
		uint8_t *data;
		size_t size;

		size = messages_seed((unsigned)(fuzz_next(&state) % MESSAGES_REQUESTS), original);
		fuzz_damage(&state, original, &size);
		if (size < GY_HEADER_SIZE)
			continue;
		data = malloc(size);
		memcpy(data, original, size);
		seen[check_bytes(data, size)]++;
		free(data);
	}
	for (unsigned rc = 0; rc < GY_RC_COUNT; rc++)
		if (seen[rc] > 0) {
			printf("# %s %lu\n", gy_rc_name((enum gy_rc)rc), seen[rc]);
			kinds++;
		}
	ok(kinds >= 8, "damaged requests: no crash, and every kind of answer was met");
	printf("# seed %lu\n", seed);
	return tap_end();
}
