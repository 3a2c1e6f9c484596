/* The catalogue: archived as a transaction sees it, and read from the archive into one immutable
 * snapshot. So what is in force is what later explains its prices. */
#include "core/store/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/rating/tariff.h"
#include "core/store/connection.h"

enum gy_rc gy_store_listen(struct gy_store *store)
{
	gy_round_begin(store);
	gy_round_add_command(store, "LISTEN gyro_catalogue");
	gy_round_add_command(store, "LISTEN gyro_outbox");
	return gy_round_end(store);
}

/* --- plain statements ----------------------------------------------------------------------- */

PGresult *gy_catalogue_query(PGconn *connection, enum gy_sql sql, int64_t version)
{
	struct gy_params p = { .n = 0 };
	const char *value;
	PGresult *result;
	int len, format = 1;

	gy_params_begin(&p, 1);
	gy_value_int8(&p, 1, version);
	value = (const char *)p.param[0].data;
	len = (int)p.param[0].len;
	result = p.out_of_memory ? NULL
				 : PQexecParams(connection, gy_sql_text[sql], 1, NULL, &value, &len,
						&format, 1);
	gy_params_free(&p);
	return result;
}

/* Loading a catalogue is rare and reads much: statement by statement, without a pipeline. */
static bool plain(struct gy_store *store, bool on)
{
	if (on)
		return PQexitPipelineMode(store->connection) &&
		       PQsetnonblocking(store->connection, 0) == 0;
	return PQsetnonblocking(store->connection, 1) == 0 &&
	       PQenterPipelineMode(store->connection);
}

static bool run(struct gy_store *store, const char *sql, int64_t *number)
{
	PGresult *result =
		PQexecParams(store->connection, sql, 0, NULL, NULL, NULL, NULL, number ? 1 : 0);
	ExecStatusType status = PQresultStatus(result);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok) {
		snprintf(store->error, sizeof(store->error), "%s",
			 PQerrorMessage(store->connection));
		store->error[strcspn(store->error, "\n")] = '\0';
	} else if (number != NULL) {
		*number = gy_get_int8(PQgetvalue(result, 0, 0));
	}
	PQclear(result);
	return ok;
}

enum gy_rc gy_store_catalogue_version(struct gy_store *store, int64_t *version, int64_t *pushed)
{
	enum gy_rc rc;

	gy_round_begin(store);
	gy_round_add(store, GY_SQL_CATALOGUE_VERSION, NULL);
	rc = gy_round_end(store);
	if (rc == GY_OK) {
		*version = gy_get_int8(PQgetvalue(store->result[0], 0, 0));
		*pushed = gy_get_int8(PQgetvalue(store->result[0], 0, 1));
	}
	return rc;
}

/* --- parts ------------------------------------------------------------------------------------ */

char *gy_result_text(void *pool, const PGresult *result, int row, int column)
{
	struct gy_bytes bytes = gy_result_bytes(result, row, column);

	if (bytes.data == NULL)
		return NULL;
	return talloc_strndup(pool, (const char *)bytes.data, bytes.len);
}

/* Texts, a line each. */
static enum gy_rc split_lines(void *pool, struct gy_bytes lines, const char *const **texts,
			      unsigned *count)
{
	unsigned n = 1;
	char **list, *at;

	*texts = NULL;
	*count = 0;
	if (lines.len == 0)
		return GY_OK;
	for (size_t i = 0; i < lines.len; i++)
		n += lines.data[i] == '\n';
	list = talloc_array(pool, char *, n);
	at = talloc_strndup(pool, (const char *)lines.data, lines.len);
	if (list == NULL || at == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < n; i++)
		list[i] = strsep(&at, "\n");
	*texts = (const char *const *)list;
	*count = n;
	return GY_OK;
}

static enum gy_rc read_contexts(struct gy_catalogue *c, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result);
	struct gy_service_context *contexts = talloc_array(c, struct gy_service_context, n);

	if (contexts == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < n; i++) {
		contexts[i].suffix = gy_result_text(contexts, result, (int)i, 0);
		contexts[i].default_rating_group = gy_get_int8(PQgetvalue(result, (int)i, 1));
		contexts[i].cards = *PQgetvalue(result, (int)i, 3) != 0;
		if (contexts[i].suffix == NULL ||
		    split_lines(contexts, gy_result_bytes(result, (int)i, 2), &contexts[i].apns,
				&contexts[i].n_apns) != GY_OK)
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
		peers[i].peer = gy_result_text(peers, result, (int)i, 0);
		peers[i].tariff_time_change = *PQgetvalue(result, (int)i, 1) != 0;
		peers[i].free_answer =
			(enum gy_free_answer)gy_get_int2(PQgetvalue(result, (int)i, 2));
		peers[i].terminate_only = *PQgetvalue(result, (int)i, 3) != 0;
		peers[i].credit_pools = *PQgetvalue(result, (int)i, 4) != 0;
		peers[i].keeps_sessions = *PQgetvalue(result, (int)i, 5) == 0;
		if (peers[i].peer == NULL)
			return GY_NO_MEMORY;
	}
	c->peers = peers;
	c->n_peers = n;
	return GY_OK;
}

