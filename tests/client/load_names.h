/* Who is who in a load: Session-Id, IMSI and MSISDN as functions of a number.
 *
 * Shared by the load generator and the loader of the bench's database, so that sessions which the
 * latter stored can be used by the former at once. Lengths never vary: templates are patched. */
#ifndef GYRO_LOAD_NAMES_H
#define GYRO_LOAD_NAMES_H

#include <stdint.h>
#include <string.h>

#define LOAD_SESSION_PREFIX "load.gyro.test;"
#define LOAD_SESSION_SIZE   (sizeof(LOAD_SESSION_PREFIX) - 1 + 3 * 10 + 2)
#define LOAD_IMSI_PREFIX    "99970" /* the test network 999-70 */
#define LOAD_IMSI_SIZE      15
#define LOAD_MSISDN_PREFIX  "88299"
#define LOAD_MSISDN_SIZE    15

/* The run of sessions that are in the database before the load begins. */
#define LOAD_RUN_PRELOADED 0u

static inline void load_digits10(char *at, uint64_t value)
{
	for (int i = 9; i >= 0; i--, value /= 10)
		at[i] = (char)('0' + value % 10);
}

/* Session-Id of the round-th session with this number in this run: LOAD_SESSION_SIZE octets. */
static inline void load_session_id(char *at, uint32_t run, uint64_t number, uint32_t round)
{
	memcpy(at, LOAD_SESSION_PREFIX, sizeof(LOAD_SESSION_PREFIX) - 1);
	at += sizeof(LOAD_SESSION_PREFIX) - 1;
	load_digits10(at, run);
	at[10] = ';';
	load_digits10(at + 11, number);
	at[21] = ';';
	load_digits10(at + 22, round);
}

static inline void load_imsi(char *at, uint64_t subscriber)
{
	memcpy(at, LOAD_IMSI_PREFIX, 5);
	load_digits10(at + 5, subscriber);
}

static inline void load_msisdn(char *at, uint64_t subscriber)
{
	memcpy(at, LOAD_MSISDN_PREFIX, 5);
	load_digits10(at + 5, subscriber);
}

/* Subscribers are 1 .. subscribers; consecutive sessions lie step apart, so that a few sessions
 * still reach over the whole table. */
static inline uint64_t load_subscriber(uint64_t session, uint64_t subscribers, uint64_t step)
{
	return 1 + session * step % subscribers;
}

#endif
