/* gyrod's parts. */
#ifndef GY_GYROD_H
#define GY_GYROD_H

#include <pthread.h>
#include <stdbool.h>

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
/* interpose.c: who sends on this connection holds it. */
pthread_mutex_t *gyrod_sender_lock(const struct cnxctx *connection);
/* doorway.c: how many sockets listen. freeDiameter's threads do that after its start returned. */
unsigned gyrod_listening(void);

#endif
