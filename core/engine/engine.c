/* The engine's life: start, submit, drain, stop; and how requests are given back. See engine.h. */
#include "core/engine/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <time.h>
#include <unistd.h>

/* Profiles that all lanes together keep; 64 octets each, touched as they fill. */
#define CACHE_ENTRIES (1u << 20)
/* Longer than a transaction can stand still (store/connection.c). */
#define CATALOGUE_TURN_NS (12 * INT64_C(1000000000))

int64_t gy_engine_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void gy_engine_log(struct gy_engine *engine, enum gy_log_level level, const char *format, ...)
{
	char line[640];
	va_list args;

	if (engine->config.log == NULL)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	engine->config.log(engine->config.log_data, level, line);
}

/* --- queues -------------------------------------------------------------------------------------
 */

void gy_queue_push(struct gy_queue *queue, struct gy_request *request)
{
	request->next = NULL;
	if (queue->last != NULL)
		queue->last->next = request;
	else
		queue->first = request;
	queue->last = request;
	queue->n++;
}

struct gy_request *gy_queue_pop(struct gy_queue *queue)
{
	struct gy_request *request = queue->first;

	if (request == NULL)
		return NULL;
	queue->first = request->next;
	if (queue->first == NULL)
		queue->last = NULL;
	queue->n--;
	return request;
}

/* --- the catalogue ------------------------------------------------------------------------------
 */

struct gy_snapshot *gy_snapshot_hold(struct gy_engine *engine)
{
	struct gy_snapshot *snapshot;

	pthread_mutex_lock(&engine->snapshot_lock);
	snapshot = engine->snapshot;
	atomic_fetch_add(&snapshot->users, 1);
	pthread_mutex_unlock(&engine->snapshot_lock);
	return snapshot;
}

void gy_snapshot_release(struct gy_snapshot *snapshot)
{
	if (snapshot == NULL || atomic_fetch_sub(&snapshot->users, 1) != 1)
		return;
	talloc_free(snapshot->pushed);
	if (snapshot->owner != NULL)
		gy_snapshot_release(snapshot->owner);
	else
		talloc_free(snapshot->catalogue);
	free(snapshot);
}

bool gy_snapshot_swap(struct gy_engine *engine, struct gy_catalogue *catalogue,
		      struct gy_pushed *pushed)
{
	struct gy_snapshot *fresh = malloc(sizeof(*fresh)), *old;

	if (fresh == NULL) {
		talloc_free(catalogue);
		talloc_free(pushed);
		return false;
	}
	*fresh = (struct gy_snapshot){ .catalogue = catalogue, .pushed = pushed };
	atomic_init(&fresh->users, 1);
	pthread_mutex_lock(&engine->snapshot_lock);
	old = engine->snapshot;
	if (catalogue == NULL) {
		fresh->catalogue = old->catalogue;
		fresh->owner = old->owner != NULL ? old->owner : old;
		atomic_fetch_add(&fresh->owner->users, 1);
	}
	engine->snapshot = fresh;
	pthread_mutex_unlock(&engine->snapshot_lock);
	gy_snapshot_release(old);
	return true;
}

/* --- giving requests back -----------------------------------------------------------------------
 */

int64_t gy_request_age_ms(const struct gy_request *request, int64_t now_ns)
{
	return (now_ns - request->arrived_ns) / 1000000;
}

void gy_request_done(struct gy_engine *engine, struct gy_request *request, enum gy_outcome outcome)
{
	/* An answer later than this can harm a gateway more than none (P8): it resends. */
	if (gy_request_age_ms(request, gy_engine_now_ns()) > (int64_t)engine->config.deadline_ms)
		outcome = GY_NO_ANSWER;
	if (outcome == GY_NO_ANSWER)
		atomic_fetch_add(&engine->no_answer, 1);
	else if (request->answer.replayed)
		atomic_fetch_add(&engine->replayed, 1);
	else
		atomic_fetch_add(&engine->answered, 1);
	engine->config.answered(engine->config.answered_data, request, outcome);
	atomic_fetch_sub(&engine->in_flight, 1);
}

void gy_request_refuse(struct gy_engine *engine, struct gy_request *request, const char *why)
{
	gy_answer_refuse(&request->answer,
			 engine->config.alternate_node ? GY_TOO_BUSY : GY_UNABLE_TO_COMPLY, why);
	atomic_fetch_add(&engine->refused_early, 1);
	gy_request_done(engine, request, GY_ANSWER);
}

