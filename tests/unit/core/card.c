/* Usage drained from traffic cards: order of consumption, split grants, pools, hours of the day,
 * over-use (spec/cards.md). Accounts 1 and 2 are users', 3 is a sponsor's. */
#include "core/rating/clock.h"
#include "tests/lib/tap.h"
#include "tests/lib/world.h"
#include "tests/unit/core/request.h"

#define MIB INT64_C(1048576)
#define NOW (INT64_C(1800000000) * GY_SECOND_US) /* 2027-01-15 08:00:00 UTC */
#define H   (3600 * GY_SECOND_US)

static const struct gy_policy policies[] = {
	{ .rating_group = 10,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600 },
	{ .rating_group = 20,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600 },
	{ .rating_group = 30,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600 },
	{ .rating_group = 99,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600 },
};
/* Rating-Group 20 has no price, 30 is free. */
static const struct gy_specific_rule rules[] = {
	{ 1, 1, 10, GY_UNIT_OCTETS, GY_RULE_PRICED, { 100000, MIB }, INT64_MIN, INT64_MAX },
	{ 3, 1, 30, GY_UNIT_OCTETS, GY_RULE_FREE, { 0, 1 }, INT64_MIN, INT64_MAX },
	{ 2, 1, 99, GY_UNIT_OCTETS, GY_RULE_PRICED, { 100000, MIB }, INT64_MIN, INT64_MAX },
};
static const struct gy_service_context contexts[] = { { .suffix = "32251@3gpp.org",
							.default_rating_group = 10 } };
static const struct gy_peer_profile peers[] = {
	{ .peer = "pgw2.spec.test", .tariff_time_change = true, .free_answer = GY_FREE_BY_GRANT },
};
static const struct gy_catalogue catalogue = { .version = 1,
					       .n_policies = 4,
					       .policies = policies,
					       .n_rules = 3,
					       .rules = rules,
					       .n_contexts = 1,
					       .contexts = contexts,
					       .n_peers = 1,
					       .peers = peers };
static const struct gy_zone_change utc_begins = { 0, 0 };
static const struct gy_zone utc = { 1, "UTC", 1, &utc_begins };
/* Berlin in 2027: the clocks go forward on 28 March, back on 31 October, both at 01:00 UTC. */
#define MARCH_28   (INT64_C(1806195600) * GY_SECOND_US)
#define OCTOBER_31 (INT64_C(1824944400) * GY_SECOND_US)
static const struct gy_zone_change berlin_changes[] = { { 0, 3600 },
							{ MARCH_28, 7200 },
							{ OCTOBER_31, 3600 } };
static const struct gy_zone berlin = { 2, "Europe/Berlin", 3, berlin_changes };
static const struct gy_card_target video = { 99, -1 };

static struct gy_bound_card bound[3][32];
static struct gy_bound_cards bindings[3];
static struct gy_profile profile[3];
static struct gy_world world;
static struct request r;

/* Fresh accounts; cards are put in with card() and bind(). */
static struct gy_card stock[3][32];
static unsigned n_stock[3];

static struct gy_card *card(int home, int64_t id, int64_t quota)
{
	stock[home][n_stock[home]] = (struct gy_card){ .card_id = id,
						       .state = GY_CARD_ISSUED,
						       .unit = GY_UNIT_OCTETS,
						       .quota = quota,
						       .valid_until_us = INT64_MAX,
						       .rate = { 0, 1 } };
	return &stock[home][n_stock[home]++];
}

static struct gy_bound_card *bind(int user, int home, int64_t id)
{
	struct gy_bound_card *b = &bound[user][bindings[user].n++];

	*b = (struct gy_bound_card){ .card_id = id,
				     .account_id = home + 1,
				     .priority = 1,
				     .window_from = -1,
				     .window_until = -1 };
	profile[user].cards = &bindings[user];
	return b;
}

static struct gy_bound_card *directed(struct gy_bound_card *b)
{
	b->directed = true;
	b->n_targets = 1;
	b->targets = &video;
	return b;
}

static void begin(void)
{
	for (int i = 0; i < 3; i++) {
		n_stock[i] = 0;
		bindings[i] = (struct gy_bound_cards){ .cards = bound[i], .zone = &utc };
		profile[i] = (struct gy_profile){ .subscriber_id = i + 1,
						  .account_id = i + 1,
						  .group_id = i + 1,
						  .profile_version = 1,
						  .tariff_id = 1,
						  .state = GY_ACTIVE };
	}
}

static void open_shop(int64_t balance)
{
	struct gy_account accounts[3];

	for (int i = 0; i < 3; i++)
		accounts[i] = (struct gy_account){ .account_id = i + 1,
						   .group_id = i + 1,
						   .version = 1,
						   .profile_version = 1,
						   .state = GY_ACTIVE,
						   .currency = 156,
						   .balance = i == 2 ? 100000000 : balance,
						   .valid_until_us = INT64_MAX,
						   .n_cards = n_stock[i],
						   .cards = stock[i] };
	gy_world_init(&world, &catalogue, accounts, 3, NOW);
}

static void done(void)
{
	ck_assert_ptr_null(gy_world_audit(&world));
	gy_world_free(&world);
}

static const struct gy_answer *sent(int user)
{
	const struct gy_answer *answer;

	request_end(&r);
	world.now += 1000;
	answer = gy_world_request(&world, &r.ccr, user, &profile[user]);
	ck_assert_ptr_null(gy_world_audit(&world));
	return answer;
}

