/* Gateways and the network between them and the nodes: messages are delayed, lost, doubled and
 * overtaken; a gateway repeats with T what it got no answer to. See sim.h. */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "tests/simulation/sim.h"

#define MESSAGES_MAX 2048
/* One way, when nothing is random. */
#define DELAY_NS  MS
#define TRIES_MAX 60
/* After a refusal that says another node may help (3004). */
#define BUSY_NS (100 * MS)

struct message {
	bool used, is_answer, t_bit;
	int64_t due_ns;
	unsigned node;
	struct sim_sent *sent;
	/* Of an answer. */
	enum gy_rc rc;
	bool replayed;
	uint64_t digest;
	unsigned n_services;
	bool in_vain;
	int64_t granted[REQUEST_SERVICES_MAX];
};

struct sim_sent sim_sent[REQUESTS_MAX];
unsigned sim_n_sent;
struct sim_count sim_count;

static struct message messages[MESSAGES_MAX];
static unsigned n_messages; /* none beyond is used */

void sim_network_begin(void)
{
	sim_n_sent = 0;
	n_messages = 0;
	memset(messages, 0, sizeof(messages));
}

/* NULL: it gets lost. */
static struct message *post(bool is_answer, unsigned node, struct sim_sent *sent)
{
	unsigned i = 0;

	if (sim_chance(sim_plan.loss)) {
		sim_count.answers_lost += is_answer;
		sim_say("lost: %s of request %td", is_answer ? "an answer" : "a copy",
			sent - sim_sent);
		return NULL;
	}
	while (i < MESSAGES_MAX && messages[i].used)
		i++;
	if (i == MESSAGES_MAX)
		sim_broken("too many messages");
	messages[i] = (struct message){
		.used = true,
		.is_answer = is_answer,
		.node = node,
		.sent = sent,
		.due_ns = sim_now_ns + (sim_plan.seed != 0 ? sim_below(40) * MS / 2 : DELAY_NS),
	};
	if (i >= n_messages)
		n_messages = i + 1;
	return &messages[i];
}

/* --- gateways ---- */

struct sim_sent *sim_new(int subscriber, enum gy_request_type type, uint64_t session,
			 uint32_t number)
{
	struct sim_sent *s = &sim_sent[sim_n_sent++];

	if (sim_n_sent > REQUESTS_MAX)
		sim_broken("too many requests");
	*s = (struct sim_sent){ .subscriber = subscriber,
				.identity = { .kind = GY_IDENTITY_IMSI,
					      .value = sim_imsi(subscriber) } };
	request_begin(&s->request, type, session, number);
	s->request.ccr.identities = &s->identity;
	s->request.ccr.n_identities = 1;
	return s;
}

static void transmit(struct sim_sent *s, unsigned node, bool t_bit)
{
	struct message *m = post(false, node, s);

	if (m != NULL)
		m->t_bit = t_bit;
}

void sim_send(struct sim_sent *s, unsigned node)
{
	request_end(&s->request);
	s->node = node;
	s->tries = 1;
	s->resend_ns = sim_now_ns + RESEND_NS;
	sim_count.requests++;
	sim_say("request %td: type %d number %u of session %u to node %u", s - sim_sent,
		(int)s->request.ccr.type, s->request.ccr.number,
		(unsigned)s->request.ccr.session.lo, node);
	transmit(s, node, false);
	while (sim_chance(sim_plan.copies))
		sim_copy(s, sim_below(NODES));
}

void sim_copy(struct sim_sent *s, unsigned node)
{
	sim_count.copies++;
	transmit(s, node, sim_plan.seed != 0 && sim_chance(500));
}

static void resend(struct sim_sent *s)
{
	if (s->tries++ == TRIES_MAX)
		sim_broken("request %td is never answered", s - sim_sent);
	if (sim_plan.seed != 0 ? sim_chance(500) : sim_plan.resend_elsewhere)
		s->node = (s->node + 1) % NODES;
	s->resend_ns = sim_now_ns + RESEND_NS;
	sim_count.resends++;
	sim_say("request %td again, to node %u", s - sim_sent, s->node);
	transmit(s, s->node, true);
}

/* An event that could not be paid has changed nothing and is not remembered: a copy of it that
 * comes when there is money again is decided anew. */
static bool same_answer(const struct sim_sent *s, const struct message *m)
{
	if (s->request.ccr.type == GY_EVENT && (s->in_vain || m->in_vain))
		return s->rc == m->rc;
	return s->digest == m->digest && s->rc == m->rc;
}

