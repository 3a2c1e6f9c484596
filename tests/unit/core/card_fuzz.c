/* Random life with traffic cards: sessions, events, late usage, binding and unbinding, caps, hours,
 * barred sponsors, settlement; the audit after each request, and what must hold of any of them.
 *
 *   core-card-fuzz [--seed N] [--steps N]      (or GYRO_SEED; the seed is printed first and last)
 *
 * The second opinion here is naive on purpose: it asks each card by itself whether it could give
 * one more unit now. Nobody may be told 4012 while one of them can, or while his money can. */
#include <inttypes.h>
#include <stdio.h>

#include "core/rating/clock.h"
#include "tests/unit/core/shop.h"
#include "tests/unit/core/wallet.h"

#define CARDS    10
#define SESSIONS 4
#define MINUTE   (60 * GY_SECOND_US)

/* The clocks are set on the second day of the test. */
static const struct gy_zone_change changes[] = { { 0, 3600 },
						 { NOW + 18 * H, 7200 },
						 { NOW + 60 * H, 3600 } };
static const struct gy_zone zone = { 2, "somewhere", 3, changes };
static const struct gy_card_target targets[][2] = { { { 99, -1 }, { 20, -1 } },
						    { { 99, 1 }, { 99, 2 } },
						    { { 20, 1 }, { 99, -1 } } };
static const uint32_t groups[] = { 10, 20, 30, 99 };

/* What is random of a card, and the same whoever is bound to it. */
static struct terms {
	int home;
	int64_t cap;
	int window_from, window_until;
	const struct gy_card_target *targets; /* NULL: general */
} terms[CARDS + 1];                           /* by card id */

static struct {
	uint64_t id;
	uint32_t number;
	int64_t granted[4]; /* by group */
} sessions[2][SESSIONS];

static uint64_t seed, n_session;
static unsigned steps;
static unsigned refused, drawn, capped, events, split, late;

static void stock_shop(void)
{
	for (int64_t id = 1; id <= CARDS; id++) {
		struct terms *t = &terms[id];
		struct gy_card *c;

		*t = (struct terms){ .home = (int)shop_below(3), .window_from = -1 };
		c = card(t->home, id, (1 + shop_wide(400)) * MIB);
		if (shop_below(3) == 0)
			t->cap = (1 + shop_wide(100)) * MIB;
		if (shop_below(3) == 0) {
			t->window_from = (int)shop_below(1440);
			t->window_until = (t->window_from + 10 + (int)shop_below(1000)) % 1440;
		}
		if (shop_below(2) == 0)
			t->targets = targets[shop_below(3)];
		if (shop_below(3) == 0)
			c->rate = (struct gy_rate){ 1 + shop_wide(2000000), MIB - shop_below(3) };
		if (shop_below(3) == 0)
			c->valid_until_us = NOW + shop_wide(72) * H;
		if (shop_below(4) == 0)
			c->lasts_us = H + shop_wide(20) * H;
	}
}

static void bind_one(int user, int64_t id)
{
	const struct terms *t = &terms[id];
	struct gy_bound_card *b;

	for (unsigned i = 0; i < bindings[user].n; i++)
		if (bound[user][i].card_id == id)
			return;
	b = bind_card(user, t->home, id);
	b->priority = shop_below(4);
	b->cap = t->cap;
	b->window_from = t->window_from;
	b->window_until = t->window_until;
	b->directed = t->targets != NULL;
	b->n_targets = b->directed ? 2 : 0;
	b->targets = t->targets;
	zones[1] = zone;
	bindings[user].zone_id = zone.zone_id;
}

static void unbind_one(int user)
{
	unsigned i;

	if (bindings[user].n == 0)
		return;
	i = shop_below(bindings[user].n--);
	bound[user][i] = bound[user][bindings[user].n];
	if (bindings[user].n == 0)
		profile[user].cards = NULL;
}

/* ---- the second opinion ---- */

static bool serves(const struct gy_bound_card *b, uint32_t group, unsigned n_ids)
{
	unsigned whole = 0, named = 0;

	for (unsigned i = 0; i < b->n_targets; i++) {
		whole += b->targets[i].rating_group == group && b->targets[i].service_id < 0;
		named += b->targets[i].rating_group == group && b->targets[i].service_id > 0 &&
			 b->targets[i].service_id <= (int64_t)n_ids;
	}
	return !b->directed || whole > 0 || (n_ids > 0 && named >= n_ids);
}

