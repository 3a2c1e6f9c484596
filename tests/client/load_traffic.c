/* A load's requests: which session is next, what it reports, and whether the answer is right.
 *
 * A session has one request in flight (two with a copy of it); it reports what it was granted.
 * Sessions stick to a connection: number modulo the number of connections. */
#include "tests/client/load_internal.h"

#include <string.h>
#include <talloc.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dict/gy_avp_table.h"
#include "extensions/app_gyro/wire.h"
#include "tests/client/load_names.h"
#include "tests/client/reply.h"

#define PROBES       64 /* sessions looked at before giving up on finding an idle one */
#define ATTEMPTS_MAX 4
#define BUSY_NS      (100 * LOAD_NS / 1000) /* between two tries of what is refused for overload */

#define SCATTER 1000003u /* a prime, and no divisor of any likely number of sessions */

/* --- slots ----------------------------------------------------------------------------------- */

static struct load_slot *take_slot(struct load_peer *peer)
{
	struct load_slot *slot;
	uint32_t index;

	if (peer->n_free == 0)
		return NULL;
	index = peer->free_slots[--peer->n_free];
	slot = &peer->slots[index];
	memset(slot, 0, sizeof(*slot));
	slot->used = true;
	return slot;
}

static uint32_t slot_index(const struct load_peer *peer, const struct load_slot *slot)
{
	return (uint32_t)(slot - peer->slots);
}

static void free_slot(struct load_peer *peer, struct load_slot *slot)
{
	slot->used = false;
	peer->free_slots[peer->n_free++] = slot_index(peer, slot);
}

/* There is only the other one left. */
static void unlink_copy(struct load_peer *peer, struct load_slot *slot)
{
	if (slot->other != 0)
		peer->slots[slot->other - 1].other = 0;
}

static unsigned in_flight(const struct load_peer *peer)
{
	return peer->n_slots - peer->n_free;
}

uint64_t load_in_flight(const struct load *load)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < load->options.connections; i++)
		sum += in_flight(&load->peers[i]);
	return sum;
}

/* --- sending --------------------------------------------------------------------------------- */

/* Sendings of one request are numbered, whichever of the two copies they are of. */
static void log_sending(struct load *load, struct load_peer *peer, struct load_slot *slot,
			bool marked)
{
	slot->attempt = ++slot->sendings;
	if (slot->other != 0)
		peer->slots[slot->other - 1].sendings = slot->sendings;
	load_log_sent(load, peer, slot, marked);
}

/* (Again) on its way; the Hop-by-Hop id is new each time and says which slot. */
static void transmit(struct load *load, struct load_peer *peer, struct load_slot *slot,
		     struct load_link *link, bool marked)
{
	const struct load_options *options = &load->options;
	const struct load_template *template = &peer->templates.ccr[slot->type];
	struct load_fill fill = {
		.end_to_end = slot->end_to_end,
		.run = load->run,
		.round = slot->round,
		.number = slot->number,
		.timestamp = slot->timestamp,
		.session = options->session_first + slot->session,
		.used_octets = slot->used_octets,
		.retransmitted = marked,
	};

	fill.subscriber =
		load_subscriber(fill.session, options->subscribers, options->subscriber_step);
	slot->hop_by_hop = ++peer->sequence << peer->slot_bits | slot_index(peer, slot);
	fill.hop_by_hop = slot->hop_by_hop;
	load_template_fill(template, &fill, load_link_reserve(link, template->size));
	slot->link = link;
	slot->node = (unsigned)(link - peer->links);
	if (load->log != NULL)
		log_sending(load, peer, slot, marked);
}

/* The same request once more, over the same connection or the one that replaces it, in a slot of
 * its own: all but the Hop-by-Hop id and the T bit is the same. */
static void send_copy(struct load *load, struct load_peer *peer, struct load_slot *original,
		      bool marked)
{
	struct load_link *link = load_peer_link(peer);
	struct load_slot *copy = link != NULL ? take_slot(peer) : NULL;

	if (copy == NULL)
		return;
	*copy = *original;
	copy->copy = true;
	copy->copy_later = false;
	copy->attempts = 0;
	copy->other = slot_index(peer, original) + 1;
	original->other = slot_index(peer, copy) + 1;
	load->sessions[copy->session].in_flight++;
	copy->sent_ns = load_now_ns();
	transmit(load, peer, copy, link, marked);
}