/* Numbers of Trigger-Types, a line each; NULL: no Trigger at all. */
static enum gy_rc read_triggers(void *pool, struct gy_bytes lines, struct gy_policy *policy)
{
	const char *const *texts;
	uint32_t *triggers;
	enum gy_rc rc = split_lines(pool, lines, &texts, &policy->n_triggers);

	policy->has_triggers = lines.data != NULL;
	if (rc != GY_OK || policy->n_triggers == 0)
		return rc;
	triggers = talloc_array(pool, uint32_t, policy->n_triggers);
	if (triggers == NULL)
		return GY_NO_MEMORY;
	for (unsigned i = 0; i < policy->n_triggers; i++)
		triggers[i] = (uint32_t)strtoul(texts[i], NULL, 10);
	policy->triggers = triggers;
	return GY_OK;
}

/* -1: none */
static uint32_t quota_holding(int32_t seconds)
{
	if (seconds == 0)
		return GY_QUOTA_HOLDING_OFF;
	return seconds > 0 ? (uint32_t)seconds : 0;
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
			.quota_holding_s = quota_holding(gy_get_int4(PQgetvalue(result, row, 5))),
			.final_unit =
				(enum gy_final_unit_action)gy_get_int2(PQgetvalue(result, row, 6)),
			.redirect_type =
				(enum gy_redirect_type)gy_get_int2(PQgetvalue(result, row, 7)),
			.redirect_address = gy_result_text(policies, result, row, 8),
		};
		rc = split_lines(policies, gy_result_bytes(result, row, 9), &policies[i].filter_ids,
				 &policies[i].n_filter_ids);
		if (rc == GY_OK)
			rc = split_lines(policies, gy_result_bytes(result, row, 10),
					 &policies[i].filter_rules, &policies[i].n_filter_rules);
		policies[i].quota_consumption_s =
			(uint32_t)gy_get_int4(PQgetvalue(result, row, 11));
		policies[i].min_grant = gy_get_int8(PQgetvalue(result, row, 13));
		policies[i].target_s = (uint32_t)gy_get_int4(PQgetvalue(result, row, 14));
		policies[i].validity_jitter = (unsigned)gy_get_int2(PQgetvalue(result, row, 15));
		policies[i].pool = (uint32_t)gy_get_int4(PQgetvalue(result, row, 16));
		if (rc == GY_OK)
			rc = read_triggers(policies, gy_result_bytes(result, row, 12),
					   &policies[i]);
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

/* --- the whole ----------------------------------------------------------------------------------
 */

struct part {
	enum gy_sql sql;
	enum gy_rc (*read)(struct gy_catalogue *catalogue, const PGresult *result);
};

static const struct part parts[] = {
	{ GY_SQL_CATALOGUE_CONTEXTS, read_contexts },
	{ GY_SQL_CATALOGUE_PEERS, read_peers },
	{ GY_SQL_CATALOGUE_POLICIES, read_policies },
	{ GY_SQL_CATALOGUE_RULES, read_rules },
};

enum gy_rc gy_catalogue_load(PGconn *connection, int64_t version, struct gy_catalogue **out,
			     char *error, size_t error_size)
{
	struct gy_catalogue *c = talloc_zero(NULL, struct gy_catalogue);
	enum gy_rc rc = c != NULL ? GY_OK : GY_NO_MEMORY;

	*out = NULL;
	snprintf(error, error_size, "out of memory");
	if (rc == GY_OK)
		c->version = version;
	for (size_t i = 0; rc == GY_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
		PGresult *result = gy_catalogue_query(connection, parts[i].sql, version);

		if (PQresultStatus(result) == PGRES_TUPLES_OK) {
			rc = parts[i].read(c, result);
		} else {
			snprintf(error, error_size, "%s", PQerrorMessage(connection));
			rc = PQstatus(connection) == CONNECTION_OK ? GY_STORE_REFUSED
								   : GY_STORE_UNAVAILABLE;
		}
		PQclear(result);
	}
	if (rc == GY_OK)
		rc = gy_dynamic_load(connection, c, error, error_size);
	if (rc != GY_OK)
		talloc_free(c);
	else
		*out = c;
	return rc;
}

enum gy_rc gy_store_catalogue(struct gy_store *store, struct gy_catalogue **catalogue,
			      struct gy_pushed **pushed)
{
	enum gy_rc rc = GY_STORE_UNAVAILABLE;
	int64_t version = 0;

	*catalogue = NULL;
	*pushed = NULL;
	gy_round_begin(store);
	if (!plain(store, true))
		return GY_STORE_UNAVAILABLE;
	if (run(store, "BEGIN ISOLATION LEVEL REPEATABLE READ", NULL) &&
	    run(store, gy_sql_text[GY_SQL_CATALOGUE_KEEP], &version))
		rc = gy_catalogue_load(store->connection, version, catalogue, store->error,
				       sizeof(store->error));
	if (rc == GY_OK)
		rc = gy_pushed_load(store->connection, *catalogue, pushed);
	if (!run(store, rc == GY_OK ? "COMMIT" : "ROLLBACK", NULL) || !plain(store, false))
		rc = GY_STORE_UNAVAILABLE;
	if (rc != GY_OK) {
		talloc_free(*catalogue);
		*catalogue = NULL;
		*pushed = NULL;
	}
	return rc;
}
