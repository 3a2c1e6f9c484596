/* Functions of libfdcore and libfdproto, replaced for the whole process. An executable linked with
 * -rdynamic comes first when the libraries' own calls are bound; an extension could not do it.
 *
 * fd_out_send (F2, F6): other threads than the peer's own send its answers, and in 1.2.1 a failure
 * there ends the thread and with it the daemon. Here it never fails for an answer: what can't be
 * sent is dropped, the gateway will resend; and a request of ours goes to an open peer's queue or
 * nowhere. Those threads, the dispatch thread and the lanes, serve everybody and wait for no peer.
 * fd_cnx_destroy: waits for such a send, so that no connection is freed under it. fd_cnx_send: one
 * sender per connection at a time, which the original takes for granted (sending.c). fd_fifo_new:
 * internal queues of 5 to 30 messages make every message a change of threads.
 * doorway.c replaces two more, listen and accept; tls.c those that make and end TLS connections;
 * log.c fd_log_threadname; sending.c writev.
 *
 * gyrod_send_answer is not interposed but offered to app_gyro: it sends an answer without the
 * routing thread, which would throw it away while the peer is in REOPEN, that is for a while
 * after each unclean disconnect. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "extensions/gyrod/gyrod.h"
#include "extensions/gyrod/tls.h"

#define QUEUE_LENGTH  1000 /* between freeDiameter's threads */
#define GLOBAL_STOCK  20   /* the least that 1.2.1 asks for there */
#define TOSEND_LENGTH 8192 /* answers that wait for one peer's connection */
#define TOSEND_SPARE  64   /* so near to that counts as full: others are about to put theirs */
#define FULL_WAIT_MS  20 /* patience with a peer that doesn't read; then its answers are dropped */
#define FULL_FOR_NS   1000000000 /* how long after that nobody gets patience */

struct fd_peer; /* begins with a struct peer_hdr */

#define VISIBLE __attribute__((visibility("default")))

VISIBLE int fd_out_send(struct msg **msg, struct cnxctx *connection, struct fd_peer *peer,
			int update_pending);
VISIBLE void fd_cnx_destroy(struct cnxctx *connection);
VISIBLE int fd_cnx_send(struct cnxctx *connection, unsigned char *bytes, size_t size);
VISIBLE int fd_fifo_new(struct fifo **queue, int max);
VISIBLE int fd_peer_alloc(struct fd_peer **peer);
/* Takes answer, which must belong to a received request, and sends it to the peer of that name. */
VISIBLE void gyrod_send_answer(struct msg *answer, DiamId_t id, size_t id_len);

static int (*real_out_send)(struct msg **, struct cnxctx *, struct fd_peer *, int);
static void (*real_cnx_destroy)(struct cnxctx *);
static int (*real_cnx_send)(struct cnxctx *, unsigned char *, size_t);
static int (*real_fifo_new)(struct fifo **, int);
static int (*real_peer_alloc)(struct fd_peer **);

static _Thread_local bool in_peer_alloc;

/* This thread sends to a peer and serves all the others, too: it must not wait for that one. */
static _Thread_local bool serves_all;

/* Read: a thread that is not the peer's own is sending. Write: a connection goes. */
static pthread_rwlock_t connections = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

__attribute__((constructor)) static void find_real_ones(void)
{
	real_out_send = (int (*)(struct msg **, struct cnxctx *, struct fd_peer *, int))dlsym(
		RTLD_NEXT, "fd_out_send");
	real_cnx_destroy = (void (*)(struct cnxctx *))dlsym(RTLD_NEXT, "fd_cnx_destroy");
	real_cnx_send =
		(int (*)(struct cnxctx *, unsigned char *, size_t))dlsym(RTLD_NEXT, "fd_cnx_send");
	real_fifo_new = (int (*)(struct fifo **, int))dlsym(RTLD_NEXT, "fd_fifo_new");
	real_peer_alloc = (int (*)(struct fd_peer **))dlsym(RTLD_NEXT, "fd_peer_alloc");
}

static void unlock(void *lock)
{
	pthread_rwlock_unlock(lock);
}

void fd_cnx_destroy(struct cnxctx *connection)
{
	gyrod_tls_farewell(connection);
	pthread_rwlock_wrlock(&connections);
	pthread_cleanup_push(unlock, &connections);
	real_cnx_destroy(connection);
	pthread_cleanup_pop(1);
}

