/* Exchanges over connections: sending, receiving, loss; see client.h. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "dict/gy_avp_table.h"
#include "tests/client/avp.h"
#include "tests/client/client_internal.h"

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

/* ---- exchanges ---- */

void gy_exchange_make_ready(struct gy_client *client, struct gy_exchange *e)
{
	if (e->is_ready)
		return;
	e->is_ready = true;
	e->next_ready = NULL;
	*client->ready_end = e;
	client->ready_end = &e->next_ready;
}

static void leave_ready(struct gy_client *client, struct gy_exchange *e)
{
	struct gy_exchange **at = &client->ready;

	if (!e->is_ready)
		return;
	while (*at != e)
		at = &(*at)->next_ready;
	*at = e->next_ready;
	if (!*at)
		client->ready_end = at;
	e->is_ready = false;
}

/* When nothing about it is open any more. */
void gy_exchange_free(struct gy_client *client, struct gy_exchange *e)
{
	leave_ready(client, e);
	if (e->previous)
		e->previous->next = e->next;
	else
		client->first = e->next;
	if (e->next)
		e->next->previous = e->previous;
	client->pending--;
	talloc_free(e->reply);
	free(e->reply_bytes);
	free(e->bytes);
	talloc_free(e);
}

static void free_if_over(struct gy_client *client, struct gy_exchange *e)
{
	if (e->done && e->awaited == 0 && e->copies == 0)
		gy_exchange_free(client, e);
}

void gy_exchange_finish(struct gy_client *client, struct gy_exchange *e, enum gy_outcome outcome,
			const struct gy_reply *reply)
{
	static const char *const names[] = { "ok", "failed", "unknown" };

	e->done = true;
	leave_ready(client, e);
	if (outcome == GY_OUTCOME_UNKNOWN)
		e->copies = 0;
	client->counts.ok += outcome == GY_OUTCOME_OK;
	client->counts.failed += outcome == GY_OUTCOME_FAILED;
	client->counts.unknown += outcome == GY_OUTCOME_UNKNOWN;
	gy_log_outcome(client->setup.log, &e->logged, e->attempts, names[outcome], reply);
	if (e->on_outcome)
		e->on_outcome(e->owner, e, outcome, reply);
}

/* ---- sending ---- */

bool gy_client_is_open(const struct gy_client *client, unsigned node)
{
	return gy_connection_state(client->nodes[node].connection) == GY_CONNECTION_OPEN;
}

/* The node for the next sending; false if there is none now. */
static bool choose_node(const struct gy_client *client, const struct gy_exchange *e, unsigned *node)
{
	unsigned from = e->attempts > 0 ? e->node + 1 : e->node;

	if (e->pinned) {
		*node = e->node;
		return gy_client_is_open(client, e->node);
	}
	for (unsigned i = 0; i < client->n_nodes; i++) {
		*node = (from + i) % client->n_nodes;
		if (gy_client_is_open(client, *node))
			return true;
	}
	return false;
}

static void collect(struct node *node, const uint8_t *bytes, size_t len)
{
	if (node->out_len + len > node->out_room) {
		node->out_room = 2 * (node->out_len + len);
		node->out = need(realloc(node->out, node->out_room));
	}
	memcpy(node->out + node->out_len, bytes, len);
	node->out_len += len;
}

/* At most half of the slots are in use, so there is a free one near. */
static uint32_t free_hop_by_hop(const struct gy_client *client)
{
	uint32_t hop_by_hop;

	do
		hop_by_hop = gy_next_hop_by_hop();
	while (client->slots[hop_by_hop % SLOTS].exchange);
	return hop_by_hop;
}

/* The sending of this slot is answered, or will never be. */
static void empty_slot(struct gy_client *client, struct slot *slot)
{
	slot->exchange->awaited--;
	slot->exchange = NULL;
	client->awaited--;
}

