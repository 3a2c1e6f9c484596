/* Quantities. Money and units are one-member structs, so that mixing them does not compile. */
#ifndef GY_BASE_UNITS_H
#define GY_BASE_UNITS_H

#include <stdint.h>
#include <stddef.h>

/* 10^-6 of the account's currency unit; signed. */
struct gy_money {
	int64_t micros;
};

/* What credit control counts (RFC 8506 §8.17). The values are stored: never renumber. */
enum gy_unit {
	GY_UNIT_NONE = 0,
	GY_UNIT_OCTETS = 1,  /* CC-Total-Octets, or input + output */
	GY_UNIT_SECONDS = 2, /* CC-Time */
	GY_UNIT_SERVICE = 3, /* CC-Service-Specific-Units */
	GY_UNIT_MONEY = 4,   /* CC-Money, micro-units */
};
#define GY_UNIT_COUNT 5

/* Names for octets in one direction; a mask, 0: CC-Total-Octets. The values are stored. */
enum gy_direction {
	GY_DIRECTION_INPUT = 1,  /* CC-Input-Octets: from the user */
	GY_DIRECTION_OUTPUT = 2, /* CC-Output-Octets: to the user */
};

/* A number of units of the kind that stands beside it; never negative. */
struct gy_units {
	int64_t count;
};

/* Bytes inside somebody else's buffer; not terminated. */
struct gy_bytes {
	const uint8_t *data;
	size_t len;
};

/* Microseconds since 1970-01-01 00:00:00 UTC. */
typedef int64_t gy_time_us;

#define GY_SECOND_US INT64_C(1000000)

static inline struct gy_money gy_money(int64_t micros)
{
	return (struct gy_money){ micros };
}

static inline struct gy_units gy_units(int64_t count)
{
	return (struct gy_units){ count };
}

const char *gy_unit_name(enum gy_unit unit);

#endif
