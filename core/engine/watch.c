/* The watch: requests that wait in a lane which stands still are refused in time (G-35, P8).
 *
 * A lane, and the maintenance thread as well, may wait for a database that says nothing. This
 * thread waits for nobody: it has no connection and touches nothing but the waiting queues. */
#include <sys/prctl.h>
#include <time.h>

#include "core/engine/internal.h"

#define TICK_NS 50000000

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

void *gy_watch_run(void *data)
{
	const struct timespec tick = { .tv_nsec = TICK_NS };
	struct gy_engine *engine = data;

	prctl(PR_SET_NAME, "deadlines");
	while (!atomic_load(&engine->stopping)) {
		for (unsigned i = 0; i < engine->n_lanes; i++)
			expire_waiting(engine, &engine->lanes[i]);
		nanosleep(&tick, NULL);
	}
	return NULL;
}
