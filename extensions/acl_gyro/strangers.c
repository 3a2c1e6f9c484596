/* Crowds of strangers (P11).
 *
 * 1.2.1 makes a peer of whoever sends a CER, before it asks the validator, and keeps it for up to
 * two minutes after the CEA 3010: memory, and a list that every answer and every connection walks.
 * So a name that gyro.yaml doesn't list, and that libfdcore doesn't know yet, gets in as far as its
 * CEA only if there were few of its kind lately. The others are closed without a word. */
#include <pthread.h>
#include <time.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "extensions/acl_gyro/guard.h"
#include "extensions/acl_gyro/judge.h"

/* Of new names: so many at once, and one more each second. libfdcore forgets them within 120 s, so
 * it never holds more than BURST + 120. */
#define BURST 20

static const struct gy_config *config;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned left = BURST; /* under lock, as of second */
static time_t second;

static bool take_one(void)
{
	struct timespec now;
	time_t passed;
	bool one;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	pthread_mutex_lock(&lock);
	passed = now.tv_sec - second;
	second = now.tv_sec;
	left = passed >= BURST - (time_t)left ? BURST : left + (unsigned)passed;
	one = left > 0;
	if (one)
		left--;
	pthread_mutex_unlock(&lock);
	return one;
}

/* A peer of a ConnectPeer line, or a stranger that was here a moment ago: no new name to keep. */
static bool is_remembered(struct gy_bytes host)
{
	struct peer_hdr *peer = NULL;

	return fd_peer_getbyid((DiamId_t)host.data, host.len, 1, &peer) == 0 && peer != NULL;
}

bool guard_is_too_many(struct gy_bytes message)
{
	struct gy_bytes host = guard_cer_host(message);
	int state;

	if (host.len == 0 || gy_config_peer(config, host) != NULL || is_remembered(host) ||
	    take_one())
		return false;
	/* The thread may be cancelled at any time, but not with the log's lock in its hand. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	guard_tell("unidentified peer", "not in gyro.yaml, like too many others: closed");
	pthread_setcancelstate(state, NULL);
	return true;
}

void guard_strangers_start(const struct gy_config *new_config)
{
	config = new_config;
}
