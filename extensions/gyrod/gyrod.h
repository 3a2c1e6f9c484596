/* gyrod's parts. */
#ifndef GY_GYROD_H
#define GY_GYROD_H

#include <stdbool.h>
#include <stddef.h>

struct cnxctx; /* a connection of libfdcore */

/* log.c: one line per event on stdout, bounded; for fd_log_handler_register. Notices of the start
 * are kept back until it is known how it ends. */
void gyrod_log_start(void);
/* The start is over: what was kept back is dropped if it went well, and written if not. */
void gyrod_log_started(bool well);
/* A line that is always written, whatever the level and the bound. */
void gyrod_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* log.c: the name of the calling thread, as ps and top show it; 15 octets of it count. */
void gyrod_name_thread(const char *name);
/* sending.c: whoever sends on a connection stands between these two; the mark is on its stack. The
 * first waits for the one before; both fit pthread_cleanup_push. */
struct gyrod_sending {
	struct gyrod_sending *next;
	const struct cnxctx *connection;
};
void gyrod_sending_begin(struct gyrod_sending *sending, const struct cnxctx *connection);
void gyrod_sending_end(void *sending);
/* Sends, by the function given, if the socket has room for it; never waits for the peer. 0, or
 * ENOBUFS: not sent, or what send says: then the connection is at its end. */
int gyrod_send_at_once(int (*send)(struct cnxctx *, unsigned char *, size_t),
		       struct cnxctx *connection, unsigned char *bytes, size_t size);
/* The connection's socket; -1: it has none. */
int gyrod_socket_of(struct cnxctx *connection);
/* doorway.c: how many sockets listen. freeDiameter's threads do that after its start returned. */
unsigned gyrod_listening(void);

#endif