bool gy_request_expire(struct gy_engine *engine, struct gy_request *request, int64_t now_ns)
{
	int64_t age_ms = gy_request_age_ms(request, now_ns);

	if (request->unsettled) {
		if (age_ms <= (int64_t)engine->config.deadline_ms)
			return false;
		gy_request_done(engine, request, GY_NO_ANSWER);
		return true;
	}
	if (age_ms <= (int64_t)engine->config.queue_age_ms)
		return false;
	atomic_fetch_add(&engine->excess, 1);
	gy_request_refuse(engine, request, "waited too long here");
	return true;
}

/* --- in ------------------------------------------------------------------------------------------
 */

struct gy_admission_limits gy_engine_limits(const struct gy_engine *engine)
{
	return (struct gy_admission_limits){
		.batch_max = engine->config.batch_max,
		.queue_max = engine->config.queue_max,
		.patience_ms = engine->config.queue_age_ms,
		.deadline_ms = engine->config.deadline_ms,
	};
}

static struct gy_lane *lane_of(struct gy_engine *engine, struct gy_request *request)
{
	uint64_t hash;

	request->who = gy_request_who(&request->ccr, &hash);
	return &engine->lanes[hash % engine->n_lanes];
}

static void enqueue(struct gy_lane *lane, struct gy_request *request)
{
	gy_queue_push(&lane->waiting, request);
	if (lane->idle)
		pthread_cond_signal(&lane->wake);
}

void gy_request_enqueue(struct gy_engine *engine, struct gy_request *request)
{
	struct gy_lane *lane = lane_of(engine, request);

	pthread_mutex_lock(&lane->lock);
	enqueue(lane, request);
	pthread_mutex_unlock(&lane->lock);
}

/* With the lane's lock held. */
static enum gy_admission admission(struct gy_engine *engine, const struct gy_lane *lane,
				   enum gy_request_type type, int64_t arrived_ns, int64_t now_ns)
{
	const struct gy_admission_limits limits = gy_engine_limits(engine);

	return gy_admit(&limits, &lane->pace, type, lane->waiting.n, now_ns - arrived_ns, now_ns);
}

/* With the lane's lock held. NULL: it may join the queue. */
static const char *turned_away(struct gy_engine *engine, struct gy_lane *lane,
			       const struct gy_request *request)
{
	int64_t now_ns = gy_engine_now_ns();
	enum gy_admission admitted =
		admission(engine, lane, request->ccr.type, request->arrived_ns, now_ns);

	if (admitted == GY_ADMIT)
		return NULL;
	gy_pace_refused(&lane->pace, now_ns);
	return admitted == GY_ADMIT_NOT_FULL ? "too many requests are waiting here"
					     : "it would wait too long here";
}

/* One that the host answers. Whose it would have been is not known yet: each lane's in turn. */
static void count_turned_away(struct gy_engine *engine, int64_t now_ns)
{
	struct gy_lane *lane =
		&engine->lanes[atomic_fetch_add(&engine->excess, 1) % engine->n_lanes];

	pthread_mutex_lock(&lane->lock);
	gy_pace_refused(&lane->pace, now_ns);
	pthread_mutex_unlock(&lane->lock);
	atomic_fetch_add(&engine->refused_early, 1);
	atomic_fetch_add(&engine->answered, 1);
}

bool gy_engine_turns_away(struct gy_engine *engine, enum gy_request_type type, int64_t arrived_ns)
{
	int64_t now_ns;
	struct gy_lane *lane;
	bool away = true;

	for (unsigned i = 0; i < engine->n_lanes; i++)
		if (!atomic_load_explicit(&engine->lanes[i].overloaded, memory_order_relaxed))
			return false;
	now_ns = gy_engine_now_ns();
	for (unsigned i = 0; away && i < engine->n_lanes; i++) {
		lane = &engine->lanes[i];
		pthread_mutex_lock(&lane->lock);
		away = admission(engine, lane, type, arrived_ns, now_ns) != GY_ADMIT;
		pthread_mutex_unlock(&lane->lock);
	}
	if (away)
		count_turned_away(engine, now_ns);
	return away;
}

enum gy_lateness gy_engine_lateness(struct gy_engine *engine, int64_t arrived_ns)
{
	int64_t now_ns = gy_engine_now_ns(), age_ms = (now_ns - arrived_ns) / 1000000;

	if (age_ms <= (int64_t)engine->config.queue_age_ms)
		return GY_IN_TIME;
	if (age_ms <= (int64_t)engine->config.deadline_ms) {
		count_turned_away(engine, now_ns);
		return GY_LATE;
	}
	atomic_fetch_add(&engine->excess, 1);
	atomic_fetch_add(&engine->no_answer, 1);
	return GY_TOO_LATE;
}

