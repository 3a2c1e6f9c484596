/* What must hold, told apart from how it came about: the store's audit, and the gateways' own
 * accounts of what they sent and were told. See sim.h. */
#include <inttypes.h>

#include "tests/simulation/sim.h"

void sim_check_now(void)
{
	const char *wrong = gy_world_audit(&sim_db.world);

	if (wrong != NULL)
		sim_broken("audit: %s", wrong);
}

/* --- records ---- */

static bool is_record_of(const struct gy_record *r, const struct sim_sent *s)
{
	return sim_same_key(r->session, s->request.ccr.session) &&
	       r->type == (int)s->request.ccr.type && r->number == s->request.ccr.number &&
	       r->subscriber_id == s->subscriber;
}

static unsigned records_of(const struct sim_sent *s, const struct gy_record **last)
{
	unsigned n = 0;

	*last = NULL;
	for (unsigned i = 0; i < sim_db.world.n_records; i++)
		if (is_record_of(&sim_db.world.records[i].record, s)) {
			*last = &sim_db.world.records[i].record;
			n++;
		}
	return n;
}

/* PRICE_ENQUIRY and CHECK_BALANCE change nothing. */
static bool leaves_no_trace(const struct sim_sent *s)
{
	return s->request.ccr.action == GY_CHECK_BALANCE ||
	       s->request.ccr.action == GY_PRICE_ENQUIRY;
}

/* I4, I5: what a gateway was granted stands in the record. */
static void check_grants(const struct sim_sent *s, const struct gy_record *r)
{
	unsigned service = 0;

	for (unsigned i = 0; i < r->n_charges; i++) {
		if (r->charges[i].flags & GY_CHARGE_PART)
			continue;
		if (service >= s->n_services || s->granted[service] != r->charges[i].granted)
			sim_broken("I5: request %td was told another grant than is stored",
				   s - sim_sent);
		service++;
	}
	if (service != s->n_services)
		sim_broken("I5: request %td has %u services, its record %u", s - sim_sent,
			   s->n_services, service);
}

/* I5: each answer is durable exactly once. */
static void check_sent(const struct sim_sent *s)
{
	const struct gy_record *r;
	unsigned n = records_of(s, &r);

	if (!s->answered)
		sim_broken("request %td is not answered", s - sim_sent);
	if (s->rc == GY_UNABLE_TO_COMPLY && n > 0)
		sim_broken("request %td is refused, and has happened", s - sim_sent);
	if (n > 1)
		sim_broken("I5: request %td has happened %u times", s - sim_sent, n);
	/* What could not be paid is not remembered: a copy that nobody waits for may have been. */
	if (s->request.ccr.type == GY_EVENT && s->in_vain)
		return;
	if (s->rc == GY_OK && n != (leaves_no_trace(s) ? 0 : 1))
		sim_broken("I5: request %td was answered OK, and has %u records", s - sim_sent, n);
	if (s->rc == GY_OK && n == 1)
		check_grants(s, r);
	if (s->request.ccr.type == GY_EVENT && s->rc == GY_OK && n == 1 && r->debit != s->debit)
		sim_broken("event %td was debited %" PRId64 ", not %" PRId64, s - sim_sent,
			   r->debit, s->debit);
}

static void check_record(const struct gy_record *r)
{
	for (unsigned i = 0; i < sim_n_sent; i++)
		if (is_record_of(r, &sim_sent[i]))
			return;
	if (r->type != 0)
		sim_broken("a record of a request that nobody sent");
}

/* --- sessions: what was used, and what it costs ---- */

struct total {
	int64_t used, late; /* units that answered requests reported */
	unsigned n_late;    /* reports of an ended session */
	int64_t recorded;   /* units, by the records */
	int64_t low, high;  /* micro-units, by the price */
};

static const struct gy_specific_rule *rule_of(uint32_t rating_group, unsigned catalogue)
{
	const struct gy_catalogue *c = &sim_catalogues[catalogue];

	for (unsigned i = 0; i < c->n_rules; i++)
		if (c->rules[i].rating_group == rating_group)
			return &c->rules[i];
	return NULL;
}

