/* See card_order.h: the request's side. */
#include <stdlib.h>
#include <string.h>

#include "dict/gy_avp_table.h"
#include "tests/client/card_order.h"

#define HEADER     8
#define OWN_HEADER 12

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

static void put24(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 16);
	p[1] = (uint8_t)(value >> 8);
	p[2] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 24);
	put24(p + 1, value);
}

/* Takes data over. */
static void add(struct gy_card_avps *avps, uint32_t code, uint8_t *data, size_t len)
{
	if (avps->n == GY_CARD_RAW_MAX)
		abort();
	avps->raw[avps->n++] = (struct gy_case_raw){
		.code = code, .vendor = GY_VENDOR_GYRO, .flags = 0x80, .data = data, .len = len
	};
}

/* One AVP with padding, for the inside of a group; malloc'ed. vendor 0: IETF, with the M bit. */
static uint8_t *inner(uint32_t vendor, uint32_t code, const void *data, size_t len, size_t *size)
{
	size_t header = vendor ? OWN_HEADER : HEADER;
	uint8_t *p;

	*size = header + ((len + 3) & ~(size_t)3);
	p = need(calloc(1, *size));
	put32(p, code);
	p[4] = vendor ? 0x80 : 0x40;
	put24(p + 5, header + len);
	if (vendor)
		put32(p + 8, vendor);
	memcpy(p + header, data, len);
	return p;
}

void gy_card_number(struct gy_card_avps *avps, uint32_t code, uint32_t value)
{
	uint8_t *data = need(malloc(4));

	put32(data, value);
	add(avps, code, data, 4);
}

void gy_card_text(struct gy_card_avps *avps, uint32_t code, const char *text)
{
	add(avps, code, (uint8_t *)need(strdup(text)), strlen(text));
}

bool gy_card_beneficiary(struct gy_card_avps *avps, const char *who)
{
	static const struct {
		const char *name;
		uint8_t type;
	} kinds[] = {
		{ "e164:", 0 }, { "imsi:", 1 }, { "sip-uri:", 2 }, { "nai:", 3 }, { "private:", 4 },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].name), of_type, of_data, size;
		const uint8_t type[] = { 0, 0, 0, kinds[i].type };
		uint8_t *first, *second, *both, *group;

		if (strncmp(who, kinds[i].name, len) != 0)
			continue;
		first = inner(0, GY_AVP_SUBSCRIPTION_ID_TYPE, type, sizeof(type), &of_type);
		second = inner(0, GY_AVP_SUBSCRIPTION_ID_DATA, who + len, strlen(who + len),
			       &of_data);
		both = need(malloc(of_type + of_data));
		memcpy(both, first, of_type);
		memcpy(both + of_type, second, of_data);
		group = inner(0, GY_AVP_SUBSCRIPTION_ID, both, of_type + of_data, &size);
		add(avps, GY_AVP_BENEFICIARY, group, size);
		free(first);
		free(second);
		free(both);
		return true;
	}
	return false;
}

void gy_card_directed(struct gy_card_avps *avps, uint32_t code, const char *text)
{
	size_t size;
	uint8_t *data = inner(GY_VENDOR_GYRO, code, text, strlen(text), &size);

	add(avps, GY_AVP_DIRECTED_TRAFFIC_INFO, data, size);
}

void gy_card_avps_free(struct gy_card_avps *avps)
{
	for (unsigned i = 0; i < avps->n; i++)
		free((void *)(uintptr_t)avps->raw[i].data);
	avps->n = 0;
}
