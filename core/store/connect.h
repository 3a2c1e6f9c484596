/* A connection to one of the servers that a conninfo names, in time. */
#ifndef GY_STORE_CONNECT_H
#define GY_STORE_CONNECT_H

#include <libpq-fe.h>

/* Tries the servers of the conninfo in their order, each for its share of the time: one that says
 * nothing is not in the way of the next. Returns a connection for PQfinish, which is
 * CONNECTION_OK; or CONNECTION_BAD, with PQerrorMessage of the last one; or on its way, the last
 * one being silent. NULL: out of memory. */
PGconn *gy_connect_in_time(const char *conninfo, unsigned timeout_ms);

#endif
