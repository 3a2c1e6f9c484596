/* The doorway: strangers wait outside until they have said something (F4, F14).
 *
 * listen and accept, replaced for the whole process (interpose.c tells how that works; only
 * libfdcore listens here). freeDiameter gives each accepted connection a thread and 20 s, and ends
 * the daemon when accept fails, for example for want of descriptors. Here a connection is handed on
 * once its whole first message is there; until then it costs a descriptor and nothing else. One
 * that says nothing for PATIENCE_MS, or nothing like Diameter, is closed; when there are too many,
 * the one that has waited longest. accept fails only if the listening socket itself is bad.
 *
 * It looks at the length of the first message, never at its content: that is acl_gyro's. On the TLS
 * port the handshake comes first (tls.c), and then a whole record: of what the doorway sees only
 * that is in the clear. SCTP keeps messages whole by itself. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "extensions/gyrod/gyrod.h"
#include "extensions/gyrod/tls.h"

#define BACKLOG        1024
#define PATIENCE_MS    5000
#define GUESTS_MAX     4096
#define TLS_GUESTS_MAX 1024  /* each has a session of its own, with buffers and keys */
#define FIRST_MIN      20    /* octets: a Diameter header */
#define FIRST_MAX      16384 /* a CER has some 300 */
#define PAUSE_US       20000 /* when there is no descriptor left */

/* A TLS record: type, version, length, and at most this much. */
#define RECORD_HEADER 5
#define RECORD_MAX    (16384 + 256)
#define RECORD_DATA   23

#define VISIBLE __attribute__((visibility("default")))

VISIBLE int listen(int socket_fd, int backlog);
VISIBLE int accept(int listener, struct sockaddr *restrict address, socklen_t *restrict length);

/* A connection that hasn't said enough yet. */
struct guest {
	struct guest *next; /* the one that came after it */
	struct guest *previous;
	int fd;
	int64_t until_ms;
	gnutls_session_t tls; /* since its first octet; NULL without TLS */
	size_t tls_octets;    /* read in the handshake */
	bool trusted;         /* which is done */
};

enum transport { TCP, TLS, SCTP, SCTP_TLS };

/* Those of one listening socket; each has its own thread. */
struct room {
	enum transport transport;
	int epoll;
	unsigned n, max;
	struct guest *first, *last; /* in order of arrival */
};

static _Thread_local struct room *this_room;
static _Atomic unsigned listening;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum transport transport_of(int listener)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address), size = sizeof(int);
	int protocol = 0, port = 0;
	bool tls;

	getsockopt(listener, SOL_SOCKET, SO_PROTOCOL, &protocol, &size);
	getsockname(listener, (struct sockaddr *)&address, &length);
	/* In both families the port stands in the same place. */
	port = ntohs(((struct sockaddr_in *)&address)->sin_port);
	tls = fd_g_config->cnf_port_tls != 0 && port == fd_g_config->cnf_port_tls;
	if (protocol == IPPROTO_SCTP)
		return tls ? SCTP_TLS : SCTP;
	return tls ? TLS : TCP;
}

static struct room *room_open(int listener)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	struct room *room = calloc(1, sizeof(*room));
	struct rlimit files = { .rlim_cur = 1024 };

	if (room == NULL)
		return NULL;
	/* Most descriptors are for peers and the database. */
	getrlimit(RLIMIT_NOFILE, &files);
	room->transport = transport_of(listener);
	room->max = room->transport == TLS ? TLS_GUESTS_MAX : GUESTS_MAX;
	if (files.rlim_cur / 4 < room->max)
		room->max = (unsigned)files.rlim_cur / 4;
	if (room->transport == SCTP_TLS)
		return room;
	room->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (room->epoll < 0 || epoll_ctl(room->epoll, EPOLL_CTL_ADD, listener, &event) != 0 ||
	    fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK) != 0) {
		if (room->epoll >= 0)
			close(room->epoll);
		free(room);
		return NULL;
	}
	return room;
}