static int64_t cost(const struct gy_specific_rule *rule, int64_t units)
{
	return (int64_t)((__int128)units * rule->rate.price_micros / rule->rate.block);
}

static bool is_of_session(const struct sim_sent *s, const struct sim_sent *first)
{
	return sim_same_key(s->request.ccr.session, first->request.ccr.session) &&
	       s->subscriber == first->subscriber && s->request.ccr.type != GY_EVENT;
}

static void add_reported(const struct sim_sent *s, uint32_t rating_group, int64_t key,
			 struct total *t)
{
	const struct gy_ccr *ccr = &s->request.ccr;
	enum gy_unit unit = rule_of(rating_group, 0)->unit;

	for (unsigned i = 0; i < ccr->n_services; i++)
		for (unsigned k = 0; k < ccr->services[i].n_used; k++) {
			int64_t units = ccr->services[i].used[k].count[unit];

			if (ccr->services[i].rating_group != rating_group ||
			    ccr->services[i].service_key != key)
				continue;
			t->used += s->rc == GY_OK ? units : 0;
			t->late += s->rc == GY_OK ? 0 : units;
			t->n_late += s->rc != GY_OK;
		}
}

static void add_recorded(const struct sim_sent *first, uint32_t rating_group, int64_t key,
			 struct total *t, int64_t *debited)
{
	for (unsigned i = 0; i < sim_db.world.n_records; i++) {
		const struct gy_record *r = &sim_db.world.records[i].record;

		if (!sim_same_key(r->session, first->request.ccr.session) ||
		    r->subscriber_id != first->subscriber || r->type == GY_EVENT)
			continue;
		for (unsigned k = 0; k < r->n_charges; k++)
			if (r->charges[k].rating_group == rating_group &&
			    r->charges[k].service_key == key) {
				t->recorded += r->charges[k].used;
				*debited += r->charges[k].debit;
			}
	}
}

/* The price of all that was ever used in the session, whatever the order; late usage has lost the
 * session's remainder: up to a micro-unit more for each report. */
static void check_service(const struct sim_sent *first, uint32_t rating_group, int64_t key,
			  bool opened)
{
	const struct gy_specific_rule *cheap = rule_of(rating_group, 0);
	const struct gy_specific_rule *dear = rule_of(rating_group, sim_db.catalogue > 1);
	bool card = first->subscriber == 5;
	struct total t = { 0 };
	int64_t debited = 0;

	for (unsigned i = 0; i < sim_n_sent; i++)
		if (is_of_session(&sim_sent[i], first))
			add_reported(&sim_sent[i], rating_group, key, &t);
	add_recorded(first, rating_group, key, &t, &debited);
	if (t.recorded != (opened ? t.used + t.late : 0))
		sim_broken("session %u, Rating-Group %u: reported %" PRId64 ", recorded %" PRId64,
			   (unsigned)first->request.ccr.session.lo, rating_group, t.used + t.late,
			   t.recorded);
	if (!opened)
		return;
	t.low = card ? 0 : cost(cheap, t.used) + cost(cheap, t.late) - t.n_late - (cheap != dear);
	t.high = cost(dear, t.used) + cost(dear, t.late) + 2 * t.n_late + (cheap != dear);
	if (debited < t.low || debited > t.high)
		sim_broken("session %u, Rating-Group %u: debited %" PRId64 ", it costs %" PRId64
			   " to %" PRId64,
			   (unsigned)first->request.ccr.session.lo, rating_group, debited, t.low,
			   t.high);
}

static bool was_opened(const struct sim_sent *first)
{
	for (unsigned i = 0; i < sim_n_sent; i++)
		if (is_of_session(&sim_sent[i], first) &&
		    sim_sent[i].request.ccr.type == GY_INITIAL && sim_sent[i].rc == GY_OK)
			return true;
	return false;
}

static void check_session(const struct sim_sent *first)
{
	static const uint32_t rating_groups[] = { 10, 11, 13, 14, 15 };
	const uint32_t one = 1;
	bool opened = was_opened(first);

	for (unsigned i = 0; i < sizeof(rating_groups) / sizeof(rating_groups[0]); i++)
		for (unsigned n_ids = 0; n_ids <= 1; n_ids++)
			check_service(first, rating_groups[i], gy_service_key(&one, n_ids), opened);
}

