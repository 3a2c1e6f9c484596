/* Reads fixture.yaml with libcyaml and builds the core's snapshot from it. */
#include "tests/lib/fixture.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rating/tariff.h"
#include "tests/lib/case.h"

#define FOREVER_US INT64_MAX

struct yaml_context {
	char *suffix;
	int64_t *default_rating_group;
};

struct yaml_redirect {
	int type;
	char *address;
};

struct yaml_group {
	uint32_t rating_group;
	char *name;
	char *default_grant, *max_grant, *threshold;
	uint32_t validity, quota_holding;
	int final_unit;
	struct yaml_redirect *redirect;
	char **filter_ids;
	unsigned filter_ids_count;
};

struct yaml_rule {
	uint32_t rating_group;
	int unit, kind;
	char *price, *per;
};

struct yaml_tariff {
	char *code;
	struct yaml_rule *rules;
	unsigned rules_count;
};

struct yaml_account {
	int64_t account;
	int currency;
	char *balance, *credit_limit;
	int state;
};

struct yaml_subscriber {
	int64_t subscriber, account;
	char *tariff;
	int state;
	char *imsi, *e164, *nai, *user_name, *sip_uri, *private_id;
};

struct yaml_file {
	struct yaml_context *contexts;
	unsigned contexts_count;
	struct yaml_group *groups;
	unsigned groups_count;
	struct yaml_tariff *tariffs;
	unsigned tariffs_count;
	struct yaml_account *accounts;
	unsigned accounts_count;
	struct yaml_subscriber *subscribers;
	unsigned subscribers_count;
};

static const cyaml_strval_t units[] = {
	{ "octets", GY_UNIT_OCTETS },
	{ "seconds", GY_UNIT_SECONDS },
	{ "service", GY_UNIT_SERVICE },
};
static const cyaml_strval_t kinds[] = {
	{ "priced", GY_RULE_PRICED },
	{ "free", GY_RULE_FREE },
	{ "forbidden", GY_RULE_FORBIDDEN },
};
static const cyaml_strval_t actions[] = {
	{ "terminate", GY_FINAL_TERMINATE },
	{ "redirect", GY_FINAL_REDIRECT },
	{ "restrict", GY_FINAL_RESTRICT_ACCESS },
};
static const cyaml_strval_t redirects[] = {
	{ "ipv4", GY_REDIRECT_IPV4 },
	{ "ipv6", GY_REDIRECT_IPV6 },
	{ "url", GY_REDIRECT_URL },
	{ "sip", GY_REDIRECT_SIP_URI },
};
static const cyaml_strval_t states[] = {
	{ "active", GY_ACTIVE },
	{ "barred", GY_BARRED },
};

#define TEXT(type, key, member, flags) \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), struct type, member, 1, 1000)
#define WORD(type, key, member, flags, words) \
	CYAML_FIELD_ENUM(key, (flags), struct type, member, words, CYAML_ARRAY_LEN(words))

static const cyaml_schema_field_t context_fields[] = {
	TEXT(yaml_context, "suffix", suffix, 0),
	CYAML_FIELD_INT_PTR("default_rating_group", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			    struct yaml_context, default_rating_group),
	CYAML_FIELD_END
};
static const cyaml_schema_field_t redirect_fields[] = {
	WORD(yaml_redirect, "type", type, CYAML_FLAG_STRICT, redirects),
	TEXT(yaml_redirect, "address", address, 0), CYAML_FIELD_END
};
static const cyaml_schema_value_t text_value = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1,
								    255) };
