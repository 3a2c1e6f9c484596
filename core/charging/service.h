/* One service of a request (an MSCC, or the command's own units): debit what was used, then reserve
 * what may be used next. What gy_charge_decide does for each of them, in request order. */
#ifndef GY_CHARGING_SERVICE_H
#define GY_CHARGING_SERVICE_H

#include "core/charging/counters.h"
#include "core/charging/decide.h"
#include "core/rating/generate.h"

/* What is the same for all services of one request. */
struct gy_charging {
	const struct gy_ccr *ccr;
	const struct gy_catalogue *catalogue;
	const struct gy_profile *profile;
	struct gy_account *account;
	const struct gy_homes *homes;
	int session; /* index in the account; -1: it is no longer there (late usage only) */
	gy_time_us now;
	bool may_grant;          /* the session is open and goes on: not a CCR-T, not late usage */
	enum gy_rc denied;       /* what a request for units gets instead of them; GY_OK: nothing */
	int64_t default_group;   /* Rating-Group of services that name none; -1: none (G-44) */
	bool tariff_time_change; /* the gateway reports usage before and after one apart (G-70) */
	enum gy_free_answer free_answer; /* how it is told that a service is free (G-34) */
	bool terminate_only;             /* it knows no other Final-Unit-Action */
	bool pools;                      /* it counts the grants of a pool as one (G-72) */
	struct gy_network network;
	const struct gy_pushed *pushed;
	const struct gy_history *debit; /* what a bound refund gives back; NULL: it is none */
	struct gy_counting counting;
	struct gy_inputs *inputs; /* notes for the record; NULL: none wanted */
};

/* One service on its way through usage.c and grant.c. */
struct gy_servicing {
	const struct gy_charging *c;
	const struct gy_service *service;
	uint32_t rating_group;
	const struct gy_policy *policy; /* NULL: none */
	enum gy_rc tariff_rc;           /* of the results below */
	struct gy_tariff_result tariff; /* now */
	bool cards_only; /* the Rating-Group has no price: cards give, money doesn't */
	bool has_next;   /* tariff ends within a grant's validity, and then: */
	struct gy_tariff_result next;
	struct gy_reservation *row; /* remembers the last grant; NULL: none */
	int64_t carry;              /* of usage without a row, */
	struct gy_rate carry_rate;  /* at this rate */
	int64_t recent_units;       /* reported now, of the last grant, and */
	int64_t recent_s;           /* the time since that; 0: not known */
	size_t inputs_from;         /* what is noted of this service begins there */

	struct gy_service_answer *answer;
	struct gy_charge *charges; /* the service's own, parts of them */
	unsigned n_charges, parts;
};

/* Which Rating-Group, policy, row and price: the start of a service's way. answer and charges are
 * as in gy_service_charge. */
void gy_servicing_begin(struct gy_servicing *s, const struct gy_charging *charging,
			const struct gy_service *service, struct gy_service_answer *answer,
			struct gy_charge *charges, unsigned parts);

/* What the tariff alone makes of the service: GY_OK if it is priced, else 4010, 4011 or 5031. */
enum gy_rc gy_servicing_rc(const struct gy_servicing *s);

/* Debits the service's usage at the price of its grant, releases what it held and, if allowed,
 * reserves anew (G-37…G-50). *answer and *n_charges of charges (room for parts) are filled;
 * the account is changed. */
void gy_service_charge(const struct gy_charging *charging, const struct gy_service *service,
		       struct gy_service_answer *answer, struct gy_charge *charges, unsigned parts,
		       unsigned *n_charges);

/* Puts what leads to the price of a service now on the trace. */
void gy_service_explain(const struct gy_charging *charging, const struct gy_service *service,
			struct gy_trace *trace);

/* What led to the price of one service of the request, as it is after the decision. */
void gy_service_trace(const struct gy_ccr *ccr, const struct gy_view *view,
		      const struct gy_catalogue *catalogue, gy_time_us now, unsigned service,
		      struct gy_trace *trace);

/* usage.c: drains what was used from the grant's sources and pays for it. */
void gy_usage_charge(struct gy_servicing *s);

/* One more row of the record for this service: usage only. */
struct gy_charge *gy_usage_next_part(struct gy_servicing *s);

/* Draws units from cards, as an event does: at once, from as many as it takes. Returns what they
 * don't cover. */
int64_t gy_usage_draw(struct gy_servicing *s, int64_t units);

/* Pays for units at today's tariff, free ones first. */
void gy_usage_pay(struct gy_servicing *s, int64_t units);

/* Debits an amount of money as it is (CC-Money); negative: credits it. */
void gy_usage_pay_money(struct gy_servicing *s, int64_t micros);

/* grant.c: sizes the next grant and holds what it may cost. */
void gy_grant(struct gy_servicing *s);

/* The Validity-Time of what holds until end_us: the policy's, but never beyond that nor the
 * account's own end, never 0 (G-66). Seconds. */
uint32_t gy_validity(const struct gy_servicing *s, gy_time_us end_us);

/* From now on the row is priced by today's tariff; its remainder goes along. */
void gy_row_reprice(struct gy_reservation *row, enum gy_unit unit, struct gy_rate rate,
		    int64_t rule_id);

#endif
