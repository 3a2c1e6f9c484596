/* One credit-control request, as the core sees it: decoded, validated for form, not yet judged.
 *
 * Made by extensions/app_gyro (decode.c) or by a test; all pointers live in the request's pool or
 * in the bytes it was received in, and outlive the decision. Follows RFC 8506 §3.1 and TS 32.299.
 */
#ifndef GY_CHARGING_CCR_H
#define GY_CHARGING_CCR_H

#include <stdbool.h>

#include "core/base/limits.h"
#include "core/base/result.h"
#include "core/base/units.h"

/* CC-Request-Type (RFC 8506 §8.3); stored. */
enum gy_request_type {
	GY_INITIAL = 1,
	GY_UPDATE = 2,
	GY_TERMINATION = 3,
	GY_EVENT = 4,
};

/* Requested-Action (RFC 8506 §8.41). Meaningful only with GY_EVENT: some gateways send it always.
 */
enum gy_requested_action {
	GY_ACTION_NONE = -1,
	GY_DIRECT_DEBITING = 0,
	GY_REFUND_ACCOUNT = 1,
	GY_CHECK_BALANCE = 2,
	GY_PRICE_ENQUIRY = 3,
};

/* Tariff-Change-Usage (RFC 8506 §8.27). */
enum gy_tariff_change_usage {
	GY_TCU_ABSENT = -1,
	GY_TCU_BEFORE = 0,
	GY_TCU_AFTER = 1,
	GY_TCU_INDETERMINATE = 2,
};

/* Reporting-Reason (TS 32.299 §7.2.175); a set of them is a mask of 1 << reason. */
enum gy_reporting_reason {
	GY_REASON_THRESHOLD = 0,
	GY_REASON_QHT = 1,
	GY_REASON_FINAL = 2,
	GY_REASON_QUOTA_EXHAUSTED = 3,
	GY_REASON_VALIDITY_TIME = 4,
	GY_REASON_OTHER_QUOTA_TYPE = 5,
	GY_REASON_RATING_CONDITION_CHANGE = 6,
	GY_REASON_FORCED_REAUTHORISATION = 7,
	GY_REASON_POOL_EXHAUSTED = 8,
	GY_REASON_UNUSED_QUOTA_TIMER = 9,
	GY_REASON_OTHER = 31, /* a value this table doesn't know (G-11) */
};

/* Order of look-up (G-16). Values are stored in subscriber_identity.kind: never renumber. */
enum gy_identity_kind {
	GY_IDENTITY_IMSI = 1,
	GY_IDENTITY_E164 = 2, /* digits, without '+' */
	GY_IDENTITY_NAI = 3,
	GY_IDENTITY_SIP_URI = 4,
	GY_IDENTITY_PRIVATE = 5,
	GY_IDENTITY_USER_NAME = 6, /* looked up as given, then as NAI, IMSI and E164 */
};

struct gy_identity {
	enum gy_identity_kind kind;
	struct gy_bytes value;
	struct gy_bytes avp; /* the whole Subscription-Id (or User-Name) AVP, for Failed-AVP */
};

/* A session's key: a 128-bit hash (XXH3) of Session-Id and CC-Sub-Session-Id. */
struct gy_session_key {
	uint64_t hi;
	uint64_t lo;
};

/* Currency-Code: an ISO 4217 number, 0: absent, -1: none that there is. */
struct gy_currency {
	int code;
	struct gy_bytes avp; /* the whole AVP, for Failed-AVP */
};

/* One Used-Service-Unit. total = CC-Total-Octets, or input + output when that is absent (G-41). */
struct gy_used {
	bool present[GY_UNIT_COUNT];
	int64_t count[GY_UNIT_COUNT]; /* by enum gy_unit, 0 where absent */
	struct gy_currency currency;  /* of its CC-Money */
	enum gy_tariff_change_usage tariff_change;
};

/* One MSCC of the request, or the command-level units of a client without MSCC. */
struct gy_service {
	bool has_rating_group;
	uint32_t rating_group;
	struct gy_bytes rating_group_avp; /* the whole AVP, for Failed-AVP; data NULL: none */
	unsigned n_service_ids;
	const uint32_t *service_ids; /* in the order of the request; echoed */
	int64_t service_key;         /* identifies the set of them: 0 none (gy_service_key) */

	bool requested; /* a Requested-Service-Unit is there (possibly empty) */
	bool requested_present[GY_UNIT_COUNT];
	int64_t requested_count[GY_UNIT_COUNT];
	unsigned requested_directions;         /* mask of enum gy_direction: how octets are named */
	int64_t requested_input;               /* of the requested octets: CC-Input-Octets */
	struct gy_currency requested_currency; /* of a requested CC-Money */

