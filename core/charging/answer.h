/* The answer to one request: what the CCA says, before it is bytes.
 *
 * Filled by gy_charge_decide or replayed from the store; encoded by extensions/app_gyro. */
#ifndef GY_CHARGING_ANSWER_H
#define GY_CHARGING_ANSWER_H

#include "core/charging/ccr.h"
#include "core/rating/catalogue.h"

/* One MSCC of the answer, in request order (G-42). */
struct gy_service_answer {
	enum gy_rc rc; /* Result-Code of the MSCC, always emitted */
	bool has_rating_group;
	uint32_t rating_group;
	unsigned n_service_ids;
	const uint32_t *service_ids;

	/* Granted-Service-Unit: absent when unit is GY_UNIT_NONE. */
	enum gy_unit unit;
	int64_t granted;
	unsigned directions; /* mask of enum gy_direction: octets go by these names, and */
	int64_t input;       /* so many of them are CC-Input-Octets */
	uint32_t switch_s;   /* Tariff-Time-Change in it, seconds since 1970; 0 = absent */

	/* G-S-U-Pool-Reference: its multiplier is the price of a unit, in micro-units; 0 = absent
	 */
	uint32_t pool;
	struct gy_rate pool_rate;

	uint32_t validity_s;      /* Validity-Time; 0 = absent */
	uint32_t threshold;       /* Volume-, Time- or Unit-Quota-Threshold by unit; 0 = absent */
	uint32_t quota_holding_s; /* Quota-Holding-Time; 0 = absent, GY_QUOTA_HOLDING_OFF = 0 */

	/* For people, if traces are on; NULL: none. Under the request's pool. */
	const char *tariff_trace; /* which rule did what to the price */
	const char *bucket_trace; /* which source gave how many units */

	/* Final-Unit-Indication; policy gives redirect server and filters, NULL if unknown. */
	enum gy_final_unit_action final_unit;
	const struct gy_policy *policy;
	uint32_t redirect_rule; /* a dynamic rule that redirects, instead of the policy; 0: none */
	enum gy_redirect_type redirect_type;
	const char *redirect_address; /* of that rule */
};

/* Gyro's own vendor, whose number the encoder knows. */
#define GY_VENDOR_OWN UINT32_MAX

/* What Failed-AVP names (RFC 6733 §7.5): whole AVPs of the request, header included, or, if
 * avp.data is NULL, an AVP of this code that is missing and is shown zero-filled. */
struct gy_failed_avp {
	uint32_t code;
	uint32_t vendor; /* 0 = IETF, or GY_VENDOR_OWN */
	struct gy_bytes avp;
};

/* Check-Balance-Result (RFC 8506 §8.6), shifted by one. */
enum gy_check_balance { GY_CHECK_ABSENT, GY_CHECK_ENOUGH, GY_CHECK_NO_CREDIT };

struct gy_card_reply; /* card_order.h */

struct gy_answer {
	enum gy_rc rc;
	/* For people, in Error-Message on failures: stable text, no secrets (G-14). */
	const char *message;
	unsigned n_failed;
	struct gy_failed_avp failed[2];

	bool at_command_level; /* the request had its units there: answer in the same style (G-78)
				*/
	unsigned n_services;
	struct gy_service_answer *services;

	enum gy_check_balance check_balance;
	/* Cost-Information; has_cost false: absent. */
	bool has_cost;
	int64_t cost_micros;
	int currency; /* ISO 4217 number of money in the answer; 0: none */

	const struct gy_card_reply *card; /* of a card operation; NULL: none */
	/* A direct debit: Refund-Information of each service that was paid names it by these. */
	bool refundable;
	struct gy_session_key session;
	uint32_t number;

	bool replayed; /* a duplicate's answer, read from the store */
};

#endif
