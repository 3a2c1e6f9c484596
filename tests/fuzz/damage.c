/* See fuzz.h. */
#include <string.h>

#include "tests/fuzz/fuzz.h"

uint64_t fuzz_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void one(uint64_t *state, uint8_t *data, size_t size)
{
	static const uint8_t odd[] = { 0, 1, 7, 8, 12, 0x40, 0x7f, 0x80, 0xc0, 0xff };
	size_t at = fuzz_next(state) % size, from, length, room;

	switch (fuzz_next(state) % 4) {
	case 0:
		data[at] = (uint8_t)fuzz_next(state);
		break;
	case 1:
		data[at] = odd[fuzz_next(state) % sizeof(odd)];
		break;
	case 2:
		data[at] ^= (uint8_t)(1u << fuzz_next(state) % 8);
		break;
	default: /* a piece over another */
		from = fuzz_next(state) % size;
		length = 1 + fuzz_next(state) % 32;
		room = size - (at > from ? at : from);
		memmove(data + at, data + from, length < room ? length : room);
	}
}

void fuzz_damage(uint64_t *state, uint8_t *data, size_t *size)
{
	unsigned n = 1 + (unsigned)(fuzz_next(state) % 6);

	for (unsigned i = 0; i < n; i++)
		one(state, data, *size);
	if (fuzz_next(state) % 8 == 0)
		*size = 1 + fuzz_next(state) % *size;
}
