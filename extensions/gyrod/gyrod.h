/* gyrod's parts. */
#ifndef GY_GYROD_H
#define GY_GYROD_H

/* log.c: one line per event on stdout, bounded; for fd_log_handler_register. */
void gyrod_log_start(void);
/* A line that is always written, whatever the level and the bound. */
void gyrod_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* doorway.c: how many sockets listen. freeDiameter's threads do that after its start returned. */
unsigned gyrod_listening(void);

#endif
