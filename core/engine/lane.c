/* A lane: one thread, one connection, one batch after the other.
 *
 * No linger: a batch is whatever waited while the one before was made durable. A lane without
 * database refuses what it has and what comes, and looks for the database again and again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "core/engine/internal.h"

#define MS INT64_C(1000000)
/* Between two attempts to connect. */
#define CONNECT_PAUSE_NS (200 * MS)
/* Before a held row is asked for again. */
#define RETRY_PAUSE_NS (2 * MS)
/* Before it is waited for again, in vain so far: that holds up all others of the lane. */
#define WAITED_PAUSE_NS (100 * MS)
/* So often a row is passed over before the lane waits for it. */
#define PASSED_OVER_MAX 2

/* until_ns by the monotonic clock, as the condition variable counts. */
static void wait_until(struct gy_lane *lane, int64_t until_ns)
{
	struct timespec until = { .tv_sec = until_ns / 1000000000,
				  .tv_nsec = until_ns % 1000000000 };

	pthread_cond_timedwait(&lane->wake, &lane->lock, &until);
}

/* --- the database comes and goes ---- */

static void settle_or_refuse(struct gy_lane *lane, struct gy_request *request, const char *why,
			     struct gy_queue *keep)
{
	if (gy_request_expire(lane->engine, request, gy_engine_now_ns()))
		return;
	if (request->unsettled)
		gy_queue_push(keep, request);
	else
		gy_request_refuse(lane->engine, request, why);
}

/* Everything that isn't owed an exact answer is refused now (G-35). */
static void refuse_all(struct gy_lane *lane, const char *why)
{
	struct gy_queue keep = { NULL, NULL, 0 }, waiting;
	struct gy_request *request;

	pthread_mutex_lock(&lane->lock);
	waiting = lane->waiting;
	lane->waiting = (struct gy_queue){ NULL, NULL, 0 };
	pthread_mutex_unlock(&lane->lock);
	while ((request = gy_queue_pop(&lane->retry)) != NULL)
		settle_or_refuse(lane, request, why, &keep);
	while ((request = gy_queue_pop(&waiting)) != NULL)
		settle_or_refuse(lane, request, why, &keep);
	lane->retry = keep;
}

static bool connected(struct gy_lane *lane)
{
	int64_t now_ns = gy_engine_now_ns();
	bool was_down = atomic_load(&lane->down);
	char error[512];

	if (lane->store != NULL)
		return true;
	if (now_ns < lane->connect_at_ns)
		return false;
	if (gy_store_open(lane->engine->database, lane->engine->store_timeout_ms, &lane->store,
			  error, sizeof(error)) == GY_OK) {
		atomic_store(&lane->down, false);
		if (was_down)
			gy_engine_log(lane->engine, GY_LOG_NOTICE,
				      "the database is back: charging again");
		return true;
	}
	if (!was_down)
		gy_engine_log(lane->engine, GY_LOG_ERROR, "no database, refusing requests: %s",
			      error);
	atomic_store(&lane->down, true);
	lane->connect_at_ns = gy_engine_now_ns() + CONNECT_PAUSE_NS;
	return false;
}

/* --- batches ---- */

static bool waited_out(struct gy_lane *lane)
{
	return lane->retry.first != NULL && lane->retry.first->attempts > PASSED_OVER_MAX;
}

/* Takes up to max requests: first what is to be tried again, then what waits. A row that was passed
 * over too often is waited for, by its requests alone. */
static bool take_batch(struct gy_lane *lane, struct gy_queue *batch, bool *wait)
{
	const struct gy_admission_limits limits = gy_engine_limits(lane->engine);
	unsigned max = lane->singly > 0 ? 1 : limits.batch_max;
	int64_t now_ns = gy_engine_now_ns();
	struct gy_request *request;

	*batch = (struct gy_queue){ NULL, NULL, 0 };
	*wait = false;
	if (now_ns >= lane->retry_at_ns) {
		*wait = waited_out(lane);
		while (batch->n < max && (!*wait || waited_out(lane)) &&
		       (request = gy_queue_pop(&lane->retry)) != NULL)
			if (!gy_request_expire(lane->engine, request, now_ns))
				gy_queue_push(batch, request);
	}
	if (batch->n == 0)
		*wait = false;
	pthread_mutex_lock(&lane->lock);
	while (!*wait && batch->n < max && (request = gy_queue_pop(&lane->waiting)) != NULL)
		gy_queue_push(batch, request);
	if (batch->n > 0)
		gy_pace_taken(&limits, &lane->pace, batch->n, lane->waiting.n, now_ns);
	atomic_store_explicit(&lane->overloaded, lane->pace.overloaded, memory_order_relaxed);
	pthread_mutex_unlock(&lane->lock);
	return batch->n > 0;
}