/* One service; used < 0: no report, more < 0: no request. Returns what was granted. */
static int64_t say(int user, enum gy_request_type type, uint32_t number, uint32_t group,
		   int64_t used, int64_t more)
{
	const struct gy_answer *answer;

	request_begin(&r, type, (uint64_t)user + 1, number);
	request_service(&r, group, 0);
	if (used >= 0)
		request_used(&r, GY_UNIT_OCTETS, used);
	if (more >= 0)
		request_more(&r, GY_UNIT_OCTETS, more);
	answer = sent(user);
	ck_assert_int_eq(answer->rc, GY_OK);
	return answer->services[0].granted;
}

static const struct gy_card *left(int home, int64_t id)
{
	return gy_card_find(world.homes[home], id);
}

#define BALANCE(user) (world.homes[user]->balance)

/* 3 MB of a card and 7 MB of money are one grant of 10 MB; usage drains them in order. */
START_TEST(a_grant_is_split)
{
	begin();
	card(0, 1, 3 * MIB);
	bind(0, 0, 1);
	open_shop(100000000);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), 10 * MIB);
	ck_assert_int_eq(left(0, 1)->reserved, 3 * MIB);
	ck_assert_int_eq(world.homes[0]->reserved, 700000);
	say(0, GY_TERMINATION, 1, 10, 5 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_int_eq(left(0, 1)->reserved, 0);
	ck_assert_int_eq(BALANCE(0), 100000000 - 200000);
	done();
}
END_TEST

/* What isn't used goes back to the card; without money the card alone gives. */
START_TEST(a_card_alone)
{
	begin();
	card(0, 1, 3 * MIB);
	bind(0, 0, 1);
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), 3 * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].final_unit, GY_FINAL_TERMINATE);
	say(0, GY_TERMINATION, 1, 10, 1 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 1 * MIB);
	ck_assert_int_eq(left(0, 1)->reserved, 0);
	ck_assert_int_eq(BALANCE(0), 0);
	done();
}
END_TEST

START_TEST(directed_before_general_and_only_its_targets)
{
	begin();
	card(0, 1, 100 * MIB);
	card(0, 2, 100 * MIB);
	bind(0, 0, 1)->priority = 9;
	directed(bind(0, 0, 2));
	open_shop(100000000);
	say(0, GY_INITIAL, 0, 99, -1, MIB);
	ck_assert_int_eq(left(0, 2)->reserved, MIB);
	say(0, GY_UPDATE, 1, 10, -1, MIB);
	ck_assert_int_eq(left(0, 1)->reserved, MIB);
	ck_assert_int_eq(left(0, 2)->reserved, MIB);
	say(0, GY_TERMINATION, 2, 10, MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, MIB);
	ck_assert_int_eq(left(0, 2)->used + left(0, 2)->reserved, 0);
	done();
}
END_TEST

/* Priority, then sponsor before user, hours before always, earliest end, lowest price, lowest id:
 * each pair differs in one of them, with the ones before it equal. */
START_TEST(the_order_of_consumption)
{
	static const int64_t order[] = { 8, 4, 7, 6, 5, 2, 3 };

	begin();
	card(0, 2, MIB)->valid_until_us = NOW + 9 * H;
	card(0, 3, MIB)->valid_until_us = NOW + 9 * H;
	card(0, 5, MIB)->valid_until_us = NOW + 5 * H;
	card(0, 6, MIB)->valid_until_us = NOW + 9 * H;
	card(0, 8, MIB);
	card(2, 4, MIB)->rate = (struct gy_rate){ 1, MIB };
	card(2, 7, MIB)->rate = (struct gy_rate){ 2, MIB };
	for (unsigned i = 0; i < 3; i++)
		bind(0, 0, (int64_t[]){ 3, 2, 5 }[i]);
	bind(0, 0, 6)->window_from = 0;
	bound[0][3].window_until = 23 * 60;
	bind(0, 0, 8)->priority = 2;
	bind(0, 2, 7);
	bind(0, 2, 4);
	open_shop(100000000);
	say(0, GY_INITIAL, 0, 10, -1, MIB);
	for (uint32_t i = 0; i < 7; i++) {
		const struct gy_slice *slice = &world.homes[0]->slices[0];

		ck_assert_int_eq(slice->from, GY_FROM_CARD);
		ck_assert_int_eq(slice->from_id, order[i]);
		say(0, GY_UPDATE, i + 1, 10, MIB, MIB);
	}
	ck_assert_int_eq(BALANCE(0), 100000000);
	say(0, GY_TERMINATION, 9, 10, MIB, -1);
	ck_assert_int_eq(BALANCE(0), 100000000 - 100000);
	done();
}
END_TEST

/* More cards than a grant can hold: it ends with them, and the next one goes on. */
START_TEST(many_small_cards)
{
	int64_t granted;
	uint32_t number = 0;

	begin();
	for (int64_t id = 1; id <= 8; id++) {
		card(0, id, MIB);
		bind(0, 0, id);
	}
	open_shop(0);
	granted = say(0, GY_INITIAL, number, 10, -1, 10 * MIB);
	ck_assert_int_eq(granted, GY_CARDS_PER_GRANT * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].final_unit, GY_FINAL_NONE);
	granted = say(0, GY_UPDATE, ++number, 10, granted, 10 * MIB);
	ck_assert_int_eq(granted, 2 * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].final_unit, GY_FINAL_TERMINATE);
	say(0, GY_TERMINATION, ++number, 10, granted, -1);
	for (int64_t id = 1; id <= 8; id++)
		ck_assert_int_eq(left(0, id)->used, MIB);
	ck_assert_int_eq(BALANCE(0), 0);
	done();
}
END_TEST

