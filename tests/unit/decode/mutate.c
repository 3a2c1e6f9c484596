/* Random damage to good requests: nothing may crash, read outside, or be answered malformed.
 *
 * usage: mutate [COUNT [SEED]]. The buffer is allocated exactly as long as the message, so that
 * a sanitizer, or the allocator, sees a read beyond it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/decode/check-bytes.h"
#include "tests/unit/decode/notation.h"
#include "tests/unit/decode/tap.h"

static const char *const seeds[] = {
	"263=\"s;1\" 264=\"pgw1.spec.test\" 296=\"spec.test\" 283=\"spec.test\" 258=u4 "
	"461=\"32251@3gpp.org\" 416=u2 415=u1 443={450=u1 444=\"460001000000001\"} 1=\"u\" "
	"456={437={421=U5} 446={421=U1 412=U2 872@10415=u1 452=u0} 432=u10 439=u1 439=u2} "
	"873@10415={874@10415={30=\"internet\" 21@10415=x06 22@10415=x82}} "
	"284={280=\"a\" 33=x01} 659~={661~=\"46\"}",
	"263=\"e;1\" 264=\"p\" 296=\"spec.test\" 283=\"spec.test\" 461=\"c\" 416=u4 415=u0 436=u0 "
	"443={450=u0 444=\"+86\"} 437={413={445={447=I250 429=i-2} 425=u156}} 439=u7 "
	"446={420=u5} 419=U7 50=\"m\" 55=u1 278=u1",
	"263=\"c;1\" 264=\"p\" 296=\"spec.test\" 283=\"spec.test\" 258=u4 461=\"cards@gyro\" "
	"416=u4 "
	"415=u0 436=u0 443={450=u0 444=\"86\"} 446={417=U1} 1@32473~=u1 2@32473~=\"p\" "
	"3@32473~=\"q\" "
	"4@32473~=\"c\" 5@32473~=u1 6@32473~={7@32473~=\"a\" 8@32473~=\"u/\" 9@32473~=\"f\"} "
	"6@32473~={8@32473~=\"v\"} 11@32473~=u7 13@32473~={443={450=u0 444=\"+86\"}}",
};
#define SEEDS (sizeof(seeds) / sizeof(seeds[0]))

static uint64_t state;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void damage(uint8_t *data, size_t *size)
{
	static const uint8_t odd[] = { 0, 1, 7, 8, 12, 0x40, 0x7f, 0x80, 0xc0, 0xff };
	unsigned n = 1 + (unsigned)(next() % 6);

	for (unsigned i = 0; i < n; i++) {
		size_t at = next() % *size;

		switch (next() % 4) {
		case 0:
			data[at] = (uint8_t)next();
			break;
		case 1:
			data[at] = odd[next() % sizeof(odd)];
			break;
		case 2:
			data[at] ^= (uint8_t)(1u << next() % 8);
			break;
		default: { /* copy a piece over another */
			size_t from = next() % *size, length = 1 + next() % 32;
			size_t room = *size - (at > from ? at : from);

			memmove(data + at, data + from, length < room ? length : room);
		}
		}
	}
	if (next() % 8 == 0)
		*size = 20 + next() % (*size - 19);
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 300000;
	unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : (unsigned long)time(NULL);
	static unsigned long seen[GY_RC_COUNT];
	static struct message original;
	unsigned kinds = 0;

	printf("# seed %lu\n", seed);
	state = seed * 2654435761u + 1;
	for (unsigned long i = 0; i < count; i++) {
		uint8_t *data;
		size_t size;

		message_start(&original, 272, 4, 0xc0);
		message_add(&original, seeds[next() % SEEDS]);
		size = original.len;
		damage(original.data, &size);
		data = malloc(size);
		memcpy(data, original.data, size);
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
