/* An account as the core sees and changes it: the purse, its sessions and what they hold.
 *
 * The store reads it from one row and writes it back; the arrays have room for what one request
 * can add (gy_account_room). Sessions are referred to by index; removing one renumbers. */
#ifndef GY_CHARGING_ACCOUNT_H
#define GY_CHARGING_ACCOUNT_H

#include <stdbool.h>

#include "core/charging/ccr.h"
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
};

/* What a session holds for one (Rating-Group, set of services). The row stays, with granted 0,
 * until the session ends: it carries the rounding remainder. */
struct gy_reservation {
	unsigned session; /* index */
	uint32_t rating_group;
	int64_t service_key;
	enum gy_unit unit;
	int64_t granted;  /* units */
	int64_t reserved; /* micro-units; = gy_price_reserve(rate, granted, carry) */
	struct gy_rate rate;
	int64_t carry; /* 1/rate.block of a micro-unit */
	int64_t rule_id;
	uint32_t validity_s; /* of the last grant */
};

/* One MSCC of an answer that is kept for duplicates; a request without services keeps one row with
 * service_rc GY_RC_COUNT. */
struct gy_kept_answer {
	unsigned session; /* index */
	enum gy_request_type type;
	uint32_t number;
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
};

/* What of the subscriber matters to a decision. */
struct gy_profile {
	int64_t subscriber_id;
	int64_t account_id;
	int64_t group_id;
	int64_t profile_version; /* of the account row when this was read */
	int32_t tariff_id;
	enum gy_state state;
};

/* Balance and credit less what is held; negative only by booked over-use (G-96). */
int64_t gy_account_available(const struct gy_account *account);

/* Index of the session with this key, -1 if none. An open one is preferred to an ended one. */
int gy_session_find(const struct gy_account *account, struct gy_session_key key);

/* The reservation of (session, rating_group, service_key), NULL if none. */
struct gy_reservation *gy_reservation_find(struct gy_account *account, unsigned session,
					   uint32_t rating_group, int64_t service_key);

/* Gives back what a reservation holds; the row stays. */
void gy_reservation_release(struct gy_account *account, struct gy_reservation *reservation);

/* Removes a session with its reservations (which must hold nothing) and kept answers. */
void gy_session_remove(struct gy_account *account, unsigned session);

/* Drops ended sessions beyond GY_TOMBSTONES_MAX (oldest first) or past their late window. */
void gy_tombstones_trim(struct gy_account *account, gy_time_us now);

/* Drops the oldest kept answers of a session beyond GY_ANSWERS_KEPT requests or
 * GY_ANSWER_ROWS_KEPT rows; the newest always stays. */
void gy_kept_answers_trim(struct gy_account *account, unsigned session);

/* Asserts what must hold between two requests: I3, nothing negative, indexes in range. */
void gy_account_check(const struct gy_account *account);

#endif
