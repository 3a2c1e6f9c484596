/* Attributes of the request: networks, cells and areas from the bytes of Service-Information. */
#include "core/rating/network.h"

#include <string.h>

/* Geographic Location Type (TS 29.061 §16.4.7.2, TS 29.274 §8.21). */
enum {
	CGI = 0,
	SAI = 1,
	RAI = 2,
	TAI = 128,
	ECGI = 129,
	TAI_ECGI = 130,
	NCGI = 135,
	TAI5 = 136,
	TAI5_NCGI = 137
};

#define PLMN_OCTETS 3
#define TAI_OCTETS  5
#define TAI5_OCTETS 6

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

bool gy_network_is(struct gy_bytes text)
{
	if (text.len != 5 && text.len != 6)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!is_digit(text.data[i]))
			return false;
	return true;
}

static char hex(unsigned nibble)
{
	return (char)(nibble < 10 ? '0' + nibble : 'a' + nibble - 10);
}

/* MCC and MNC, two digits to an octet (TS 24.008 §10.5.1.3). Returns the length, 0 if no digits. */
static size_t put_plmn(const uint8_t *plmn, char *text)
{
	const unsigned digits[6] = { plmn[0] & 15u, plmn[0] >> 4u, plmn[1] & 15u,
				     plmn[2] & 15u, plmn[2] >> 4u, plmn[1] >> 4u };
	size_t len = digits[5] == 15 ? 5 : 6;

	for (size_t i = 0; i < len; i++) {
		if (digits[i] > 9)
			return 0;
		text[i] = (char)('0' + digits[i]);
	}
	return len;
}

/* '-' and the last n nibbles of the octets. */
static size_t put_hex(const uint8_t *octets, size_t n_octets, size_t n, char *text)
{
	text[0] = '-';
	for (size_t i = 0; i < n; i++) {
		size_t nibble = 2 * n_octets - n + i;

		text[1 + i] =
			hex(nibble % 2 == 0 ? octets[nibble / 2] >> 4u : octets[nibble / 2] & 15u);
	}
	return n + 1;
}

size_t gy_location_cell(struct gy_bytes location, char text[GY_LOCATION_MAX])
{
	const uint8_t *at = location.data + 1;
	size_t cell_octets, before = 0, len, n;

	if (location.len < 1)
		return 0;
	switch (location.data[0]) {
	case CGI:
	case SAI:
		if (location.len < 8)
			return 0;
		len = put_plmn(at, text);
		if (len == 0)
			return 0;
		len += put_hex(at + PLMN_OCTETS, 2, 4, text + len);
		return len + put_hex(at + PLMN_OCTETS + 2, 2, 4, text + len);
	case ECGI:
	case TAI_ECGI:
		before = location.data[0] == TAI_ECGI ? TAI_OCTETS : 0;
		cell_octets = 4;
		n = 7;
		break;
	case NCGI:
	case TAI5_NCGI:
		before = location.data[0] == TAI5_NCGI ? TAI5_OCTETS : 0;
		cell_octets = 5;
		n = 9;
		break;
	default:
		return 0;
	}
	if (location.len < 1 + before + PLMN_OCTETS + cell_octets)
		return 0;
	len = put_plmn(at + before, text);
	if (len == 0)
		return 0;
	return len + put_hex(at + before + PLMN_OCTETS, cell_octets, n, text + len);
}

size_t gy_location_area(struct gy_bytes location, char text[GY_LOCATION_MAX])
{
	size_t octets, len;

	if (location.len < 1)
		return 0;
	switch (location.data[0]) {
	case CGI:
	case SAI:
	case RAI:
	case TAI:
	case TAI_ECGI:
		octets = 2;
		break;
	case TAI5:
	case TAI5_NCGI:
		octets = 3;
		break;
	default:
		return 0;
	}
	if (location.len < 1 + PLMN_OCTETS + octets)
		return 0;
	len = put_plmn(location.data + 1, text);
	if (len == 0)
		return 0;
	return len + put_hex(location.data + 1 + PLMN_OCTETS, octets, 2 * octets, text + len);
}

/* The length without ".mncNNN.mccNNN.gprs" (TS 23.003 §9.1.2). */
static size_t without_operator(struct gy_bytes apn)
{
	static const char pattern[] = ".mnc000.mcc000.gprs";
	const size_t n = sizeof(pattern) - 1;

	if (apn.len <= n)
		return apn.len;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = apn.data[apn.len - n + i];

		if (pattern[i] == '0' ? !is_digit(c)
				      : (c | (pattern[i] >= 'a' ? 32 : 0)) != pattern[i])
			return apn.len;
	}
	return apn.len - n;
}

size_t gy_apn_text(struct gy_bytes apn, char text[GY_TEXT_MAX])
{
	size_t len = without_operator(apn);

	if (len > GY_TEXT_MAX)
		return 0;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = apn.data[i];

		text[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	return len;
}

bool gy_characteristics_is(struct gy_bytes text)
{
	if (text.len != GY_CHARACTERISTICS_LEN)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (memchr("0123456789abcdefABCDEF", text.data[i], 22) == NULL)
			return false;
	return true;
}

/* FNV-1a, folded. Texts of a place are short. */
static uint64_t place_part(struct gy_bytes text)
{
	uint32_t hash = UINT32_C(2166136261);

	if (text.len == 0)
		return 1;
	for (size_t i = 0; i < text.len; i++)
		hash = (hash ^ text.data[i]) * UINT32_C(16777619);
	return 2 + ((hash >> 16) ^ (hash & 0xffff)) % 65534;
}

int64_t gy_network_place(const struct gy_network *network)
{
	char cell[GY_LOCATION_MAX], area[GY_LOCATION_MAX], apn[GY_TEXT_MAX];
	struct gy_bytes serving = network->serving_mcc_mnc;
	const struct gy_bytes texts[] = {
		{ (const uint8_t *)cell, gy_location_cell(network->location, cell) },
		{ (const uint8_t *)area, gy_location_area(network->location, area) },
		{ serving.data, gy_network_is(serving) ? serving.len : 0 },
		{ (const uint8_t *)apn, gy_apn_text(network->apn, apn) },
	};
	uint64_t place = 0;

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		place |= place_part(texts[i]) << (16 * i);
	return (int64_t)place;
}
