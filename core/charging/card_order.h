/* Card operations (spec/cards.md Z-2 to Z-12): what a request of the cards' Service-Context asks,
 * and what is answered.
 *
 * Only carried here: the decision is one SQL function, gyro.card_request, because operations are
 * rare, span several tables, and other systems call it, too. */
#ifndef GY_CHARGING_CARD_ORDER_H
#define GY_CHARGING_CARD_ORDER_H

#include "core/charging/answer.h"
#include "core/charging/ccr.h"

/* Card-Operation; its values are the wire's and the database's. */
enum gy_card_operation {
	GY_CARD_PURCHASE = 0,
	GY_CARD_BIND = 1,
	GY_CARD_UNBIND = 2,
	GY_CARD_STATISTICS = 3,
	GY_CARD_SET_PRIORITY = 4,
	GY_CARD_CANCEL = 5,
};

/* Own AVPs of a request by their codes, 1 to 13 (dict/avps.csv). */
enum gy_own_avp {
	GY_OWN_OPERATION = 1,
	GY_OWN_PRODUCT = 2,
	GY_OWN_PURCHASE = 3,
	GY_OWN_CARD = 4,
	GY_OWN_USER_CLASS = 5,
	GY_OWN_DIRECTED = 6,
	GY_OWN_APP = 7,
	GY_OWN_URL = 8,
	GY_OWN_FLOW = 9,
	GY_OWN_PRIORITY = 11,
	GY_OWN_BENEFICIARY = 13,
	GY_OWN_AVPS = 14,
};

/* One Directed-Traffic-Info; what it lacks has data NULL. Whole AVPs are for Failed-AVP. */
struct gy_directed {
	struct gy_bytes app, url, flow;
	struct gy_bytes avp, app_avp, url_avp, flow_avp;
};

struct gy_card_order {
	/* What is wrong with the own AVPs, as an answer; rc GY_OK: nothing. Told only where card
	 * operations are asked for: anywhere else own AVPs are ignored (M clear). */
	struct gy_answer fault;

	enum gy_card_operation operation;
	struct gy_bytes product, purchase, card; /* data NULL: absent */
	struct gy_identity beneficiary;          /* value.data NULL: the requester */
	int64_t priority;                        /* -1: absent */
	unsigned n_directed;
	const struct gy_directed *directed;

	/* Whole AVPs of the request, for Failed-AVP; data NULL: not there. own: by code, the first
	 * one of each. */
	struct gy_bytes own[GY_OWN_AVPS];
	struct gy_bytes request_type, requested_action, used_unit;
};

/* A line of Card-Statistics. */
struct gy_card_usage {
	struct gy_bytes card;
	uint32_t rating_group;
	enum gy_unit unit;
	int64_t used;
	gy_time_us from_us, until_us; /* the window */
	int64_t amount;               /* micro-units */
	uint64_t window_id;
};

/* What the answer says beyond struct gy_answer. */
struct gy_card_reply {
	struct gy_bytes purchase, card; /* data NULL: absent */
	int64_t binding_id;             /* 0: absent */
	int user_class;                 /* -1: absent */
	int64_t priority;               /* -1: absent */
	unsigned n_targets;
	const uint32_t *targets; /* Rating-Groups of a directed binding, ascending */
	unsigned n_usage;
	const struct gy_card_usage *usage;
};

#endif