/* Over-use (G-37): first what cards have left, then money. */
START_TEST(over_use_goes_to_the_next_sources)
{
	begin();
	card(0, 1, 2 * MIB);
	bind(0, 0, 1);
	open_shop(100000000);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, MIB), MIB);
	say(0, GY_TERMINATION, 1, 10, 5 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 2 * MIB);
	ck_assert_int_eq(BALANCE(0), 100000000 - 300000);
	done();
}
END_TEST

/* Bound in mid-session: usage is of the old grant's source, the next grant is the card's. */
START_TEST(a_bind_switches_the_next_grant)
{
	begin();
	card(0, 1, 20 * MIB);
	open_shop(100000000);
	say(0, GY_INITIAL, 0, 10, -1, 10 * MIB);
	ck_assert_int_eq(world.homes[0]->reserved, 1000000);
	bind(0, 0, 1);
	say(0, GY_UPDATE, 1, 10, 4 * MIB, 10 * MIB);
	ck_assert_int_eq(BALANCE(0), 100000000 - 400000);
	ck_assert_int_eq(world.homes[0]->reserved, 0);
	ck_assert_int_eq(left(0, 1)->reserved, 10 * MIB);
	profile[0].cards = NULL; /* unbound with quota held: it stays the session's */
	say(0, GY_TERMINATION, 2, 10, 10 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 10 * MIB);
	ck_assert_int_eq(BALANCE(0), 100000000 - 400000);
	done();
}
END_TEST

/* Two sessions of two users on one pool: never more than the quota, the cap, or the sponsor's
 * money. */
START_TEST(a_pool)
{
	begin();
	card(2, 7, 12 * MIB);
	bind(0, 2, 7);
	bind(1, 2, 7)->cap = 3 * MIB;
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 8 * MIB), 8 * MIB);
	ck_assert_int_eq(say(1, GY_INITIAL, 0, 10, -1, 8 * MIB), 3 * MIB);
	ck_assert_int_eq(left(2, 7)->reserved, 11 * MIB);
	ck_assert_int_eq(say(0, GY_UPDATE, 1, 10, 8 * MIB, 8 * MIB), 1 * MIB);
	say(1, GY_UPDATE, 1, 10, 2 * MIB, -1);
	ck_assert_int_eq(say(1, GY_UPDATE, 2, 10, -1, 8 * MIB), 1 * MIB); /* the cap */
	say(1, GY_TERMINATION, 3, 10, 1 * MIB, -1);
	say(0, GY_TERMINATION, 2, 10, 1 * MIB, -1);
	ck_assert_int_eq(left(2, 7)->used, 12 * MIB);
	ck_assert_int_eq(BALANCE(2), 100000000);
	done();
}
END_TEST

/* The cap counts what the session reports beyond its grant, too; the rest is the user's money. */
START_TEST(over_use_stays_below_the_cap)
{
	begin();
	card(2, 7, 12 * MIB);
	bind(0, 2, 7)->cap = 5 * MIB;
	open_shop(100000000);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 3 * MIB), 3 * MIB);
	say(0, GY_TERMINATION, 1, 10, 6 * MIB, -1);
	ck_assert_int_eq(left(2, 7)->used, 5 * MIB);
	ck_assert_int_eq(BALANCE(0), 100000000 - 100000);
	done();
}
END_TEST

/* A sponsor out of credit stops the pool; users fall to their own sources. */
START_TEST(a_sponsor_without_credit)
{
	begin();
	card(2, 7, 1000 * MIB)->rate = (struct gy_rate){ 20000000, MIB };
	bind(0, 2, 7);
	open_shop(100000000);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 8 * MIB), 8 * MIB);
	ck_assert_int_eq(left(2, 7)->reserved, 5 * MIB); /* 100 at 20 each */
	ck_assert_int_eq(world.homes[0]->reserved, 300000);
	say(0, GY_UPDATE, 1, 10, 5 * MIB, 8 * MIB);
	ck_assert_int_eq(left(2, 7)->used, 5 * MIB);
	ck_assert_int_eq(left(2, 7)->reserved, 0);
	ck_assert_int_eq(world.homes[0]->reserved, 800000);
	world.homes[2]->state = GY_BARRED;
	say(0, GY_TERMINATION, 2, 10, 8 * MIB, -1);
	ck_assert_int_eq(BALANCE(0), 100000000 - 800000);
	done();
}
END_TEST

/* 00-08 h: at 07:59:30 the grant changes its source at 08:00; both halves are held, each once. */
START_TEST(an_idle_time_card)
{
	const struct gy_answer *answer;

	begin();
	card(0, 1, 100 * MIB);
	bind(0, 0, 1)->window_from = 0;
	bound[0][0].window_until = 8 * 60;
	open_shop(100000000);
	world.now = NOW - 30 * GY_SECOND_US;
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), 10 * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].switch_s, NOW / GY_SECOND_US);
	ck_assert_int_eq(left(0, 1)->reserved, 10 * MIB);
	ck_assert_int_eq(world.homes[0]->reserved, 1000000);
	world.now = NOW + 60 * GY_SECOND_US;
	request_begin(&r, GY_UPDATE, 1, 1);
	request_service(&r, 10, 0);
	request_used(&r, GY_UNIT_OCTETS, 4 * MIB);
	r.used[0][0].tariff_change = GY_TCU_BEFORE;
	request_used(&r, GY_UNIT_OCTETS, 3 * MIB);
	r.used[0][1].tariff_change = GY_TCU_AFTER;
	request_more(&r, GY_UNIT_OCTETS, 10 * MIB);
	answer = sent(0);
	ck_assert_int_eq(answer->services[0].granted, 10 * MIB);
	ck_assert_int_eq(answer->services[0].switch_s, 0);
	ck_assert_int_eq(left(0, 1)->used, 4 * MIB);
	ck_assert_int_eq(left(0, 1)->reserved, 0);
	ck_assert_int_eq(BALANCE(0), 100000000 - 300000);
	say(0, GY_TERMINATION, 2, 10, 0, -1);
	done();
}
END_TEST