/* Takes the guest out of the room; its connection stays. */
static int room_release(struct room *room, struct guest *guest)
{
	int fd = guest->fd;

	*(guest->previous != NULL ? &guest->previous->next : &room->first) = guest->next;
	*(guest->next != NULL ? &guest->next->previous : &room->last) = guest->previous;
	room->n--;
	epoll_ctl(room->epoll, EPOLL_CTL_DEL, fd, NULL);
	free(guest);
	return fd;
}

static void room_dismiss(struct room *room, struct guest *guest)
{
	if (guest->tls != NULL)
		gnutls_deinit(guest->tls);
	close(room_release(room, guest));
}

/* Sends away who waited too long. How long the next one may still wait; -1: nobody is there. */
static int room_tidy(struct room *room)
{
	int64_t now = now_ms();

	while (room->first != NULL && room->first->until_ms <= now)
		room_dismiss(room, room->first);
	return room->first != NULL ? (int)(room->first->until_ms - now) : -1;
}

static void room_admit(struct room *room, int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	struct guest *guest = calloc(1, sizeof(*guest));

	if (room->transport != TLS)
		event.events &= ~(uint32_t)EPOLLOUT;
	event.data.ptr = guest;
	if (guest == NULL || epoll_ctl(room->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
		free(guest);
		close(fd);
		return;
	}
	guest->fd = fd;
	guest->until_ms = now_ms() + PATIENCE_MS;
	guest->previous = room->last;
	*(room->last != NULL ? &room->last->next : &room->first) = guest;
	room->last = guest;
	room->n++;
}

static int real_accept(int listener)
{
	static _Atomic(int (*)(int, struct sockaddr *, socklen_t *)) real;

	if (atomic_load(&real) == NULL)
		atomic_store(&real, (int (*)(int, struct sockaddr *, socklen_t *))dlsym(RTLD_NEXT,
											"accept"));
	return atomic_load(&real)(listener, NULL, NULL);
}

/* Lets one more in. False: the listening socket is bad. */
static bool room_invite(struct room *room, int listener)
{
	int fd = real_accept(listener);

	if (fd >= 0) {
		if (room->n >= room->max && room->first != NULL)
			room_dismiss(room, room->first);
		room_admit(room, fd);
		return true;
	}
	switch (errno) {
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		if (room->first != NULL)
			room_dismiss(room, room->first);
		else
			usleep(PAUSE_US);
		return true;
	default: /* it has gone again, or its network has */
		return true;
	}
}

enum speech { SAID_ENOUGH, NOT_YET, NONSENSE };

static enum speech nothing_new(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? NOT_YET : NONSENSE;
}

/* Is so much there? */
static enum speech whole(int fd, size_t size)
{
	int there = 0;

	if (ioctl(fd, FIONREAD, &there) != 0)
		return NONSENSE;
	return there >= 0 && (size_t)there >= size ? SAID_ENOUGH : NOT_YET;
}

static enum speech hear_tcp(int fd)
{
	uint8_t head[4];
	ssize_t n = recv(fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	size_t size;

	if (n <= 0)
		return nothing_new(n);
	if (head[0] != 1)
		return NONSENSE; /* no Diameter of this version */
	if (n < (ssize_t)sizeof(head))
		return NOT_YET;
	size = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	return size >= FIRST_MIN && size <= FIRST_MAX ? whole(fd, size) : NONSENSE;
}

static enum speech hear_record(int fd)
{
	uint8_t head[RECORD_HEADER];
	ssize_t n = recv(fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	size_t size;

	if (n <= 0)
		return nothing_new(n);
	if (head[0] != RECORD_DATA)
		return NONSENSE; /* a goodbye in the clear (TLS 1.2), or one more handshake */
	if (n < (ssize_t)sizeof(head))
		return NOT_YET;
	size = (size_t)head[3] << 8 | head[4];
	return size > 0 && size <= RECORD_MAX ? whole(fd, RECORD_HEADER + size) : NONSENSE;
}

static enum speech hear_tls(struct guest *guest)
{
	uint8_t first;
	ssize_t n;

	if (guest->tls == NULL) {
		n = recv(guest->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
		if (n <= 0)
			return nothing_new(n);
		guest->tls = gyrod_tls_begin(guest->fd);
		if (guest->tls == NULL)
			return NONSENSE;
	}
	if (!guest->trusted) {
		switch (gyrod_tls_continue(guest->tls, guest->fd, &guest->tls_octets)) {
		case GYROD_TLS_DONE:
			guest->trusted = true;
			break;
		case GYROD_TLS_WAIT:
			return NOT_YET;
		case GYROD_TLS_FAILED:
			return NONSENSE;
		}
	}
	return hear_record(guest->fd);
}

/* Messages come whole, and between them, as libfdcore has asked for it, news of the association. */
static enum speech hear_sctp(int fd)
{
	uint8_t head[4096];
	struct iovec part = { head, 4 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;
	size_t size;

	while ((n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT)) > 0 &&
	       (message.msg_flags & MSG_NOTIFICATION))
		if (recv(fd, head, sizeof(head), MSG_DONTWAIT) <= 0)
			return NONSENSE;
	if (n <= 0)
		return nothing_new(n);
	size = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	return n == 4 && head[0] == 1 && size >= FIRST_MIN && size <= FIRST_MAX ? SAID_ENOUGH
										: NONSENSE;
}

/* The guest's connection, for libfdcore; -1: it was lost on the way out. */
static int room_see_off(struct room *room, struct guest *guest)
{
	if (guest->tls != NULL && !gyrod_tls_hand_on(guest->tls, guest->fd)) {
		room_dismiss(room, guest);
		return -1;
	}
	return room_release(room, guest);
}

/* A guest moved: its connection if it may come in, -1 otherwise. */
static int room_attend(struct room *room, struct guest *guest, uint32_t events)
{
	enum speech speech = room->transport == TLS    ? hear_tls(guest)
			     : room->transport == SCTP ? hear_sctp(guest->fd)
						       : hear_tcp(guest->fd);

	if (speech == SAID_ENOUGH)
		return room_see_off(room, guest);
	if (speech == NONSENSE || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		room_dismiss(room, guest);
	return -1;
}

int accept(int listener, struct sockaddr *restrict address, socklen_t *restrict length)
{
	struct epoll_event event;
	int fd, n;

	if (this_room == NULL)
		this_room = room_open(listener);
	if (this_room == NULL)
		return -1;
	while (this_room->transport == SCTP_TLS)
		pause(); /* nobody listens: see below */
	for (;;) {
		/* One event at a time: no guest of a later one can have gone meanwhile. */
		n = epoll_wait(this_room->epoll, &event, 1, room_tidy(this_room));
		if (n < 0 && errno != EINTR)
			return -1;
		if (n <= 0)
			continue;
		if (event.data.ptr == NULL) {
			if (!room_invite(this_room, listener))
				return -1;
			continue;
		}
		fd = room_attend(this_room, event.data.ptr, event.events);
		if (fd < 0)
			continue;
		if (address == NULL || getpeername(fd, address, length) == 0)
			return fd;
		close(fd);
	}
}

int listen(int socket_fd, int backlog)
{
	int (*real)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "listen");
	int rc;

	/* libfdcore wants to serve TLS over SCTP, in a way (RFC 3436) that RFC 6733 has replaced by
	 * DTLS, with a handshake for each stream: stalls that nothing could bound. The kernel turns
	 * away who asks for it. */
	if (transport_of(socket_fd) == SCTP_TLS)
		return 0;
	rc = real(socket_fd, backlog > BACKLOG ? backlog : BACKLOG);
	if (rc == 0)
		atomic_fetch_add(&listening, 1);
	return rc;
}

unsigned gyrod_listening(void)
{
	return atomic_load(&listening);
}
