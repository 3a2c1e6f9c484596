/* The outbox: requests of ours, RAR and ASR (G-80 to G-83), from the database to the host and back.
 *
 * A node takes the rows whose gateway it reaches: through the peer that brought the gateway's last
 * request, or over the gateway's own connection. It claims them first and sends then, so that two
 * nodes never send the same one; a claim ends by itself if its node dies. A prompt is over when its
 * answer came, when the host says so, or at its deadline, whatever happened to it: slots are few,
 * so a peer that never answers costs bounded memory. Nothing here matters to money. */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/engine/internal.h"

#define MS      INT64_C(1000000)
#define POLL_NS (1000 * MS)
#define TIDY_NS (10000 * MS)
/* Prompts on their way to one gateway: one that doesn't answer leaves slots for the others. */
#define GATEWAY_MAX 64u
#define TRIES       3u
/* Subscribers whose requests are put into the outbox in one transaction: their accounts are locked
 * for that long. */
#define SPREAD_MAX 200
/* A node that has no more than the gateway's connection lets one go first that hears it. */
#define LEAVE_MS 300
/* After its time an answer is no longer waited for; its claim lasts a little longer, so that the
 * outcome is written by whoever has it. */
#define GRACE_MS         500
#define CLAIM_LONGER_MS  2000
#define NOT_SENT_WAIT_MS 1000

#define UNKNOWN_SESSION_ID 5002u
#define UNABLE_TO_DELIVER  3002u
#define TOO_BUSY           3004u
#define UNABLE_TO_COMPLY   5012u
#define SUCCESSES          2u
#define TRANSIENT_FAILURES 4u
#define CLASS_OF(code)     ((code) / 1000)

/* --- slots ---- */

/* The slot is in the ticket's low bits. */
static struct gy_prompt_slot *slot_of(struct gy_outbox *outbox, uint64_t ticket)
{
	struct gy_prompt_slot *slot = &outbox->slots[ticket % GY_PROMPTS_MAX];

	return ticket != 0 && slot->ticket == ticket ? slot : NULL;
}

void gy_engine_prompted(struct gy_engine *engine, uint64_t ticket, enum gy_prompt_end end,
			uint32_t result_code)
{
	struct gy_outbox *outbox = &engine->outbox;
	struct gy_prompt_slot *slot;
	bool news = false;

	pthread_mutex_lock(&outbox->lock);
	slot = slot_of(outbox, ticket);
	if (slot != NULL && !slot->over) {
		slot->over = news = true;
		slot->end = end;
		slot->code = result_code;
	}
	pthread_mutex_unlock(&outbox->lock);
	if (news)
		gy_maintenance_wake(engine);
}

struct gy_bytes gy_engine_prompt_peer(struct gy_engine *engine, uint64_t ticket)
{
	struct gy_bytes name = { NULL, 0 };
	const struct gy_prompt_slot *slot;

	pthread_mutex_lock(&engine->outbox.lock);
	slot = slot_of(&engine->outbox, ticket);
	if (slot != NULL)
		name = (struct gy_bytes){ (const uint8_t *)slot->peer->name, slot->peer->len };
	pthread_mutex_unlock(&engine->outbox.lock);
	return name;
}

static unsigned on_their_way(struct gy_outbox *outbox, int64_t gateway_id)
{
	unsigned n = 0;

	for (unsigned i = 0; i < GY_PROMPTS_MAX; i++)
		n += outbox->slots[i].ticket != 0 && outbox->slots[i].gateway_id == gateway_id;
	return n;
}

/* Only the maintenance thread takes and frees slots: a free one stays free until it is taken. */
static struct gy_prompt_slot *slot_take(struct gy_outbox *outbox, const struct gy_outbox_row *row,
					const struct gy_peer *peer, int64_t deadline_ns)
{
	for (unsigned i = 0; i < GY_PROMPTS_MAX; i++) {
		struct gy_prompt_slot *slot = &outbox->slots[i];

		if (slot->ticket != 0)
			continue;
		pthread_mutex_lock(&outbox->lock);
		*slot = (struct gy_prompt_slot){
			.ticket = ++outbox->tickets * GY_PROMPTS_MAX + i,
			.peer = peer,
			.outbox_id = row->outbox_id,
			.group_id = row->group_id,
			.gateway_id = row->gateway_id,
			.attempt = row->attempt,
			.deadline_ns = deadline_ns,
		};
		outbox->used++;
		pthread_mutex_unlock(&outbox->lock);
		return slot;
	}
	return NULL;
}

