/* Two functions of libfdcore and libfdproto, replaced for the whole process. An executable linked
 * with -rdynamic comes first when the libraries' own calls are bound; an extension could not.
 *
 * fd_out_send (F2, F6): routing threads send answers without holding the peer's connection, and a
 * failure there ends the thread and with it the daemon. Here it never fails for an answer: what
 * can't be sent is dropped, the gateway will resend. And the connection can't be freed meanwhile.
 *
 * fd_fifo_new: internal queues of 5 to 30 messages make every message a change of threads. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#define QUEUE_LENGTH 1000

struct cnxctx;
struct fd_peer; /* begins with a struct peer_hdr */

#define VISIBLE __attribute__((visibility("default")))

VISIBLE int fd_out_send(struct msg **msg, struct cnxctx *connection, struct fd_peer *peer,
			int update_pending);
VISIBLE void fd_cnx_destroy(struct cnxctx *connection);
VISIBLE int fd_fifo_new(struct fifo **queue, int max);

static int (*real_out_send)(struct msg **, struct cnxctx *, struct fd_peer *, int);
static void (*real_cnx_destroy)(struct cnxctx *);
static int (*real_fifo_new)(struct fifo **, int);

/* Read: a routing thread is sending. Write: a connection goes. */
static pthread_rwlock_t connections = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

__attribute__((constructor)) static void find_real_ones(void)
{
	real_out_send = (int (*)(struct msg **, struct cnxctx *, struct fd_peer *, int))dlsym(
		RTLD_NEXT, "fd_out_send");
	real_cnx_destroy = (void (*)(struct cnxctx *))dlsym(RTLD_NEXT, "fd_cnx_destroy");
	real_fifo_new = (int (*)(struct fifo **, int))dlsym(RTLD_NEXT, "fd_fifo_new");
}

static void unlock(void *lock)
{
	pthread_rwlock_unlock(lock);
}

void fd_cnx_destroy(struct cnxctx *connection)
{
	pthread_rwlock_wrlock(&connections);
	pthread_cleanup_push(unlock, &connections);
	real_cnx_destroy(connection);
	pthread_cleanup_pop(1);
}

static bool is_answer(struct msg *msg)
{
	struct msg_hdr *header;

	return fd_msg_hdr(msg, &header) == 0 && !(header->msg_flags & CMD_FLAG_REQUEST);
}

/* From a routing thread, to an open peer or one that said goodbye and waits for its answers (G-04).
 */
static void send_routed(struct msg **msg, struct fd_peer *peer)
{
	int state = fd_peer_get_state((struct peer_hdr *)peer);

	if (state == STATE_OPEN || state == STATE_CLOSING_GRACE)
		real_out_send(msg, NULL, peer, 1);
	if (*msg != NULL) {
		fd_msg_free(*msg);
		*msg = NULL;
	}
}

int fd_out_send(struct msg **msg, struct cnxctx *connection, struct fd_peer *peer,
		int update_pending)
{
	/* CEA, DWA, DPA and requests of the peer's own state machine, on its own thread; and
	 * requests of ours, for which the caller tries another peer. */
	if (connection != NULL || !update_pending || peer == NULL || !is_answer(*msg))
		return real_out_send(msg, connection, peer, update_pending);
	pthread_rwlock_rdlock(&connections);
	pthread_cleanup_push(unlock, &connections);
	send_routed(msg, peer);
	pthread_cleanup_pop(1);
	return 0;
}

int fd_fifo_new(struct fifo **queue, int max)
{
	return real_fifo_new(queue, max > 0 ? QUEUE_LENGTH : 0);
}
