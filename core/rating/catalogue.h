/* The catalogue: what is sold at which price, compiled into one immutable snapshot.
 *
 * Built by core/store/catalogue.c (or by a test), then only read; a new version is a new snapshot,
 * swapped whole between two batches and never in mid-request. */
#ifndef GY_RATING_CATALOGUE_H
#define GY_RATING_CATALOGUE_H

#include <stdbool.h>

#include "core/base/result.h"
#include "core/base/units.h"

/* A Quota-Holding-Time of 0, by which the gateway keeps what isn't used (TS 32.299 §7.2.131).
 * Stored: the largest number there is room for. */
#define GY_QUOTA_HOLDING_OFF 65535u

/* Final-Unit-Action (RFC 8506 §8.35). Stored: never renumber. */
enum gy_final_unit_action {
	GY_FINAL_NONE = -1,
	GY_FINAL_TERMINATE = 0,
	GY_FINAL_REDIRECT = 1,
	GY_FINAL_RESTRICT_ACCESS = 2,
};

/* Redirect-Address-Type (RFC 8506 §8.38). */
enum gy_redirect_type {
	GY_REDIRECT_IPV4 = 0,
	GY_REDIRECT_IPV6 = 1,
	GY_REDIRECT_URL = 2,
	GY_REDIRECT_SIP_URI = 3,
};

/* How grants of one Rating-Group are sized and shaped. */
struct gy_policy {
	uint32_t rating_group;
	int64_t default_grant;    /* units, when the request names no amount */
	int64_t max_grant;        /* units; no grant is larger */
	int64_t min_grant;        /* units; no adaptive grant is made smaller */
	uint32_t target_s;        /* seconds an adaptive grant should last; 0: fixed size */
	unsigned validity_jitter; /* percent by which Validity-Time may be shorter */
	uint32_t pool;     /* G-S-U-Pool-Identifier: shares its credit with others of it; 0: none */
	int64_t threshold; /* remaining units at which the gateway reports; 0 = none */
	uint32_t validity_s;
	uint32_t quota_holding_s; /* 0: not told; GY_QUOTA_HOLDING_OFF: told as 0 */
	enum gy_final_unit_action final_unit;
	enum gy_redirect_type redirect_type;
	const char *redirect_address; /* NULL unless REDIRECT */
	unsigned n_filter_ids;
	const char *const *filter_ids; /* Filter-Id of RESTRICT_ACCESS and REDIRECT */
	unsigned n_filter_rules;
	const char *const *filter_rules; /* Restriction-Filter-Rule, likewise */
	uint32_t quota_consumption_s;    /* with grants of time; 0 = none */
	bool has_triggers;               /* Trigger is sent with each grant, */
	unsigned n_triggers;
	const uint32_t *triggers; /* with these Trigger-Types; none: all are off (G-52) */
};

/* What a specific tariff says about a Rating-Group (spec/tariffs.md S-3). */
enum gy_rule_kind {
	GY_RULE_PRICED = 0,
	GY_RULE_FREE = 1,      /* 4011 */
	GY_RULE_FORBIDDEN = 2, /* 4010 */
};

/* A price: micro-units per block of so many units. Never rounded up to blocks: linear. */
struct gy_rate {
	int64_t price_micros; /* >= 0 */
	int64_t block;        /* units, > 0 */
};

struct gy_specific_rule {
	int64_t rule_id;
	int32_t tariff_id; /* the specific tariff code */
	uint32_t rating_group;
	enum gy_unit unit;
	enum gy_rule_kind kind;
	struct gy_rate rate;
	gy_time_us valid_from_us; /* [from, until) */
	gy_time_us valid_until_us;
};

/* A service context that this node charges (G-30). */
struct gy_service_context {
	const char *suffix;           /* e.g. "32251@3gpp.org" */
	int64_t default_rating_group; /* for requests that name none (G-44); -1 = none */
	bool cards;                   /* card operations, not usage (spec/cards.md) */
	unsigned n_apns;
	const char *const *apns; /* lower case, without operator identifier; none: all (G-21) */
};

/* How a gateway is told that a service is free of charge (G-34). Stored: never renumber. */
enum gy_free_answer {
	GY_FREE_BY_SERVICE = 0, /* 4011 in the MSCC */
	GY_FREE_BY_COMMAND = 1, /* 4011 at command level and no session, if it asks for nothing else
				 */
	GY_FREE_BY_GRANT = 2,   /* 2001, and units that cost nothing */
};

/* What differs for the gateways of one identity or realm (spec/clients.md). */
struct gy_peer_profile {
	const char *peer;        /* Origin-Host, or "*.realm": every host below it */
	bool tariff_time_change; /* it reports usage before and after one apart (G-70) */
	enum gy_free_answer free_answer;
	bool terminate_only; /* Final-Unit-Action is TERMINATE, whatever the policy says */
	bool credit_pools;   /* it counts the grants of a pool as one (G-72) */
	bool keeps_sessions; /* a greater Origin-State-Id ends none of its sessions (G-92) */
};

struct gy_dynamic;

struct gy_catalogue {
	int64_t version;
	unsigned n_policies;
	const struct gy_policy *policies; /* by rating_group */
	unsigned n_rules;
	const struct gy_specific_rule *rules; /* by tariff_id, rating_group, unit, valid_from_us */
	unsigned n_contexts;
	const struct gy_service_context *contexts;
	unsigned n_peers;
	const struct gy_peer_profile *peers; /* the most specific first */
	const struct gy_dynamic *dynamic;    /* dynamic tariffs, compiled (dynamic.h); NULL: none */
};

/* The policy of a Rating-Group, NULL if it has none. */
const struct gy_policy *gy_policy_find(const struct gy_catalogue *catalogue, uint32_t rating_group);

/* The context of a Service-Context-Id: equal to the suffix, or ending in "." + suffix (G-30). NULL
 * if none. */
const struct gy_service_context *gy_context_find(const struct gy_catalogue *catalogue,
						 struct gy_bytes service_context_id);

/* May this APN be used in the context? A request that names none (len 0) is not refused for it. */
bool gy_context_allows_apn(const struct gy_service_context *context, struct gy_bytes apn);

/* The profile of an Origin-Host, compared without regard to case; NULL: none, all defaults. */
const struct gy_peer_profile *gy_peer_profile_find(const struct gy_catalogue *catalogue,
						   struct gy_bytes origin_host);

#endif
