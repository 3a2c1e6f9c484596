/* An account as the core sees and changes it: the purse, its sessions and what they hold.
 *
 * The store reads it from one row and writes it back; the arrays have room for what one request
 * can add (gy_account_room). Sessions are referred to by index; removing one renumbers. */
#ifndef GY_CHARGING_ACCOUNT_H
#define GY_CHARGING_ACCOUNT_H

#include <stdbool.h>

#include "core/charging/card.h"
#include "core/charging/ccr.h"
#include "core/rating/attribute.h"
#include "core/rating/catalogue.h"

/* Stored in gyro.account.state and gyro.subscriber.state. */
enum gy_state { GY_ACTIVE = 1, GY_BARRED = 2 };

/* Stored: column 5 of gyro.account.sessions. */
enum gy_session_state {
	GY_SESSION_OPEN = 1,
	GY_SESSION_TERMINATED = 2, /* by CCR-T */
	GY_SESSION_EXPIRED = 3,    /* by supervision (G-67) */
	GY_SESSION_RELEASED = 4,   /* by an operator */
};

struct gy_session {
	struct gy_session_key key;
	int64_t subscriber_id;
	int64_t gateway_id;
	enum gy_session_state state;
	gy_time_us opened_us;
	gy_time_us deadline_us; /* open: supervision ends it then; ended: late usage is charged
				   until then */
	/* CCR-U numbers seen: the highest (-1 none) and, bit i, highest - i. For duplicates only
	 * (G-25). */
	int64_t highest;
	uint64_t seen;
	int64_t initial_number;
	int64_t initial_end_to_end;
	bool taken_over; /* another gateway has had it than the one that opened it */
	uint32_t realm;  /* from which it was opened: gy_realm_key; 0: not known */
	int64_t place;   /* of the last request: gy_network_place; 0: not looked at */
};

/* What a session holds for one (Rating-Group, set of services). The row stays, with granted 0,
 * until the session ends: it carries the rounding remainder.
 *
 * A grant that is all money at one price has no slices. Any other has some (struct gy_slice), and
 * then rate is that of the money before the Tariff-Time-Change. */
struct gy_reservation {
	unsigned session; /* index */
	uint32_t rating_group;
	int64_t service_key;
	enum gy_unit unit;
	int64_t granted;  /* units */
	int64_t reserved; /* micro-units; = gy_price_reserve(rate, granted, carry), or by slices */
	struct gy_rate rate;
	int64_t carry; /* 1/rate.block of a micro-unit */
	int64_t rule_id;
	uint32_t validity_s;  /* of the last grant */
	uint32_t granted_s;   /* when that was, seconds since 1970; 0: not known */
	gy_time_us switch_us; /* its Tariff-Time-Change; 0: none */
	bool final;          /* it was the last units, redirected or restricted after them (G-63) */
	uint32_t pool;       /* of the last grant, GY_POOL_MAX at most; 0: none */
	bool shrunk;         /* by this request, see pool.h; not stored */
	unsigned directions; /* of the last grant, mask of enum gy_direction */
};

/* Where units come from: first cards, then free units, then money (G-97). Stored: never renumber.
 */
enum gy_from {
	GY_FROM_FREE = 1,  /* a rule's free units of the day */
	GY_FROM_CARD = 2,  /* a traffic card */
	GY_FROM_MONEY = 3, /* the purse; always last */
};

/* A part of a grant: so many units from one source, drained in the order of the slices. A grant
 * with a Tariff-Time-Change has its units twice, for usage before (phase 0) and after it (phase 1):
 * what is held covers the dearer of the two. Phase 1 always has a slice of money, which tells its
 * price; that of phase 0 is the reservation's. */
struct gy_slice {
	unsigned reservation; /* index */
	unsigned phase;       /* 0 or 1 */
	enum gy_from from;
	int64_t from_id; /* the rule: dynamic for free units, specific for money; or the card */
	int64_t home;    /* the account whose row holds that card; 0: no card */
	int64_t units;
	struct gy_rate rate; /* money */
	int64_t held;        /* money: micro-units, at this phase's rate */
};

/* Stored: column 2 of gyro.account.counters. */
enum gy_counted_kind {
	GY_COUNTED_GROUP = 1, /* of one Rating-Group, in one unit */
	GY_COUNTED_ALL = 2,   /* of all Rating-Groups, in one unit */
	GY_COUNTED_FREE = 3,  /* free units that one rule gave */
};

/* What a subscriber used and paid in a local day and month. Kept only while the catalogue has rules
 * that ask (spec/tariffs.md, counter). */
