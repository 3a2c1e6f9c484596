/* gy_avp_find: finds every row, nothing else; and what a look-up costs. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dict/gy_avp_table.h"

static unsigned count, failed;

static void ok(bool good, const char *name)
{
	count++;
	failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", count, name);
}

static bool sorted(void)
{
	for (size_t i = 1; i < GY_AVP_TABLE_COUNT; i++) {
		const struct gy_avp_def *a = &gy_avp_table[i - 1], *b = &gy_avp_table[i];

		if (a->vendor > b->vendor || (a->vendor == b->vendor && a->code >= b->code))
			return false;
	}
	return true;
}

static bool each_found(void)
{
	for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++) {
		const struct gy_avp_def *def = &gy_avp_table[i];

		if (gy_avp_find(def->vendor, def->code) != def ||
		    gy_avp_find_name(def->name) != def) {
			printf("# %s is not found\n", def->name);
			return false;
		}
	}
	return true;
}

/* The slow, obvious look-up, to compare with. */
static const struct gy_avp_def *walk(uint32_t vendor, uint32_t code)
{
	for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++)
		if (gy_avp_table[i].vendor == vendor && gy_avp_table[i].code == code)
			return &gy_avp_table[i];
	return NULL;
}

static bool agrees_with_walk(void)
{
	static const uint32_t vendors[] = {
		0, 1, 193, 5535, 8164, 10415, 13019, 32473, UINT32_MAX
	};

	for (size_t v = 0; v < sizeof(vendors) / sizeof(*vendors); v++)
		for (uint32_t code = 0; code < 10000; code++)
			if (gy_avp_find(vendors[v], code) != walk(vendors[v], code)) {
				printf("# vendor %" PRIu32 " code %" PRIu32 "\n", vendors[v], code);
				return false;
			}
	return true;
}

static bool random_misses(void)
{
	uint64_t x = 88172645463325252u;

	for (unsigned i = 0; i < 1000000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if ((x >> 32) > 100000 && gy_avp_find((uint32_t)(x >> 32), (uint32_t)x))
			return false;
	}
	return true;
}

static bool sizes_fit_types(void)
{
	for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++) {
		uint8_t want = 0;

		switch (gy_avp_table[i].type) {
		case GY_AVP_TYPE_TIME:
		case GY_AVP_TYPE_ENUMERATED:
		case GY_AVP_TYPE_INTEGER32:
		case GY_AVP_TYPE_UNSIGNED32:
			want = 4;
			break;
		case GY_AVP_TYPE_INTEGER64:
		case GY_AVP_TYPE_UNSIGNED64:
			want = 8;
			break;
		case GY_AVP_TYPE_GROUPED:
		case GY_AVP_TYPE_OCTET_STRING:
		case GY_AVP_TYPE_UTF8_STRING:
		case GY_AVP_TYPE_DIAMETER_IDENTITY:
		case GY_AVP_TYPE_DIAMETER_URI:
		case GY_AVP_TYPE_IP_FILTER_RULE:
		case GY_AVP_TYPE_ADDRESS:
			break;
		}
		if (gy_avp_table[i].size != want)
			return false;
	}
	return true;
}

static bool flags_fit_rules(void)
{
	for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++) {
		const struct gy_avp_def *def = &gy_avp_table[i];
		bool m = def->flags & GY_AVP_FLAG_M, v = def->flags & GY_AVP_FLAG_V;

		if (v != (def->vendor != 0) || m != (def->m == GY_AVP_M_MUST) ||
		    (def->vendor == GY_VENDOR_GYRO && m) || !gy_vendor_name(def->vendor))
			return false;
	}
	return true;
}

static bool enums_fit(void)
{
	for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++) {
		const struct gy_avp_def *def = &gy_avp_table[i];

		if ((def->type == GY_AVP_TYPE_ENUMERATED) != (def->n_enums > 0) ||
		    (def->enums != NULL) != (def->n_enums > 0))
			return false;
		for (unsigned e = 1; e < def->n_enums; e++)
			if (def->enums[e - 1].value >= def->enums[e].value)
				return false;
	}
	return true;
}

