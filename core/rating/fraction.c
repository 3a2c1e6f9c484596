/* Fractions in lowest terms: see fraction.h. */
#include "core/rating/fraction.h"

#include "core/base/assert.h"
#include "core/base/limits.h"

uint64_t gy_gcd(uint64_t a, uint64_t b)
{
	int shift;

	if (a == 0 || b == 0)
		return a | b;
	shift = __builtin_ctzll(a | b);
	a >>= __builtin_ctzll(a);
	do {
		uint64_t low;

		b >>= __builtin_ctzll(b);
		low = a < b ? a : b;
		b = a < b ? b - a : a - b;
		a = low;
	} while (b != 0);
	return a << shift;
}

static uint64_t magnitude(int64_t x)
{
	return x < 0 ? -(uint64_t)x : (uint64_t)x;
}

struct gy_fraction gy_fraction_of(int64_t micros, int64_t block)
{
	int64_t common;

	gy_assert(block > 0);
	common = (int64_t)gy_gcd(magnitude(micros), (uint64_t)block);
	return (struct gy_fraction){ micros / common, block / common };
}

static bool fits(__int128 micros, __int128 block)
{
	return micros <= INT64_MAX && micros >= -INT64_MAX && block <= GY_AMOUNT_MAX;
}

bool gy_fraction_multiply(struct gy_fraction *value, struct gy_fraction by)
{
	int64_t across = (int64_t)gy_gcd(magnitude(value->micros), (uint64_t)by.block);
	int64_t back = (int64_t)gy_gcd(magnitude(by.micros), (uint64_t)value->block);
	__int128 micros = (__int128)(value->micros / across) * (by.micros / back);
	__int128 block = (__int128)(value->block / back) * (by.block / across);

	if (!fits(micros, block))
		return false;
	*value = (struct gy_fraction){ (int64_t)micros, (int64_t)block };
	return true;
}

bool gy_fraction_add(struct gy_fraction *value, struct gy_fraction term)
{
	/* Only a divisor of both blocks can be left to cancel. */
	int64_t common = (int64_t)gy_gcd((uint64_t)value->block, (uint64_t)term.block);
	__int128 micros = (__int128)value->micros * (term.block / common) +
			  (__int128)term.micros * (value->block / common);
	__int128 block = (__int128)(value->block / common) * term.block;
	int64_t rest = (int64_t)(micros % common);
	int64_t cancel = (int64_t)gy_gcd(magnitude(rest), (uint64_t)common);

	micros /= cancel;
	block /= cancel;
	if (!fits(micros, block))
		return false;
	*value = (struct gy_fraction){ (int64_t)micros, (int64_t)block };
	return true;
}

int gy_fraction_compare(struct gy_fraction a, struct gy_fraction b)
{
	__int128 left = (__int128)a.micros * b.block, right = (__int128)b.micros * a.block;

	return (left > right) - (left < right);
}

bool gy_fraction_rate(struct gy_fraction value, int64_t block, struct gy_rate *rate)
{
	int64_t common = (int64_t)gy_gcd((uint64_t)value.block, (uint64_t)block);
	__int128 whole = (__int128)(block / common) * value.block;
	__int128 micros = (__int128)value.micros * (block / common);

	if (!fits(micros, whole))
		return false;
	*rate = (struct gy_rate){ .price_micros = (int64_t)micros, .block = (int64_t)whole };
	return true;
}
