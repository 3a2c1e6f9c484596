/* Attributes: what of a subscriber, a request, the clock or the network a price may follow
 * (spec/tariffs.md S-4, S-5, S-8, S-11).
 *
 * Values are typed; one table of types says where each comes from, and rules don't care. All arrays
 * belong to the caller: the profile's, the request's, the node's. Nothing here is checked twice:
 * the database refuses a value of a wrong type when it is written. */
#ifndef GY_RATING_ATTRIBUTE_H
#define GY_RATING_ATTRIBUTE_H

#include <stdbool.h>

#include "core/base/result.h"
#include "core/base/units.h"

/* Longest text value, octets. */
#define GY_TEXT_MAX 255
/* A decimal is a number of millionths, like money. */
#define GY_DECIMAL_SCALE INT64_C(1000000)

/* Stored in gyro.attribute_type.value_type: never renumber. */
enum gy_value_type {
	GY_VALUE_NONE = 0, /* no value: missing, or an open end of a range */
	GY_VALUE_INTEGER = 1,
	GY_VALUE_DECIMAL = 2, /* number = value * GY_DECIMAL_SCALE */
	GY_VALUE_TEXT = 3,
	GY_VALUE_BOOLEAN = 4, /* number = 0 or 1 */
	GY_VALUE_TIME = 5,    /* number = gy_time_us */
};

struct gy_value {
	enum gy_value_type type;
	int64_t number;       /* all but text */
	struct gy_bytes text; /* text only; UTF-8, compared octet by octet */
};

/* Stored in gyro.attribute_type.source. */
enum gy_attribute_source {
	GY_SOURCE_STORED = 1,
	GY_SOURCE_REQUEST = 2,
	GY_SOURCE_CLOCK = 3,
	GY_SOURCE_COUNTER = 4,
	GY_SOURCE_PUSHED = 5,
};

/* What of its source an attribute is. Stored in gyro.attribute_type.derivation. */
enum gy_derivation {
	GY_DERIVE_NONE = 0, /* stored: the value itself */

	/* request */
	GY_DERIVE_ROAMING = 1, /* boolean: the serving network is none of the home networks */
	GY_DERIVE_SERVING_NETWORK = 2, /* text: MCC and MNC, digits (3GPP-SGSN-MCC-MNC) */
	GY_DERIVE_SERVING_COUNTRY = 3, /* text: MCC */
	GY_DERIVE_RAT = 4,             /* integer: 3GPP-RAT-Type (TS 29.061) */
	GY_DERIVE_CELL = 5,            /* text: of 3GPP-User-Location-Info, see network.h */
	GY_DERIVE_AREA = 6,            /* text: of 3GPP-User-Location-Info, see network.h */
	GY_DERIVE_APN = 7, /* text: Called-Station-Id in lower case, without operator identifier */
	GY_DERIVE_CHARACTERISTICS = 8, /* text: 3GPP-Charging-Characteristics, 4 hex digits */
	GY_DERIVE_RULE_BASE = 9,       /* text: Charging-Rule-Base-Name, as it is */

	/* clock, local time of the subscriber's zone; integers but for the holiday */
	GY_DERIVE_HOUR = 20,          /* 0..23 */
	GY_DERIVE_MINUTE_OF_DAY = 21, /* 0..1439 */
	GY_DERIVE_WEEKDAY = 22,       /* 1 Monday .. 7 Sunday (ISO 8601) */
	GY_DERIVE_DAY_OF_MONTH = 23,  /* 1..31 */
	GY_DERIVE_MONTH = 24,         /* 1..12 */
	GY_DERIVE_HOLIDAY = 25,       /* boolean: the local date is in the type's calendar */

	/* counters of the local day or month; units: integer, money: decimal of the currency unit
	 */
	GY_DERIVE_UNITS_DAY = 40,
	GY_DERIVE_UNITS_MONTH = 41,
	GY_DERIVE_MONEY_DAY = 42,
	GY_DERIVE_MONEY_MONTH = 43,