static const cyaml_schema_field_t group_fields[] = {
	CYAML_FIELD_UINT("rating_group", CYAML_FLAG_DEFAULT, struct yaml_group, rating_group),
	TEXT(yaml_group, "name", name, 0),
	TEXT(yaml_group, "default_grant", default_grant, 0),
	TEXT(yaml_group, "max_grant", max_grant, 0),
	TEXT(yaml_group, "threshold", threshold, CYAML_FLAG_OPTIONAL),
	CYAML_FIELD_UINT("validity", CYAML_FLAG_DEFAULT, struct yaml_group, validity),
	CYAML_FIELD_UINT("quota_holding", CYAML_FLAG_OPTIONAL, struct yaml_group, quota_holding),
	WORD(yaml_group, "final_unit", final_unit, CYAML_FLAG_STRICT, actions),
	CYAML_FIELD_MAPPING_PTR("redirect", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
				struct yaml_group, redirect, redirect_fields),
	CYAML_FIELD_SEQUENCE("filter_ids", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct yaml_group, filter_ids, &text_value, 0, 64),
	CYAML_FIELD_END
};
static const cyaml_schema_field_t rule_fields[] = {
	CYAML_FIELD_UINT("rating_group", CYAML_FLAG_DEFAULT, struct yaml_rule, rating_group),
	WORD(yaml_rule, "unit", unit, CYAML_FLAG_STRICT, units),
	WORD(yaml_rule, "kind", kind, CYAML_FLAG_STRICT | CYAML_FLAG_OPTIONAL, kinds),
	TEXT(yaml_rule, "price", price, CYAML_FLAG_OPTIONAL),
	TEXT(yaml_rule, "per", per, CYAML_FLAG_OPTIONAL),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t rule_value = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct yaml_rule, rule_fields) };
static const cyaml_schema_field_t tariff_fields[] = {
	TEXT(yaml_tariff, "code", code, 0),
	CYAML_FIELD_SEQUENCE("rules", CYAML_FLAG_POINTER, struct yaml_tariff, rules, &rule_value, 1,
			     1000),
	CYAML_FIELD_END
};
static const cyaml_schema_field_t account_fields[] = {
	CYAML_FIELD_INT("account", CYAML_FLAG_DEFAULT, struct yaml_account, account),
	CYAML_FIELD_INT("currency", CYAML_FLAG_DEFAULT, struct yaml_account, currency),
	TEXT(yaml_account, "balance", balance, 0),
	TEXT(yaml_account, "credit_limit", credit_limit, 0),
	WORD(yaml_account, "state", state, CYAML_FLAG_STRICT, states),
	CYAML_FIELD_END
};
static const cyaml_schema_field_t subscriber_fields[] = {
	CYAML_FIELD_INT("subscriber", CYAML_FLAG_DEFAULT, struct yaml_subscriber, subscriber),
	CYAML_FIELD_INT("account", CYAML_FLAG_DEFAULT, struct yaml_subscriber, account),
	TEXT(yaml_subscriber, "tariff", tariff, 0),
	WORD(yaml_subscriber, "state", state, CYAML_FLAG_STRICT, states),
	TEXT(yaml_subscriber, "imsi", imsi, 0),
	TEXT(yaml_subscriber, "e164", e164, 0),
	TEXT(yaml_subscriber, "nai", nai, CYAML_FLAG_OPTIONAL),
	TEXT(yaml_subscriber, "user_name", user_name, CYAML_FLAG_OPTIONAL),
	TEXT(yaml_subscriber, "sip_uri", sip_uri, CYAML_FLAG_OPTIONAL),
	TEXT(yaml_subscriber, "private", private_id, CYAML_FLAG_OPTIONAL),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t context_value = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct yaml_context, context_fields) };
static const cyaml_schema_value_t group_value = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct yaml_group, group_fields) };
static const cyaml_schema_value_t tariff_value = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct yaml_tariff, tariff_fields) };
static const cyaml_schema_value_t account_value = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct yaml_account, account_fields) };
static const cyaml_schema_value_t subscriber_value = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct yaml_subscriber, subscriber_fields) };

static const cyaml_schema_field_t file_fields[] = {
	CYAML_FIELD_SEQUENCE("service_contexts", CYAML_FLAG_POINTER, struct yaml_file, contexts,
			     &context_value, 1, 100),
	CYAML_FIELD_SEQUENCE("rating_groups", CYAML_FLAG_POINTER, struct yaml_file, groups,
			     &group_value, 1, 1000),
	CYAML_FIELD_SEQUENCE("tariffs", CYAML_FLAG_POINTER, struct yaml_file, tariffs,
			     &tariff_value, 1, 100),
	CYAML_FIELD_SEQUENCE("accounts", CYAML_FLAG_POINTER, struct yaml_file, accounts,
			     &account_value, 1, 1000),
	CYAML_FIELD_SEQUENCE("subscribers", CYAML_FLAG_POINTER, struct yaml_file, subscribers,
			     &subscriber_value, 1, 1000),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t file_value = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_POINTER, struct yaml_file, file_fields) };

static const cyaml_config_t config = {
	.log_fn = cyaml_log,
	.mem_fn = cyaml_mem,
	.log_level = CYAML_LOG_ERROR,
};

