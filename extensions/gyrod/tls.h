/* tls.c: TLS for the doorway. Sessions belong to the caller until gyrod_tls_hand_on. */
#ifndef GY_GYROD_TLS_H
#define GY_GYROD_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/gnutls.h>

struct cnxctx;

enum gyrod_tls_step {
	GYROD_TLS_WAIT,   /* for the peer's next octets, or for room to send */
	GYROD_TLS_DONE,   /* the peer has a certificate that one of our authorities vouches for */
	GYROD_TLS_FAILED, /* close it; the log knows why */
};

/* A session for this socket; NULL without memory. Free it with gnutls_deinit. */
gnutls_session_t gyrod_tls_begin(int fd);
/* As far as it goes without waiting. octets counts what has been read since gyrod_tls_begin. */
enum gyrod_tls_step gyrod_tls_continue(gnutls_session_t session, int fd, size_t *octets);
/* The socket is about to be libfdcore's, with this session. False without memory. */
bool gyrod_tls_hand_on(gnutls_session_t session, int fd);
/* libfdcore's, from its private cnxctx.h: has this connection TLS? */
int fd_cnx_getTLS(struct cnxctx *connection);
/* Ends what TLS there is on a connection that is about to be destroyed; others are not touched. */
void gyrod_tls_farewell(struct cnxctx *connection);

#endif
