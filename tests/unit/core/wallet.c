/* Accounts with traffic cards for tests: see wallet.h. */
#include "tests/unit/core/wallet.h"

#include "core/rating/clock.h"

static const struct gy_policy policies[] = {
	{ .rating_group = 10,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600 },
	{ .rating_group = 20,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600 },
	{ .rating_group = 21,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600,
	  .final_unit = GY_FINAL_RESTRICT_ACCESS },
	{ .rating_group = 30,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600 },
	{ .rating_group = 99,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600 },
};
/* Rating-Groups 20 and 21 have no price, 30 is free. */
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
static const struct gy_zone_change utc_begins = { 0, 0 };
struct gy_zone zones[2] = { { 1, "UTC", 1, &utc_begins }, { 2, "another", 1, &utc_begins } };
static const struct gy_catalogue catalogue = { .version = 1,
					       .n_policies = 5,
					       .policies = policies,
					       .n_rules = 3,
					       .rules = rules,
					       .n_contexts = 1,
					       .contexts = contexts,
					       .n_peers = 1,
					       .peers = peers,
					       .zones = { 2, zones, 1 } };
static const struct gy_card_target video = { 99, -1 };

struct gy_bound_card bound[3][32];
struct gy_bound_cards bindings[3];
struct gy_profile profile[3];
struct gy_world world;
struct request r;

/* Fresh accounts; cards are put in with card() and bind_card(). */
static struct gy_card stock[3][32];
static unsigned n_stock[3];

struct gy_card *card(int home, int64_t id, int64_t quota)
{
	stock[home][n_stock[home]] = (struct gy_card){ .card_id = id,
						       .state = GY_CARD_ISSUED,
						       .unit = GY_UNIT_OCTETS,
						       .quota = quota,
						       .valid_until_us = INT64_MAX,
						       .rate = { 0, 1 } };
	return &stock[home][n_stock[home]++];
}

struct gy_bound_card *bind_card(int user, int home, int64_t id)
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

struct gy_bound_card *directed(struct gy_bound_card *b)
{
	b->directed = true;
	b->n_targets = 1;
	b->targets = &video;
	return b;
}

void begin(void)
{
	for (int i = 0; i < 3; i++) {
		n_stock[i] = 0;
		bindings[i] = (struct gy_bound_cards){ .cards = bound[i] };
		profile[i] = (struct gy_profile){ .subscriber_id = i + 1,
						  .account_id = i + 1,
						  .group_id = i + 1,
						  .profile_version = 1,
						  .tariff_id = 1,
						  .state = GY_ACTIVE };
	}
}

void open_shop(int64_t balance)
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

void done(void)
{
	ck_assert_ptr_null(gy_world_audit(&world));
	gy_world_free(&world);
}

const struct gy_answer *sent(int user)
{
	const struct gy_answer *answer;

	request_end(&r);
	world.now += 1000;
	answer = gy_world_request(&world, &r.ccr, user, &profile[user]);
	ck_assert_ptr_null(gy_world_audit(&world));
	return answer;
}

int64_t say(int user, enum gy_request_type type, uint32_t number, uint32_t group, int64_t used,
	    int64_t more)
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

const struct gy_card *left(int home, int64_t id)
{
	return gy_card_find(world.homes[home], id);
}