/* Validity from the first use: it begins with the first report, and no grant reaches beyond it. */
START_TEST(validity_from_the_first_use)
{
	begin();
	card(0, 1, 100 * MIB)->lasts_us = H / 2;
	bind(0, 0, 1);
	open_shop(100000000);
	say(0, GY_INITIAL, 0, 10, -1, MIB);
	ck_assert_int_eq(world.plan.answer.services[0].validity_s, 3600);
	say(0, GY_UPDATE, 1, 10, MIB, MIB);
	ck_assert_int_eq(left(0, 1)->lasts_us, 0);
	ck_assert_int_eq(left(0, 1)->valid_until_us, world.now + H / 2);
	ck_assert_int_eq(world.plan.answer.services[0].validity_s, 1800);
	world.now += H;
	say(0, GY_UPDATE, 2, 10, MIB, MIB); /* used under the grant of before: the card's */
	ck_assert_int_eq(left(0, 1)->used, 2 * MIB);
	ck_assert_int_eq(left(0, 1)->reserved, 0);
	ck_assert_int_eq(world.homes[0]->reserved, 100000);
	say(0, GY_TERMINATION, 3, 10, 0, -1);
	done();
}
END_TEST

/* Supervision gives back what a lost session held of a card. */
START_TEST(a_lost_session)
{
	begin();
	card(2, 7, 10 * MIB);
	bind(0, 2, 7);
	open_shop(0);
	say(0, GY_INITIAL, 0, 10, -1, 10 * MIB);
	ck_assert_int_eq(left(2, 7)->reserved, 10 * MIB);
	world.now += 10 * H;
	ck_assert_uint_eq(gy_world_sweep(&world), 1);
	ck_assert_int_eq(left(2, 7)->reserved, 0);
	done();
}
END_TEST

/* A purchase that isn't confirmed, a frozen and a revoked card give nothing. */
START_TEST(only_issued_cards_give)
{
	static const enum gy_card_state states[] = { GY_CARD_HELD, GY_CARD_FROZEN,
						     GY_CARD_REVOKED };

	for (unsigned i = 0; i < 3; i++) {
		begin();
		card(0, 1, 10 * MIB)->state = states[i];
		bind(0, 0, 1);
		open_shop(100000000);
		say(0, GY_INITIAL, 0, 10, -1, MIB);
		ck_assert_int_eq(left(0, 1)->reserved, 0);
		say(0, GY_TERMINATION, 1, 10, MIB, -1);
		ck_assert_int_eq(BALANCE(0), 100000000 - 100000);
		done();
	}
}
END_TEST

/* A Rating-Group without a price is charged from cards only: then 4012, and over-use has no price.
 */
START_TEST(cards_only)
{
	const struct gy_answer *answer;

	begin();
	card(0, 1, 3 * MIB);
	bind(0, 0, 1);
	open_shop(100000000);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 20, -1, 10 * MIB), 3 * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].final_unit, GY_FINAL_TERMINATE);
	ck_assert_int_eq(world.homes[0]->reserved, 0);
	request_begin(&r, GY_UPDATE, 1, 1);
	request_service(&r, 20, 0);
	request_used(&r, GY_UNIT_OCTETS, 4 * MIB);
	request_more(&r, GY_UNIT_OCTETS, 10 * MIB);
	answer = sent(0);
	ck_assert_int_eq(answer->services[0].rc, GY_CREDIT_LIMIT_REACHED);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_int_eq(BALANCE(0), 100000000);
	ck_assert_uint_eq(world.plan.record.flags & GY_CHARGE_UNRATED, GY_CHARGE_UNRATED);
	profile[0].cards = NULL;
	request_begin(&r, GY_UPDATE, 1, 2);
	request_service(&r, 20, 0);
	request_more(&r, GY_UNIT_OCTETS, 10 * MIB);
	ck_assert_int_eq(sent(0)->services[0].rc, GY_RATING_FAILED);
	done();
}
END_TEST

/* The most parts that usage can have: six cards, free ones beyond them, and money, before the
 * change and after it. No report may ask for more than the plan has room for. */
START_TEST(as_many_parts_as_there_can_be)
{
	begin();
	for (int64_t id = 1; id <= 26; id++) {
		struct gy_bound_card *b;

		card(0, id, MIB);
		b = bind(0, 0, id);
		b->priority = (uint32_t)(100 - id);
		b->window_from =
			id <= 12 ? 0 : 8 * 60; /* half of them before 08:00, half after it */
		b->window_until = id <= 12 ? 8 * 60 : 24 * 60;
	}
	open_shop(100000000);
	world.now = NOW - 30 * GY_SECOND_US;
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), GY_CARDS_PER_GRANT * MIB);
	request_begin(&r, GY_UPDATE, 1, 1);
	request_service(&r, 10, 0);
	request_used(&r, GY_UNIT_OCTETS, 20 * MIB);
	r.used[0][0].tariff_change = GY_TCU_BEFORE;
	request_used(&r, GY_UNIT_OCTETS, 20 * MIB);
	r.used[0][1].tariff_change = GY_TCU_AFTER;
	world.now = NOW + 60 * GY_SECOND_US;
	sent(0);
	ck_assert_uint_gt(world.plan.record.n_charges, 24);
	say(0, GY_TERMINATION, 2, 10, 0, -1);
	done();
}
END_TEST