/* Facts that the rest of Gyro is built on, written here once more, by hand (spec/gy.md 1). */
static const struct {
	uint32_t vendor, code;
	enum gy_avp_type type;
	uint8_t flags;
	const char *name;
} facts[] = {
	{ 0, 263, GY_AVP_TYPE_UTF8_STRING, 0x40, "Session-Id" },
	{ 0, 268, GY_AVP_TYPE_UNSIGNED32, 0x40, "Result-Code" },
	{ 0, 279, GY_AVP_TYPE_GROUPED, 0x40, "Failed-AVP" },
	{ 0, 281, GY_AVP_TYPE_UTF8_STRING, 0x00, "Error-Message" },
	{ 0, 294, GY_AVP_TYPE_DIAMETER_IDENTITY, 0x00, "Error-Reporting-Host" },
	{ 0, 416, GY_AVP_TYPE_ENUMERATED, 0x40, "CC-Request-Type" },
	{ 0, 421, GY_AVP_TYPE_UNSIGNED64, 0x40, "CC-Total-Octets" },
	{ 0, 431, GY_AVP_TYPE_GROUPED, 0x40, "Granted-Service-Unit" },
	{ 0, 432, GY_AVP_TYPE_UNSIGNED32, 0x40, "Rating-Group" },
	{ 0, 447, GY_AVP_TYPE_INTEGER64, 0x40, "Value-Digits" },
	{ 0, 451, GY_AVP_TYPE_TIME, 0x40, "Tariff-Time-Change" },
	{ 0, 456, GY_AVP_TYPE_GROUPED, 0x40, "Multiple-Services-Credit-Control" },
	{ 0, 458, GY_AVP_TYPE_GROUPED, 0x00, "User-Equipment-Info" },
	{ 0, 461, GY_AVP_TYPE_UTF8_STRING, 0x40, "Service-Context-Id" },
	{ 10415, 2, GY_AVP_TYPE_OCTET_STRING, 0x80, "3GPP-Charging-Id" },
	{ 10415, 21, GY_AVP_TYPE_OCTET_STRING, 0x80, "3GPP-RAT-Type" },
	{ 10415, 869, GY_AVP_TYPE_UNSIGNED32, 0xc0, "Volume-Quota-Threshold" },
	{ 10415, 872, GY_AVP_TYPE_ENUMERATED, 0xc0, "Reporting-Reason" },
	{ 10415, 873, GY_AVP_TYPE_GROUPED, 0xc0, "Service-Information" },
	{ 10415, 2713, GY_AVP_TYPE_UTF8_STRING, 0xc0, "IMS-Visited-Network-Identifier" },
	{ 10415, 3926, GY_AVP_TYPE_GROUPED, 0xc0, "Related-Trigger" },
	{ GY_VENDOR_GYRO, 1, GY_AVP_TYPE_ENUMERATED, 0x80, "Card-Operation" },
	{ GY_VENDOR_GYRO, 15, GY_AVP_TYPE_GROUPED, 0x80, "Bucket-Trace" },
	{ GY_VENDOR_GYRO, 4095, GY_AVP_TYPE_OCTET_STRING, 0x80, "Gyro-Raw-Request" },
};

static void check_facts(void)
{
	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++) {
		const struct gy_avp_def *def = gy_avp_find(facts[i].vendor, facts[i].code);

		ok(def && def->type == facts[i].type && def->flags == facts[i].flags &&
			   strcmp(def->name, facts[i].name) == 0,
		   facts[i].name);
	}
}

static void check_texts(void)
{
	const struct gy_avp_def *type = gy_avp_find(0, GY_AVP_CC_REQUEST_TYPE);
	const char *text = gy_avp_enum_text(type, 3);

	ok(text && strcmp(text, "TERMINATION_REQUEST") == 0, "an enum value has its text");
	ok(!gy_avp_enum_text(type, 0) && !gy_avp_enum_text(type, 9), "unlisted values have none");
	ok(!gy_avp_enum_text(gy_avp_find(0, GY_AVP_RATING_GROUP), 0), "an integer has no texts");
	ok(!gy_avp_find_name("Session-id") && !gy_avp_find_name(""), "names match exactly");
	ok(!gy_vendor_name(4711), "an unknown vendor has no name");
}

/* For information: no assertion on time. */
static void print_cost(void)
{
	enum { ROUNDS = 20000 };
	struct timespec a, b;
	uintptr_t sink = 0;
	double ns;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned r = 0; r < ROUNDS; r++)
		for (size_t i = 0; i < GY_AVP_TABLE_COUNT; i++)
			sink += (uintptr_t)gy_avp_find(gy_avp_table[i].vendor,
						       gy_avp_table[i].code + (r & 1));
	clock_gettime(CLOCK_MONOTONIC, &b);
	ns = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
	printf("# %u AVPs; a look-up costs %.1f ns (checksum %" PRIxPTR ")\n", GY_AVP_TABLE_COUNT,
	       ns / ROUNDS / GY_AVP_TABLE_COUNT, sink);
}

int main(void)
{
	ok(sorted(), "the table is sorted by vendor and code, without doubles");
	ok(each_found(), "every row is found by code and by name");
	ok(agrees_with_walk(), "90,000 (vendor, code) pairs: the hash finds what a walk finds");
	ok(random_misses(), "a million random pairs are not found");
	ok(sizes_fit_types(), "fixed sizes follow from the types");
	ok(flags_fit_rules(), "flags to send follow from vendor and M rule");
	ok(enums_fit(), "exactly the Enumerated rows have texts, in ascending order");
	check_facts();
	check_texts();
	print_cost();
	printf("1..%u\n", count);
	return failed ? 1 : 0;
}