static int next_type(const struct load *load, const struct load_session *session)
{
	const struct load_options *options = &load->options;

	if (load->phase == LOAD_PHASE_CLOSING)
		return LOAD_CCR_T;
	if (!session->open)
		return LOAD_CCR_I;
	if (options->mode == LOAD_FULL && session->updates >= options->updates)
		return LOAD_CCR_T;
	return LOAD_CCR_U;
}

/* What the session used since its last answer: the grant, bounded, and an odd bit less, so that
 * prices leave remainders. */
static uint64_t usage(struct load *load, const struct load_session *session)
{
	uint64_t octets = session->granted;

	if (octets > load->options.use_octets)
		octets = load->options.use_octets;
	return octets > 8192 ? octets - load_random(load) % 4096 : octets;
}

/* New requests go to the preferred node again as soon as it is there (RFC 6733 §5.5.4). */
static void notice_node(struct load *load, struct load_peer *peer, const struct load_link *link)
{
	bool away = link != peer->links;

	if (away == peer->away)
		return;
	peer->away = away;
	if (away)
		load->stats.failovers++;
	else
		load->stats.returns++;
}

static bool send_request(struct load *load, struct load_peer *peer, uint64_t index,
			 int64_t intended_ns)
{
	struct load_session *session = &load->sessions[index];
	struct load_link *link = load_peer_link(peer);
	struct load_slot *slot = link != NULL ? take_slot(peer) : NULL;
	uint64_t chance;

	if (slot == NULL)
		return false;
	notice_node(load, peer, link);
	slot->request = ++load->logged;
	slot->session = index;
	slot->type = (uint8_t)next_type(load, session);
	slot->number = session->number++;
	slot->round = session->round;
	slot->end_to_end = load->end_to_end++;
	slot->timestamp = load->now_ntp;
	slot->intended_ns = intended_ns;
	slot->sent_ns = load_now_ns();
	slot->used_octets = slot->type == LOAD_CCR_I ? 0 : usage(load, session);
	session->in_flight++;
	session->updates = slot->type == LOAD_CCR_U ? (uint16_t)(session->updates + 1) : 0;
	load->stats.sent++;
	transmit(load, peer, slot, link, false);
	if (load->options.duplicates > 0 && load->phase != LOAD_PHASE_OPENING) {
		chance = load_random(load);
		slot->copy_marked = chance & 1;
		if ((double)(chance >> 32) / 4294967296.0 * 100 >= load->options.duplicates)
			return true;
		if (chance & 2)
			send_copy(load, peer, slot, slot->copy_marked);
		else
			slot->copy_later = true;
	}
	return true;
}

/* --- which session --------------------------------------------------------------------------- */

static uint64_t sessions_of(const struct load *load, const struct load_peer *peer)
{
	uint64_t n = load->options.connections;

	return (load->options.sessions + n - 1 - peer->index) / n;
}

/* Opening and closing: one session after the other. False: none left. */
static bool pick_next(struct load *load, struct load_peer *peer, uint64_t *index)
{
	bool closing = load->phase == LOAD_PHASE_CLOSING;

	while (peer->cursor < sessions_of(load, peer)) {
		*index = peer->cursor++ * load->options.connections + peer->index;
		if (load->sessions[*index].open == closing && !load->sessions[*index].in_flight)
			return true;
	}
	return false;
}

/* An idle session, at random or each once in scattered order. */
static bool pick_idle(struct load *load, struct load_peer *peer, uint64_t *index)
{
	uint64_t n = sessions_of(load, peer), k;

	k = (load->options.in_turn ? peer->cursor++ * SCATTER : load_random(load)) % n;
	for (unsigned probe = 0; probe < PROBES; probe++, k = k + 1 < n ? k + 1 : 0) {
		*index = k * load->options.connections + peer->index;
		if (!load->sessions[*index].in_flight && !load->sessions[*index].dead)
			return true;
	}
	return false;
}

static bool enough(const struct load *load)
{
	return load->options.requests != 0 && load->phase == LOAD_PHASE_MEASURE &&
	       load->stats.sent >= load->options.requests;
}