int fd_cnx_send(struct cnxctx *connection, unsigned char *bytes, size_t size)
{
	bool tls = fd_cnx_getTLS(connection) != 0;
	struct gyrod_sending sending;
	int rc, state;

	if (serves_all)
		return gyrod_send_at_once(real_cnx_send, connection, bytes, size);
	/* libfdcore cancels a peer's sender when the peer says goodbye, and sends the DPA itself. A
	 * sender cancelled on its way back from the socket leaves its record in the session, which
	 * would then go out a second time, and end the peer's side of TLS. It takes a second at
	 * most. */
	if (tls)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	gyrod_sending_begin(&sending, connection);
	pthread_cleanup_push(gyrod_sending_end, &sending);
	rc = real_cnx_send(connection, bytes, size);
	pthread_cleanup_pop(1);
	if (tls)
		pthread_setcancelstate(state, NULL);
	return rc;
}

static bool is_answer(struct msg *msg)
{
	struct msg_hdr *header;

	return fd_msg_hdr(msg, &header) == 0 && !(header->msg_flags & CMD_FLAG_REQUEST);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool is_full(struct peer_hdr *peer)
{
	int waiting = 0, limit = 0;

	return fd_stat_getstats(STAT_P_TOSEND, peer, &waiting, &limit, NULL, NULL, NULL, NULL,
				NULL) == 0 &&
	       limit != 0 && waiting >= limit - TOSEND_SPARE;
}

/* Is there room in the queue of an open peer? One that doesn't read must not hold up the others:
 * it is waited for once, and for a while after that nobody is; there may be many of its kind. */
static bool has_room(struct peer_hdr *peer)
{
	static _Atomic int64_t impatient_until;

	if (!is_full(peer))
		return true;
	if (now_ns() < impatient_until)
		return false;
	for (unsigned ms = 0; ms < FULL_WAIT_MS; ms++) {
		usleep(1000);
		if (!is_full(peer))
			return true;
	}
	impatient_until = now_ns() + FULL_FOR_NS;
	return false;
}

/* Sends if the peer is open, if it said goodbye and waits for its answers (G-04), or if it is back
 * after a disconnect and asks already; to the latter two without a queue, as far as their sockets
 * have room. Else, and on any failure, the answer is gone. */
static int send_or_drop(struct msg **msg, struct fd_peer *peer)
{
	struct peer_hdr *header = (struct peer_hdr *)peer;
	int state = fd_peer_get_state(header);

	if (state == STATE_OPEN ? has_room(header)
				: state == STATE_REOPEN || state == STATE_CLOSING_GRACE)
		real_out_send(msg, NULL, peer, 1);
	if (*msg != NULL) {
		fd_msg_free(*msg);
		*msg = NULL;
	}
	return 0;
}

void gyrod_send_answer(struct msg *answer, DiamId_t id, size_t id_len)
{
	struct peer_hdr *peer = NULL;

	/* The peer can't be freed while its list is locked. */
	pthread_rwlock_rdlock(&fd_g_peers_rw);
	pthread_cleanup_push(unlock, &fd_g_peers_rw);
	if (fd_peer_getbyid(id, id_len, 0, &peer) || peer == NULL)
		fd_msg_free(answer);
	else
		fd_out_send(&answer, NULL, (struct fd_peer *)peer, 1);
	pthread_cleanup_pop(1);
}

/* A request of ours, on the routing thread: only to an open peer, and not on its connection here
 * and now, which may be dying. On an error the caller tries another peer, or answers 3002. */
static int queue_request(struct msg **msg, struct fd_peer *peer)
{
	struct peer_hdr *header = (struct peer_hdr *)peer;

	if (fd_peer_get_state(header) != STATE_OPEN)
		return ENOTCONN;
	if (!has_room(header))
		return ENOBUFS;
	return real_out_send(msg, NULL, peer, 1);
}

int fd_out_send(struct msg **msg, struct cnxctx *connection, struct fd_peer *peer,
		int update_pending)
{
	int rc;

	/* CEA, DWA, DPA and requests of the peer's own state machine, on its own thread. */
	if (connection != NULL || !update_pending || peer == NULL)
		return real_out_send(msg, connection, peer, update_pending);
	pthread_rwlock_rdlock(&connections);
	pthread_cleanup_push(unlock, &connections);
	serves_all = true;
	rc = is_answer(*msg) ? send_or_drop(msg, peer) : queue_request(msg, peer);
	serves_all = false;
	pthread_cleanup_pop(1);
	return rc;
}

int fd_peer_alloc(struct fd_peer **peer)
{
	int rc;

	in_peer_alloc = true;
	rc = real_peer_alloc(peer);
	in_peer_alloc = false;
	return rc;
}

int fd_fifo_new(struct fifo **queue, int max)
{
	if (in_peer_alloc && max > 0)
		max = TOSEND_LENGTH;
	else if (max >= GLOBAL_STOCK)
		max = QUEUE_LENGTH;
	return real_fifo_new(queue, max);
}
