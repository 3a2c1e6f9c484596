/* The session expiry thread of 1.2.1 waits on the deadline of the session that expires first, and
 * goes on reading it after that session is freed (F5). As requests are carried raw, sessions
 * arise from answers to our own requests only; an anchor session that always expires first, and
 * never does, keeps the thread's eyes on memory that stays. */
#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "extensions/acl_gyro/guard.h"

/* Shorter than the 31 days of ordinary sessions, and pushed on long before it ends. */
#define LIFE_S (7 * 86400)
#define PUSH_S 86400

static struct session *anchor;
static _Atomic time_t next_push;

static int push(time_t now)
{
	struct timespec end = { .tv_sec = now + LIFE_S };

	return fd_sess_settimeout(anchor, &end);
}

void guard_anchor_tend(void)
{
	time_t now = time(NULL), due = atomic_load_explicit(&next_push, memory_order_relaxed);

	if (now < due || !atomic_compare_exchange_strong(&next_push, &due, now + PUSH_S))
		return;
	/* Idle for so long that it may be gone: leave it, and make another one. */
	if (now > due + LIFE_S - 2 * PUSH_S)
		guard_anchor_start();
	else
		push(now);
}

int guard_anchor_start(void)
{
	time_t now = time(NULL);
	int rc;

	rc = fd_sess_new(&anchor, fd_g_config->cnf_diamid, fd_g_config->cnf_diamid_len,
			 (uint8_t *)"anchor", 6);
	if (!rc)
		rc = push(now);
	atomic_store(&next_push, now + PUSH_S);
	return rc;
}