void load_refill(struct load *load, struct load_peer *peer)
{
	bool ordered = load->phase == LOAD_PHASE_OPENING || load->phase == LOAD_PHASE_CLOSING;
	bool closed_loop = load->options.rate <= 0 &&
			   (load->phase == LOAD_PHASE_WARMUP || load->phase == LOAD_PHASE_MEASURE);
	uint64_t index;

	if (!ordered && !closed_loop)
		return;
	while (in_flight(peer) < load->options.window && !enough(load)) {
		if (ordered ? !pick_next(load, peer, &index) : !pick_idle(load, peer, &index))
			return;
		if (!send_request(load, peer, index, load_now_ns()))
			return;
	}
}

bool load_send_one(struct load *load, int64_t intended_ns)
{
	unsigned n = load->options.connections;
	unsigned first = (unsigned)(load_random(load) % n);
	uint64_t index;

	if (enough(load))
		return false;
	for (unsigned i = 0; i < n; i++) {
		struct load_peer *peer = &load->peers[(first + i) % n];

		if (load_peer_link(peer) != NULL && pick_idle(load, peer, &index) &&
		    send_request(load, peer, index, intended_ns))
			return true;
	}
	return false;
}

/* --- what didn't come ------------------------------------------------------------------------ */

/* The open connection after the one that it was sent over last; that one again if there is no
 * other. NULL: none is open. */
static struct load_link *next_link(struct load_peer *peer, const struct load_slot *slot)
{
	for (unsigned k = 1; k <= peer->n_links; k++) {
		struct load_link *link = &peer->links[(slot->node + k) % peer->n_links];

		if (link->state == LOAD_OPEN)
			return link;
	}
	return NULL;
}

/* Nobody here will know what became of this sending. */
static void doubt(struct load *load, struct load_peer *peer, struct load_slot *slot,
		  const char *why)
{
	slot->any_lost = true;
	if (slot->other != 0)
		peer->slots[slot->other - 1].any_lost = true;
	load_log_lost(load, peer, slot, why);
}

static void lost(struct load *load, struct load_peer *peer, struct load_slot *slot)
{
	struct load_session *session = &load->sessions[slot->session];

	if (slot->link != NULL)
		doubt(load, peer, slot, "no answer in time");
	if (slot->other == 0 && !slot->outcome_told)
		load_log_outcome(load, peer, slot, NULL);
	unlink_copy(peer, slot);
	if (!slot->copy)
		session->dead = true; /* whether it is open, nobody here knows */
	session->in_flight--;
	load->stats.faults[LOAD_LOST]++;
	free_slot(peer, slot);
}

static void resend(struct load *load, struct load_peer *peer, struct load_slot *slot, int64_t now)
{
	struct load_link *link = next_link(peer, slot);

	if (link == NULL)
		return;
	/* What was refused is not counted here: that ends by time (try_again). */
	if (slot->again_ns == 0 && ++slot->attempts >= ATTEMPTS_MAX) {
		lost(load, peer, slot);
		return;
	}
	slot->again_ns = 0;
	if (slot->link != NULL)
		doubt(load, peer, slot, "no answer in time");
	slot->sent_ns = now;
	load->stats.resent++;
	load->stats.moved += link != &peer->links[slot->node];
	load->resent_ever = true;
	transmit(load, peer, slot, link, true);
}

void load_resend(struct load *load, struct load_peer *peer)
{
	int64_t now = load_now_ns();

	for (unsigned i = 0; i < peer->n_slots; i++)
		if (peer->slots[i].used && peer->slots[i].link == NULL &&
		    now >= peer->slots[i].again_ns)
			resend(load, peer, &peer->slots[i], now);
}

void load_link_lost(struct load *load, struct load_link *link)
{
	struct load_peer *peer = link->peer;

	for (unsigned i = 0; i < peer->n_slots; i++)
		if (peer->slots[i].used && peer->slots[i].link == link) {
			doubt(load, peer, &peer->slots[i], "the connection broke");
			peer->slots[i].link = NULL;
		}
	load_resend(load, peer);
	load_peer_flush(load, peer);
}

void load_check_overdue(struct load *load, struct load_peer *peer, int64_t now)
{
	int64_t limit = now - (int64_t)load->options.timeout_ms * 1000000;

	for (unsigned i = 0; i < peer->n_slots; i++)
		if (peer->slots[i].used && peer->slots[i].link != NULL &&
		    peer->slots[i].sent_ns < limit) {
			load_link_suspect(load, peer->slots[i].link);
			resend(load, peer, &peer->slots[i], now);
		}
	load_resend(load, peer);
	load_peer_flush(load, peer);
}

