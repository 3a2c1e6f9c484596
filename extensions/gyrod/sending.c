/* One sender per connection at a time, which libfdcore takes for granted; and sending without ever
 * waiting, for threads that others wait for.
 *
 * A connection has no lock of its own here, as nobody could tell when to free it. Who sends stands
 * in a list of those that are sending, by a mark on its own stack; whoever wants the same
 * connection waits until the mark is gone. The lists' locks are held for that only, never while
 * something is sent: a connection whose peer doesn't read stops no other one.
 *
 * libfdcore writes with writev, and waits in it for up to a second, and another one after each
 * octet that gets through. The writev here doesn't wait if the thread must not. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "extensions/gyrod/gyrod.h"

#define LISTS     64
#define TRY_MS    5              /* for a sender that is about to be done */
#define LATE_ROOM (256 * 1024)   /* octets that may wait in the socket; the kernel doubles it */
#define COST(n)   ((n)*2 + 4096) /* what n octets take there, at most: short ones cost the more */

/* libfdcore's, from its private cnxctx.h. */
int fd_cnx_proto_info(struct cnxctx *connection, char *text, size_t size);

#define VISIBLE __attribute__((visibility("default")))

VISIBLE ssize_t writev(int fd, const struct iovec *parts, int count);

/* Those connections on which somebody is sending, of every 64th address. */
struct senders {
	pthread_mutex_t lock;
	pthread_cond_t left; /* one of them is done */
	struct gyrod_sending *first;
	unsigned waiting;
};

static struct senders lists[LISTS];
static _Thread_local bool in_a_hurry;

__attribute__((constructor)) static void make_lists(void)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	for (unsigned i = 0; i < LISTS; i++) {
		pthread_mutex_init(&lists[i].lock, NULL);
		pthread_cond_init(&lists[i].left, &monotonic);
	}
	pthread_condattr_destroy(&monotonic);
}

static struct senders *senders_of(const struct cnxctx *connection)
{
	return &lists[(uintptr_t)connection / 64 % LISTS];
}

static bool is_taken(const struct senders *senders, const struct cnxctx *connection)
{
	for (const struct gyrod_sending *s = senders->first; s != NULL; s = s->next)
		if (s->connection == connection)
			return true;
	return false;
}

/* Of a thread that is cancelled while it waits. */
static void give_up(void *senders)
{
	((struct senders *)senders)->waiting--;
	pthread_mutex_unlock(&((struct senders *)senders)->lock);
}

/* until: NULL for ever. */
static bool begin(struct gyrod_sending *sending, const struct cnxctx *connection,
		  const struct timespec *until)
{
	struct senders *senders = senders_of(connection);
	int rc = 0;

	sending->connection = connection;
	pthread_mutex_lock(&senders->lock);
	senders->waiting++;
	pthread_cleanup_push(give_up, senders);
	while (is_taken(senders, connection) && rc == 0)
		rc = until == NULL ? pthread_cond_wait(&senders->left, &senders->lock)
				   : pthread_cond_timedwait(&senders->left, &senders->lock, until);
	if (!is_taken(senders, connection)) {
		sending->next = senders->first;
		senders->first = sending;
		rc = 0;
	}
	pthread_cleanup_pop(1);
	return rc == 0;
}

void gyrod_sending_begin(struct gyrod_sending *sending, const struct cnxctx *connection)
{
	/* It can't fail: nothing but a deadline ends the wait. */
	(void)begin(sending, connection, NULL);
}

void gyrod_sending_end(void *data)
{
	struct gyrod_sending *sending = data, **at;
	struct senders *senders = senders_of(sending->connection);

	pthread_mutex_lock(&senders->lock);
	for (at = &senders->first; *at != sending; at = &(*at)->next)
		;
	*at = sending->next;
	if (senders->waiting > 0)
		pthread_cond_broadcast(&senders->left);
	pthread_mutex_unlock(&senders->lock);
}

/* --- without waiting -----------------------------------------------------------------------------
 */

int gyrod_socket_of(struct cnxctx *connection)
{
	char text[64] = "";
	const char *p;
	int fd;

	if (fd_cnx_proto_info(connection, text, sizeof(text)) != 0)
		return -1;
	p = strstr(text, "soc#");
	return p != NULL && sscanf(p, "soc#%d", &fd) == 1 ? fd : -1;
}

/* Would the kernel take so much at once? It counts what it holds, not what was written. */
static bool fits(int fd, size_t size)
{
	uint32_t memory[SK_MEMINFO_VARS] = { 0 };
	socklen_t length = sizeof(memory);

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0 &&
	       memory[SK_MEMINFO_WMEM_QUEUED] + COST(size) <= memory[SK_MEMINFO_SNDBUF];
}

/* The same; a socket that is too small for it gets LATE_ROOM, once: what peers have asked before a
 * break or a goodbye is a burst of short answers, for which the kernel's first sizes are small. */
static bool can_take(int fd, size_t size)
{
	int now = 0, more = LATE_ROOM;
	socklen_t length = sizeof(now);

	if (fits(fd, size))
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &now, &length) != 0 || now >= more)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &more, sizeof(more));
	return fits(fd, size);
}

/* TRY_MS from now. */
static struct timespec soon(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TRY_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return until;
}

int gyrod_send_at_once(int (*send)(struct cnxctx *, unsigned char *, size_t),
		       struct cnxctx *connection, unsigned char *bytes, size_t size)
{
	int rc, fd = gyrod_socket_of(connection);
	struct gyrod_sending sending;
	struct timespec until;

	/* Looked at before, too: whoever is stuck on this connection is so for want of room. */
	if (!can_take(fd, size))
		return ENOBUFS;
	until = soon();
	if (!begin(&sending, connection, &until))
		return ENOBUFS;
	pthread_cleanup_push(gyrod_sending_end, &sending);
	in_a_hurry = true;
	rc = fits(fd, size) ? send(connection, bytes, size) : ENOBUFS;
	in_a_hurry = false;
	pthread_cleanup_pop(1);
	return rc;
}

/* A part of a message can't be taken back, nor the rest be sent later: an error, upon which
 * libfdcore ends the connection. can_take sees to it that this hardly ever happens. */
static ssize_t write_at_once(int fd, const struct iovec *parts, int count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count };
	ssize_t n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		errno = ENOBUFS;
	return n;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	static _Atomic(ssize_t(*)(int, const struct iovec *, int)) real;

	if (in_a_hurry)
		return write_at_once(fd, parts, count);
	if (atomic_load(&real) == NULL)
		atomic_store(&real, (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT,
										      "writev"));
	return atomic_load(&real)(fd, parts, count);
}
