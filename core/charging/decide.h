/* The decision: reserve, confirm, debit, release. The heart of Gyro, and a pure function.
 *
 * gy_charge_decide turns a request, the account it touches, the catalogue and the time into a plan:
 * the changed account, a record and an answer. It does no I/O and allocates nothing; the same
 * function serves the node, the .case tests and the simulation. */
#ifndef GY_CHARGING_DECIDE_H
#define GY_CHARGING_DECIDE_H

#include "core/charging/account.h"
#include "core/charging/answer.h"

/* What gyro.session_index and gyro.record know of a session that the account row no longer (or not
 * completely) remembers. Loaded only when gy_charge_decide asks for it. */
struct gy_history {
	bool known; /* the session exists, or existed */
	int64_t account_id;
	int64_t subscriber_id;
	int64_t gateway_id;
	uint32_t realm; /* of that gateway: gy_realm_key; 0: not known */
	gy_time_us opened_us;
	gy_time_us ended_us; /* last record of its end; opened_us if none was found */

	bool found; /* a record of this very (type, number) */
	uint64_t content_hash;
	uint32_t end_to_end;
	enum gy_rc rc;
	unsigned n_rows;
	const struct gy_kept_answer *rows; /* its answer; session indexes are meaningless */

	/* Only for a bound refund: the debit of this session that it is to give back. */
	bool debit_found;
	enum gy_unit debit_unit;
	int64_t debit_units, debit_micros;
	bool debit_took_cards; /* units of it were of traffic cards */
};

struct gy_view {
	struct gy_account *account; /* changed in place; room for one request (gy_account_room) */
	struct gy_homes homes;      /* rows of cards, that one among them if it has any; the same */
	const struct gy_profile *profile;
	bool session_indexed;   /* CCR-I, CCR-E: session_index already has this Session-Id */
	bool session_elsewhere; /* ... of another account */
	const struct gy_history *history; /* NULL: not loaded */
	int64_t late_window_us;
	unsigned supervision; /* so many Validity-Times until a silent session ends; 0: 2 */
	const struct gy_pushed *pushed; /* NULL: none */
};

/* Flags of a record and of a charge. Stored. */
enum gy_charge_flag {
	GY_CHARGE_OVERRUN = 1,         /* balance below its limit by booked over-use (G-37) */
	GY_CHARGE_UNRATED = 2,         /* usage without a tariff: recorded, not debited */
	GY_CHARGE_LATE = 4,            /* usage of an ended session (G-24, G-28) */
	GY_CHARGE_NO_RATING_GROUP = 8, /* the request named none (G-44) */
	GY_CHARGE_PART = 16,           /* more of the usage of the service before it */
	GY_CHARGE_EVENT = 64,          /* granted is paid already, nothing is held (RFC 8506 §6) */
	GY_CHARGE_SLICED = 32, /* the grant has slices: reserved is not rate times granted */
	GY_CHARGE_SHRUNK =
		256, /* with PART: no usage, but what another of its pool left of a grant */
};

/* Flags of a record from this bit on: enum gy_identity_kind, by which the subscriber was found. */
#define GY_RECORD_FOUND_BY 8

/* Parts in which the usage of one service can be drained: cards, free units and money, before and
 * after a change of tariff, and beyond the grant; and what was used in another unit. */
#define GY_PARTS_MAX       8 /* without cards */
#define GY_PARTS_MAX_CARDS (4 * GY_CARDS_PER_GRANT + GY_PARTS_MAX)

/* One service of a record: what was used, debited, granted and held. Usage from more than one
 * source, or at more than one price, has further rows with GY_CHARGE_PART, in which only the used
 * and debit fields mean something, or, with GY_CHARGE_SHRUNK, only those of the grant. */