void load_give_up(struct load *load, struct load_peer *peer)
{
	for (unsigned i = 0; i < peer->n_slots; i++)
		if (peer->slots[i].used)
			lost(load, peer, &peer->slots[i]);
}

/* --- answers --------------------------------------------------------------------------------- */

struct answer {
	struct gy_bytes session_id;
	uint32_t result, type, number;
	unsigned services; /* MSCCs */
	uint32_t service_result, rating_group;
	bool granted_is_there;
	uint64_t granted;
};

static uint32_t as_u32(const struct gy_avp *avp)
{
	return avp->data.len == 4 ? gy_get32(avp->data.data) : UINT32_MAX;
}

static bool read_granted(struct gy_bytes list, struct answer *answer)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	enum gy_avp_step step;
	struct gy_avp avp;

	while ((step = gy_avp_step(&cursor, &avp)) == GY_AVP_STEP_OK)
		if (avp.code == GY_AVP_CC_TOTAL_OCTETS && avp.data.len == 8) {
			answer->granted_is_there = true;
			answer->granted = gy_get64(avp.data.data);
		}
	return step == GY_AVP_STEP_END;
}

static bool read_service(struct gy_bytes list, struct answer *answer)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	enum gy_avp_step step;
	struct gy_avp avp;

	answer->services++;
	while ((step = gy_avp_step(&cursor, &avp)) == GY_AVP_STEP_OK) {
		if (avp.vendor != 0)
			continue;
		switch (avp.code) {
		case GY_AVP_RESULT_CODE:
			answer->service_result = as_u32(&avp);
			break;
		case GY_AVP_RATING_GROUP:
			answer->rating_group = as_u32(&avp);
			break;
		case GY_AVP_GRANTED_SERVICE_UNIT:
			if (!read_granted(avp.data, answer))
				return false;
			break;
		}
	}
	return step == GY_AVP_STEP_END;
}

static bool read_answer(const uint8_t *bytes, size_t size, struct answer *answer)
{
	struct gy_bytes all = { bytes + GY_HEADER_SIZE, size - GY_HEADER_SIZE };
	struct gy_avp_cursor cursor = gy_avp_cursor(all);
	enum gy_avp_step step;
	struct gy_avp avp;

	memset(answer, 0, sizeof(*answer));
	while ((step = gy_avp_step(&cursor, &avp)) == GY_AVP_STEP_OK) {
		if (avp.vendor != 0)
			continue;
		switch (avp.code) {
		case GY_AVP_SESSION_ID:
			answer->session_id = avp.data;
			break;
		case GY_AVP_RESULT_CODE:
			answer->result = as_u32(&avp);
			break;
		case GY_AVP_CC_REQUEST_TYPE:
			answer->type = as_u32(&avp);
			break;
		case GY_AVP_CC_REQUEST_NUMBER:
			answer->number = as_u32(&avp);
			break;
		case GY_AVP_MULTIPLE_SERVICES_CREDIT_CONTROL:
			if (!read_service(avp.data, answer))
				return false;
			break;
		}
	}
	return step == GY_AVP_STEP_END && answer->result != 0;
}

static void count_code(struct load_codes *codes, uint32_t code)
{
	unsigned i = 0;

	while (i < codes->n && codes->at[i].code != code)
		i++;
	if (i == codes->n) {
		if (codes->n == LOAD_CODES_MAX)
			return;
		codes->at[codes->n++] = (struct load_code){ .code = code };
	}
	codes->at[i].count++;
}

static bool acceptable(const struct load *load, uint32_t code)
{
	if (code == 2001)
		return true;
	for (unsigned i = 0; i < load->options.n_allowed; i++)
		if (load->options.allowed[i] == code)
			return true;
	return false;
}

