/* Inside of the client: what client.c (sending, receiving, loss) and client_life.c (submitting,
 * connecting, closing) share. */
#ifndef GY_CLIENT_CLIENT_INTERNAL_H
#define GY_CLIENT_CLIENT_INTERNAL_H

#include "tests/client/client.h"

#define NODES_MAX     64
#define SLOTS         65536u /* sendings that can await an answer at one time */
#define AWAITED_MAX   (SLOTS / 2)
#define TICK_US       INT64_C(10000)
#define SWEEP_US      INT64_C(250000)
#define RETRY_US      INT64_C(100000) /* between two tries to connect */
#define BUSY_US       INT64_C(100000) /* between two tries of a busy node */
#define COPY_LATER_US INT64_C(200000)

struct gy_exchange {
	struct gy_exchange *previous, *next; /* all of them */
	struct gy_exchange *next_ready;
	bool is_ready; /* stands in the queue of those to be sent */
	struct gy_log_request logged;
	struct gy_case_request *content;
	struct gy_request_frame frame;
	uint8_t *bytes;
	size_t len;
	unsigned node;
	bool pinned, command_level;
	unsigned attempts, awaited; /* sendings, and those that may still be answered */
	bool any_lost;
	int64_t first_us, sent_us, send_at_us;
	unsigned copies; /* still to be sent */
	int64_t copy_at_us;
	bool done;
	struct gy_reply *reply; /* the first final one, for comparison */
	uint8_t *reply_bytes;
	size_t reply_len;
	int64_t latency_us;
	gy_on_outcome *on_outcome;
	void *owner;
};

struct slot {
	struct gy_exchange *exchange; /* NULL: free */
	uint32_t hop_by_hop;
	unsigned node, attempt;
	int64_t sent_us;
};

struct node {
	struct gy_client *client;
	struct gy_connection *connection;
	int64_t try_at_us;
	bool was_open;
	uint8_t *out; /* logged, to be sent when the log is on disk */
	size_t out_len, out_room;
};

struct gy_client {
	struct gy_client_setup setup;
	struct node nodes[NODES_MAX];
	unsigned n_nodes;
	struct gy_exchange *first, *ready, **ready_end;
	unsigned pending;
	struct slot *slots;
	unsigned awaited; /* used slots */
	int64_t tick_at_us, sweep_at_us;
	uint64_t random;
	bool closing;
	struct gy_client_counts counts;
	char fault[512];
	gy_on_server_request *on_server_request;
	void *server_owner;
};

/* Into the queue of those to be sent. */
void gy_exchange_make_ready(struct gy_client *client, struct gy_exchange *exchange);

/* Tells the outcome; the exchange stays until nothing about it is open any more. */
void gy_exchange_finish(struct gy_client *client, struct gy_exchange *exchange,
			enum gy_outcome outcome, const struct gy_reply *reply);
void gy_exchange_free(struct gy_client *client, struct gy_exchange *exchange);

/* For gy_connection_new; its owner is a struct node. */
void gy_client_on_message(void *owner, struct gy_connection *connection, const uint8_t *bytes,
			  size_t len);

bool gy_client_is_open(const struct gy_client *client, unsigned node);

#endif