	/* pushed: what the value is looked up by */
	GY_DERIVE_OF_ALL = 60, /* one value for everybody */
	GY_DERIVE_OF_CELL = 61,
	GY_DERIVE_OF_AREA = 62,
	GY_DERIVE_OF_NETWORK = 63, /* serving network */
	GY_DERIVE_OF_APN = 64,
};

/* What an attribute's change does to open sessions. Stored in gyro.attribute_type.on_change. */
enum gy_on_change {
	GY_CHANGE_REAUTH = 1,   /* RAR now */
	GY_CHANGE_NEXT = 2,     /* at the next report */
	GY_CHANGE_VALIDITY = 3, /* at the end of the grant's validity */
};

struct gy_attribute_type {
	int32_t attribute_id; /* > 0 */
	const char *name;
	enum gy_attribute_source source;
	enum gy_derivation derivation;
	enum gy_value_type type;
	enum gy_on_change on_change;
	struct gy_value fallback; /* the default; GY_VALUE_NONE: none */
	int32_t calendar_id;      /* of GY_DERIVE_HOLIDAY */
	bool all_groups;          /* counters: over all Rating-Groups, not the one that is priced */
};

/* A stored value of a subscriber, [from, until). At most one is in force at a time. */
struct gy_attribute_value {
	int32_t attribute_id;
	struct gy_value value;
	gy_time_us valid_from_us, valid_until_us;
};

/* A dynamic tariff code of a subscriber (S-2), [from, until). */
struct gy_code_assignment {
	int32_t code_id;
	gy_time_us valid_from_us, valid_until_us;
};

/* The tariff half of a subscriber's profile; arrays in any order. */
struct gy_attributes {
	int32_t zone_id; /* the subscriber's time zone, 0: the snapshot's default */
	unsigned n_values;
	const struct gy_attribute_value *values;
	unsigned n_codes;
	const struct gy_code_assignment *codes;
};

#define GY_CHARACTERISTICS_LEN 4

/* What of Service-Information a price may follow (spec/gy.md 1.4), as received; empty = absent. */
struct gy_network {
	struct gy_bytes apn;             /* Called-Station-Id */
	struct gy_bytes serving_mcc_mnc; /* 3GPP-SGSN-MCC-MNC, digits */
	struct gy_bytes rat_type;        /* 3GPP-RAT-Type, raw octet */
	struct gy_bytes location;        /* 3GPP-User-Location-Info, raw */
	struct gy_bytes characteristics; /* 3GPP-Charging-Characteristics */
	struct gy_bytes rule_base;       /* Charging-Rule-Base-Name */
};

/* What was used and paid in the local day and month of at_us. */
struct gy_counted {
	int64_t units_day, units_month;
	int64_t money_day_micros, money_month_micros;
};

/* Units that one FREE rule has given away in the local day of gy_counters.at_us. */
struct gy_free_used {
	int64_t rule_id; /* 0: any that isn't listed */
	int64_t units;
	int64_t later; /* of a later day, promised already */
};

/* Counters of a subscriber as of at_us. Of a later local day (month) they count as zero. */
struct gy_counters {
	gy_time_us at_us;
	struct gy_counted group; /* of the Rating-Group and unit that are priced */
	struct gy_counted all;   /* of all Rating-Groups in that unit; money: of all of them */
	unsigned n_free;
	const struct gy_free_used *free;
};

/* A value pushed from outside, e.g. the congestion of a cell. [from, until). */
struct gy_pushed_value {
	int32_t attribute_id;
	struct gy_bytes scope; /* the cell, area, network or APN in the words of enum gy_derivation;
				  empty: all */
	struct gy_value value;
	gy_time_us valid_from_us, valid_until_us;
};

/* All pushed values that a node knows: a snapshot of its own, changing faster than the rules. */
struct gy_pushed {
	unsigned n_values;
	const struct gy_pushed_value *values; /* ordered by gy_pushed_compare */
};

/* Order of gy_pushed.values: attribute_id, scope, valid_from_us. For qsort. */
int gy_pushed_compare(const void *a, const void *b);

/* -1, 0 or 1. Values of different types are ordered by type. */
int gy_value_compare(const struct gy_value *a, const struct gy_value *b);

/* Longest cell or area text, without an end mark. */
#define GY_LOCATION_MAX 24

#endif
