/* TLS over TCP (RFC 6733 §13.1: from the first octet on, the peer's certificate asked for).
 *
 * In stock freeDiameter a worker thread does the handshake, and waits 40 s and more for a client
 * that stalls in it: ThreadsPerServer such strangers and nobody gets in (F15). Here the doorway
 * does it, without blocking, and hands the connection on with its session ready. fd_cnx_handshake
 * finds that session by way of fd_tls_prepare, and skips the handshake itself; from then on the
 * connection is libfdcore's as any other.
 *
 * The chain is verified here, in the handshake. Whether the certificate is the peer's own is for
 * acl_gyro, once the CER says who that is.
 *
 * No other handshake happens as a server: none after a CER (Inband-Security-Id, RFC 3588), which is
 * offered to nobody since the CER would travel in the clear, and none later (renegotiation in TLS
 * 1.2), which 1.2.1 runs on a thread while another one may be sending. */
#include "extensions/gyrod/tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "extensions/gyrod/gyrod.h"

#define LINES_PER_SECOND 10
#define HANDSHAKE_MAX    65536 /* octets from the peer; long chains of certificates have 10,000 */
#define WARNINGS_MAX     4
#define FAREWELL_MS      200
#define FAREWELL_SEND_US 2000

/* libfdcore's, from its private cnxctx.h. */
#define CC_STATUS_CLOSING 1
#define CC_STATUS_ERROR   2
int fd_cnx_teststate(struct cnxctx *connection, uint32_t flag);
void fd_cnx_addstate(struct cnxctx *connection, uint32_t flag);

#define VISIBLE __attribute__((visibility("default")))

VISIBLE int fd_cnx_handshake(struct cnxctx *connection, int mode, int algorithm, char *priority,
			     void *credentials);
VISIBLE int fd_tls_prepare(gnutls_session_t *session, int mode, int dtls, char *priority,
			   void *credentials);
VISIBLE int fd_tls_rcvthr_core(struct cnxctx *connection, gnutls_session_t session);
VISIBLE int gnutls_handshake(gnutls_session_t session);
VISIBLE ssize_t gnutls_record_recv(gnutls_session_t session, void *data, size_t size);
VISIBLE int gnutls_bye(gnutls_session_t session, gnutls_close_request_t how);
VISIBLE int gnutls_dh_params_generate2(gnutls_dh_params_t parameters, unsigned bits);

static int (*real_cnx_handshake)(struct cnxctx *, int, int, char *, void *);
static int (*real_tls_prepare)(gnutls_session_t *, int, int, char *, void *);
static int (*real_rcvthr_core)(struct cnxctx *, gnutls_session_t);
static int (*real_handshake)(gnutls_session_t);
static ssize_t (*real_record_recv)(gnutls_session_t, void *, size_t);
static int (*real_bye)(gnutls_session_t, gnutls_close_request_t);

/* A session whose handshake is done: first it belongs to a socket, handed on by the doorway; then
 * to a connection of libfdcore, which frees the session itself. */
struct link {
	struct link *next;
	gnutls_session_t session;
	struct cnxctx *connection; /* NULL: not taken up yet */
	int fd;
};

static pthread_mutex_t links_lock = PTHREAD_MUTEX_INITIALIZER;
static struct link *links;

/* Of the fd_cnx_handshake that this thread is in. */
static _Thread_local bool shaking_hands;
static _Thread_local gnutls_session_t ready;

__attribute__((constructor)) static void find_real_ones(void)
{
	real_cnx_handshake = (int (*)(struct cnxctx *, int, int, char *, void *))dlsym(
		RTLD_NEXT, "fd_cnx_handshake");
	real_tls_prepare = (int (*)(gnutls_session_t *, int, int, char *, void *))dlsym(
		RTLD_NEXT, "fd_tls_prepare");
	real_rcvthr_core =
		(int (*)(struct cnxctx *, gnutls_session_t))dlsym(RTLD_NEXT, "fd_tls_rcvthr_core");
	real_handshake = (int (*)(gnutls_session_t))dlsym(RTLD_NEXT, "gnutls_handshake");
	real_record_recv = (ssize_t(*)(gnutls_session_t, void *, size_t))dlsym(
		RTLD_NEXT, "gnutls_record_recv");
	real_bye =
		(int (*)(gnutls_session_t, gnutls_close_request_t))dlsym(RTLD_NEXT, "gnutls_bye");
}

/* --- the handshake, at the doorway ---------------------------------------------------------------
 */

/* Of the handshake that this thread goes on with. It has a bound, whatever GnuTLS makes of records
 * that don't get it on: all the others wait for this thread. */