/* Logs one sending and queues its bytes until the log is on disk. */
static void transmit(struct gy_client *client, struct gy_exchange *e, unsigned node, bool t,
		     bool copy)
{
	uint32_t hop_by_hop = free_hop_by_hop(client);
	struct gy_log_attempt attempt = {
		.attempt = ++e->attempts,
		.copy = copy,
		.retransmitted = t,
		.hop_by_hop = hop_by_hop,
		.node = gy_connection_address(client->nodes[node].connection),
	};

	client->slots[hop_by_hop % SLOTS] =
		(struct slot){ e, hop_by_hop, node, e->attempts, gy_now_us() };
	e->awaited++;
	client->awaited++;
	gy_request_restamp(e->bytes, hop_by_hop, t);
	gy_log_sent(client->setup.log, &e->logged, &attempt);
	collect(&client->nodes[node], e->bytes, e->len);
	client->counts.sent++;
	client->counts.copies += copy;
}

static void send_copies(struct gy_client *client, struct gy_exchange *e)
{
	for (; e->copies > 0; e->copies--) {
		unsigned node = (unsigned)(gy_random(&client->random) % client->n_nodes);
		bool t = client->setup.copy_t == GY_COPY_WITH_T ||
			 (client->setup.copy_t == GY_COPY_RANDOM && gy_random(&client->random) % 2);

		if (e->pinned || !gy_client_is_open(client, node))
			node = e->node;
		if (gy_client_is_open(client, node) && client->awaited < AWAITED_MAX)
			transmit(client, e, node, t, true);
	}
}

static void plan_copies(struct gy_client *client, struct gy_exchange *e, int64_t now)
{
	if (client->setup.copy_percent == 0 ||
	    gy_random(&client->random) % 100 >= client->setup.copy_percent)
		return;
	e->copies = 1 + (unsigned)(gy_random(&client->random) % 3);
	/* Half of them at once, the others while or after the original is answered. */
	e->copy_at_us = now;
	if (gy_random(&client->random) % 2)
		e->copy_at_us += (int64_t)(gy_random(&client->random) % (uint64_t)COPY_LATER_US);
}

/* One exchange of the ready queue; false if it has to wait. */
static bool send_exchange(struct gy_client *client, struct gy_exchange *e, int64_t now)
{
	bool again = e->attempts > 0;
	unsigned node;

	if (now < e->send_at_us || client->awaited >= AWAITED_MAX || !choose_node(client, e, &node))
		return false;
	e->node = node;
	if (!again) {
		e->first_us = now;
		plan_copies(client, e, now);
	}
	e->sent_us = now;
	client->counts.resent += again;
	transmit(client, e, node, again || e->content->t_bit, false);
	if (e->copies > 0 && now >= e->copy_at_us)
		send_copies(client, e);
	return true;
}

static void send_ready(struct gy_client *client, int64_t now)
{
	struct gy_exchange *e = client->ready;

	client->ready = NULL;
	client->ready_end = &client->ready;
	while (e) {
		struct gy_exchange *next = e->next_ready;

		e->is_ready = false;
		if (!send_exchange(client, e, now))
			gy_exchange_make_ready(client, e);
		e = next;
	}
	gy_log_sync(client->setup.log);
	for (unsigned i = 0; i < client->n_nodes; i++) {
		struct node *node = &client->nodes[i];

		if (node->out_len > 0)
			gy_connection_send(node->connection, node->out, node->out_len);
		node->out_len = 0;
		gy_connection_ready(node->connection, 0);
	}
}

/* ---- receiving ---- */

static bool is_busy(uint32_t code)
{
	return code == 3004 || code == 5012;
}

static void first_reply(struct gy_client *client, struct gy_exchange *e, struct gy_reply *reply,
			const uint8_t *bytes, size_t len, const struct slot *slot)
{
	enum gy_outcome outcome = GY_OUTCOME_FAILED;

	e->reply_bytes = need(malloc(len));
	memcpy(e->reply_bytes, bytes, len);
	e->reply_len = len;
	e->reply = reply;
	e->latency_us = gy_now_us() - slot->sent_us;
	if (reply->seen.code / 1000 == 2)
		outcome = GY_OUTCOME_OK;
	else if (is_busy(reply->seen.code) && e->any_lost)
		outcome = GY_OUTCOME_UNKNOWN;
	gy_exchange_finish(client, e, outcome, reply);
}

static void compare(struct gy_client *client, struct gy_exchange *e, const struct gy_reply *reply)
{
	char why[256];

	if (is_busy(reply->seen.code) || is_busy(e->reply->seen.code) ||
	    gy_case_same(&e->reply->seen, &reply->seen, why, sizeof(why)))
		return;
	client->counts.different++;
	snprintf(client->fault, sizeof(client->fault), "%s %c%u: a copy was answered otherwise: %s",
		 e->logged.session_id, e->content->type, e->content->number, why);
}