/* What gy_fixture_free needs besides the fixture. The strings stay in the parsed file. */
struct whole {
	struct gy_fixture fixture; /* first */
	struct yaml_file *file;
	struct gy_policy *policies;
	struct gy_specific_rule *rules;
	struct gy_service_context *contexts;
	struct gy_account *accounts;
	struct gy_fixture_subscriber *subscribers;
};

__attribute__((format(printf, 3, 4))) static bool fail(char *error, size_t size, const char *format,
						       ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return false;
}

/* A plain number (of seconds or service units) or a size of octets. */
static bool count_of(const char *text, int64_t *count)
{
	enum gy_case_quantity quantity;

	*count = 0;
	return !text || gy_case_size(text, &quantity, count);
}

static int by_rating_group(const void *a, const void *b)
{
	const struct gy_policy *x = a, *y = b;

	return (x->rating_group > y->rating_group) - (x->rating_group < y->rating_group);
}

static bool build_policies(struct whole *w, char *error, size_t size)
{
	struct gy_catalogue *c = &w->fixture.catalogue;

	w->policies = calloc(w->file->groups_count, sizeof(*w->policies));
	if (!w->policies)
		return fail(error, size, "out of memory");
	for (unsigned i = 0; i < w->file->groups_count; i++) {
		const struct yaml_group *g = &w->file->groups[i];
		struct gy_policy *p = &w->policies[i];

		*p = (struct gy_policy){
			.rating_group = g->rating_group,
			.validity_s = g->validity,
			.quota_holding_s = g->quota_holding,
			.final_unit = (enum gy_final_unit_action)g->final_unit,
			.n_filter_ids = g->filter_ids_count,
			.filter_ids = (const char *const *)g->filter_ids,
		};
		if (g->redirect) {
			p->redirect_type = (enum gy_redirect_type)g->redirect->type;
			p->redirect_address = g->redirect->address;
		}
		if (!count_of(g->default_grant, &p->default_grant) ||
		    !count_of(g->max_grant, &p->max_grant) ||
		    !count_of(g->threshold, &p->threshold))
			return fail(error, size, "rating_group %u: bad size", g->rating_group);
	}
	qsort(w->policies, w->file->groups_count, sizeof(*w->policies), by_rating_group);
	c->n_policies = w->file->groups_count;
	c->policies = w->policies;
	return true;
}

static bool build_rules(struct whole *w, char *error, size_t size)
{
	struct gy_catalogue *c = &w->fixture.catalogue;
	unsigned n = 0;

	for (unsigned i = 0; i < w->file->tariffs_count; i++)
		n += w->file->tariffs[i].rules_count;
	w->rules = calloc(n, sizeof(*w->rules));
	if (!w->rules)
		return fail(error, size, "out of memory");
	for (unsigned i = 0; i < w->file->tariffs_count; i++)
		for (unsigned j = 0; j < w->file->tariffs[i].rules_count; j++) {
			const struct yaml_rule *r = &w->file->tariffs[i].rules[j];
			struct gy_specific_rule *rule = &w->rules[c->n_rules];

			*rule = (struct gy_specific_rule){
				.rule_id = (int64_t)c->n_rules + 1,
				.tariff_id = (int32_t)i + 1,
				.rating_group = r->rating_group,
				.unit = (enum gy_unit)r->unit,
				.kind = (enum gy_rule_kind)r->kind,
				.rate.block = 1,
				.valid_from_us = INT64_MIN,
				.valid_until_us = FOREVER_US,
			};
			if ((r->kind == GY_RULE_PRICED) != (r->price && r->per))
				return fail(error, size, "rule for %u: price and per, or a kind",
					    r->rating_group);
			if (r->price && (!gy_case_money(r->price, &rule->rate.price_micros) ||
					 !count_of(r->per, &rule->rate.block)))
				return fail(error, size, "rule for %u: bad price", r->rating_group);
			c->n_rules++;
		}
	qsort(w->rules, n, sizeof(*w->rules), gy_specific_rule_compare);
	c->rules = w->rules;
	return true;
}

static bool build_contexts(struct whole *w, char *error, size_t size)
{
	struct gy_catalogue *c = &w->fixture.catalogue;

	w->contexts = calloc(w->file->contexts_count, sizeof(*w->contexts));
	if (!w->contexts)
		return fail(error, size, "out of memory");
	for (unsigned i = 0; i < w->file->contexts_count; i++) {
		const struct yaml_context *context = &w->file->contexts[i];

		w->contexts[i].suffix = context->suffix;
		w->contexts[i].default_rating_group =
			context->default_rating_group ? *context->default_rating_group : -1;
	}
	c->n_contexts = w->file->contexts_count;
	c->contexts = w->contexts;
	return true;
}