/* Protocol errors need not hold more than the header and Session-Id (RFC 6733 7.2). */
static enum load_fault judge(const struct load *load, const struct load_slot *slot,
			     const uint8_t *bytes, const struct answer *answer)
{
	char expected[LOAD_SESSION_SIZE];
	bool protocol_error = answer->result >= 3000 && answer->result < 4000;
	uint8_t flags = GY_CMD_PROXIABLE | (protocol_error ? GY_CMD_ERROR : 0);

	if (gy_get24(bytes + 5) != GY_CREDIT_CONTROL ||
	    gy_get32(bytes + 8) != GY_APP_CREDIT_CONTROL ||
	    gy_get32(bytes + 16) != slot->end_to_end || bytes[4] != flags)
		return LOAD_HEADER;
	load_session_id(expected, load->run, load->options.session_first + slot->session,
			slot->round);
	if (answer->session_id.len != LOAD_SESSION_SIZE ||
	    memcmp(answer->session_id.data, expected, LOAD_SESSION_SIZE) != 0)
		return LOAD_OTHER_SESSION;
	if (!protocol_error && (answer->type != slot->type || answer->number != slot->number))
		return LOAD_OTHER_REQUEST;
	if (answer->result != 2001)
		return LOAD_FAULTS;
	if (answer->services != 1 || answer->rating_group != load->options.identity.rating_group)
		return LOAD_OTHER_SERVICE;
	if (answer->service_result == 2001 && slot->type != LOAD_CCR_T &&
	    (!answer->granted_is_there || answer->granted == 0))
		return LOAD_NO_GRANT;
	return LOAD_FAULTS;
}

static bool is_busy(const struct answer *answer)
{
	return answer->result == 3004 || answer->result == 5012;
}

/* What the answer means for the session. */
static void advance(struct load *load, const struct load_slot *slot, const struct answer *answer)
{
	struct load_session *session = &load->sessions[slot->session];
	bool good = answer->result == 2001;

	/* Not ended: next time again. */
	if (slot->type == LOAD_CCR_T && is_busy(answer)) {
		session->updates = (uint16_t)load->options.updates;
		return;
	}

	session->granted = good && answer->granted_is_there ? answer->granted : 0;
	if (slot->type == LOAD_CCR_I)
		session->open = good;
	/* 5002: the node doesn't know the session (any more). */
	if (slot->type == LOAD_CCR_T || answer->result == 5002 || !session->open) {
		session->dead = load->options.preloaded;
		session->open = false;
		session->round++;
		session->number = 0;
	}
}

/* All from the End-to-End id on. With failover the other answer may be of another node: without
 * what a node says about itself. */
static uint64_t hash_answer(const struct load *load, const uint8_t *bytes, size_t size)
{
	struct gy_bytes all = { bytes + GY_HEADER_SIZE, size - GY_HEADER_SIZE };
	struct gy_avp_cursor cursor = gy_avp_cursor(all);
	uint64_t hash = XXH3_64bits(bytes + 16, 4);
	struct gy_avp avp;

	if (!load->options.failover)
		return XXH3_64bits(bytes + 16, size - 16);
	while (gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK)
		if (avp.code != GY_AVP_ORIGIN_HOST && avp.code != GY_AVP_ORIGIN_STATE_ID)
			hash = XXH3_64bits_withSeed(avp.data.data, avp.data.len, hash + avp.code);
	return hash;
}

/* Two answers to one request must be equal: all but the Hop-by-Hop id. But a refusal is not kept by
 * the node (G-35): the other copy is decided anew, and may be the one that counts. */
static void compare(struct load *load, struct load_peer *peer, struct load_slot *slot,
		    const struct answer *answer, const uint8_t *bytes, size_t size)
{
	struct load_slot *other = slot->other != 0 ? &peer->slots[slot->other - 1] : NULL;
	bool refused = is_busy(answer);
	uint64_t hash;

	if (other == NULL && slot->other_hash == 0 && !slot->other_refused)
		return; /* it is the only one */
	hash = hash_answer(load, bytes, size) | 1;
	if (slot->copy ? answer->result == 2001 && slot->other_refused
		       : refused && slot->other_succeeded)
		load->stats.succeeded++;
	if (other != NULL) {
		other->other_hash = refused ? 0 : hash;
		other->other_refused = refused;
		other->other_succeeded = answer->result == 2001;
	} else if (!refused && slot->other_hash == hash) {
		load->stats.copies_equal++;
	} else if (!refused && slot->other_hash != 0) {
		load->stats.faults[LOAD_UNLIKE_COPY]++;
	}
}