/* --- what came of them ---- */

static enum gy_told judge(enum gy_prompt_end end, uint32_t code)
{
	if (end == GY_PROMPT_NOT_SENT)
		return GY_TOLD_NOT_SENT;
	if (end == GY_PROMPT_SILENCE)
		return GY_TOLD_TRY_AGAIN;
	if (CLASS_OF(code) == SUCCESSES)
		return GY_TOLD_ACCEPTED;
	if (code == UNKNOWN_SESSION_ID)
		return GY_TOLD_NO_SESSION;
	if (code == UNABLE_TO_DELIVER || code == TOO_BUSY || code == UNABLE_TO_COMPLY ||
	    CLASS_OF(code) == TRANSIENT_FAILURES)
		return GY_TOLD_TRY_AGAIN;
	return GY_TOLD_REFUSED;
}

/* Half its time after the first try, four times as long after each further one. */
static int64_t pause_of(const struct gy_engine *engine, enum gy_told told, unsigned attempt)
{
	if (told == GY_TOLD_NOT_SENT)
		return NOT_SENT_WAIT_MS;
	return (int64_t)engine->config.rar_timeout_ms / 2 << 2 * (attempt - 1);
}

/* The slots that are over, their deadline's included. */
static unsigned collect(struct gy_engine *engine, struct gy_outbox_told *told, uint64_t *tickets)
{
	struct gy_outbox *outbox = &engine->outbox;
	int64_t now_ns = gy_engine_now_ns();
	unsigned n = 0;

	pthread_mutex_lock(&outbox->lock);
	for (unsigned i = 0; i < GY_PROMPTS_MAX && outbox->used > 0; i++) {
		struct gy_prompt_slot *slot = &outbox->slots[i];

		if (slot->ticket == 0)
			continue;
		if (!slot->over && now_ns >= slot->deadline_ns) {
			slot->over = true;
			slot->end = GY_PROMPT_SILENCE;
		}
		if (!slot->over)
			continue;
		tickets[n] = slot->ticket;
		told[n] = (struct gy_outbox_told){
			.outbox_id = slot->outbox_id,
			.group_id = slot->group_id,
			.attempt = slot->attempt,
			.told = judge(slot->end, slot->code),
			.code = slot->end == GY_PROMPT_ANSWERED ? (int64_t)slot->code : -1,
		};
		told[n].pause_ms = pause_of(engine, told[n].told, slot->attempt);
		n++;
	}
	pthread_mutex_unlock(&outbox->lock);
	return n;
}

static void free_slots(struct gy_outbox *outbox, const uint64_t *tickets, unsigned n)
{
	pthread_mutex_lock(&outbox->lock);
	for (unsigned i = 0; i < n; i++) {
		struct gy_prompt_slot *slot = slot_of(outbox, tickets[i]);

		if (slot != NULL)
			slot->ticket = 0;
		outbox->used -= slot != NULL;
	}
	pthread_mutex_unlock(&outbox->lock);
}

/* For whoever wonders why a gateway didn't ask: what was sent, at debug level; what failed, always.
 */
static void log_told(struct gy_engine *engine, const struct gy_outbox_told *told, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct gy_outbox_told *t = &told[i];
		bool failed = t->told == GY_TOLD_REFUSED ||
			      (t->told == GY_TOLD_TRY_AGAIN && t->attempt >= TRIES);

		gy_engine_log(engine, failed ? GY_LOG_WARNING : GY_LOG_DEBUG,
			      "outbox %lld, try %u: %s, Result-Code %lld%s",
			      (long long)t->outbox_id, t->attempt,
			      t->told == GY_TOLD_NOT_SENT ? "not sent"
			      : t->code < 0               ? "no answer"
							  : "answered",
			      (long long)t->code, failed ? ": given up" : "");
	}
}

static struct gy_bytes node_of(const struct gy_engine *engine)
{
	return (struct gy_bytes){ (const uint8_t *)engine->node, strlen(engine->node) };
}

/* Sooner than at the next poll, if something is due before that. Below 0: nothing is. */
static void look_again_in(struct gy_outbox *outbox, int64_t in_ms)
{
	int64_t at_ns = gy_engine_now_ns() + in_ms * MS;

	if (in_ms >= 0 && at_ns < outbox->poll_at_ns)
		outbox->poll_at_ns = at_ns;
}

