/* Card operations as gyroctl asks for them: gyro.card_request, the same entry that nodes use.
 *
 * A refusal is an error like any other: one line with the Result-Code and the cause. */
#ifndef GY_CTL_ORDER_H
#define GY_CTL_ORDER_H

#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"

/* Card-Operation. */
enum gy_card_operation {
	GY_CARD_PURCHASE = 0,
	GY_CARD_BIND = 1,
	GY_CARD_UNBIND = 2,
	GY_CARD_STATISTICS = 3,
	GY_CARD_SET_PRIORITY = 4,
	GY_CARD_CANCEL = 5,
};

/* Requested-Action (RFC 8506 8.41). */
enum gy_requested_action {
	GY_ACTION_DIRECT_DEBITING = 0,
	GY_ACTION_REFUND = 1,
	GY_ACTION_CHECK_BALANCE = 2,
	GY_ACTION_PRICE_ENQUIRY = 3,
};

struct gy_order {
	enum gy_card_operation operation;
	enum gy_requested_action action;
	int request_type;        /* 4: at once; 1 and 3: a purchase in steps, of one session */
	int units;               /* confirmed by type 3; -1: none */
	const char *session;     /* uuid; NULL: a new one */
	const char *requester;   /* a subscriber's number */
	const char *beneficiary; /* likewise; NULL: the requester */
	const char *product, *purchase, *card; /* NULL: none */
	const char *priority;                  /* NULL: none */
	const char *apps, *urls, *flows;       /* directed info, a line each; NULL: none */
};

/* One row: the reply's columns (schema/008). NULL after an error or a refusal. */
struct gy_rows *gy_order_send(struct gy_ctl *ctl, const struct gy_order *order);

/* The row of a card by its code: card_id, owner, beneficiary, account_id. NULL after an error. */
struct gy_rows *gy_order_card(struct gy_ctl *ctl, const char *code);

#endif