static bool open_now(const struct gy_bound_card *b)
{
	int minute = (int)(gy_civil_at(&zone, world.now).of_day_us / MINUTE);
	int length = (b->window_until - b->window_from + 1440) % 1440;

	return b->window_from < 0 || (minute - b->window_from + 1440) % 1440 < length;
}

static int64_t owed(const struct gy_account *owner)
{
	int64_t due = 0;

	for (unsigned i = 0; i < owner->n_cards; i++) {
		const struct gy_card *c = &owner->cards[i];
		int64_t units = c->used + c->reserved;

		for (unsigned k = 0; k < owner->n_draws; k++)
			if (owner->draws[k].card_id == c->card_id &&
			    owner->draws[k].subscriber_id == 0)
				units -= owner->draws[k].closed;
		due += (units * c->rate.price_micros + c->rate.block - 1) / c->rate.block;
	}
	return due;
}

static int64_t purse(const struct gy_account *a)
{
	return a->balance + a->credit_limit - a->reserved - owed(a);
}

/* What a user drew of a card in all, by the records, and what his sessions hold of it. */
static int64_t taken_by(int user, int64_t id)
{
	const struct gy_account *a = world.homes[user];
	int64_t units = 0;

	for (unsigned i = 0; i < world.n_records; i++)
		for (unsigned k = 0; k < world.records[i].record.n_charges; k++)
			if (world.records[i].record.subscriber_id == user + 1 &&
			    world.records[i].charges[k].from == GY_FROM_CARD &&
			    world.records[i].charges[k].from_id == id)
				units += world.records[i].charges[k].used;
	for (unsigned r_ = 0; r_ < a->n_reservations; r_++) {
		int64_t held[2] = { 0, 0 };

		for (unsigned i = 0; i < a->n_slices; i++)
			if (a->slices[i].reservation == r_ && a->slices[i].from == GY_FROM_CARD &&
			    a->slices[i].from_id == id)
				held[a->slices[i].phase] += a->slices[i].units;
		units += held[0] > held[1] ? held[0] : held[1];
	}
	return units;
}

/* Could this card give one unit more? */
static bool gives(int user, const struct gy_bound_card *b, uint32_t group, unsigned n_ids)
{
	const struct gy_account *owner = world.homes[b->account_id - 1];
	const struct gy_card *c = gy_card_find(owner, b->card_id);

	if (!serves(b, group, n_ids) || !open_now(b) || c->state != GY_CARD_ISSUED ||
	    world.now >= c->valid_until_us || c->used + c->reserved >= c->quota ||
	    (b->cap > 0 && taken_by(user, b->card_id) >= b->cap))
		return false;
	return c->rate.price_micros == 0 ||
	       (owner->state == GY_ACTIVE && world.now < owner->valid_until_us &&
		purse(owner) >= (c->rate.price_micros + c->rate.block - 1) / c->rate.block);
}

static void not_refused_in_vain(int user, const struct gy_service_answer *s, unsigned n_ids)
{
	if (s->rc != GY_CREDIT_LIMIT_REACHED)
		return;
	refused++;
	for (unsigned i = 0; i < bindings[user].n; i++)
		ck_assert_msg(!gives(user, &bound[user][i], s->rating_group, n_ids),
			      "4012, and card %" PRId64 " could give", bound[user][i].card_id);
	ck_assert_msg(s->rating_group == 20 || purse(world.homes[user]) < 2,
		      "4012 with %" PRId64 " to spend", purse(world.homes[user]));
}

/* ---- after every request ---- */

static void checked(int user)
{
	const struct gy_record *last = &world.records[world.n_records - 1].record;

	for (unsigned k = 0; world.plan.changed && k < last->n_charges; k++) {
		const struct gy_charge *c = &world.records[world.n_records - 1].charges[k];

		if (c->from != GY_FROM_CARD)
			continue;
		drawn++;
		ck_assert_msg(c->rating_group != 30, "a card paid for what is free");
		ck_assert_int_eq(c->debit, 0);
		if (terms[c->from_id].cap > 0) {
			int64_t taken = taken_by(user, c->from_id);

			ck_assert_int_le(taken, terms[c->from_id].cap);
			capped += taken == terms[c->from_id].cap;
		}
	}
	for (unsigned i = 0; i < world.homes[user]->n_slices; i++)
		split += world.homes[user]->slices[i].phase;
}