	unsigned n_used;
	const struct gy_used *used;

	struct gy_bytes refund_avp; /* Refund-Information, the whole AVP; data NULL: none (G-75) */
	uint32_t reasons;    /* mask of 1 << enum gy_reporting_reason, from the MSCC and its USUs
				(G-53) */
	struct gy_bytes avp; /* the whole MSCC AVP */
};

/* What of Service-Information a price may depend on (spec/gy.md 1.4). Empty = absent. */
struct gy_conditions {
	struct gy_bytes apn;             /* Called-Station-Id */
	struct gy_bytes serving_mcc_mnc; /* 3GPP-SGSN-MCC-MNC, digits */
	struct gy_bytes rat_type;        /* 3GPP-RAT-Type, raw octet */
	struct gy_bytes location;        /* 3GPP-User-Location-Info, raw */
	struct gy_bytes time_zone;       /* 3GPP-MS-TimeZone, raw */
	struct gy_bytes charging_characteristics;
	struct gy_bytes rule_base; /* Charging-Rule-Base-Name */
};

struct gy_card_order; /* card_order.h */

/* Which debit of ours a refund gives back (G-75), as its answer's Refund-Information told. Such a
 * request is decided as one more of that event: session and number of its gy_ccr are the debit's
 * session and gy_refund_number, so that a second refund is a second request of one number. */
struct gy_refund {
	bool bound;
	uint32_t number; /* the debit's CC-Request-Number */
	unsigned place;  /* which service of it */
};

/* What a debit may have so that gy_refund_number is unlike that of any other refund. */
#define GY_REFUND_NUMBER_MAX 0x7fffffu
#define GY_REFUND_PLACE_MAX  0xffu

struct gy_ccr {
	struct gy_session_key session;
	struct gy_bytes session_id;
	bool has_sub_session;
	uint64_t sub_session;
	enum gy_request_type type;
	uint32_t number;
	uint32_t end_to_end;
	bool retransmitted; /* T bit: a hint only (G-84) */
	/* XXH3-64 of everything that makes this request this request: all AVPs but Proxy-Info,
	 * Route-Record, Destination-Host, Event-Timestamp, Origin-State-Id. Tells a resend from a
	 * reused number (G-86). */
	uint64_t content_hash;

	struct gy_bytes origin_host;
	struct gy_bytes origin_realm;
	bool has_origin_state;
	uint32_t origin_state;
	int64_t gateway_id; /* gyro.gateway row of origin_host; filled by the store */

	struct gy_bytes service_context; /* Service-Context-Id */
	/* For Failed-AVP: whole AVPs, header included; data NULL if the caller has no bytes. */
	struct gy_bytes service_context_avp, number_avp;
	enum gy_requested_action action;
	struct gy_refund refund;
	bool multiple_services; /* Multiple-Services-Indicator 1 */
	int termination_cause;  /* 0 = absent */
	/* Termination-Cause, CC-Correlation-Id, Acct-Multi-Session-Id as lines of text, for the
	 * record only (G-31); empty: none of them was there. */
	struct gy_bytes correlation;

	unsigned n_identities;
	const struct gy_identity *identities; /* in look-up order (G-16) */

	bool services_at_command_level; /* no MSCC: services[0], if any, holds the command's units
					   (G-78) */
	unsigned n_services;
	const struct gy_service *services; /* in request order */

	struct gy_conditions conditions;

	const struct gy_card_order *card_order; /* what Gyro's own AVPs ask; NULL: none is there */
};

/* The number under which the refund of a debit's service is remembered; beyond those of requests.
 */
uint32_t gy_refund_number(uint32_t number, unsigned place);

/* Tells realms apart, as far as 30 bits can; case does not matter (RFC 6733 §4.3.1). Never 0. */
uint32_t gy_realm_key(struct gy_bytes realm);

/* The first currency in the request's amounts that is another than this one; NULL: there is none.
 */
const struct gy_currency *gy_currency_other(const struct gy_ccr *ccr, int code);

/* The key of a set of Service-Identifiers: 0 for none, the identifier + 1 for one, a negative
 * 63-bit hash that does not depend on their order for more. */
int64_t gy_service_key(const uint32_t *service_ids, unsigned n);

/* False: the kind of units is left to us (G-39). */
bool gy_service_names_units(const struct gy_service *service);

#endif
