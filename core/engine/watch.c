/* The watch: requests that wait in a lane which stands still are refused in time (G-35, P8), and
 * gateways are told how much is too much (G-95).
 *
 * A lane, and the maintenance thread as well, may wait for a database that says nothing. This
 * thread waits for nobody: it has no connection and touches nothing but the waiting queues. */
#include <sys/prctl.h>
#include <time.h>

#include "core/engine/internal.h"

#define TICK_NS   50000000
#define REPORT_NS INT64_C(1000000000)

static void expire_waiting(struct gy_engine *engine, struct gy_lane *lane)
{
	int64_t now_ns = gy_engine_now_ns();
	struct gy_queue old = { NULL, NULL, 0 };
	struct gy_request *request;

	pthread_mutex_lock(&lane->lock);
	while (lane->waiting.first != NULL && gy_request_age_ms(lane->waiting.first, now_ns) >
						      (int64_t)engine->config.queue_age_ms)
		gy_queue_push(&old, gy_queue_pop(&lane->waiting));
	pthread_mutex_unlock(&lane->lock);
	while ((request = gy_queue_pop(&old)) != NULL)
		if (!gy_request_expire(engine, request, now_ns))
			gy_request_enqueue(engine, request);
}

/* What the watch has seen so far. */
struct report {
	struct gy_overload overload;
	uint64_t came, refused;
	int64_t at_ns;
};

static void report_overload(struct gy_engine *engine, struct report *r)
{
	uint64_t refused = atomic_load(&engine->excess);
	/* Those that still wait came, too. */
	uint64_t came = atomic_load(&engine->answered) + atomic_load(&engine->replayed) +
			atomic_load(&engine->no_answer) + atomic_load(&engine->in_flight);
	int64_t now_ns = gy_engine_now_ns();
	struct timespec wall;

	if (now_ns - r->at_ns < REPORT_NS)
		return;
	if (came < r->came)
		came = r->came; /* one was being counted */
	clock_gettime(CLOCK_REALTIME, &wall);
	if (gy_overload_step(&r->overload, came - r->came, refused - r->refused, now_ns,
			     (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000))
		atomic_store(&engine->report, r->overload.report.sequence << GY_REPORT_SHIFT |
						      r->overload.report.reduction_percent);
	r->came = came;
	r->refused = refused;
	r->at_ns = now_ns;
}

struct gy_overload_report gy_engine_overload(const struct gy_engine *engine)
{
	uint64_t packed = atomic_load(&engine->report);
	unsigned reduction = (unsigned)(packed & ((1u << GY_REPORT_SHIFT) - 1));

	return (struct gy_overload_report){
		.sequence = packed >> GY_REPORT_SHIFT,
		.reduction_percent = reduction,
		.validity_s = reduction > 0 ? GY_OVERLOAD_VALIDITY_S : 0,
	};
}

void *gy_watch_run(void *data)
{
	const struct timespec tick = { .tv_nsec = TICK_NS };
	struct gy_engine *engine = data;
	struct report report = { .at_ns = gy_engine_now_ns() };

	prctl(PR_SET_NAME, "deadlines");
	while (!atomic_load(&engine->stopping)) {
		for (unsigned i = 0; i < engine->n_lanes; i++)
			expire_waiting(engine, &engine->lanes[i]);
		report_overload(engine, &report);
		nanosleep(&tick, NULL);
	}
	return NULL;
}
