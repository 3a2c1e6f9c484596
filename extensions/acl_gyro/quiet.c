/* The log of a host under attack stays small (F8).
 *
 * freeDiameter's default hooks dump whole messages, under one global lock, for what any peer may
 * cause. A registered hook replaces them: nothing for the everyday ones, a line for the others, and
 * no more than LINES_PER_SECOND of these. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "extensions/acl_gyro/guard.h"

#define LINES_PER_SECOND 10

static _Atomic long second;         /* of the count below */
static _Atomic unsigned lines;      /* written in it */
static _Atomic unsigned suppressed; /* since the last line */

/* May one more line be written now? Racy by a line or two, which does no harm. */
static bool may_log(unsigned *missed)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (atomic_load(&second) != now.tv_sec) {
		atomic_store(&second, now.tv_sec);
		atomic_store(&lines, 0);
	}
	if (atomic_fetch_add(&lines, 1) >= LINES_PER_SECOND) {
		atomic_fetch_add(&suppressed, 1);
		return false;
	}
	*missed = atomic_exchange(&suppressed, 0);
	return true;
}

void guard_tell(const char *peer, const char *text)
{
	unsigned missed;

	if (!may_log(&missed))
		return;
	fd_log_notice("%s: %.200s", peer, text);
	if (missed > 0)
		fd_log_notice("(%u similar lines left out)", missed);
}

static void on_everyday(enum fd_hook_type type, struct msg *msg, struct peer_hdr *peer, void *other,
			struct fd_hook_permsgdata *pmd, void *data)
{
	(void)type, (void)msg, (void)peer, (void)other, (void)pmd, (void)data;
}

static const char *what(enum fd_hook_type type)
{
	switch (type) {
	case HOOK_MESSAGE_PARSING_ERROR:
	case HOOK_MESSAGE_PARSING_ERROR2:
		return "message not understood";
	case HOOK_MESSAGE_ROUTING_ERROR:
		return "no route";
	case HOOK_MESSAGE_DROPPED:
		return "message dropped";
	case HOOK_PEER_CONNECT_FAILED:
		return "peer refused or lost";
	default:
		return "event";
	}
}

static void on_trouble(enum fd_hook_type type, struct msg *msg, struct peer_hdr *peer, void *other,
		       struct fd_hook_permsgdata *pmd, void *data)
{
	/* A parsing error without message has the raw buffer in other, all the rest a text. */
	bool has_text = type != HOOK_MESSAGE_PARSING_ERROR || msg != NULL;
	const char *cause = has_text && other != NULL ? other : "malformed";
	const char *source = peer ? (const char *)peer->info.pi_diamid : NULL;
	DiamId_t id = NULL;
	char text[256];

	(void)pmd, (void)data;
	if (source == NULL && msg != NULL && fd_msg_source_get(msg, &id, NULL) == 0)
		source = id;
	if (type == HOOK_MESSAGE_PARSING_ERROR2)
		cause = "answered with an error";
	snprintf(text, sizeof(text), "%s: %.200s", what(type), cause);
	guard_tell(source ? source : "unidentified peer", text);
}

static void on_connected(enum fd_hook_type type, struct msg *msg, struct peer_hdr *peer,
			 void *other, struct fd_hook_permsgdata *pmd, void *data)
{
	char link[64] = "";
	int socket_fd = -1, on = 1;
	const char *p;

	(void)type, (void)msg, (void)other, (void)pmd, (void)data;
	if (peer == NULL || fd_peer_cnx_proto_info(peer, link, sizeof(link)))
		return;
	/* freeDiameter clears TCP_NODELAY, which costs answers up to 40 ms each. */
	p = strstr(link, "soc#");
	if (p != NULL && sscanf(p, "soc#%d", &socket_fd) == 1 && socket_fd > 0)
		setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fd_log_notice("%s: connected (%s)", (const char *)peer->info.pi_diamid, link);
}

int guard_quiet_start(void)
{
	const uint32_t everyday = 1u << HOOK_MESSAGE_LOCAL | 1u << HOOK_MESSAGE_SENDING |
				  1u << HOOK_MESSAGE_SENT | 1u << HOOK_MESSAGE_FAILOVER |
				  1u << HOOK_MESSAGE_ROUTING_FORWARD |
				  1u << HOOK_MESSAGE_ROUTING_LOCAL;
	const uint32_t trouble = 1u << HOOK_MESSAGE_PARSING_ERROR |
				 1u << HOOK_MESSAGE_PARSING_ERROR2 |
				 1u << HOOK_MESSAGE_ROUTING_ERROR | 1u << HOOK_MESSAGE_DROPPED |
				 1u << HOOK_PEER_CONNECT_FAILED;
	struct fd_hook_hdl *handle;
	int rc;

	rc = fd_hook_register(everyday, on_everyday, NULL, NULL, &handle);
	if (!rc)
		rc = fd_hook_register(trouble, on_trouble, NULL, NULL, &handle);
	if (!rc)
		rc = fd_hook_register(1u << HOOK_PEER_CONNECT_SUCCESS, on_connected, NULL, NULL,
				      &handle);
	return rc;
}