static _Thread_local size_t *octets_read;

static ssize_t pull(gnutls_transport_ptr_t transport, void *data, size_t size)
{
	ssize_t n;

	if (*octets_read > HANDSHAKE_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	n = recv((int)(intptr_t)transport, data, size, MSG_DONTWAIT);
	if (n > 0)
		*octets_read += (size_t)n;
	return n;
}

static ssize_t push(gnutls_transport_ptr_t transport, const giovec_t *parts, int count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count };

	return sendmsg((int)(intptr_t)transport, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

gnutls_session_t gyrod_tls_begin(int fd)
{
	gnutls_session_t session = NULL;

	/* Our certificate, the trusted authorities, "a certificate is required". */
	if (real_tls_prepare(&session, GNUTLS_SERVER, 0, NULL, NULL) != 0) {
		if (session != NULL)
			gnutls_deinit(session);
		return NULL;
	}
	/* Instead of libfdcore's own verification, which needs a connection of its making. */
	gnutls_session_set_verify_cert(session, NULL, 0);
	gnutls_transport_set_ptr(session, (gnutls_transport_ptr_t)(intptr_t)fd);
	gnutls_transport_set_pull_function(session, pull);
	gnutls_transport_set_vec_push_function(session, push);
	return session;
}

/* Anybody can cause this: LINES_PER_SECOND, not more. */
static bool may_log(void)
{
	static _Atomic long second;
	static _Atomic unsigned lines;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (atomic_load(&second) != now.tv_sec) {
		atomic_store(&second, now.tv_sec);
		atomic_store(&lines, 0);
	}
	return atomic_fetch_add(&lines, 1) < LINES_PER_SECOND;
}

/* Why it failed: certificates are what operators have trouble with. */
static void tell(gnutls_session_t session, int fd, int error)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	gnutls_datum_t reason = { NULL, 0 };
	char host[NI_MAXHOST] = "?";

	if (!may_log())
		return;
	if (getpeername(fd, (struct sockaddr *)&address, &length) == 0)
		getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), NULL, 0,
			    NI_NUMERICHOST);
	if (error == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
		gnutls_certificate_verification_status_print(
			gnutls_session_get_verify_cert_status(session), GNUTLS_CRT_X509, &reason,
			0);
	if (error == GNUTLS_E_FATAL_ALERT_RECEIVED)
		fd_log_notice("TLS: %s ends the handshake: %s", host,
			      gnutls_alert_get_name(gnutls_alert_get(session)));
	else
		fd_log_notice("TLS: %s refused: %s", host,
			      reason.data != NULL ? (char *)reason.data : gnutls_strerror(error));
	gnutls_free(reason.data);
}

enum gyrod_tls_step gyrod_tls_continue(gnutls_session_t session, int fd, size_t *octets)
{
	int rc;

	octets_read = octets;
	rc = real_handshake(session);
	for (unsigned n = 0; n < WARNINGS_MAX && rc == GNUTLS_E_WARNING_ALERT_RECEIVED; n++)
		rc = real_handshake(session);
	if (rc == 0)
		return GYROD_TLS_DONE;
	if (rc == GNUTLS_E_AGAIN)
		return GYROD_TLS_WAIT;
	gnutls_alert_send_appropriate(session, rc);
	tell(session, fd, rc);
	return GYROD_TLS_FAILED;
}

static struct link *unlink_by(int fd, struct cnxctx *connection)
{
	struct link *found;

	for (struct link **at = &links; (found = *at) != NULL; at = &found->next) {
		if (found->connection != connection || (connection == NULL && found->fd != fd))
			continue;
		*at = found->next;
		return found;
	}
	return NULL;
}

bool gyrod_tls_hand_on(gnutls_session_t session, int fd)
{
	struct link *link = calloc(1, sizeof(*link)), *stale;

	if (link == NULL)
		return false;
	link->session = session;
	link->fd = fd;
	pthread_mutex_lock(&links_lock);
	/* Of a connection that got lost on its way; the kernel has given its number away again. */
	stale = unlink_by(fd, NULL);
	link->next = links;
	links = link;
	pthread_mutex_unlock(&links_lock);
	if (stale != NULL)
		gnutls_deinit(stale->session);
	free(stale);
	return true;
}

/* --- libfdcore takes it up -----------------------------------------------------------------------
 */

int fd_tls_prepare(gnutls_session_t *session, int mode, int dtls, char *priority, void *credentials)
{
	if (ready == NULL)
		return real_tls_prepare(session, mode, dtls, priority, credentials);
	*session = ready;
	return 0;
}