static void take_answer(const struct message *m)
{
	struct sim_sent *s = m->sent;

	sim_count.replayed += m->replayed;
	sim_say("answer to request %td: %s%s", s - sim_sent, gy_rc_name(m->rc),
		m->replayed ? ", replayed" : "");
	if (m->rc == GY_TOO_BUSY) {
		if (!s->answered && s->resend_ns > sim_now_ns + BUSY_NS) {
			s->resend_ns = sim_now_ns + BUSY_NS;
			sim_count.refused++;
		}
		return;
	}
	if (s->answered && !same_answer(s, m))
		sim_broken("G-85: request %td was answered %s, and then otherwise: %s",
			   s - sim_sent, gy_rc_name(s->rc), gy_rc_name(m->rc));
	if (s->answered && m->in_vain)
		return; /* overtaken by the one that was paid */
	s->answered = true;
	s->rc = m->rc;
	s->digest = m->digest;
	s->n_services = m->n_services;
	s->in_vain = m->in_vain;
	memcpy(s->granted, m->granted, sizeof(s->granted));
}

/* --- nodes ---- */

static void deliver(const struct message *m)
{
	struct sim_node *node = &sim_nodes[m->node];
	struct sim_arrived *arrived;
	struct gy_request *r;
	void *pool;

	if (node->engine == NULL || node->dead)
		return;
	pool = talloc_new(NULL);
	r = talloc_zero(pool, struct gy_request);
	if (r == NULL)
		abort();
	r->pool = pool;
	arrived = talloc_zero(pool, struct sim_arrived);
	if (arrived == NULL)
		abort();
	arrived->sent = m->sent;
	r->host = arrived;
	r->arrived_ns = sim_now_ns;
	r->ccr = m->sent->request.ccr;
	r->ccr.retransmitted = m->t_bit;
	gy_engine_submit(node->engine, r);
}

void sim_answered(void *data, struct gy_request *request, enum gy_outcome outcome)
{
	const struct sim_node *node = data;
	const struct gy_answer *a = &request->answer;
	const struct sim_arrived *arrived = request->host;
	struct message *m = NULL;

	if (!node->dead && outcome == GY_ANSWER && a->rc == GY_TOO_BUSY && arrived->committed)
		sim_broken("request %td is refused, and may have happened",
			   arrived->sent - sim_sent);
	if (!node->dead && outcome == GY_ANSWER)
		m = post(true, node->number, arrived->sent);
	if (m != NULL) {
		m->rc = a->rc;
		m->replayed = a->replayed;
		m->digest = gy_world_answer_digest(a);
		m->n_services = a->rc == GY_OK ? a->n_services : 0;
		m->in_vain = true;
		for (unsigned i = 0; i < m->n_services; i++) {
			const struct gy_service_answer *s = &a->services[i];

			m->granted[i] = s->unit != GY_UNIT_NONE ? s->granted : 0;
			m->in_vain &= s->rc != GY_OK;
		}
	}
	talloc_free(request->pool);
}

/* --- time ---- */

void sim_network_run(void)
{
	for (unsigned i = 0; i < n_messages; i++) {
		struct message m;

		if (!messages[i].used || messages[i].due_ns > sim_now_ns)
			continue;
		m = messages[i];
		messages[i].used = false;
		if (m.is_answer)
			take_answer(&m);
		else
			deliver(&m);
	}
	for (unsigned i = 0; i < sim_n_sent; i++)
		if (sim_sent[i].tries > 0 && !sim_sent[i].answered &&
		    sim_sent[i].resend_ns <= sim_now_ns)
			resend(&sim_sent[i]);
	while (n_messages > 0 && !messages[n_messages - 1].used)
		n_messages--;
}

int64_t sim_network_next_ns(void)
{
	int64_t next = INT64_MAX;

	for (unsigned i = 0; i < n_messages; i++)
		if (messages[i].used && messages[i].due_ns < next)
			next = messages[i].due_ns;
	for (unsigned i = 0; i < sim_n_sent; i++)
		if (sim_sent[i].tries > 0 && !sim_sent[i].answered && sim_sent[i].resend_ns < next)
			next = sim_sent[i].resend_ns;
	return next;
}

bool sim_network_idle(void)
{
	for (unsigned i = 0; i < n_messages; i++)
		if (messages[i].used)
			return false;
	return true;
}

bool sim_all_answered(void)
{
	for (unsigned i = 0; i < sim_n_sent; i++)
		if (!sim_sent[i].answered)
			return false;
	return true;
}