/* What has just been drawn is of a card that serves this, and whose owner may pay. */
static void drawn_by_right(int user, unsigned n_ids)
{
	const struct gy_world_record *last = &world.records[world.n_records - 1];

	for (unsigned k = 0; world.plan.changed && k < last->record.n_charges; k++) {
		const struct gy_charge *c = &last->charges[k];
		const struct gy_bound_card *b = bound[user];

		if (c->from != GY_FROM_CARD)
			continue;
		while (b->card_id != c->from_id)
			b++;
		ck_assert(serves(b, c->rating_group, n_ids) && open_now(b));
		ck_assert(gy_card_find(world.homes[b->account_id - 1], b->card_id)
					  ->rate.price_micros == 0 ||
			  world.homes[b->account_id - 1]->state == GY_ACTIVE);
	}
}

/* The account that had something to spend, and has promised more than that; 0: none. A grant with a
 * change in it holds the dearer side of it, and is no promise of both. */
static int64_t promised_too_much(const int64_t before[3])
{
	for (int i = 0; i < 3; i++)
		if (before[i] >= 0 && purse(world.homes[i]) < 0 &&
		    world.plan.answer.services[0].switch_s == 0)
			return i + 1;
	return 0;
}

static unsigned service_of(unsigned group)
{
	unsigned n_ids = shop_below(3);

	request_service(&r, groups[group], n_ids);
	return n_ids;
}

/* ---- what is done at random ---- */

static void report(unsigned group, int64_t granted)
{
	int64_t units = shop_below(8) == 0 ? shop_wide(60 * MIB) : granted - shop_wide(granted);

	(void)group;
	request_used(&r, GY_UNIT_OCTETS, units > 0 ? units : 0);
	if (shop_below(2) == 0)
		r.used[r.ccr.n_services - 1][0].tariff_change =
			shop_below(2) == 0 ? GY_TCU_BEFORE : GY_TCU_AFTER;
}

static void use(int user)
{
	unsigned n = shop_below(SESSIONS), group = shop_below(4), n_ids;
	bool begins = sessions[user][n].id == 0, ends = !begins && shop_below(6) == 0, used;
	int64_t before[3] = { purse(world.homes[0]), purse(world.homes[1]), purse(world.homes[2]) };
	const struct gy_answer *a;

	if (begins)
		sessions[user][n].id = ++n_session;
	request_begin(&r,
		      begins ? GY_INITIAL
		      : ends ? GY_TERMINATION
			     : GY_UPDATE,
		      sessions[user][n].id, sessions[user][n].number++);
	if (n % 2 == 0) /* is told what is free by a grant */
		r.ccr.origin_host = (struct gy_bytes){ (const uint8_t *)"pgw2.spec.test", 14 };
	n_ids = service_of(group);
	used = !begins || shop_below(4) == 0;
	if (used)
		report(group, sessions[user][n].granted[group]);
	if (!ends)
		request_more(&r, GY_UNIT_OCTETS, shop_below(3) == 0 ? -1 : shop_wide(50 * MIB));
	a = sent(user);
	if (a->rc == GY_OK && !ends) {
		sessions[user][n].granted[group] = a->services[0].granted;
		not_refused_in_vain(user, &a->services[0], n_ids);
		if (!used)
			ck_assert_int_eq(promised_too_much(before), 0);
	}
	late += a->rc == GY_UNKNOWN_SESSION_ID && world.plan.changed;
	checked(user);
	if (ends || a->rc == GY_UNKNOWN_SESSION_ID) {
		if (shop_below(3) == 0) { /* late usage */
			request_begin(&r, GY_UPDATE, sessions[user][n].id,
				      sessions[user][n].number++);
			(void)service_of(group);
			report(group, MIB);
			late += sent(user)->rc == GY_UNKNOWN_SESSION_ID && world.plan.changed;
			checked(user);
		}
		sessions[user][n].id = 0;
		for (unsigned i = 0; i < 4; i++)
			sessions[user][n].granted[i] = 0;
	}
}