/* ---- free Rating-Groups ---- */

/* Nothing of what is free is a card's: neither usage that no grant was made for, nor what goes
 * beyond a grant that tells a gateway so (G-34). */
START_TEST(a_free_group_drains_no_card)
{
	begin();
	card(0, 1, 10 * MIB);
	bind(0, 0, 1);
	open_shop(0);
	say(0, GY_INITIAL, 0, 30, MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 0);
	request_begin(&r, GY_UPDATE, 1, 1);
	r.ccr.origin_host = (struct gy_bytes){ (const uint8_t *)"pgw2.spec.test", 14 };
	request_service(&r, 30, 0);
	request_more(&r, GY_UNIT_OCTETS, MIB);
	ck_assert_int_eq(sent(0)->services[0].granted, MIB);
	say(0, GY_TERMINATION, 2, 30, 3 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 0);
	ck_assert_int_eq(BALANCE(0), 0);
	done();
}
END_TEST

/* ... but a price of nothing is no free Rating-Group: its over-use is still the cards' first. */
START_TEST(over_use_of_cards_only_drains_cards)
{
	begin();
	card(0, 1, 10 * MIB);
	bind(0, 0, 1);
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 20, -1, MIB), MIB);
	say(0, GY_TERMINATION, 1, 20, 3 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_uint_eq(world.plan.record.flags & GY_CHARGE_UNRATED, 0);
	done();
}
END_TEST

/* ---- caps ---- */

static void unbind_all(int user)
{
	bindings[user].n = 0;
	profile[user].cards = NULL;
}

/* What was held when he was unbound counts when it is reported: bound again, he has the rest. */
START_TEST(a_cap_outlives_an_unbinding)
{
	begin();
	card(2, 7, 100 * MIB);
	bind(0, 2, 7)->cap = 5 * MIB;
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 4 * MIB), 4 * MIB);
	unbind_all(0);
	say(0, GY_UPDATE, 1, 10, 4 * MIB, -1);
	ck_assert_int_eq(left(2, 7)->used, 4 * MIB);
	bind(0, 2, 7)->cap = 5 * MIB;
	ck_assert_int_eq(say(0, GY_UPDATE, 2, 10, -1, 10 * MIB), 1 * MIB);
	say(0, GY_TERMINATION, 3, 10, 1 * MIB, -1);
	ck_assert_int_eq(left(2, 7)->used, 5 * MIB);
	done();
}
END_TEST

/* ---- hours ---- */

/* 00-08 h, and hardly any money for after it: the grant ends with the hours and gives what the card
 * has, instead of what both sides could. */
static void an_idle_time_card_that_ends(int64_t balance, uint32_t group)
{
	const struct gy_service_answer *s = NULL;

	begin();
	card(0, 1, 100 * MIB);
	bind(0, 0, 1)->window_from = 0;
	bound[0][0].window_until = 8 * 60;
	open_shop(balance);
	world.now = NOW - 600 * GY_SECOND_US;
	ck_assert_int_eq(say(0, GY_INITIAL, 0, group, -1, 10 * MIB), 10 * MIB);
	s = &world.plan.answer.services[0];
	ck_assert_int_eq(s->final_unit, GY_FINAL_NONE);
	ck_assert_uint_eq(s->switch_s, 0);
	ck_assert_uint_eq(s->validity_s, 599); /* some of a second has passed */
	ck_assert_int_eq(world.homes[0]->reserved, 0);
	say(0, GY_UPDATE, 1, group, 10 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 10 * MIB);
	world.now = NOW;
	request_begin(&r, GY_UPDATE, 1, 2);
	request_service(&r, group, 0);
	request_more(&r, GY_UNIT_OCTETS, 10 * MIB);
	s = &sent(0)->services[0];
	ck_assert_int_eq(s->rc, balance > 0 && group != 20 ? GY_OK : GY_CREDIT_LIMIT_REACHED);
	say(0, GY_TERMINATION, 3, group, 0, -1);
	done();
}

START_TEST(hours_that_end_without_money)
{
	an_idle_time_card_that_ends(0, 10);
}
END_TEST

START_TEST(hours_that_end_with_little_money)
{
	an_idle_time_card_that_ends(100000, 10);
}
END_TEST

START_TEST(hours_that_end_and_cards_only)
{
	an_idle_time_card_that_ends(100000000, 20);
}
END_TEST

/* Hours of Berlin, on the nights in which its clocks are set: from 22:00 to 02:30. */
static void the_night(gy_time_us at, int from, int until, gy_time_us edge)
{
	begin();
	bindings[0].zone = &berlin;
	card(0, 1, 100 * MIB);
	bind(0, 0, 1)->window_from = from;
	bound[0][0].window_until = until;
	open_shop(0);
	world.now = at - 1000;
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, MIB), MIB);
	ck_assert_int_eq(world.plan.answer.services[0].validity_s, (edge - at) / GY_SECOND_US);
	ck_assert_uint_eq(world.plan.answer.services[0].switch_s, 0);
	say(0, GY_TERMINATION, 1, 10, 0, -1);
	done();
}

