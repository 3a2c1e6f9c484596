/* Exact prices: see price.h. */
#include "core/rating/price.h"

#include "core/base/assert.h"
#include "core/base/limits.h"

bool gy_price_debit(struct gy_rate rate, int64_t units, int64_t *carry, int64_t *micros)
{
	__int128 total = (__int128)units * rate.price_micros + *carry;
	__int128 price = total / rate.block;

	gy_assert(units >= 0 && rate.block > 0 && *carry >= 0 && *carry < rate.block);
	if (price > GY_AMOUNT_MAX)
		return false;
	*micros = (int64_t)price;
	*carry = (int64_t)(total % rate.block);
	return true;
}

bool gy_price_reserve(struct gy_rate rate, int64_t units, int64_t carry, int64_t *micros)
{
	__int128 total = (__int128)units * rate.price_micros + carry;
	__int128 price = (total + rate.block - 1) / rate.block;

	gy_assert(units >= 0 && rate.block > 0 && carry >= 0 && carry < rate.block);
	if (price > GY_AMOUNT_MAX)
		return false;
	*micros = (int64_t)price;
	return true;
}

int64_t gy_price_affordable(struct gy_rate rate, int64_t micros, int64_t carry)
{
	__int128 units;

	gy_assert(rate.block > 0 && carry >= 0 && carry < rate.block);
	if (rate.price_micros == 0)
		return micros >= 0 ? GY_AMOUNT_MAX : 0;
	if (micros <= 0)
		return 0;
	units = ((__int128)micros * rate.block - carry) / rate.price_micros;
	return units > GY_AMOUNT_MAX ? GY_AMOUNT_MAX : (int64_t)units;
}

int64_t gy_carry_rescale(int64_t carry, int64_t from_block, int64_t to_block)
{
	return (int64_t)((__int128)carry * to_block / from_block);
}
