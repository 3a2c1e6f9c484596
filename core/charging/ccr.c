/* Small helpers on requests. */
#include "core/charging/ccr.h"

#include "core/base/assert.h"

/* splitmix64's finaliser: spreads the identifiers before they are summed. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint32_t gy_realm_key(struct gy_bytes realm)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < realm.len; i++) {
		uint8_t c = realm.data[i];

		hash = mix(hash ^ (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c));
	}
	hash &= (UINT64_C(1) << 30) - 1;
	return hash > 0 ? (uint32_t)hash : 1;
}

int64_t gy_service_key(const uint32_t *service_ids, unsigned n)
{
	uint64_t sum = 0;

	if (n == 0)
		return 0;
	if (n == 1)
		return (int64_t)service_ids[0] + 1;
	for (unsigned i = 0; i < n; i++)
		sum += mix(service_ids[i]);
	return (int64_t)(sum | (UINT64_C(1) << 63));
}

uint32_t gy_refund_number(uint32_t number, unsigned place)
{
	gy_assert(number <= GY_REFUND_NUMBER_MAX && place <= GY_REFUND_PLACE_MAX);
	return UINT32_C(1) << 31 | (uint32_t)place << 23 | number;
}

bool gy_service_names_units(const struct gy_service *service)
{
	for (unsigned unit = GY_UNIT_OCTETS; unit < GY_UNIT_COUNT; unit++)
		if (service->requested_present[unit])
			return true;
	return false;
}

static bool differs(const struct gy_currency *currency, int code)
{
	return currency->code != 0 && currency->code != code;
}

const struct gy_currency *gy_currency_other(const struct gy_ccr *ccr, int code)
{
	for (unsigned i = 0; i < ccr->n_services; i++) {
		const struct gy_service *service = &ccr->services[i];

		if (differs(&service->requested_currency, code))
			return &service->requested_currency;
		for (unsigned k = 0; k < service->n_used; k++)
			if (differs(&service->used[k].currency, code))
				return &service->used[k].currency;
	}
	return NULL;
}
