/* What is durable, and the server's transactions: rows with their owners, changes that become
 * visible all at once or never. See sim.h; the statements of core/store/statement are what this
 * does by hand. */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "tests/simulation/sim.h"

/* A late transaction is noticed by the server after this time. */
#define LATE_NS (150 * MS)

struct sim_database sim_db;

/* --- catalogue and subscribers ---- */

#define POLICY(rg, grant, most)                                                      \
	{                                                                            \
		.rating_group = (rg), .default_grant = (grant), .max_grant = (most), \
		.validity_s = VALIDITY_S, .final_unit = GY_FINAL_TERMINATE           \
	}
static const struct gy_policy policies[] = {
	POLICY(10, 10 * MIB, 50 * MIB), POLICY(11, 1000000, 5000000),
	POLICY(13, 300, 3600),          POLICY(14, 1, 10),
	POLICY(15, 1000, 1 << 20),
};
#define RULE(id, rg, kind_of_units, price, per)                                           \
	{                                                                                 \
		.tariff_id = 1, .valid_from_us = INT64_MIN, .valid_until_us = INT64_MAX,  \
		.rule_id = (id), .rating_group = (rg), .unit = (kind_of_units), .rate = { \
			(price),                                                          \
			(per)                                                             \
		}                                                                         \
	}
static const struct gy_specific_rule rules[2][5] = {
	{ RULE(1, 10, GY_UNIT_OCTETS, 100000, MIB), RULE(2, 11, GY_UNIT_OCTETS, 7, 3),
	  RULE(3, 13, GY_UNIT_SECONDS, 600001, 60), RULE(4, 14, GY_UNIT_SERVICE, 1000000, 1),
	  RULE(5, 15, GY_UNIT_OCTETS, 999983, 1009) },
	{ RULE(1, 10, GY_UNIT_OCTETS, 150000, MIB), RULE(2, 11, GY_UNIT_OCTETS, 8, 3),
	  RULE(3, 13, GY_UNIT_SECONDS, 600001, 60), RULE(4, 14, GY_UNIT_SERVICE, 1000000, 1),
	  RULE(5, 15, GY_UNIT_OCTETS, 999983, 1009) },
};
static const struct gy_service_context contexts[] = {
	{ .suffix = "32251@3gpp.org", .default_rating_group = 10 },
};
#define CATALOGUE(number)                                                                 \
	{                                                                                 \
		.version = (number), .n_policies = 5, .policies = policies, .n_rules = 5, \
		.rules = rules[(number)-1], .n_contexts = 1, .contexts = contexts         \
	}
const struct gy_catalogue sim_catalogues[2] = { CATALOGUE(1), CATALOGUE(2) };

/* Subscriber 5 is bound to a card of account 4. */
#define SUBSCRIBER(number, account)                                                        \
	{                                                                                  \
		.subscriber_id = (number), .account_id = (account), .group_id = (account), \
		.profile_version = 1, .tariff_id = 1, .state = GY_ACTIVE,                  \
		.has_cards = (number) == 5                                                 \
	}
static const struct gy_profile subscribers[SUBSCRIBERS] = {
	SUBSCRIBER(1, 1), SUBSCRIBER(2, 2), SUBSCRIBER(3, 1),
	SUBSCRIBER(4, 4), SUBSCRIBER(5, 3), SUBSCRIBER(6, 2),
};
static const char *const imsis[SUBSCRIBERS] = { "460001", "460002", "460003",
						"460004", "460005", "460006" };

struct gy_bytes sim_imsi(int subscriber)
{
	return (struct gy_bytes){ (const uint8_t *)imsis[subscriber - 1], 6 };
}

const struct gy_profile *sim_subscriber(struct gy_bytes imsi)
{
	for (unsigned i = 0; i < SUBSCRIBERS; i++)
		if (imsi.len == 6 && memcmp(imsi.data, imsis[i], 6) == 0)
			return &subscribers[i];
	return NULL;
}

const struct gy_profile *sim_subscriber_of(int64_t subscriber_id)
{
	return &subscribers[subscriber_id - 1];
}