/* Out of what has just been taken up, what is too old goes back at once. */
static void drop_old(struct gy_lane *lane, struct gy_queue *batch)
{
	struct gy_queue kept = { NULL, NULL, 0 };
	int64_t now_ns = gy_engine_now_ns();
	struct gy_request *request;

	while ((request = gy_queue_pop(batch)) != NULL)
		if (!gy_request_expire(lane->engine, request, now_ns))
			gy_queue_push(&kept, request);
	*batch = kept;
}

static void after_failure(struct gy_lane *lane, enum gy_rc rc, unsigned n)
{
	gy_engine_log(lane->engine, gy_rc_log_level(rc), "batch of %u: %s: %s", n, gy_rc_text(rc),
		      lane->store != NULL ? gy_store_error(lane->store) : "");
	switch (rc) {
	case GY_STORE_UNAVAILABLE:
	case GY_OUTCOME_UNKNOWN:
		gy_store_close(lane->store);
		lane->store = NULL;
		lane->connect_at_ns = 0;
		drop_old(lane, &lane->retry); /* to connect may take as long again */
		break;
	case GY_STORE_REFUSED:
		lane->singly = n; /* whoever is the cause meets its fate alone */
		break;
	default:
		break;
	}
}

static void batch_ended(struct gy_lane *lane, bool ran)
{
	pthread_mutex_lock(&lane->lock);
	gy_pace_ended(&lane->pace, ran, gy_engine_now_ns());
	pthread_mutex_unlock(&lane->lock);
}

static void run_batch(struct gy_lane *lane, struct gy_queue *batch, bool wait)
{
	unsigned n = batch->n, left = lane->retry.n;
	enum gy_rc rc;

	atomic_fetch_add(&lane->engine->batches, 1);
	if (lane->singly > 0)
		lane->singly--;
	rc = gy_batch_run(lane, batch, wait);
	if (rc != GY_OK)
		after_failure(lane, rc, n);
	/* Who waits to be tried again already is tried at the time that was said: a busy lane would
	 * put it off for ever. */
	if (wait && rc != GY_OK)
		lane->retry_at_ns = gy_engine_now_ns() + WAITED_PAUSE_NS;
	else if (left == 0)
		lane->retry_at_ns = gy_engine_now_ns() + RETRY_PAUSE_NS;
}

/* When there may be work that nobody wakes it for. Without database there is none before the next
 * attempt to connect, whatever is to be tried again. */
static int64_t next_work_ns(const struct gy_lane *lane)
{
	int64_t until_ns = gy_engine_now_ns() + 1000 * MS;

	if (lane->store == NULL)
		return lane->connect_at_ns < until_ns ? lane->connect_at_ns : until_ns;
	return lane->retry.n > 0 && lane->retry_at_ns < until_ns ? lane->retry_at_ns : until_ns;
}

static void idle(struct gy_lane *lane)
{
	int64_t until_ns = next_work_ns(lane);

	pthread_mutex_lock(&lane->lock);
	if ((lane->waiting.n == 0 || lane->store == NULL) &&
	    !atomic_load(&lane->engine->stopping)) {
		lane->idle = true;
		wait_until(lane, until_ns);
		lane->idle = false;
	}
	pthread_mutex_unlock(&lane->lock);
}

void *gy_lane_run(void *data)
{
	struct gy_lane *lane = data;
	struct gy_queue batch;
	char name[24]; /* 15 octets of it count */
	bool wait, any;

	snprintf(name, sizeof(name), "lane %td", lane - lane->engine->lanes);
	prctl(PR_SET_NAME, name);
	while (!atomic_load(&lane->engine->stopping)) {
		if (!connected(lane)) {
			refuse_all(lane, "no database");
			idle(lane);
			continue;
		}
		if (!take_batch(lane, &batch, &wait)) {
			idle(lane);
			continue;
		}
		drop_old(lane, &batch);
		any = batch.n > 0;
		if (any)
			run_batch(lane, &batch, wait);
		batch_ended(lane, any);
	}
	return NULL;
}