START_TEST(hours_of_another_zone)
{
	/* 07:30 in Berlin, 06:30 UTC: until 08:00 there. */
	the_night(NOW - 3 * H / 2, 0, 8 * 60, NOW - H);
	/* Over midnight: 23:30 there, until 00:15. */
	the_night(NOW + 14 * H + H / 2, 23 * 60, 15, NOW + 15 * H + H / 4);
	/* 02:30 is left out: the hours end when the clocks go from 02:00 to 03:00. */
	the_night(MARCH_28 - H / 2, 22 * 60, 2 * 60 + 30, MARCH_28);
	/* 07:30 of that day is at 05:30 UTC. */
	the_night(MARCH_28 + 4 * H + H / 2, 0, 8 * 60, MARCH_28 + 5 * H);
	/* 02:30 comes twice: for the first time an hour before the clocks are set at 03:00. */
	the_night(OCTOBER_31 - H, 22 * 60, 2 * 60 + 30, OCTOBER_31 - H / 2);
}
END_TEST

/* ---- who pays for a pool ---- */

/* Two cards that one sponsor pays for by usage have his money once, in a grant and beyond it. */
START_TEST(one_sponsors_money_for_two_cards)
{
	begin();
	card(2, 7, 4 * MIB)->rate = (struct gy_rate){ 20000000, MIB };
	card(2, 8, 100 * MIB)->rate = (struct gy_rate){ 20000000, MIB };
	bind(0, 2, 7)->priority = 2;
	bind(0, 2, 8);
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), 5 * MIB); /* 100 at 20 each */
	ck_assert_int_eq(left(2, 7)->reserved, 4 * MIB);
	ck_assert_int_eq(left(2, 8)->reserved, 1 * MIB);
	say(0, GY_TERMINATION, 1, 10, 0, -1);
	say(0, GY_INITIAL, 2, 20, 10 * MIB, -1);
	ck_assert_int_eq(left(2, 7)->used, 4 * MIB);
	ck_assert_int_eq(left(2, 8)->used, 1 * MIB);
	done();
}
END_TEST

/* What an owner owes for his card, he cannot spend otherwise: not in a grant of his own ... */
START_TEST(an_owner_keeps_what_he_owes)
{
	begin();
	card(2, 7, 4 * MIB)->rate = (struct gy_rate){ 20000000, MIB };
	bind(0, 2, 7);
	bind(2, 2, 7);
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 1 * MIB), 1 * MIB);
	say(0, GY_TERMINATION, 1, 10, 1 * MIB, -1);
	ck_assert_int_eq(gy_account_spendable(world.homes[2]), 80000000);
	/* ... which takes the card first, and leaves money for its settlement: 80 - 3 * 20. */
	world.homes[2]->balance -= 79900000 - 60000000;
	world.accounts[2].paid -= 79900000 - 60000000;
	ck_assert_int_eq(say(2, GY_INITIAL, 0, 10, -1, 10 * MIB), 4 * MIB);
	ck_assert_int_eq(world.homes[2]->reserved, 100000);
	say(2, GY_TERMINATION, 1, 10, 4 * MIB, -1);
	ck_assert_int_eq(gy_account_spendable(world.homes[2]), 0);
	done();
}
END_TEST

/* Who is barred, or whose account has expired, pays for nothing more. */
START_TEST(a_sponsor_who_is_barred_or_has_expired)
{
	for (int i = 0; i < 2; i++) {
		begin();
		card(2, 7, 1000 * MIB)->rate = (struct gy_rate){ 1, MIB };
		bind(0, 2, 7);
		open_shop(100000000);
		say(0, GY_INITIAL, 0, 10, -1, MIB);
		ck_assert_int_eq(left(2, 7)->reserved, MIB);
		if (i == 0)
			world.homes[2]->state = GY_BARRED;
		else
			world.homes[2]->valid_until_us = world.now;
		say(0, GY_UPDATE, 1, 10, MIB, MIB);
		ck_assert_int_eq(left(2, 7)->used, MIB);
		ck_assert_int_eq(left(2, 7)->reserved, 0);
		ck_assert_int_eq(world.homes[0]->reserved, 100000);
		say(0, GY_TERMINATION, 2, 10, MIB, -1);
		done();
	}
}
END_TEST

/* ---- usage that no grant was made for ---- */

START_TEST(cards_only_without_a_grant)
{
	begin();
	card(0, 1, 3 * MIB);
	bind(0, 0, 1);
	open_shop(100000000);
	say(0, GY_INITIAL, 0, 20, 2 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 2 * MIB);
	ck_assert_uint_eq(world.plan.record.flags & GY_CHARGE_UNRATED, 0);
	say(0, GY_TERMINATION, 1, 20, 0, -1);
	request_begin(&r, GY_UPDATE, 1, 2); /* late, and more than there is */
	request_service(&r, 20, 0);
	request_used(&r, GY_UNIT_OCTETS, 4 * MIB);
	ck_assert_int_eq(sent(0)->rc, GY_UNKNOWN_SESSION_ID);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_uint_eq(world.plan.record.flags & GY_CHARGE_UNRATED, GY_CHARGE_UNRATED);
	ck_assert_int_eq(BALANCE(0), 100000000);
	done();
}
END_TEST

/* ---- Service-Identifiers ---- */