/* A slot is kept until its outcome is written. */
static enum gy_rc settle(struct gy_engine *engine, struct gy_store *store, bool *released)
{
	struct gy_outbox_told told[GY_PROMPTS_MAX];
	uint64_t tickets[GY_PROMPTS_MAX];
	unsigned n = collect(engine, told, tickets);
	int64_t ended = 0;
	enum gy_rc rc;

	if (n == 0)
		return GY_OK;
	rc = gy_store_outbox_told(store, told, n, node_of(engine), TRIES, &ended);
	if (rc != GY_OK)
		return rc;
	free_slots(&engine->outbox, tickets, n);
	log_told(engine, told, n);
	*released = ended > 0;
	if (engine->outbox.more)
		engine->outbox.poll_at_ns = 0;
	for (unsigned i = 0; i < n; i++)
		if (told[i].told == GY_TOLD_TRY_AGAIN || told[i].told == GY_TOLD_NOT_SENT)
			look_again_in(&engine->outbox, told[i].pause_ms);
	return GY_OK;
}

/* --- sending ---- */

/* Through whom a gateway is reached from here; NULL: it isn't. */
static const struct gy_peer *way_to(struct gy_engine *engine, struct gy_bytes host,
				    int64_t *leave_ms)
{
	const struct gy_gateway *g = gy_gateway_find(&engine->gateways, host, NULL);
	const struct gy_peer *peer = g != NULL ? atomic_load(&g->peer) : NULL;

	*leave_ms = 0;
	if (peer != NULL &&
	    engine->config.reaches(engine->config.prompt_data,
				   (struct gy_bytes){ (const uint8_t *)peer->name, peer->len }))
		return peer;
	*leave_ms = LEAVE_MS;
	if (engine->config.reaches(engine->config.prompt_data, host))
		return gy_peer_intern(&engine->gateways, host);
	return NULL;
}

/* Fills in which gateways are reached, and by whom. True if any is. */
static bool find_ways(struct gy_engine *engine, struct gy_outbox_gateway *gateways, unsigned n,
		      const struct gy_peer **ways)
{
	struct gy_outbox *outbox = &engine->outbox;
	unsigned left = GY_PROMPTS_MAX - outbox->used;
	bool any = false;

	outbox->more = false;
	for (unsigned i = 0; i < n; i++) {
		struct gy_outbox_gateway *g = &gateways[i];
		unsigned busy = on_their_way(outbox, g->gateway_id);

		ways[i] = way_to(engine, g->host, &g->leave_ms);
		if (ways[i] == NULL)
			continue;
		g->room = busy < GATEWAY_MAX ? GATEWAY_MAX - busy : 0;
		g->room = g->room < left ? g->room : left;
		left -= g->room;
		outbox->more |= g->room == 0;
		any |= g->room > 0;
	}
	return any;
}

static void prompt_row(struct gy_engine *engine, const struct gy_outbox_row *row,
		       const struct gy_outbox_gateway *gateway, const struct gy_peer *peer)
{
	unsigned timeout_ms = engine->config.rar_timeout_ms;
	int64_t deadline_ns = gy_engine_now_ns() + (timeout_ms + (int64_t)GRACE_MS) * MS;
	struct gy_prompt_slot *slot = slot_take(&engine->outbox, row, peer, deadline_ns);
	char digits[24] = "";
	struct gy_prompt prompt;

	if (slot == NULL) /* not with room as it was counted; the claim ends by itself */
		return;
	if (row->sub_session.len > 0 && row->sub_session.len < sizeof(digits))
		memcpy(digits, row->sub_session.data, row->sub_session.len);
	prompt = (struct gy_prompt){
		.ticket = slot->ticket,
		.kind = (enum gy_prompt_kind)row->kind,
		.peer = { (const uint8_t *)peer->name, peer->len },
		.destination_host = gateway->host,
		.destination_realm = gateway->realm,
		.session_id = row->session_id,
		.has_sub_session = digits[0] != '\0',
		.sub_session = strtoull(digits, NULL, 10),
		.rating_group = row->rating_group,
		.timeout_ms = timeout_ms,
	};
	gy_engine_log(engine, GY_LOG_DEBUG,
		      "outbox %lld, try %u: %s to %.*s through %.*s, session %.*s",
		      (long long)row->outbox_id, row->attempt,
		      prompt.kind == GY_PROMPT_REAUTH ? "RAR" : "ASR", (int)gateway->host.len,
		      (const char *)gateway->host.data, (int)peer->len, peer->name,
		      (int)row->session_id.len, (const char *)row->session_id.data);
	if (!engine->config.prompt(engine->config.prompt_data, &prompt))
		gy_engine_prompted(engine, prompt.ticket, GY_PROMPT_NOT_SENT, 0);
}