/* An answer that may be repeated later is not final while there is time. */
static bool try_later(struct gy_client *client, struct gy_exchange *e, const struct gy_reply *reply)
{
	int64_t now = gy_now_us();

	if (!client->setup.resend || !is_busy(reply->seen.code) || client->closing ||
	    now - e->first_us > client->setup.give_up_us)
		return false;
	client->counts.busy++;
	e->send_at_us = now + BUSY_US;
	e->sent_us = now;
	gy_exchange_make_ready(client, e);
	return true;
}

static void on_reply(struct gy_client *client, const uint8_t *bytes, size_t len)
{
	uint32_t hop_by_hop = (uint32_t)bytes[12] << 24 | (uint32_t)bytes[13] << 16 |
			      (uint32_t)bytes[14] << 8 | bytes[15];
	struct slot *slot = &client->slots[hop_by_hop % SLOTS], was = *slot;
	struct gy_exchange *e = slot->exchange;
	struct gy_reply *reply;

	if (!e || slot->hop_by_hop != hop_by_hop) {
		client->counts.stray++;
		return;
	}
	empty_slot(client, slot);
	reply = gy_reply_read(bytes, len, e->command_level);
	if (!reply) {
		client->counts.malformed++;
		e->any_lost = true;
		free_if_over(client, e);
		return;
	}
	client->counts.answers++;
	gy_request_restamp(e->bytes, hop_by_hop, false);
	if (!gy_reply_conforms(bytes, len, e->bytes, e->len, client->fault, sizeof(client->fault)))
		client->counts.malformed++;
	gy_log_answer(client->setup.log, &e->logged, was.attempt, gy_now_us() - was.sent_us, reply);
	if (!e->done && !try_later(client, e, reply)) {
		first_reply(client, e, reply, bytes, len, &was);
	} else {
		if (e->done && e->reply)
			compare(client, e, reply);
		talloc_free(reply);
	}
	free_if_over(client, e);
}

void gy_client_on_message(void *owner, struct gy_connection *connection, const uint8_t *bytes,
			  size_t len)
{
	struct node *node = owner;
	struct gy_client *client = node->client;

	(void)connection;
	if (!(bytes[4] & CMD_FLAG_REQUEST))
		on_reply(client, bytes, len);
	else if (client->on_server_request)
		client->on_server_request(client->server_owner, client,
					  (unsigned)(node - client->nodes), bytes, len);
	else
		gy_client_answer(client, (unsigned)(node - client->nodes), bytes, len,
				 bytes[7] == 2 ? 2002 : 2001); /* 258 Re-Auth, 274 Abort-Session */
}

void gy_client_answer(struct gy_client *client, unsigned node, const uint8_t *request, size_t len,
		      uint32_t code)
{
	struct msg *asked = gy_message_decode(request, len), *answer;
	struct gy_connection *connection = client->nodes[node].connection;
	struct avp *session;
	size_t size;
	const char *id;
	uint8_t *bytes;

	if (!asked)
		return;
	session = gy_avp_find_in(asked, 0, GY_AVP_SESSION_ID);
	id = session ? gy_avp_string(session, &size) : NULL;
	answer = gy_message_new(gy_message_header(asked)->msg_code == 258 ? "Re-Auth-Answer"
									  : "Abort-Session-Answer",
				gy_message_header(asked)->msg_hbhid,
				gy_message_header(asked)->msg_eteid);
	gy_message_header(answer)->msg_flags = CMD_FLAG_PROXIABLE;
	gy_message_header(answer)->msg_appl = gy_message_header(asked)->msg_appl;
	if (id)
		gy_avp_put(answer, gy_avp_octets(0, GY_AVP_SESSION_ID, id, size));
	gy_avp_put(answer, gy_avp_number(0, GY_AVP_RESULT_CODE, code));
	gy_avp_put(answer,
		   gy_avp_text(0, GY_AVP_ORIGIN_HOST, gy_connection_origin_host(connection)));
	gy_avp_put(answer, gy_avp_text(0, GY_AVP_ORIGIN_REALM, client->setup.origin_realm));
	gy_message_free(asked);
	bytes = gy_message_encode(answer, &size);
	gy_connection_send(connection, bytes, size);
	free(bytes);
}