/* --- accounts ---- */

/* P13: supervision knows each open session. */
static void check_supervised(int account, const struct gy_session *s)
{
	int at = sim_index_find(s->key);

	if (s->state != GY_SESSION_OPEN)
		return;
	if (at < 0 || sim_db.world.index[at].account != account || sim_db.index[at].ended ||
	    sim_db.world.index[at].check_at_us == 0)
		sim_broken("P13: session %u is open, and supervision can't find it",
			   (unsigned)s->key.lo);
}

/* P14: without the money for it nothing is granted and no event paid. A report of over-use may take
 * more than there is, whatever was granted in the same answer before. */
static void check_covered(const struct gy_record *r)
{
	bool grants = false, reports = false;

	for (unsigned i = 0; i < r->n_charges; i++) {
		reports |= r->charges[i].used > 0;
		grants |= r->charges[i].granted > 0 &&
			  !(r->charges[i].flags & (GY_CHARGE_PART | GY_CHARGE_SLICED));
	}
	if (grants && r->debit >= 0 && r->balance < r->reserved &&
	    (!reports || r->type == GY_EVENT))
		sim_broken("P14: account %d has granted more than it has", (int)r->account_id);
}

static void check_account(int account)
{
	const struct gy_account *a = &sim_db.world.accounts[account].account;

	gy_account_check(a);
	if (sim_db.owner[account] != NULL)
		sim_broken("account %d is left locked", account + 1);
	for (unsigned i = 0; i < a->n_sessions; i++)
		check_supervised(account, &a->sessions[i]);
}

/* G-24: reported for a session that was never there: kept once. */
static void check_unmatched(const struct sim_sent *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < sim_db.n_unmatched; i++)
		n += sim_same_key(sim_db.unmatched[i].session, s->request.ccr.session) &&
		     sim_db.unmatched[i].number == s->request.ccr.number;
	if (n !=
	    (s->rc == GY_UNKNOWN_SESSION_ID && s->request.services[0].n_used > 0 && !was_opened(s)))
		sim_broken("usage of request %td is kept %u times", s - sim_sent, n);
}

void sim_check_settled(void)
{
	sim_check_now();
	for (unsigned i = 0; i < sim_n_sent; i++) {
		const struct sim_sent *s = &sim_sent[i];
		bool first = true;

		check_sent(s);
		if (s->request.ccr.type == GY_EVENT)
			continue;
		check_unmatched(s);
		for (unsigned k = 0; k < i && first; k++)
			first = !is_of_session(&sim_sent[k], s);
		if (first)
			check_session(s);
		sim_count.late_usage += s->rc == GY_UNKNOWN_SESSION_ID;
	}
	for (unsigned i = 0; i < sim_db.world.n_records; i++) {
		check_record(&sim_db.world.records[i].record);
		check_covered(&sim_db.world.records[i].record);
		sim_count.swept += sim_db.world.records[i].record.type == 0;
	}
	for (int account = 0; account < ACCOUNTS; account++)
		check_account(account);
	for (unsigned i = 0; i < sim_db.world.n_index; i++)
		if (sim_db.index[i].owner != NULL)
			sim_broken("a row of the index is left locked");
}

void sim_check_ended(void)
{
	for (int account = 0; account < ACCOUNTS; account++) {
		const struct gy_account *a = &sim_db.world.accounts[account].account;

		for (unsigned i = 0; i < a->n_sessions; i++)
			if (a->sessions[i].state == GY_SESSION_OPEN &&
			    a->sessions[i].deadline_us < sim_database_now() - GY_SECOND_US)
				sim_broken("P13: session %u never ends",
					   (unsigned)a->sessions[i].key.lo);
		if (a->reserved != 0)
			sim_broken("P13: account %d holds %" PRId64 " for ever", account + 1,
				   a->reserved);
	}
	for (unsigned i = 0; i < sim_db.world.n_index; i++)
		if (!sim_db.index[i].ended &&
		    sim_db.world.index[i].check_at_us <= sim_database_now() - 2 * GY_SECOND_US)
			sim_broken("P13: a row of the index is due and is not looked at");
	sim_check_now();
}
