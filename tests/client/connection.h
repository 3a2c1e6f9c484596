/* One Diameter connection of a client: TCP without blocking, capabilities, watchdogs, disconnect.
 *
 * It answers DWR and DPR by itself, says CER and DPR, and hands all else to its owner. It never
 * waits: the owner polls gy_connection_fd for gy_connection_events and calls gy_connection_ready.
 * It does not reconnect and does not resend; that is client.c's. */
#ifndef GY_CLIENT_CONNECTION_H
#define GY_CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gy_connection_state {
	GY_CONNECTION_CLOSED,
	GY_CONNECTION_CONNECTING, /* TCP, and TLS if it is used (tls.h) */
	GY_CONNECTION_INTRODUCED, /* CER sent */
	GY_CONNECTION_OPEN,       /* CEA 2001 received */
	GY_CONNECTION_PARTING,    /* DPR sent, DPA awaited */
};

struct gy_connection_setup {
	const char *address; /* "127.0.0.1:3868", "[::1]:3868", "localhost:3868" */
	const char *origin_host, *origin_realm;
};

struct gy_connection;

/* A message that is the owner's; bytes are valid during the call only. */
typedef void gy_connection_on_message(void *owner, struct gy_connection *connection,
				      const uint8_t *bytes, size_t len);

/* Strings of the setup must outlive the connection. */
struct gy_connection *gy_connection_new(const struct gy_connection_setup *setup,
					gy_connection_on_message *on_message, void *owner);
void gy_connection_free(struct gy_connection *connection);

/* Begins to connect; only when closed. Sets the state to CLOSED at once if it can't be tried. */
void gy_connection_open(struct gy_connection *connection);

/* Begins to part with a DPR; the state is CLOSED after the DPA, or GY_PART_US later. */
void gy_connection_part(struct gy_connection *connection);

/* Breaks it off as a crash would: a reset, no DPR. */
void gy_connection_abort(struct gy_connection *connection);

int gy_connection_fd(const struct gy_connection *connection); /* -1 when closed */
short gy_connection_events(const struct gy_connection *connection);
void gy_connection_ready(struct gy_connection *connection, short events);

/* To be called now and then: breaks off what takes too long. */
void gy_connection_tick(struct gy_connection *connection);

/* Queues a message; false if the connection is not open. */
bool gy_connection_send(struct gy_connection *connection, const uint8_t *bytes, size_t len);

enum gy_connection_state gy_connection_state(const struct gy_connection *connection);
const char *gy_connection_address(const struct gy_connection *connection);
const char *gy_connection_origin_host(const struct gy_connection *connection);

/* Why it is not open; "" if nothing went wrong. */
const char *gy_connection_error(const struct gy_connection *connection);

/* Result-Code of the last CEA, 0 if none came. */
uint32_t gy_connection_cea(const struct gy_connection *connection);

/* Who answered: Origin-Host and -Realm of the CEA; "" before. */
const char *gy_connection_peer_host(const struct gy_connection *connection);
const char *gy_connection_peer_realm(const struct gy_connection *connection);

/* Identifiers, unique in this process. */
uint32_t gy_next_hop_by_hop(void);
uint32_t gy_next_end_to_end(void);

/* Microseconds of the monotonic clock. */
int64_t gy_now_us(void);

#endif