/* A report of several Service-Identifiers is one sum: all of them must be the card's. */
START_TEST(all_service_identifiers_must_be_targets)
{
	static const struct gy_card_target first[] = { { 99, 1 } };
	static const struct gy_card_target both[] = { { 99, 1 }, { 99, 2 } };

	for (unsigned n = 1; n <= 2; n++) {
		begin();
		card(0, 1, 10 * MIB);
		directed(bind(0, 0, 1));
		bound[0][0].n_targets = n;
		bound[0][0].targets = n == 1 ? first : both;
		open_shop(100000000);
		for (unsigned ids = 0; ids <= 2; ids++) {
			request_begin(&r, GY_INITIAL, 10 + ids, 0);
			request_service(&r, 99, ids);
			request_more(&r, GY_UNIT_OCTETS, MIB);
			sent(0);
			ck_assert_int_eq(world.homes[0]->slices != NULL &&
						 world.homes[0]->n_slices > 0,
					 ids >= 1 && ids <= n);
			request_begin(&r, GY_TERMINATION, 10 + ids, 1);
			request_service(&r, 99, ids);
			request_used(&r, GY_UNIT_OCTETS, MIB);
			sent(0);
		}
		ck_assert_int_eq(left(0, 1)->used, n * MIB);
		ck_assert_int_eq(BALANCE(0), 100000000 - (3 - n) * 100000);
		done();
	}
}
END_TEST

/* ---- events ---- */

/* CCR-E number n of a user: so many units (-1: none named) of a Rating-Group. */
static const struct gy_answer *event(int user, uint64_t n, enum gy_requested_action action,
				     uint32_t group, int64_t units)
{
	request_begin(&r, GY_EVENT, 100 + n, 0);
	r.ccr.action = action;
	request_service(&r, group, 0);
	request_more(&r, GY_UNIT_OCTETS, units);
	return sent(user);
}

/* The order of consumption holds for events, too: cards, then money, or nothing at all. */
START_TEST(an_event_draws_from_cards)
{
	const struct gy_answer *a;

	begin();
	card(0, 1, 3 * MIB);
	bind(0, 0, 1);
	open_shop(100000);
	a = event(0, 0, GY_PRICE_ENQUIRY, 10, 4 * MIB);
	ck_assert_int_eq(a->cost_micros, 100000); /* what money would pay */
	ck_assert_int_eq(event(0, 1, GY_PRICE_ENQUIRY, 10, 3 * MIB)->cost_micros, 0);
	a = event(0, 2, GY_CHECK_BALANCE, 10, 4 * MIB);
	ck_assert_int_eq(a->check_balance, GY_CHECK_ENOUGH);
	a = event(0, 3, GY_CHECK_BALANCE, 10, 5 * MIB);
	ck_assert_int_eq(a->check_balance, GY_CHECK_NO_CREDIT);
	a = event(0, 4, GY_DIRECT_DEBITING, 10, 5 * MIB);
	ck_assert_int_eq(a->services[0].rc, GY_CREDIT_LIMIT_REACHED);
	ck_assert_int_eq(left(0, 1)->used, 0);
	a = event(0, 5, GY_DIRECT_DEBITING, 10, 4 * MIB);
	ck_assert_int_eq(a->services[0].rc, GY_OK);
	ck_assert_int_eq(a->services[0].granted, 4 * MIB);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_int_eq(BALANCE(0), 0);
	/* A copy gets the same answer, and draws nothing. */
	r.ccr.retransmitted = true;
	ck_assert_int_eq(sent(0)->services[0].granted, 4 * MIB);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_int_eq(event(0, 6, GY_CHECK_BALANCE, 10, 1)->check_balance, GY_CHECK_NO_CREDIT);
	done();
}
END_TEST

START_TEST(an_event_from_many_cards)
{
	begin();
	for (int64_t id = 1; id <= 8; id++) {
		card(0, id, MIB);
		bind(0, 0, id);
	}
	open_shop(0);
	ck_assert_int_eq(event(0, 1, GY_DIRECT_DEBITING, 10, 8 * MIB)->services[0].rc, GY_OK);
	for (int64_t id = 1; id <= 8; id++)
		ck_assert_int_eq(left(0, id)->used, MIB);
	done();
}
END_TEST

/* Without a price cards are all there is: enough of them, or 4012. */
START_TEST(an_event_from_cards_only)
{
	const struct gy_answer *a;

	begin();
	card(0, 1, 3 * MIB);
	bind(0, 0, 1);
	open_shop(100000000);
	ck_assert_int_eq(event(0, 1, GY_PRICE_ENQUIRY, 20, 9 * MIB)->cost_micros, 0);
	ck_assert_int_eq(event(0, 2, GY_CHECK_BALANCE, 20, 3 * MIB)->check_balance,
			 GY_CHECK_ENOUGH);
	ck_assert_int_eq(event(0, 3, GY_CHECK_BALANCE, 20, 4 * MIB)->check_balance,
			 GY_CHECK_NO_CREDIT);
	a = event(0, 4, GY_DIRECT_DEBITING, 20, 4 * MIB);
	ck_assert_int_eq(a->services[0].rc, GY_CREDIT_LIMIT_REACHED);
	ck_assert_int_eq(left(0, 1)->used, 0);
	ck_assert_int_eq(event(0, 5, GY_DIRECT_DEBITING, 20, 3 * MIB)->services[0].rc, GY_OK);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_int_eq(event(0, 6, GY_REFUND_ACCOUNT, 20, MIB)->services[0].rc, GY_RATING_FAILED);
	ck_assert_int_eq(BALANCE(0), 100000000);
	done();
}
END_TEST

/* One question about two services has the card once. */
START_TEST(a_question_about_two_services)
{
	begin();
	card(0, 1, 3 * MIB);
	bind(0, 0, 1);
	open_shop(100000);
	for (int i = 0; i < 2; i++) {
		request_begin(&r, GY_EVENT, 100 + (uint64_t)i, 0);
		r.ccr.action = GY_CHECK_BALANCE;
		request_service(&r, 10, 0);
		request_more(&r, GY_UNIT_OCTETS, 2 * MIB);
		request_service(&r, 99, 0);
		request_more(&r, GY_UNIT_OCTETS, (2 + i) * MIB);
		ck_assert_int_eq(sent(0)->check_balance,
				 i == 0 ? GY_CHECK_ENOUGH : GY_CHECK_NO_CREDIT);
	}
	done();
}
END_TEST