static bool build_accounts(struct whole *w, char *error, size_t size)
{
	w->accounts = calloc(w->file->accounts_count, sizeof(*w->accounts));
	if (!w->accounts)
		return fail(error, size, "out of memory");
	for (unsigned i = 0; i < w->file->accounts_count; i++) {
		const struct yaml_account *a = &w->file->accounts[i];

		w->accounts[i] = (struct gy_account){
			.account_id = a->account,
			.group_id = a->account,
			.version = 1,
			.profile_version = 1,
			.state = (enum gy_state)a->state,
			.currency = a->currency,
			.valid_until_us = FOREVER_US,
		};
		if (!gy_case_money(a->balance, &w->accounts[i].balance) ||
		    !gy_case_money(a->credit_limit, &w->accounts[i].credit_limit))
			return fail(error, size, "account %lld: bad money", (long long)a->account);
	}
	w->fixture.n_accounts = w->file->accounts_count;
	w->fixture.accounts = w->accounts;
	return true;
}

static bool build_subscriber(struct whole *w, const struct yaml_subscriber *s,
			     struct gy_fixture_subscriber *made, char *error, size_t size)
{
	int account = -1, tariff = -1;

	for (unsigned i = 0; i < w->file->accounts_count; i++)
		if (w->file->accounts[i].account == s->account)
			account = (int)i;
	for (unsigned i = 0; i < w->file->tariffs_count; i++)
		if (strcmp(w->file->tariffs[i].code, s->tariff) == 0)
			tariff = (int)i;
	if (account < 0 || tariff < 0)
		return fail(error, size, "subscriber %lld: no such account or tariff",
			    (long long)s->subscriber);
	*made = (struct gy_fixture_subscriber){
		.number = (int)s->subscriber,
		.account = account,
		.profile = { .subscriber_id = s->subscriber,
			     .account_id = s->account,
			     .group_id = s->account,
			     .profile_version = 1,
			     .tariff_id = tariff + 1,
			     .state = (enum gy_state)s->state },
	};
	return true;
}

static bool build_subscribers(struct whole *w, char *error, size_t size)
{
	unsigned n = w->file->subscribers_count;

	w->subscribers = calloc(n, sizeof(*w->subscribers));
	if (!w->subscribers)
		return fail(error, size, "out of memory");
	for (unsigned i = 0; i < n; i++)
		if (!build_subscriber(w, &w->file->subscribers[i], &w->subscribers[i], error, size))
			return false;
	w->fixture.n_subscribers = n;
	w->fixture.subscribers = w->subscribers;
	return true;
}

struct gy_fixture *gy_fixture_read(const char *path, char *error, size_t error_size)
{
	struct whole *w = calloc(1, sizeof(*w));
	cyaml_err_t result;

	if (!w) {
		fail(error, error_size, "out of memory");
		return NULL;
	}
	w->fixture.catalogue.version = 1;
	result = cyaml_load_file(path, &config, &file_value, (cyaml_data_t **)&w->file, NULL);
	if (result != CYAML_OK)
		fail(error, error_size, "%s: %s", path, cyaml_strerror(result));
	else if (build_policies(w, error, error_size) && build_rules(w, error, error_size) &&
		 build_contexts(w, error, error_size) && build_accounts(w, error, error_size) &&
		 build_subscribers(w, error, error_size))
		return &w->fixture;
	gy_fixture_free(&w->fixture);
	return NULL;
}

void gy_fixture_free(struct gy_fixture *fixture)
{
	struct whole *w = (struct whole *)fixture;

	if (!w)
		return;
	if (w->file)
		cyaml_free(&config, &file_value, w->file, 0);
	free(w->policies);
	free(w->rules);
	free(w->contexts);
	free(w->accounts);
	free(w->subscribers);
	free(w);
}

const struct gy_fixture_subscriber *gy_fixture_find(const struct gy_fixture *fixture, int number)
{
	for (unsigned i = 0; i < fixture->n_subscribers; i++)
		if (fixture->subscribers[i].number == number)
			return &fixture->subscribers[i];
	return NULL;
}
