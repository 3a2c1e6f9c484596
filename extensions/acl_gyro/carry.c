/* Carries requests raw (F2, F3, F5, F11, and spec/gy.md 5.4).
 *
 * HOOK_DATA_RECEIVED runs when a message is complete and before freeDiameter has looked at it, and
 * hands us the buffer. A request that is not base protocol is wrapped there into a small, always
 * well-formed CCR of our own:
 *
 *	header: code 272, application 4, R P, the request's own Hop-by-Hop and End-to-End ids
 *	Destination-Realm: ours          (so that it is routed to us)
 *	Gyro-Raw-Request: int64 nanoseconds of arrival, CLOCK_MONOTONIC, host order; the request
 *
 * The stack parses two AVPs instead of forty, never makes a session, never judges, never answers;
 * app_gyro sees every octet the peer sent. Base protocol and answers stay as they are, unless
 * judge.c or strangers.c refuses them: then they become a message that the stack refuses cleanly,
 * and the connection closes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "dict/gy_avp_table.h"
#include "extensions/acl_gyro/guard.h"
#include "extensions/acl_gyro/judge.h"
#include "extensions/app_gyro/wire.h"

/* libfdcore exports these but declares them in a private header: a message's buffer is followed by
 * a struct fd_msg_pmdl (include/freeDiameter/libfdproto.h), these say where. */
size_t fd_msg_pmdl_sizewithoverhead(size_t datalen);
struct fd_msg_pmdl *fd_msg_pmdl_get_inbuf(uint8_t *buf, size_t datalen);

#define HOLD_EVERY 16
#define HOLD_MS    20

static struct gy_bytes realm;

/* --- writing ------------------------------------------------------------------------------- */

static uint8_t *put32(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 24);
	p[1] = (uint8_t)(value >> 16);
	p[2] = (uint8_t)(value >> 8);
	p[3] = (uint8_t)value;
	return p + 4;
}

static size_t padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static size_t wrapped_size(size_t raw)
{
	return GY_HEADER_SIZE + 8 + padded(realm.len) + 12 + 8 + padded(raw);
}

static void wrap(uint8_t *out, size_t size, const uint8_t *raw, size_t raw_len)
{
	uint8_t *p = out;
	struct timespec now;
	int64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;

	p = put32(p, 1u << 24 | (uint32_t)size);
	p = put32(p, (GY_CMD_REQUEST | GY_CMD_PROXIABLE) << 24 | GY_CREDIT_CONTROL);
	p = put32(p, GY_APP_CREDIT_CONTROL);
	memcpy(p, raw + 12, 8); /* Hop-by-Hop, End-to-End */
	p += 8;

	p = put32(p, GY_AVP_DESTINATION_REALM);
	p = put32(p, (uint32_t)GY_AVP_FLAG_M << 24 | (uint32_t)(8 + realm.len));
	memcpy(p, realm.data, realm.len);
	memset(p + realm.len, 0, padded(realm.len) - realm.len);
	p += padded(realm.len);

	p = put32(p, GY_AVP_GYRO_RAW_REQUEST);
	p = put32(p, (uint32_t)GY_AVP_FLAG_V << 24 | (uint32_t)(12 + 8 + raw_len));
	p = put32(p, GY_VENDOR_GYRO);
	memcpy(p, &now_ns, 8);
	memcpy(p + 8, raw, raw_len);
	memset(p + 8 + raw_len, 0, padded(raw_len) - raw_len);
}

/* --- the hook -------------------------------------------------------------------------------- */

/* Makes the stack refuse the message and close the connection: no version has the number 0. */
static void refuse(uint8_t *header)
{
	header[0] = 0;
}

/* Replaces the buffer by a wrapped copy; without memory the request is refused. */
static void carry(struct fd_cnx_rcvdata *received)
{
	size_t size = wrapped_size(received->length);
	struct fd_msg_pmdl *pmdl;
	uint8_t *buffer = malloc(fd_msg_pmdl_sizewithoverhead(size));

	if (buffer == NULL) {
		refuse(received->buffer);
		return;
	}
	pmdl = fd_msg_pmdl_get_inbuf(buffer, size);
	fd_list_init(&pmdl->sentinel, NULL);
	pthread_mutex_init(&pmdl->lock, NULL);
	wrap(buffer, size, received->buffer, received->length);

	pmdl = fd_msg_pmdl_get_inbuf(received->buffer, received->length);
	pthread_mutex_destroy(&pmdl->lock);
	free(received->buffer);
	received->buffer = buffer;
	received->length = size;
}

/* When the stack is behind, the peer's bytes wait in its socket and not in the queue of its state
 * machine, which has no bound: TCP then slows the sender down. Looked at now and then only. */
static void hold_back(void)
{
	static _Thread_local unsigned messages;
	int waiting = 0, limit = 0, state;

	if (++messages % HOLD_EVERY != 0)
		return;
	/* The caller would lose its buffer if the thread were cancelled here. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	for (unsigned ms = 0; ms < HOLD_MS; ms++) {
		if (fd_stat_getstats(STAT_G_INCOMING, NULL, &waiting, &limit, NULL, NULL, NULL,
				     NULL, NULL) ||
		    limit == 0 || waiting < limit)
			break;
		usleep(1000);
	}
	pthread_setcancelstate(state, NULL);
}

static void on_data(enum fd_hook_type type, struct msg *msg, struct peer_hdr *peer, void *other,
		    struct fd_hook_permsgdata *pmd, void *data)
{
	struct fd_cnx_rcvdata *received = other;
	struct gy_bytes message;

	(void)type, (void)msg, (void)peer, (void)pmd, (void)data;
	if (received == NULL)
		return;
	message = (struct gy_bytes){ received->buffer, received->length };
	switch (guard_judge(message)) {
	case GUARD_PASS:
		if (guard_is_too_many(message))
			refuse(received->buffer);
		break;
	case GUARD_REFUSE:
		refuse(received->buffer);
		break;
	case GUARD_CARRY:
		hold_back();
		carry(received);
		break;
	}
}

int guard_carry_start(void)
{
	struct fd_hook_hdl *handle;

	realm.data = (const uint8_t *)fd_g_config->cnf_diamrlm;
	realm.len = fd_g_config->cnf_diamrlm_len;
	return fd_hook_register(1u << HOOK_DATA_RECEIVED, on_data, NULL, NULL, &handle);
}