void gy_engine_submit(struct gy_engine *engine, struct gy_request *request)
{
	struct gy_lane *lane = lane_of(engine, request);
	const char *why = NULL;
	bool excess = false;

	request->attempts = 0;
	request->unsettled = false;
	atomic_fetch_add(&engine->in_flight, 1);
	pthread_mutex_lock(&lane->lock);
	if (atomic_load(&engine->draining))
		why = "this node is stopping";
	else if (atomic_load(&lane->down))
		why = "no database";
	else
		excess = (why = turned_away(engine, lane, request)) != NULL;
	if (why == NULL)
		enqueue(lane, request);
	pthread_mutex_unlock(&lane->lock);
	if (excess)
		atomic_fetch_add(&engine->excess, 1);
	if (why != NULL)
		gy_request_refuse(engine, request, why);
}

void gy_engine_count(struct gy_engine *engine, struct gy_engine_counters *counters)
{
	*counters = (struct gy_engine_counters){
		.answered = atomic_load(&engine->answered),
		.replayed = atomic_load(&engine->replayed),
		.refused_early = atomic_load(&engine->refused_early),
		.no_answer = atomic_load(&engine->no_answer),
		.batches = atomic_load(&engine->batches),
		.retries = atomic_load(&engine->retries),
		.waiting = atomic_load(&engine->in_flight),
	};
}

/* --- start and stop ------------------------------------------------------------------------------
 */

static unsigned default_to(unsigned value, unsigned otherwise)
{
	return value != 0 ? value : otherwise;
}

static void set_defaults(struct gy_engine_config *c)
{
	c->lanes = default_to(c->lanes, 2);
	c->batch_max = default_to(c->batch_max, 128);
	c->queue_max = default_to(c->queue_max, 4096);
	c->deadline_ms = default_to(c->deadline_ms, 4000);
	c->queue_age_ms = default_to(c->queue_age_ms, 1000);
	c->sweep_ms = default_to(c->sweep_ms, 1000);
	c->late_window_s = default_to(c->late_window_s, 86400);
	c->rar_timeout_ms = default_to(c->rar_timeout_ms, 4000);
}

static struct gy_engine *engine_make(const struct gy_engine_config *config)
{
	struct gy_engine *engine = calloc(1, sizeof(*engine));

	if (engine == NULL)
		return NULL;
	engine->config = *config;
	set_defaults(&engine->config);
	/* Of the time until the deadline: room for a try, and for another after a lost connection.
	 */
	engine->store_timeout_ms = engine->config.deadline_ms * 3 / 8;
	pthread_mutex_init(&engine->snapshot_lock, NULL);
	pthread_mutex_init(&engine->gateways.lock, NULL);
	pthread_mutex_init(&engine->outbox.lock, NULL);
	engine->wake_pipe[0] = engine->wake_pipe[1] = -1;
	engine->database = strdup(config->database);
	engine->node = strdup(config->node != NULL ? config->node : "");
	engine->lanes = calloc(engine->config.lanes, sizeof(*engine->lanes));
	if (engine->database == NULL || engine->node == NULL || engine->lanes == NULL ||
	    pipe(engine->wake_pipe) != 0) {
		gy_engine_stop(engine);
		return NULL;
	}
	engine->config.database = engine->database;
	engine->config.node = engine->node;
	return engine;
}

static enum gy_rc lane_start(struct gy_engine *engine, struct gy_lane *lane, char *error,
			     size_t error_size)
{
	pthread_condattr_t monotonic;
	enum gy_rc rc;

	lane->engine = engine;
	pthread_mutex_init(&lane->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&lane->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	engine->n_lanes++;
	if (!gy_cache_init(&lane->cache, CACHE_ENTRIES / engine->config.lanes))
		return GY_NO_MEMORY;
	rc = gy_store_open(engine->database, engine->store_timeout_ms, &lane->store, error,
			   error_size);
	return rc;
}

/* Another node that starts or was woken may just be archiving the same version: this one has its
 * turn when that is done, or has stood still for so long that the database ended it. */
static enum gy_rc load_catalogue(struct gy_engine *engine, char *error, size_t error_size)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000000 };
	int64_t until_ns = gy_engine_now_ns() + CATALOGUE_TURN_NS;
	struct gy_catalogue *catalogue;
	struct gy_pushed *pushed;
	enum gy_rc rc;

	while ((rc = gy_store_catalogue(engine->lanes[0].store, 0, &catalogue, &pushed)) ==
		       GY_ROW_BUSY ||
	       rc == GY_STORE_RETRY) {
		if (gy_engine_now_ns() >= until_ns)
			break;
		nanosleep(&pause, NULL);
	}
	if (rc == GY_OK && !gy_snapshot_swap(engine, catalogue, pushed))
		rc = GY_NO_MEMORY;
	if (rc != GY_OK)
		snprintf(error, error_size, "catalogue: %s",
			 rc == GY_NO_MEMORY ? "out of memory"
					    : gy_store_error(engine->lanes[0].store));
	return rc;
}