struct gy_charge {
	uint32_t rating_group;
	int64_t service_key;
	enum gy_rc rc;
	enum gy_unit unit;
	enum gy_final_unit_action final_unit;
	uint32_t quota_holding_s;
	int64_t used;        /* units */
	int64_t debit;       /* micro-units */
	int64_t granted;     /* units */
	int64_t reserved;    /* micro-units held after the request */
	struct gy_rate rate; /* of the grant */
	int64_t carry;
	int64_t rule_id;
	uint32_t validity_s;
	uint32_t threshold;
	unsigned flags;
	struct gy_rate debit_rate; /* at which the usage was debited; block 0 if none was */
	enum gy_from from;         /* what the usage was drained from; 0: nothing */
	int64_t from_id;
	uint32_t switch_s;
	uint32_t redirect_rule;
	uint32_t pool;       /* of the grant; 0: none */
	unsigned directions; /* of the grant, mask of enum gy_direction */
};

/* Text that the decision writes into the caller's memory; room 0: it is not wanted. */
struct gy_inputs {
	char *text;
	size_t room, len;
};

/* One row of gyro.record. */
struct gy_record {
	gy_time_us at_us;
	int64_t account_id, group_id, subscriber_id, gateway_id;
	struct gy_session_key session;
	gy_time_us opened_us;
	int type; /* enum gy_request_type; 0: ended by supervision or operator */
	uint32_t number;
	uint32_t end_to_end;
	uint64_t content_hash;
	int64_t debit, balance, reserved;
	enum gy_rc rc;
	unsigned flags;
	int64_t catalogue; /* version that priced it */
	unsigned n_charges;
	struct gy_charge *charges;
	struct gy_inputs inputs;     /* what dynamic rules looked at, see inputs.h */
	struct gy_bytes correlation; /* the request's */
};

struct gy_plan {
	/* The caller's memory: room for at least gy_plan_room services, and for gy_plan_parts
	 * charges each. */
	unsigned room, parts;
	struct gy_service_answer *services;
	struct gy_charge *charges;
	struct gy_inputs inputs;

	struct gy_answer answer;
	bool changed; /* account differs: it and the record must be written */
	struct gy_record record;
	bool opened; /* a session_index row is due, to be looked at at check_at_us */
	gy_time_us check_at_us;
	bool unmatched; /* usage of an unknown session, to be kept for the operator (G-24) */
};

/* Charges that each service of this request may need. */
unsigned gy_plan_parts(const struct gy_account *account, const struct gy_profile *profile);

/* Elements that plan->services needs for this request; plan->charges gy_plan_parts times as many.
 */
unsigned gy_plan_room(const struct gy_ccr *ccr, const struct gy_account *account,
		      const struct gy_history *history);

/* What one request may add to an account of this profile, and to each of the cards' accounts. */
struct gy_room gy_account_room(const struct gy_ccr *ccr, const struct gy_account *account,
			       const struct gy_profile *profile);

/* Decides one request (RFC 8506 §5, rules G-16…G-69, G-84…G-93).
 * Returns GY_OK: *plan holds the answer, and, if plan->changed, *view->account is the new state;
 * GY_NEED_HISTORY: nothing changed, call again with view->history. Nothing else: refusals are
 * answers. */
enum gy_rc gy_charge_decide(const struct gy_ccr *ccr, struct gy_view *view,
			    const struct gy_catalogue *catalogue, gy_time_us now,
			    struct gy_plan *plan) GY_MUST_CHECK;

/* Answers without an account: subscriber unknown and the like. */
void gy_answer_refuse(struct gy_answer *answer, enum gy_rc rc, const char *message);

/* Failed-AVP names the Rating-Group of a service that has no price (G-33, G-44). */
void gy_answer_name_rating_group(struct gy_answer *answer, const struct gy_service *service);

/* Ends a session without a request: its deadline has come (GY_SESSION_EXPIRED, only if
 * now >= deadline), or an operator wishes it (GY_SESSION_RELEASED). Releases, debits nothing
 * (G-67). plan->changed tells whether it was ended; plan->check_at_us when to look again, 0 =
 * never. */
void gy_charge_end(struct gy_account *account, struct gy_session_key key,
		   const struct gy_homes *homes, enum gy_session_state reason, gy_time_us now,
		   int64_t late_window_us, struct gy_plan *plan);

/* Asserts on a plan: what is granted is held, what is held adds up (I3, I4). */
void gy_plan_check(const struct gy_account *account, const struct gy_plan *plan);

#endif