int gnutls_handshake(gnutls_session_t session)
{
	if (session == ready)
		return 0;
	return shaking_hands ? real_handshake(session) : GNUTLS_E_UNSAFE_RENEGOTIATION_DENIED;
}

/* The session becomes the connection's, or is gone. */
static int take_up(struct cnxctx *connection, int algorithm)
{
	int rc, fd = gyrod_socket_of(connection);
	struct link *link;

	pthread_mutex_lock(&links_lock);
	link = unlink_by(fd, NULL);
	pthread_mutex_unlock(&links_lock);
	if (link == NULL)
		return EINVAL; /* a handshake in the middle of a connection: not offered */
	ready = link->session;
	rc = real_cnx_handshake(connection, GNUTLS_SERVER, algorithm, NULL, NULL);
	ready = NULL;
	if (!fd_cnx_getTLS(connection)) {
		gnutls_deinit(link->session);
		free(link);
		return rc;
	}
	link->connection = connection;
	pthread_mutex_lock(&links_lock);
	link->next = links;
	links = link;
	pthread_mutex_unlock(&links_lock);
	return rc;
}

int fd_cnx_handshake(struct cnxctx *connection, int mode, int algorithm, char *priority,
		     void *credentials)
{
	int rc;

	/* A CER that asks for TLS on a connection that has it: 1.2.1 would begin again, and fail.
	 */
	if (fd_cnx_getTLS(connection))
		return 0;
	if (mode == GNUTLS_SERVER)
		return take_up(connection, algorithm);
	shaking_hands = true;
	rc = real_cnx_handshake(connection, mode, algorithm, priority, credentials);
	shaking_hands = false;
	return rc;
}

/* --- the end -------------------------------------------------------------------------------------
 */

/* A peer that goes without a word is everyday, no error to be told of: Diameter has its own
 * lengths, nothing can be cut short unnoticed. */
ssize_t gnutls_record_recv(gnutls_session_t session, void *data, size_t size)
{
	ssize_t n = real_record_recv(session, data, size);

	return n == GNUTLS_E_PREMATURE_TERMINATION || n == GNUTLS_E_PULL_ERROR ? 0 : n;
}

/* A receiver ends in no other way than by the end of its connection: no error either. */
int fd_tls_rcvthr_core(struct cnxctx *connection, gnutls_session_t session)
{
	real_rcvthr_core(connection, session);
	return 0;
}

/* Says goodbye if it can, and doesn't wait for the peer to say the same. One sender at a time. */
int gnutls_bye(gnutls_session_t session, gnutls_close_request_t how)
{
	struct gyrod_sending sending;
	int state;

	(void)how;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	gyrod_sending_begin(&sending, gnutls_session_get_ptr(session));
	real_bye(session, GNUTLS_SHUT_WR);
	gyrod_sending_end(&sending);
	pthread_setcancelstate(state, NULL);
	return 0;
}

/* 1.2.1 waits in fd_cnx_destroy until the receiver ends by itself, which a peer that goes on
 * sending can put off for ever; and our fd_cnx_destroy holds up every sender meanwhile. So the
 * connection is brought to an end here, before. */
void gyrod_tls_farewell(struct cnxctx *connection)
{
	const struct timeval brief = { .tv_usec = FAREWELL_SEND_US };
	struct link *link;
	int fd;

	pthread_mutex_lock(&links_lock);
	link = unlink_by(-1, connection);
	pthread_mutex_unlock(&links_lock);
	if (link == NULL)
		return;
	if (!fd_cnx_teststate(connection, CC_STATUS_ERROR)) {
		fd = gyrod_socket_of(connection);
		fd_cnx_addstate(connection, CC_STATUS_CLOSING);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof(brief));
		gnutls_bye(link->session, GNUTLS_SHUT_WR);
		shutdown(fd, SHUT_RDWR);
		/* The receiver marks the connection when it has ended. */
		for (unsigned ms = 0;
		     ms < FAREWELL_MS && !fd_cnx_teststate(connection, CC_STATUS_ERROR); ms++)
			usleep(1000);
	}
	/* Nothing more is said; a receiver that still runs is cancelled. */
	fd_cnx_addstate(connection, CC_STATUS_ERROR);
	free(link);
}

/* libfdcore makes new Diffie-Hellman parameters of 1024 bits at each start, which takes seconds;
 * the well-known ones of RFC 7919 are stronger and there. */
int gnutls_dh_params_generate2(gnutls_dh_params_t parameters, unsigned bits)
{
	(void)bits;
	return gnutls_dh_params_import_raw2(parameters, &gnutls_ffdhe_2048_group_prime,
					    &gnutls_ffdhe_2048_group_generator,
					    gnutls_ffdhe_2048_key_bits);
}
