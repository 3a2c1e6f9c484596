/* A store in memory around the pure core: accounts, session index, records, a clock that is told.
 *
 * It does what core/store and core/engine do around one decision, and nothing more: finds the
 * account, makes room, loads history when asked, keeps what the plan says. Duplicates older than
 * the account row are rebuilt from records, as the store does, never from the answer that was
 * given. gy_world_audit is independent of the core's own checks. */
#ifndef GY_TESTS_WORLD_H
#define GY_TESTS_WORLD_H

#include "core/charging/decide.h"

struct gy_world_record {
	int account;
	struct gy_record record;
	struct gy_charge *charges; /* copies */
};

struct gy_world_index {
	struct gy_session_key key;
	int account;
	int64_t subscriber_id, gateway_id;
	gy_time_us opened_us, check_at_us; /* check_at_us 0: never */
};

struct gy_world_account {
	struct gy_account account; /* with arrays of its own */
	int64_t paid;              /* opening balance and top-ups */
};

struct gy_world {
	const struct gy_catalogue *catalogue;
	gy_time_us now;
	int64_t late_window_us;
	unsigned supervision;
	unsigned n_accounts;
	struct gy_world_account *accounts;
	struct gy_account **homes; /* all of them: any may hold a card */
	unsigned n_index, index_room;
	struct gy_world_index *index;
	unsigned n_records, records_room;
	struct gy_world_record *records;
	unsigned n_unmatched; /* plans that asked to keep unmatched usage */
	unsigned n_histories; /* decisions that needed the history */
	/* Of the last request; valid until the next. */
	struct gy_plan plan;
	struct gy_kept_answer *rows;
};

/* Copies the accounts; their sessions must be empty. */
void gy_world_init(struct gy_world *world, const struct gy_catalogue *catalogue,
		   const struct gy_account *accounts, unsigned n_accounts, gy_time_us now);
void gy_world_free(struct gy_world *world);

/* Decides one request of the profile's subscriber; the answer is in world->plan.answer. */
const struct gy_answer *gy_world_request(struct gy_world *world, const struct gy_ccr *ccr,
					 int account, const struct gy_profile *profile);

/* Ends the sessions whose time has come, the way the sweeper does. Returns how many. */
unsigned gy_world_sweep(struct gy_world *world);

void gy_world_topup(struct gy_world *world, int account, int64_t micros);

/* The parts of a store that others build on: what index and records know of the request's session,
 * its rows valid until the next call; one more record, charges copied. */
void gy_world_history(struct gy_world *world, const struct gy_ccr *ccr, struct gy_history *history);
void gy_world_add_record(struct gy_world *world, int account, const struct gy_record *record);

/* What gyro.audit() checks: NULL, or the first invariant that does not hold. */
const char *gy_world_audit(const struct gy_world *world);

/* A content hash with the meaning of gy_ccr.content_hash. */
uint64_t gy_world_content_hash(const struct gy_ccr *ccr);
/* Of all that copies of a request are told alike (G-85). */
uint64_t gy_world_answer_digest(const struct gy_answer *answer);

#endif