static enum gy_rc claim_and_prompt(struct gy_engine *engine, struct gy_store *store, void *pool,
				   struct gy_outbox_gateway *gateways, unsigned n_gateways,
				   const struct gy_peer **ways)
{
	int64_t claim_ms = (int64_t)engine->config.rar_timeout_ms + CLAIM_LONGER_MS;
	struct gy_outbox_row *rows = NULL;
	unsigned n, taken;
	enum gy_rc rc;

	rc = gy_store_outbox_claim(store, pool, gateways, n_gateways, node_of(engine), claim_ms,
				   TRIES, &rows, &n, &taken);
	if (rc != GY_OK)
		return rc;
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < n_gateways; k++)
			if (gateways[k].gateway_id == rows[i].gateway_id)
				prompt_row(engine, &rows[i], &gateways[k], ways[k]);
	/* Where all room was used there may be more. */
	for (unsigned k = 0; k < n_gateways; k++) {
		unsigned of_gateway = 0;

		for (unsigned i = 0; i < n; i++)
			of_gateway += rows[i].gateway_id == gateways[k].gateway_id;
		engine->outbox.more |= gateways[k].room > 0 && of_gateway == gateways[k].room;
	}
	if (taken > n) /* some needed none: others may take their places at once */
		engine->outbox.poll_at_ns = 0;
	return GY_OK;
}

static enum gy_rc send_due(struct gy_engine *engine, struct gy_store *store)
{
	struct gy_outbox_gateway *gateways = NULL;
	const struct gy_peer **ways;
	void *pool = talloc_new(NULL);
	enum gy_rc rc;
	unsigned n;

	engine->outbox.poll_at_ns = gy_engine_now_ns() + POLL_NS;
	rc = gy_store_outbox_gateways(store, pool, &gateways, &n);
	if (rc != GY_OK || n == 0)
		goto done;
	ways = talloc_zero_array(pool, const struct gy_peer *, n);
	if (ways == NULL) {
		rc = GY_NO_MEMORY;
		goto done;
	}
	if (find_ways(engine, gateways, n, ways))
		rc = claim_and_prompt(engine, store, pool, gateways, n, ways);
	for (unsigned i = 0; i < n; i++)
		if (ways[i] != NULL)
			look_again_in(&engine->outbox, gateways[i].leave_ms > 0
							       ? gateways[i].leave_ms
							       : gateways[i].due_in_ms);
done:
	talloc_free(pool);
	return rc;
}

/* What a cause with very many sessions has noted becomes rows, a few at a time. */
static enum gy_rc spread(struct gy_engine *engine, struct gy_store *store, int64_t *due_in_ms)
{
	int64_t n = 0;
	enum gy_rc rc = gy_store_outbox_spread(store, SPREAD_MAX, &n, due_in_ms);

	if (rc == GY_OK && n > 0)
		gy_engine_log(engine, GY_LOG_DEBUG, "outbox: %lld subscribers are to ask again",
			      (long long)n);
	return rc;
}

enum gy_rc gy_outbox_run(struct gy_engine *engine, struct gy_store *store, bool news,
			 bool *released)
{
	struct gy_outbox *outbox = &engine->outbox;
	enum gy_rc rc = settle(engine, store, released);

	if (news)
		outbox->poll_at_ns = 0;
	if (rc == GY_OK && gy_engine_now_ns() >= outbox->tidy_at_ns) {
		rc = gy_store_outbox_tidy(store);
		outbox->tidy_at_ns = gy_engine_now_ns() + TIDY_NS;
	}
	if (rc == GY_OK && engine->config.reaches != NULL && !atomic_load(&engine->draining) &&
	    gy_engine_now_ns() >= outbox->poll_at_ns) {
		int64_t due_in_ms = -1;

		rc = spread(engine, store, &due_in_ms);
		if (rc == GY_OK)
			rc = send_due(engine, store);
		look_again_in(outbox, due_in_ms);
	}
	return rc;
}