struct gy_counter {
	int64_t subscriber_id;
	enum gy_counted_kind kind;
	int64_t id; /* Rating-Group, 0, or rule */
	enum gy_unit unit;
	int64_t day;   /* days since 1970-01-01, local */
	int64_t month; /* year * 12 + month, local */
	int64_t units_day, micros_day;
	int64_t units_month, micros_month;
};

/* One MSCC of an answer that is kept for duplicates; a request without services keeps one row with
 * service_rc GY_RC_COUNT. */
struct gy_kept_answer {
	unsigned session; /* index */
	enum gy_request_type type;
	uint32_t number;
	uint32_t end_to_end;
	uint64_t content_hash;
	enum gy_rc rc;
	enum gy_rc service_rc;
	enum gy_unit unit;
	enum gy_final_unit_action final_unit;
	uint32_t quota_holding_s;
	int64_t rating_group; /* -1: the request named none */
	int64_t service_key;
	int64_t granted;
	uint32_t validity_s;
	uint32_t threshold;
	uint32_t switch_s;        /* Tariff-Time-Change, seconds since 1970; 0: none */
	uint32_t redirect_rule;   /* the dynamic rule that redirects; 0: the policy */
	uint32_t pool;            /* as in the reservation, and */
	struct gy_rate pool_rate; /* its price; block 0: not known, the reservation tells */
	unsigned directions;      /* of the grant, mask of enum gy_direction */
};

struct gy_account {
	int64_t account_id;
	int64_t group_id;
	int64_t version;
	int64_t profile_version;
	enum gy_state state;
	int currency;
	int64_t balance;
	int64_t reserved;
	int64_t credit_limit;
	gy_time_us valid_until_us;

	unsigned n_sessions, sessions_room;
	struct gy_session *sessions;
	unsigned n_reservations, reservations_room;
	struct gy_reservation *reservations;
	unsigned n_answers, answers_room;
	struct gy_kept_answer *answers;
	unsigned n_slices, slices_room;
	struct gy_slice *slices;
	unsigned n_counters, counters_room;
	struct gy_counter *counters;
	unsigned n_cards; /* never more than were read */
	struct gy_card *cards;
	unsigned n_draws, draws_room;
	struct gy_draw *draws;
	bool cards_changed; /* by a request of another account, too */
};

/* Elements to be free in an account's arrays before a request is decided. */
struct gy_room {
	unsigned sessions, reservations, answers, slices, counters, draws;
};

/* What of the subscriber matters to a decision. */
struct gy_profile {
	int64_t subscriber_id;
	int64_t account_id;
	int64_t group_id;
	int64_t profile_version; /* of the account row when this was read */
	int32_t tariff_id;
	enum gy_identity_kind found_by; /* 0: the session */
	enum gy_state state;
	const struct gy_attributes *attributes; /* NULL: none */
	bool has_cards;                         /* bindings are to be read, too */
	const struct gy_bound_cards *cards;     /* NULL: none */
};

/* Balance and credit less what is held; negative only by booked over-use (G-96). */
int64_t gy_account_available(const struct gy_account *account);

/* Index of an open session of this gateway that it has lost by its restart (G-92), -1 if none:
 * those opened before, but not the one of the request that told it, nor those of which more than
 * one gateway knows. */
int gy_session_lost(const struct gy_account *account, int64_t gateway_id, gy_time_us restarted_us,
		    struct gy_session_key told_by);

/* Index of the session with this key, -1 if none. An open one is preferred to an ended one. */
int gy_session_find(const struct gy_account *account, struct gy_session_key key);

/* The reservation of (session, rating_group, service_key), NULL if none. */
struct gy_reservation *gy_reservation_find(struct gy_account *account, unsigned session,
					   uint32_t rating_group, int64_t service_key);

/* Gives back the money that a reservation holds, and forgets its slices; the row stays. */
void gy_reservation_clear(struct gy_account *account, struct gy_reservation *reservation);

/* Gives back what a reservation holds, of money and of the cards in homes, slices and all; the row
 * stays. */
void gy_reservation_release(struct gy_account *account, const struct gy_homes *homes,
			    struct gy_reservation *reservation);

/* Removes a session with its reservations (which must hold nothing) and kept answers. */
void gy_session_remove(struct gy_account *account, unsigned session);

/* Drops ended sessions beyond GY_TOMBSTONES_MAX (oldest first) or past their late window. */
void gy_tombstones_trim(struct gy_account *account, gy_time_us now);

/* Drops the oldest kept answers of a session beyond GY_ANSWERS_KEPT requests or
 * GY_ANSWER_ROWS_KEPT rows; the newest always stays. */
void gy_kept_answers_trim(struct gy_account *account, unsigned session);

/* Asserts what must hold between two requests: I2, I3, nothing negative, indexes and remainders in
 * range. */
void gy_account_check(const struct gy_account *account);

#endif