/* A free Rating-Group's event is free, and an event's units count under the cap. */
START_TEST(events_of_a_pool)
{
	begin();
	card(2, 7, 100 * MIB);
	bind(0, 2, 7)->cap = 5 * MIB;
	open_shop(0);
	ck_assert_int_eq(event(0, 1, GY_DIRECT_DEBITING, 30, MIB)->services[0].rc,
			 GY_CREDIT_CONTROL_NOT_APPLICABLE);
	ck_assert_int_eq(event(0, 2, GY_DIRECT_DEBITING, 10, 3 * MIB)->services[0].rc, GY_OK);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), 2 * MIB);
	ck_assert_int_eq(event(0, 3, GY_DIRECT_DEBITING, 10, MIB)->services[0].rc,
			 GY_CREDIT_LIMIT_REACHED);
	say(0, GY_TERMINATION, 1, 10, 0, -1);
	ck_assert_int_eq(left(2, 7)->used, 3 * MIB);
	done();
}
END_TEST

/* An owner's own event leaves him the money that his card's settlement takes. */
START_TEST(an_owners_event)
{
	begin();
	card(2, 7, 4 * MIB)->rate = (struct gy_rate){ 24990000, MIB };
	bind(2, 2, 7);
	open_shop(0); /* the owner has 100 */
	ck_assert_int_eq(event(2, 1, GY_DIRECT_DEBITING, 10, 5 * MIB)->services[0].rc,
			 GY_CREDIT_LIMIT_REACHED);
	ck_assert_int_eq(event(2, 2, GY_CHECK_BALANCE, 10, 5 * MIB)->check_balance,
			 GY_CHECK_NO_CREDIT);
	ck_assert_int_eq(event(2, 3, GY_DIRECT_DEBITING, 10, 4 * MIB)->services[0].rc, GY_OK);
	ck_assert_int_eq(gy_account_spendable(world.homes[2]), 40000);
	done();
}
END_TEST

/* The refund of a debit that took units of a card is refused, all of it (README). */
START_TEST(a_refund_of_what_a_card_gave)
{
	const struct gy_answer *a;

	begin();
	card(0, 1, 3 * MIB);
	bind(0, 0, 1);
	open_shop(100000000);
	for (uint64_t n = 0; n < 2; n++) { /* from card and money; from money alone */
		ck_assert_int_eq(event(0, n, GY_DIRECT_DEBITING, 10, 4 * MIB)->services[0].rc,
				 GY_OK);
		request_begin(&r, GY_EVENT, 100 + n, gy_refund_number(0, 0));
		r.ccr.action = GY_REFUND_ACCOUNT;
		r.ccr.refund.bound = true;
		request_service(&r, 10, 0);
		a = sent(0);
		ck_assert_int_eq(a->rc, n == 0 ? GY_UNABLE_TO_COMPLY : GY_OK);
	}
	ck_assert_int_eq(BALANCE(0), 100000000 - 100000);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	done();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core-card");
	TCase *tests = tcase_create("core-card");

	tcase_add_test(tests, a_grant_is_split);
	tcase_add_test(tests, a_card_alone);
	tcase_add_test(tests, directed_before_general_and_only_its_targets);
	tcase_add_test(tests, the_order_of_consumption);
	tcase_add_test(tests, many_small_cards);
	tcase_add_test(tests, over_use_goes_to_the_next_sources);
	tcase_add_test(tests, a_bind_switches_the_next_grant);
	tcase_add_test(tests, a_pool);
	tcase_add_test(tests, over_use_stays_below_the_cap);
	tcase_add_test(tests, a_sponsor_without_credit);
	tcase_add_test(tests, an_idle_time_card);
	tcase_add_test(tests, validity_from_the_first_use);
	tcase_add_test(tests, a_lost_session);
	tcase_add_test(tests, only_issued_cards_give);
	tcase_add_test(tests, cards_only);
	tcase_add_test(tests, as_many_parts_as_there_can_be);
	tcase_add_test(tests, a_free_group_drains_no_card);
	tcase_add_test(tests, over_use_of_cards_only_drains_cards);
	tcase_add_test(tests, a_cap_outlives_an_unbinding);
	tcase_add_test(tests, hours_that_end_without_money);
	tcase_add_test(tests, hours_that_end_with_little_money);
	tcase_add_test(tests, hours_that_end_and_cards_only);
	tcase_add_test(tests, hours_of_another_zone);
	tcase_add_test(tests, one_sponsors_money_for_two_cards);
	tcase_add_test(tests, an_owner_keeps_what_he_owes);
	tcase_add_test(tests, a_sponsor_who_is_barred_or_has_expired);
	tcase_add_test(tests, cards_only_without_a_grant);
	tcase_add_test(tests, all_service_identifiers_must_be_targets);
	tcase_add_test(tests, an_event_draws_from_cards);
	tcase_add_test(tests, an_event_from_many_cards);
	tcase_add_test(tests, an_event_from_cards_only);
	tcase_add_test(tests, a_question_about_two_services);
	tcase_add_test(tests, events_of_a_pool);
	tcase_add_test(tests, an_owners_event);
	tcase_add_test(tests, a_refund_of_what_a_card_gave);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
