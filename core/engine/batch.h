/* One batch on its way, as batch.c and resolve.c share it. Not for anybody else. */
#ifndef GY_ENGINE_BATCH_H
#define GY_ENGINE_BATCH_H

#include "core/engine/internal.h"

enum fate {
	UNDECIDED,
	ANSWERED,  /* without the database: a refusal, an unknown subscriber or session */
	DECIDED,   /* in this transaction */
	TRY_AGAIN, /* row held by somebody, or profile moved */
	PUT_OFF, /* reads the history or is a card operation, and this batch has had enough of these
		  */
};

/* One request's way through the batch. */
struct work {
	struct gy_request *request;
	enum fate fate;
	struct gy_profile profile; /* subscriber_id 0: not found */
	bool cacheable;
	bool fresh;      /* read in this batch, not from the cache */
	bool by_session; /* found through the session, not through identities */
	bool card;       /* a card operation: a transaction of its own, see card.c */
	struct gy_locked *locked;
	int64_t indexed; /* CCR-I, CCR-E: the account of which the index has its Session-Id; 0: none
			  */
	bool session_known; /* and so it has, or will have by an earlier request of this batch */
	struct gy_restart restart; /* the last one of its gateway */
	struct gy_history history;
	struct gy_plan plan;
	unsigned first_lookup, n_lookups;
};

struct batch {
	struct gy_lane *lane;
	void *pool;
	bool wait;
	const struct gy_catalogue *catalogue;
	const struct gy_pushed *pushed;
	unsigned n;
	struct work *work;
	unsigned n_locked;
	struct gy_locked *locked;
	unsigned histories; /* read so far */
	bool committed;     /* what was decided is durable; usage of unknown sessions may not be */
	/* Ends of sessions that a request's gateway has lost (G-92). */
	unsigned n_lost, lost_room;
	const struct gy_record **lost;
	gy_time_us now;
};

/* Answers a request without the database. */
void gy_work_refuse(struct work *work, enum gy_rc rc, const char *message);

/* trace.c: adds traces to the answer of a decision. */
void gy_answer_trace(void *pool, const struct gy_ccr *ccr, const struct gy_view *view,
		     const struct gy_catalogue *catalogue, gy_time_us now, struct gy_plan *plan);

/* resolve.c: which subscriber each request is of, from the cache or the store. */
enum gy_rc gy_batch_find_profiles(struct batch *batch) GY_MUST_CHECK;
/* Reads those profiles again that are older than their locked account row. */
enum gy_rc gy_batch_reload_stale(struct batch *batch) GY_MUST_CHECK;
/* Which gateway each request came from, and whether it has restarted (G-92). */
enum gy_rc gy_batch_find_gateways(struct batch *batch) GY_MUST_CHECK;

/* card.c: which requests are card operations, refusing those that are none that can be served. */
void gy_batch_sort_cards(struct batch *batch);
/* Runs them. Returns GY_OK or the environment error that the whole batch meets. */
enum gy_rc gy_batch_run_cards(struct batch *batch) GY_MUST_CHECK;

#endif
