/* Exchanges over connections: submitting, connecting, closing; see client.h. */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "tests/client/client_internal.h"

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

/* splitmix64 */
uint64_t gy_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* ---- submitting ---- */

static struct gy_exchange *new_exchange(struct gy_client *client,
					const struct gy_case_request *content,
					const struct gy_request_frame *frame, unsigned node,
					bool pinned, gy_on_outcome *on_outcome, void *owner)
{
	struct gy_exchange *e = need(talloc_zero(NULL, struct gy_exchange));

	e->content = gy_request_copy(e, content);
	e->frame = *frame;
	e->frame.session_id = need(talloc_strdup(e, frame->session_id));
	for (int i = 0; i < GY_IDENTITY_KINDS; i++)
		if (frame->identity[i])
			e->frame.identity[i] = need(talloc_strdup(e, frame->identity[i]));
	if (e->frame.end_to_end == 0)
		e->frame.end_to_end = gy_next_end_to_end();
	e->frame.bearer = NULL;
	e->node = node;
	e->pinned = pinned;
	e->command_level = content->n_services > 0 && content->services[0].at_command_level;
	e->on_outcome = on_outcome;
	e->owner = owner;
	e->first_us = gy_now_us();
	e->logged = (struct gy_log_request){ .session_id = e->frame.session_id,
					     .content = e->content,
					     .frame = &e->frame,
					     .end_to_end = e->frame.end_to_end };
	e->next = client->first;
	if (e->next)
		e->next->previous = e;
	client->first = e;
	client->pending++;
	return e;
}

static void start(struct gy_client *client, struct gy_exchange *e)
{
	e->logged.request = ++client->counts.requests;
	gy_exchange_make_ready(client, e);
}

struct gy_exchange *gy_client_submit(struct gy_client *client,
				     const struct gy_case_request *content,
				     const struct gy_request_frame *frame, unsigned node,
				     bool pinned, gy_on_outcome *on_outcome, void *owner)
{
	struct gy_exchange *e =
		new_exchange(client, content, frame, node, pinned, on_outcome, owner);
	struct gy_request_frame filled = *frame;

	filled.end_to_end = e->frame.end_to_end;
	e->bytes = gy_request_encode(content, &filled, &e->len);
	if (!e->bytes) {
		gy_exchange_free(client, e);
		return NULL;
	}
	start(client, e);
	return e;
}

struct gy_exchange *gy_client_submit_again(struct gy_client *client,
					   const struct gy_case_request *content,
					   const struct gy_request_frame *frame, uint8_t *bytes,
					   size_t len, unsigned node, gy_on_outcome *on_outcome,
					   void *owner)
{
	struct gy_exchange *e = new_exchange(client, content, frame, node, true, on_outcome, owner);

	e->bytes = bytes;
	e->len = len;
	start(client, e);
	return e;
}

const uint8_t *gy_exchange_bytes(const struct gy_exchange *e, size_t *len)
{
	*len = e->len;
	return e->bytes;
}

const uint8_t *gy_exchange_reply_bytes(const struct gy_exchange *e, size_t *len)
{
	*len = e->reply_len;
	return e->reply_bytes;
}

unsigned gy_exchange_attempts(const struct gy_exchange *e)
{
	return e->attempts;
}

int64_t gy_exchange_latency_us(const struct gy_exchange *e)
{
	return e->latency_us;
}

unsigned gy_exchange_node(const struct gy_exchange *e)
{
	return e->node;
}

const struct gy_case_request *gy_exchange_content(const struct gy_exchange *e)
{
	return e->content;
}

/* ---- the client ---- */

struct gy_client *gy_client_new(const struct gy_client_setup *setup)
{
	struct gy_client *client = need(calloc(1, sizeof(*client)));

	client->setup = *setup;
	client->slots = need(calloc(SLOTS, sizeof(*client->slots)));
	client->ready_end = &client->ready;
	client->random = setup->seed;
	return client;
}

unsigned gy_client_add(struct gy_client *client, const char *address, const char *origin_host)
{
	struct gy_connection_setup setup = { address, origin_host, client->setup.origin_realm };
	struct node *node = &client->nodes[client->n_nodes];

	if (client->n_nodes == NODES_MAX)
		abort();
	node->client = client;
	node->connection = gy_connection_new(&setup, gy_client_on_message, node);
	return client->n_nodes++;
}

unsigned gy_client_nodes(const struct gy_client *client)
{
	return client->n_nodes;
}

struct gy_connection *gy_client_node(struct gy_client *client, unsigned node)
{
	return client->nodes[node].connection;
}

/* For good: an unknown peer, or no common application. */
static bool refused(const struct gy_client *client, unsigned node)
{
	uint32_t code = gy_connection_cea(client->nodes[node].connection);

	return code == 3010 || code == 5010;
}

bool gy_client_connect_node(struct gy_client *client, unsigned node, int64_t timeout_us)
{
	int64_t until = gy_now_us() + timeout_us;
	bool reconnect = client->setup.reconnect;

	/* A node that is just shutting an old connection of ours down, or is starting, refuses. */
	client->setup.reconnect = true;
	while (!gy_client_is_open(client, node) && gy_now_us() < until && !refused(client, node))
		gy_client_turn(client, 20);
	client->setup.reconnect = reconnect;
	return gy_client_is_open(client, node);
}

bool gy_client_connect(struct gy_client *client, int64_t timeout_us)
{
	int64_t until = gy_now_us() + timeout_us;
	unsigned open = 0;

	for (unsigned i = 0; i < client->n_nodes; i++) {
		int64_t left = until - gy_now_us();

		open += gy_client_connect_node(client, i, left > 0 ? left : 0);
	}
	return open > 0;
}

void gy_client_on_server_request(struct gy_client *client, gy_on_server_request *on_request,
				 void *owner)
{
	client->on_server_request = on_request;
	client->server_owner = owner;
}

unsigned gy_client_pending(const struct gy_client *client)
{
	return client->pending;
}

const struct gy_client_counts *gy_client_counts(const struct gy_client *client)
{
	return &client->counts;
}

const char *gy_client_fault(const struct gy_client *client)
{
	return client->fault;
}

static bool all_closed(const struct gy_client *client)
{
	for (unsigned i = 0; i < client->n_nodes; i++)
		if (gy_connection_state(client->nodes[i].connection) != GY_CONNECTION_CLOSED)
			return false;
	return true;
}

void gy_client_give_up(struct gy_client *client)
{
	client->closing = true;
	while (client->first) {
		if (!client->first->done)
			gy_exchange_finish(client, client->first, GY_OUTCOME_UNKNOWN, NULL);
		gy_exchange_free(client, client->first);
	}
	memset(client->slots, 0, SLOTS * sizeof(*client->slots));
	client->awaited = 0;
}

void gy_client_close(struct gy_client *client)
{
	gy_client_give_up(client);
	for (unsigned i = 0; i < client->n_nodes; i++)
		gy_connection_part(client->nodes[i].connection);
	while (!all_closed(client)) /* each gives up by itself, after seconds */
		gy_client_turn(client, 50);
	gy_log_sync(client->setup.log);
	for (unsigned i = 0; i < client->n_nodes; i++) {
		gy_connection_free(client->nodes[i].connection);
		free(client->nodes[i].out);
	}
	free(client->slots);
	free(client);
}