static bool start_threads(struct gy_engine *engine)
{
	for (unsigned i = 0; i < engine->n_lanes; i++) {
		struct gy_lane *lane = &engine->lanes[i];

		lane->started = pthread_create(&lane->thread, NULL, gy_lane_run, lane) == 0;
		if (!lane->started)
			return false;
	}
	engine->maintenance_started =
		pthread_create(&engine->maintenance, NULL, gy_maintenance_run, engine) == 0;
	engine->watch_started = pthread_create(&engine->watch, NULL, gy_watch_run, engine) == 0;
	return engine->maintenance_started && engine->watch_started;
}

enum gy_rc gy_engine_start(const struct gy_engine_config *config, struct gy_engine **out,
			   char *error, size_t error_size)
{
	struct gy_engine *engine = engine_make(config);
	enum gy_rc rc = engine != NULL ? GY_OK : GY_NO_MEMORY;

	*out = NULL;
	if (rc == GY_NO_MEMORY)
		snprintf(error, error_size, "out of memory");
	for (unsigned i = 0; rc == GY_OK && i < engine->config.lanes; i++)
		rc = lane_start(engine, &engine->lanes[i], error, error_size);
	if (rc == GY_OK)
		rc = load_catalogue(engine, error, error_size);
	if (rc == GY_OK && !start_threads(engine)) {
		snprintf(error, error_size, "no thread can be started");
		rc = GY_NO_MEMORY;
	}
	if (rc != GY_OK)
		gy_engine_stop(engine);
	else
		*out = engine;
	return rc;
}

void gy_engine_drain(struct gy_engine *engine, unsigned timeout_ms)
{
	int64_t until_ns = gy_engine_now_ns() + (int64_t)timeout_ms * 1000000;
	const struct timespec pause = { .tv_nsec = 2000000 };

	atomic_store(&engine->draining, true);
	while (atomic_load(&engine->in_flight) > 0 && gy_engine_now_ns() < until_ns)
		nanosleep(&pause, NULL);
}

/* What is still there was never decided, or its outcome is unknown: no answer. */
static void give_back_all(struct gy_engine *engine, struct gy_queue *queue)
{
	struct gy_request *request;

	while ((request = gy_queue_pop(queue)) != NULL)
		gy_request_done(engine, request, GY_NO_ANSWER);
}

static void lane_stop(struct gy_engine *engine, struct gy_lane *lane)
{
	if (lane->started) {
		pthread_mutex_lock(&lane->lock);
		pthread_cond_signal(&lane->wake);
		pthread_mutex_unlock(&lane->lock);
		pthread_join(lane->thread, NULL);
	}
	give_back_all(engine, &lane->retry);
	give_back_all(engine, &lane->waiting);
	gy_store_close(lane->store);
	gy_cache_free(&lane->cache);
	pthread_cond_destroy(&lane->wake);
	pthread_mutex_destroy(&lane->lock);
}

void gy_engine_stop(struct gy_engine *engine)
{
	if (engine == NULL)
		return;
	atomic_store(&engine->draining, true);
	atomic_store(&engine->stopping, true);
	if (engine->watch_started)
		pthread_join(engine->watch, NULL);
	if (engine->maintenance_started) {
		gy_maintenance_wake(engine);
		pthread_join(engine->maintenance, NULL);
	}
	for (unsigned i = 0; i < engine->n_lanes; i++)
		lane_stop(engine, &engine->lanes[i]);
	gy_snapshot_release(engine->snapshot);
	gy_gateways_free(&engine->gateways);
	for (int i = 0; i < 2; i++)
		if (engine->wake_pipe[i] >= 0)
			close(engine->wake_pipe[i]);
	pthread_mutex_destroy(&engine->snapshot_lock);
	pthread_mutex_destroy(&engine->outbox.lock);
	free(engine->lanes);
	free(engine->database);
	free(engine->node);
	free(engine);
}