/* ---- loss and time ---- */

/* All sendings over a broken connection. */
static void lose(struct gy_client *client, unsigned node)
{
	const char *why = gy_connection_error(client->nodes[node].connection);

	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *slot = &client->slots[i];
		struct gy_exchange *e = slot->exchange;

		if (!e || slot->node != node)
			continue;
		empty_slot(client, slot);
		e->any_lost = true;
		client->counts.lost++;
		gy_log_lost(client->setup.log, &e->logged, slot->attempt, why);
		if (!e->done && client->setup.resend && e->awaited == 0)
			gy_exchange_make_ready(client, e);
		else if (!e->done && e->awaited == 0)
			gy_exchange_finish(client, e, GY_OUTCOME_UNKNOWN, NULL);
		free_if_over(client, e);
	}
}

static void look_at_connections(struct gy_client *client, int64_t now)
{
	for (unsigned i = 0; i < client->n_nodes; i++) {
		struct node *node = &client->nodes[i];
		enum gy_connection_state state = gy_connection_state(node->connection);

		if (state == GY_CONNECTION_OPEN)
			node->was_open = true;
		if (state != GY_CONNECTION_CLOSED)
			continue;
		if (node->was_open) {
			node->was_open = false;
			node->out_len = 0;
			lose(client, i);
			node->try_at_us = now;
		}
		if (client->setup.reconnect && !client->closing && now >= node->try_at_us) {
			node->try_at_us = now + RETRY_US;
			gy_connection_open(node->connection);
		}
	}
}

/* Copies of a finished exchange that nobody answered. */
static void drop_old_copies(struct gy_client *client, int64_t now)
{
	client->sweep_at_us = now + SWEEP_US;
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *slot = &client->slots[i];
		struct gy_exchange *e = slot->exchange;

		if (!e || !e->done || now - slot->sent_us < client->setup.answer_us)
			continue;
		empty_slot(client, slot);
		gy_log_lost(client->setup.log, &e->logged, slot->attempt, "no answer in time");
		free_if_over(client, e);
	}
}

static void tick(struct gy_client *client, int64_t now)
{
	struct gy_exchange *next;

	if (now < client->tick_at_us)
		return;
	client->tick_at_us = now + TICK_US;
	for (unsigned i = 0; i < client->n_nodes; i++)
		gy_connection_tick(client->nodes[i].connection);
	for (struct gy_exchange *e = client->first; e; e = next) {
		next = e->next;
		if (e->copies > 0 && e->attempts > 0 && now >= e->copy_at_us) {
			send_copies(client, e);
			free_if_over(client, e);
			continue;
		}
		if (e->done)
			continue;
		if (now - e->first_us > client->setup.give_up_us) {
			gy_exchange_finish(client, e, GY_OUTCOME_UNKNOWN, NULL);
			free_if_over(client, e);
		} else if (e->awaited > 0 && !e->is_ready &&
			   now - e->sent_us > client->setup.answer_us) {
			if (client->setup.resend) {
				gy_exchange_make_ready(client, e);
			} else {
				gy_exchange_finish(client, e, GY_OUTCOME_UNKNOWN, NULL);
				free_if_over(client, e);
			}
		}
	}
	if (now >= client->sweep_at_us)
		drop_old_copies(client, now);
}

void gy_client_turn(struct gy_client *client, int timeout_ms)
{
	struct pollfd polled[NODES_MAX];
	int64_t now = gy_now_us();

	look_at_connections(client, now);
	tick(client, now);
	send_ready(client, now);
	for (unsigned i = 0; i < client->n_nodes; i++) {
		polled[i].fd = gy_connection_fd(client->nodes[i].connection);
		polled[i].events = gy_connection_events(client->nodes[i].connection);
		polled[i].revents = 0;
	}
	if (client->pending > 0 && timeout_ms > (int)(TICK_US / 1000))
		timeout_ms = (int)(TICK_US / 1000);
	if (poll(polled, client->n_nodes, timeout_ms) > 0)
		for (unsigned i = 0; i < client->n_nodes; i++)
			if (polled[i].revents)
				gy_connection_ready(client->nodes[i].connection, polled[i].revents);
	look_at_connections(client, gy_now_us());
}