/* --- begin and end of a run ---- */

void sim_database_begin(void)
{
	static const int64_t balances[ACCOUNTS] = { 100000000, 3000000, 5000000, 100000000 };
	struct gy_card card = { .card_id = 77,
				.state = GY_CARD_ISSUED,
				.unit = GY_UNIT_OCTETS,
				.quota = 15 * MIB,
				.valid_until_us = INT64_MAX,
				.rate = { 0, 1 } };
	struct gy_account accounts[ACCOUNTS];

	sim_db = (struct sim_database){ .begin_us = INT64_C(1800000000) * GY_SECOND_US,
					.catalogue = 1 };
	for (int i = 0; i < ACCOUNTS; i++)
		accounts[i] = (struct gy_account){ .account_id = i + 1,
						   .group_id = i + 1,
						   .version = 1,
						   .profile_version = 1,
						   .state = GY_ACTIVE,
						   .currency = 156,
						   .balance = balances[i],
						   .n_cards = i == 3,
						   .cards = i == 3 ? &card : NULL,
						   .valid_until_us = INT64_MAX };
	gy_world_init(&sim_db.world, &sim_catalogues[0], accounts, ACCOUNTS, sim_db.begin_us);
	sim_db.world.index = calloc(INDEX_MAX, sizeof(*sim_db.world.index));
	sim_db.world.index_room = INDEX_MAX;
	sim_db.gateways[0].host = "pgw1.spec.test";
	sim_db.gateways[1].host = "pgw2.spec.test";
}

void sim_database_end(void)
{
	while (sim_db.late != NULL) {
		struct sim_transaction *late = sim_db.late;

		sim_db.late = late->next;
		sim_rollback(late);
	}
	gy_world_free(&sim_db.world);
}

/* --- rows ---- */