static void ask_event(int user)
{
	static const enum gy_requested_action actions[] = { GY_DIRECT_DEBITING, GY_CHECK_BALANCE,
							    GY_PRICE_ENQUIRY };
	int64_t before = purse(world.homes[user]), units = 1 + shop_wide(40 * MIB);
	enum gy_requested_action action = actions[shop_below(3)];
	unsigned group = shop_below(4), n_ids;
	enum gy_check_balance enough;

	request_begin(&r, GY_EVENT, ++n_session, 0);
	r.ccr.action = GY_CHECK_BALANCE;
	n_ids = service_of(group);
	request_more(&r, GY_UNIT_OCTETS, units);
	enough = sent(user)->check_balance;
	ck_assert(!world.plan.changed);
	if (action == GY_CHECK_BALANCE || enough == GY_CHECK_ABSENT)
		return;
	request_begin(&r, GY_EVENT, ++n_session, 0);
	r.ccr.action = action;
	request_service(&r, groups[group], n_ids);
	request_more(&r, GY_UNIT_OCTETS, units);
	(void)sent(user);
	if (action == GY_PRICE_ENQUIRY)
		return;
	events++;
	/* What was said to be enough is, a moment later; a debit that costs nothing always is. */
	if (enough == GY_CHECK_ENOUGH && groups[group] != 30)
		ck_assert_int_eq(world.plan.answer.services[0].rc, GY_OK);
	if (enough == GY_CHECK_NO_CREDIT && units > MIB && groups[group] != 30)
		ck_assert_int_eq(world.plan.answer.services[0].rc, GY_CREDIT_LIMIT_REACHED);
	if (before >= 0)
		ck_assert_int_ge(purse(world.homes[user]), 0);
	drawn_by_right(user, n_ids);
	checked(user);
}

/* A statistics window closes: the owner pays for what was drawn. */
static void settle(void)
{
	struct gy_account *owner = world.homes[shop_below(3)];
	int64_t due = 0;

	for (unsigned k = 0; k < owner->n_draws; k++) {
		struct gy_draw *d = &owner->draws[k];
		const struct gy_card *c = gy_card_find(owner, d->card_id);

		if (d->subscriber_id != 0)
			continue;
		due += (d->used - d->closed) * c->rate.price_micros / c->rate.block;
		d->closed = d->used;
	}
	owner->balance -= due;
	world.accounts[owner->account_id - 1].paid -= due;
}

static void something_else(void)
{
	int user = (int)shop_below(2);

	switch (shop_below(8)) {
	case 0:
	case 1:
		bind_one(user, 1 + shop_below(CARDS));
		break;
	case 2:
		unbind_one(user);
		break;
	case 3:
		settle();
		break;
	case 4:
		world.homes[2]->state = shop_below(3) == 0 ? GY_BARRED : GY_ACTIVE;
		break;
	case 5:
		gy_world_topup(&world, (int)shop_below(3), shop_wide(20000000));
		break;
	case 6:
		world.now += shop_wide(60) * MINUTE;
		break;
	default:
		world.now += shop_wide(3600) * GY_SECOND_US;
		gy_world_sweep(&world);
	}
}

START_TEST(random_life)
{
	for (unsigned step = 0; step < steps;) {
		begin();
		stock_shop();
		open_shop(shop_below(3) == 0 ? 0 : shop_wide(100000000));
		for (int user = 0; user < 2; user++)
			for (unsigned i = 0; i < SESSIONS; i++)
				sessions[user][i].id = 0;
		for (unsigned end = step + 600; step < end; step++) {
			int user = (int)shop_below(2);

			if (shop_below(4) == 0)
				something_else();
			else if (shop_below(6) == 0)
				ask_event(user);
			else
				use(user);
		}
		done();
	}
	printf("# %u drawn from cards, %u up to the cap, %u refused, %u events, %u slices after a "
	       "change, %u late\n",
	       drawn, capped, refused, events, split, late);
	ck_assert(drawn > 0 && capped > 0 && refused > 0 && events > 0 && split > 0 && late > 0);
}
END_TEST

int main(int argc, char **argv)
{
	struct shop_options o = shop_options(argc, argv, 30000);
	Suite *suite = suite_create("core-card-fuzz");
	TCase *tests = tcase_create("core-card-fuzz");
	int failed;

	seed = o.seed;
	steps = o.steps;
	printf("# seed %" PRIu64 "\n", seed);
	tcase_set_timeout(tests, 240);
	tcase_add_test(tests, random_life);
	suite_add_tcase(suite, tests);
	failed = gy_tap_run(suite);
	printf("# seed %" PRIu64 ": core-card-fuzz --seed %" PRIu64 " --steps %u\n", seed, seed,
	       steps);
	return failed;
}
