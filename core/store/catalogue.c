/* The catalogue: from tables to one immutable snapshot, read in one transaction. */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/rating/tariff.h"
#include "core/store/connection.h"

enum gy_rc gy_store_listen(struct gy_store *store)
{
	gy_round_begin(store);
	gy_round_add_command(store, "LISTEN gyro_catalogue");
	return gy_round_end(store);
}

enum gy_rc gy_store_catalogue_version(struct gy_store *store, int64_t *version)
{
	enum gy_rc rc;

	gy_round_begin(store);
	gy_round_add(store, GY_SQL_CATALOGUE_VERSION, NULL);
	rc = gy_round_end(store);
	if (rc == GY_OK)
		*version = gy_get_int8(PQgetvalue(store->result[0], 0, 0));
	return rc;
}

static char *text_of(void *pool, const PGresult *result, int row, int column)
{
	struct gy_bytes bytes = gy_result_bytes(result, row, column);

	if (bytes.data == NULL)
		return NULL;
	return talloc_strndup(pool, (const char *)bytes.data, bytes.len);
}

static enum gy_rc read_contexts(struct gy_catalogue *c, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result);
	struct gy_service_context *contexts = talloc_array(c, struct gy_service_context, n);

	if (contexts == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < n; i++) {
		contexts[i].suffix = text_of(contexts, result, (int)i, 0);
		contexts[i].default_rating_group = gy_get_int8(PQgetvalue(result, (int)i, 1));
		if (contexts[i].suffix == NULL)
			return GY_NO_MEMORY;
	}
	c->contexts = contexts;
	c->n_contexts = n;
	return GY_OK;
}

static enum gy_rc read_peers(struct gy_catalogue *c, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result);
	struct gy_peer_profile *peers = talloc_array(c, struct gy_peer_profile, n);

	if (peers == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < n; i++) {
		peers[i].peer = text_of(peers, result, (int)i, 0);
		peers[i].tariff_time_change = *PQgetvalue(result, (int)i, 1) != 0;
		if (peers[i].peer == NULL)
			return GY_NO_MEMORY;
	}
	c->peers = peers;
	c->n_peers = n;
	return GY_OK;
}

/* Filter-Ids, a line each. */
static enum gy_rc split_filters(void *pool, struct gy_bytes lines, struct gy_policy *policy)
{
	unsigned n = 1;
	char **ids, *at;

	if (lines.len == 0)
		return GY_OK;
	for (size_t i = 0; i < lines.len; i++)
		n += lines.data[i] == '\n';
	ids = talloc_array(pool, char *, n);
	at = talloc_strndup(pool, (const char *)lines.data, lines.len);
	if (ids == NULL || at == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < n; i++)
		ids[i] = strsep(&at, "\n");
	policy->filter_ids = (const char *const *)ids;
	policy->n_filter_ids = n;
	return GY_OK;
}

static enum gy_rc read_policies(struct gy_catalogue *c, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result);
	struct gy_policy *policies = talloc_array(c, struct gy_policy, n);
	enum gy_rc rc = policies != NULL ? GY_OK : GY_NO_MEMORY;

	for (unsigned i = 0; rc == GY_OK && i < n; i++) {
		int row = (int)i;

		policies[i] = (struct gy_policy){
			.rating_group = (uint32_t)gy_get_int8(PQgetvalue(result, row, 0)),
			.default_grant = gy_get_int8(PQgetvalue(result, row, 1)),
			.max_grant = gy_get_int8(PQgetvalue(result, row, 2)),
			.threshold = gy_get_int8(PQgetvalue(result, row, 3)),
			.validity_s = (uint32_t)gy_get_int8(PQgetvalue(result, row, 4)),
			.quota_holding_s = (uint32_t)gy_get_int4(PQgetvalue(result, row, 5)),
			.final_unit =
				(enum gy_final_unit_action)gy_get_int2(PQgetvalue(result, row, 6)),
			.redirect_type =
				(enum gy_redirect_type)gy_get_int2(PQgetvalue(result, row, 7)),
			.redirect_address = text_of(policies, result, row, 8),
		};
		rc = split_filters(policies, gy_result_bytes(result, row, 9), &policies[i]);
	}
	c->policies = policies;
	c->n_policies = n;
	return rc;
}

static enum gy_rc read_rules(struct gy_catalogue *c, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result);
	struct gy_specific_rule *rules = talloc_array(c, struct gy_specific_rule, n);

	if (rules == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < n; i++) {
		int row = (int)i;

		rules[i] = (struct gy_specific_rule){
			.rule_id = gy_get_int8(PQgetvalue(result, row, 0)),
			.tariff_id = gy_get_int4(PQgetvalue(result, row, 1)),
			.rating_group = (uint32_t)gy_get_int8(PQgetvalue(result, row, 2)),
			.unit = (enum gy_unit)gy_get_int2(PQgetvalue(result, row, 3)),
			.kind = (enum gy_rule_kind)gy_get_int2(PQgetvalue(result, row, 4)),
			.rate = { gy_get_int8(PQgetvalue(result, row, 5)),
				  gy_get_int8(PQgetvalue(result, row, 6)) },
			.valid_from_us = gy_get_time(PQgetvalue(result, row, 7)),
			.valid_until_us = gy_get_time(PQgetvalue(result, row, 8)),
		};
	}
	qsort(rules, n, sizeof(*rules), gy_specific_rule_compare);
	c->rules = rules;
	c->n_rules = n;
	return GY_OK;
}

enum gy_rc gy_store_catalogue(struct gy_store *store, struct gy_catalogue **out)
{
	struct gy_catalogue *c = talloc_zero(NULL, struct gy_catalogue);
	unsigned version, contexts, peers, policies, rules;
	enum gy_rc rc;

	*out = NULL;
	if (c == NULL)
		return GY_NO_MEMORY;
	gy_round_begin(store);
	gy_round_add_command(store, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
	version = gy_round_add(store, GY_SQL_CATALOGUE_VERSION, NULL);
	contexts = gy_round_add(store, GY_SQL_CATALOGUE_CONTEXTS, NULL);
	peers = gy_round_add(store, GY_SQL_CATALOGUE_PEERS, NULL);
	policies = gy_round_add(store, GY_SQL_CATALOGUE_POLICIES, NULL);
	rules = gy_round_add(store, GY_SQL_CATALOGUE_RULES, NULL);
	gy_round_add_command(store, "COMMIT");
	rc = gy_round_end(store);
	if (rc == GY_OK) {
		c->version = gy_get_int8(PQgetvalue(store->result[version], 0, 0));
		rc = read_contexts(c, store->result[contexts]);
		if (rc == GY_OK)
			rc = read_peers(c, store->result[peers]);
		if (rc == GY_OK)
			rc = read_policies(c, store->result[policies]);
		if (rc == GY_OK)
			rc = read_rules(c, store->result[rules]);
	} else {
		gy_store_rollback(store);
	}
	if (rc != GY_OK) {
		talloc_free(c);
		return rc;
	}
	*out = c;
	return GY_OK;
}