bool sim_same_key(struct gy_session_key a, struct gy_session_key b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

int sim_index_find(struct gy_session_key key)
{
	for (unsigned i = 0; i < sim_db.world.n_index; i++)
		if (sim_same_key(sim_db.world.index[i].key, key))
			return (int)i;
	return -1;
}

static void *dup_array(void *pool, const void *array, unsigned n, size_t size)
{
	void *copy = talloc_zero_size(pool, (n + 1) * size);

	if (copy == NULL)
		abort();
	if (n > 0)
		memcpy(copy, array, n * size);
	return copy;
}

#define DUP(pool, a, what) dup_array((pool), (a)->what, (a)->n_##what, sizeof(*(a)->what))

void sim_account_copy(void *pool, const struct gy_account *from, struct gy_account *to)
{
	*to = *from;
	to->sessions = DUP(pool, from, sessions);
	to->reservations = DUP(pool, from, reservations);
	to->answers = DUP(pool, from, answers);
	to->slices = DUP(pool, from, slices);
	to->counters = DUP(pool, from, counters);
	to->cards = DUP(pool, from, cards);
	to->draws = DUP(pool, from, draws);
	to->sessions_room = to->n_sessions;
	to->reservations_room = to->n_reservations;
	to->answers_room = to->n_answers;
	to->slices_room = to->n_slices;
	to->counters_room = to->n_counters;
	to->draws_room = to->n_draws;
}

static void *put_array(void *to, const void *from, unsigned n, size_t size)
{
	to = realloc(to, (n + 1) * size);
	if (to == NULL)
		abort();
	if (n > 0)
		memcpy(to, from, n * size);
	return to;
}

#define PUT(to, from, what)                                                                    \
	((to)->what =                                                                          \
		 put_array((to)->what, (from)->what, (from)->n_##what, sizeof(*(from)->what)), \
	 (to)->n_##what = (from)->n_##what)

/* What batch_apply.sql writes of a row; terms of cards are not among it, and don't change here. */
static void write_account(const struct gy_account *from)
{
	struct gy_account *to = &sim_db.world.accounts[from->account_id - 1].account;

	PUT(to, from, sessions);
	PUT(to, from, reservations);
	PUT(to, from, answers);
	PUT(to, from, slices);
	PUT(to, from, counters);
	PUT(to, from, cards);
	PUT(to, from, draws);
	to->balance = from->balance;
	to->reserved = from->reserved;
	to->version++;
}

/* --- transactions ---- */

struct sim_transaction *sim_transaction_begin(void)
{
	struct sim_transaction *t = talloc_zero(NULL, struct sim_transaction);

	if (t == NULL)
		abort();
	sim_db.open++;
	return t;
}

bool sim_lock_account(struct sim_transaction *t, int64_t account_id)
{
	struct sim_transaction **owner = &sim_db.owner[account_id - 1];

	if (sim_spoil == SIM_NO_LOCK)
		return true;
	if (*owner != NULL && *owner != t)
		return false;
	*owner = t;
	return true;
}

void sim_transaction_write(struct sim_transaction *t, const struct gy_locked *locked,
			   unsigned n_locked, const struct gy_record *const *records,
			   unsigned n_records, const struct gy_opened *opened, unsigned n_opened,
			   const struct gy_sooner *sooner, unsigned n_sooner)
{
	t->accounts = talloc_zero_array(t, struct gy_account, n_locked);
	t->records = talloc_zero_array(t, struct gy_record, n_records);
	t->opened = dup_array(t, opened, n_opened, sizeof(*opened));
	t->n_opened = n_opened;
	t->sooner = dup_array(t, sooner, n_sooner, sizeof(*sooner));
	t->n_sooner = n_sooner;
	for (unsigned i = 0; i < n_locked; i++)
		if (locked[i].changed)
			sim_account_copy(t, &locked[i].account, &t->accounts[t->n_accounts++]);
	for (unsigned i = 0; i < n_records; i++) {
		struct gy_record *r = &t->records[t->n_records++];

		*r = *records[i];
		r->charges = DUP(t, r, charges);
	}
	/* What an index row is made of lives in the record, or as long as its gateway's request. */
	for (unsigned i = 0; i < n_opened; i++)
		for (unsigned k = 0; k < n_records; k++)
			if (opened[i].record == records[k])
				t->opened[i].record = &t->records[k];
}

static enum gy_rc refused_by(const struct sim_transaction *t)
{
	for (unsigned i = 0; i < t->n_accounts; i++) {
		const struct gy_account *a = &t->accounts[i];

		if (sim_spoil == SIM_NO_LOCK)
			continue;
		if (sim_db.owner[a->account_id - 1] != t)
			sim_broken("account %d is written without its lock", (int)a->account_id);
		if (sim_db.world.accounts[a->account_id - 1].account.version != a->version)
			return GY_STORE_REFUSED;
	}
	for (unsigned i = 0; i < t->n_opened; i++) {
		const struct gy_opened *o = &t->opened[i];
		int at = sim_index_find(o->record->session);
		const struct gy_world_index *x = &sim_db.world.index[at < 0 ? 0 : at];

		if (at >= 0 && !o->known)
			return GY_STORE_RETRY; /* unique_violation */
		if (at >= 0 && x->account + 1 != o->record->account_id &&
		    (x->account + 1 != o->of_account || x->opened_us != o->of_opened_us))
			return GY_STORE_REFUSED; /* nothing changed: the count is wrong */
	}
	return GY_OK;
}

static void write_index(const struct gy_opened *o)
{
	int at = sim_index_find(o->record->session);

	if (at < 0) {
		if (sim_db.world.n_index == INDEX_MAX)
			abort();
		at = (int)sim_db.world.n_index++;
	}
	sim_db.world.index[at] = (struct gy_world_index){
		.key = o->record->session,
		.account = (int)o->record->account_id - 1,
		.subscriber_id = o->record->subscriber_id,
		.gateway_id = o->record->gateway_id,
		.opened_us = o->record->opened_us,
		.check_at_us = o->check_at_us,
	};
	sim_db.index[at] = (struct sim_index){ .owner = NULL };
}

static void look_sooner(const struct gy_sooner *sooner)
{
	int at = sim_index_find(sooner->session);
	struct gy_world_index *w = &sim_db.world.index[at < 0 ? 0 : at];

	if (at >= 0 && !sim_db.index[at].ended && w->check_at_us > sooner->check_at_us)
		w->check_at_us = sooner->check_at_us;
}

static void write_due(const struct gy_due *due)
{
	int at = sim_index_find(due->session);
	struct sim_index *x = &sim_db.index[at < 0 ? 0 : at];

	if (at < 0)
		return;
	if (due->ended && !due->looked) {
		if (!x->ended)
			return;
		sim_db.world.index[at] = sim_db.world.index[--sim_db.world.n_index];
		*x = sim_db.index[sim_db.world.n_index];
	} else if (due->looked) {
		bool lost = due->lost_by != 0 && (due->ended || due->release_requested);

		sim_db.world.index[at].check_at_us = due->look_at_us;
		x->release_requested = lost || (x->release_requested && !due->ended);
		x->ended = due->ended;
		x->taken_over |= due->taken_over;
	}
}

static void end_transaction(struct sim_transaction *t)
{
	for (unsigned i = 0; i < ACCOUNTS; i++)
		if (sim_db.owner[i] == t)
			sim_db.owner[i] = NULL;
	for (unsigned i = 0; i < sim_db.world.n_index; i++)
		if (sim_db.index[i].owner == t)
			sim_db.index[i].owner = NULL;
	sim_db.open--;
	talloc_free(t);
}

void sim_rollback(struct sim_transaction *t)
{
	if (sim_spoil == SIM_HALF)
		for (unsigned i = 0; i < t->n_records; i++)
			gy_world_add_record(&sim_db.world, (int)t->records[i].account_id - 1,
					    &t->records[i]);
	end_transaction(t);
}

/* Spoilt stores fail in every third commit. */
static bool spoilt(enum sim_spoil how)
{
	return sim_spoil == how && sim_db.commits % 3 == 0;
}

enum gy_rc sim_commit(struct sim_transaction *t)
{
	enum gy_rc rc = refused_by(t);

	if (rc != GY_OK) {
		sim_rollback(t);
		return rc;
	}
	sim_db.commits += t->n_records > 0;
	for (unsigned i = 0; i < t->n_accounts && !spoilt(SIM_LOSES_ROW); i++)
		write_account(&t->accounts[i]);
	for (unsigned i = 0; i < t->n_records && !spoilt(SIM_LOSES_RECORD); i++)
		gy_world_add_record(&sim_db.world, (int)t->records[i].account_id - 1,
				    &t->records[i]);
	for (unsigned i = 0; i < t->n_opened && sim_spoil != SIM_FORGETS_INDEX; i++)
		write_index(&t->opened[i]);
	for (unsigned i = 0; i < t->n_sooner; i++)
		look_sooner(&t->sooner[i]);
	for (unsigned i = 0; i < t->n_due; i++)
		write_due(&t->due[i]);
	end_transaction(t);
	return GY_OK;
}

void sim_leave(struct sim_transaction *t, bool commits)
{
	t->end_at_ns = sim_now_ns + LATE_NS + sim_below(400) * MS;
	t->commits = commits;
	t->next = sim_db.late;
	sim_db.late = t;
}

void sim_database_run(void)
{
	struct sim_transaction **link = &sim_db.late;

	while (*link != NULL) {
		struct sim_transaction *t = *link;

		if (t->end_at_ns > sim_now_ns) {
			link = &t->next;
			continue;
		}
		*link = t->next;
		sim_say("the server ends a late transaction: %s", t->commits ? "COMMIT" : "gone");
		if (!t->commits)
			sim_rollback(t);
		else if (sim_commit(t) == GY_OK)
			sim_count.late_commits++;
	}
}

int64_t sim_database_next_ns(void)
{
	int64_t next = INT64_MAX;

	for (const struct sim_transaction *t = sim_db.late; t != NULL; t = t->next)
		if (t->end_at_ns < next)
			next = t->end_at_ns;
	return next;
}
