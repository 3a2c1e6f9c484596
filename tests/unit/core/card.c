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
	{ .rating_group = 99,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600 },
};
/* Rating-Group 20 has no price. */
static const struct gy_specific_rule rules[] = {
	{ 1, 1, 10, GY_UNIT_OCTETS, GY_RULE_PRICED, { 100000, MIB }, INT64_MIN, INT64_MAX },
	{ 2, 1, 99, GY_UNIT_OCTETS, GY_RULE_PRICED, { 100000, MIB }, INT64_MIN, INT64_MAX },
};
static const struct gy_service_context contexts[] = { { .suffix = "32251@3gpp.org",
							.default_rating_group = 10 } };
static const struct gy_catalogue catalogue = { .version = 1,
					       .n_policies = 3,
					       .policies = policies,
					       .n_rules = 2,
					       .rules = rules,
					       .n_contexts = 1,
					       .contexts = contexts };
static const struct gy_zone_change utc_begins = { 0, 0 };
static const struct gy_zone utc = { 1, "UTC", 1, &utc_begins };
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
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