static void measure(struct load *load, const struct load_slot *slot, const struct answer *answer,
		    int64_t now)
{
	uint64_t took = now > slot->intended_ns ? (uint64_t)(now - slot->intended_ns) : 0;
	struct load_stats *stats = &load->stats;

	count_code(&stats->command, answer->result);
	if (answer->services > 0)
		count_code(&stats->service, answer->service_result);
	if (!acceptable(load, answer->result) ||
	    (answer->result == 2001 && !acceptable(load, answer->service_result)))
		stats->refused++;
	if (slot->copy) {
		stats->copies++;
		return;
	}
	stats->answered++;
	stats->succeeded += answer->result == 2001;
	stats->by_type[slot->type]++;
	stats->busy[slot->type] += is_busy(answer);
	load_histogram_add(&stats->latency, took);
	if (answer->result == 2001)
		load_histogram_add(&stats->served, took);
	if (slot->attempts == 0 && took > stats->latest_ns)
		stats->latest_ns = took;
}

/* The answer is that of the request, too, unless it is a refusal that does not last (3004, 5012)
 * and the other copy may still say more, or an earlier sending may have been charged. */
static void conclude(struct load *load, struct load_peer *peer, struct load_slot *slot,
		     const struct answer *answer, const struct gy_reply *reply)
{
	bool busy = is_busy(answer);

	if (slot->outcome_told || (busy && slot->other != 0))
		return;
	load_log_outcome(load, peer, slot, busy && slot->any_lost ? NULL : reply);
	slot->outcome_told = true;
	if (slot->other != 0)
		peer->slots[slot->other - 1].outcome_told = true;
}

/* With failover a refusal for overload is not final while there is time: another node may serve it
 * (RFC 6733 §7.1.3). That of a copy is; the original goes on. */
static bool try_again(struct load *load, struct load_slot *slot, const struct answer *answer,
		      int64_t now)
{
	int64_t patience = (int64_t)load->options.timeout_ms * 1000000 * ATTEMPTS_MAX;

	if (!load->options.failover || !is_busy(answer) || slot->copy ||
	    now - slot->intended_ns > patience)
		return false;
	load->stats.busy_again++;
	slot->link = NULL;
	slot->again_ns = now + BUSY_NS;
	return true;
}

/* A right answer, or one that can be judged: what follows from it. */
static void take_answer(struct load *load, struct load_peer *peer, struct load_slot *slot,
			const struct answer *answer, const uint8_t *bytes, size_t size)
{
	if (slot->copy_later)
		send_copy(load, peer, slot, slot->copy_marked);
	compare(load, peer, slot, answer, bytes, size);
	if (!slot->copy)
		advance(load, slot, answer);
}

void load_answer(struct load *load, struct load_peer *peer, const uint8_t *bytes, size_t size,
		 int64_t now)
{
	uint32_t hop_by_hop = gy_get32(bytes + 12);
	struct load_slot *slot = &peer->slots[hop_by_hop & (peer->n_slots - 1)];
	struct gy_reply *reply = NULL;
	struct answer answer;
	enum load_fault fault;

	if (!slot->used || slot->hop_by_hop != hop_by_hop || (bytes[4] & GY_CMD_REQUEST)) {
		/* To a request that was resent meanwhile, perhaps. */
		if (load->resent_ever && !(bytes[4] & GY_CMD_REQUEST))
			load->stats.late++;
		else
			load->stats.faults[LOAD_NOT_ASKED]++;
		return;
	}
	if (load->log != NULL)
		reply = gy_reply_read(bytes, size, false);
	if (!read_answer(bytes, size, &answer) || (load->log != NULL && reply == NULL)) {
		load->stats.faults[LOAD_MALFORMED]++;
		talloc_free(reply);
		return; /* it will be overdue */
	}
	fault = judge(load, slot, bytes, &answer);
	if (fault != LOAD_FAULTS)
		load->stats.faults[fault]++;
	load_log_answer(load, peer, slot, reply, now);
	if (!try_again(load, slot, &answer, now)) {
		measure(load, slot, &answer, now);
		take_answer(load, peer, slot, &answer, bytes, size);
		conclude(load, peer, slot, &answer, reply);
		unlink_copy(peer, slot);
		load->sessions[slot->session].in_flight--;
		free_slot(peer, slot);
	}
	talloc_free(reply);
}
