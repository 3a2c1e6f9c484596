/* The dynamic half of a catalogue, and the attributes of subscribers: from the archive and the
 * tables to what core/rating reads. Checked and compiled before it can come into force. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/store/catalogue.h"
#include "core/store/connection.h"

struct loading {
	PGconn *connection;
	struct gy_catalogue *catalogue;
	struct gy_dynamic *dynamic; /* talloc parent of all parts */
};

static bool is_null(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) == 1;
}

/* A value of a type from its number and its text; GY_VALUE_NONE if the text is NULL. */
static bool value_of(void *pool, const PGresult *result, int row, int number, int text,
		     enum gy_value_type type, struct gy_value *value)
{
	*value = (struct gy_value){ .type = GY_VALUE_NONE };
	if (is_null(result, row, text))
		return true;
	value->type = type;
	if (type != GY_VALUE_TEXT) {
		value->number = gy_get_int8(PQgetvalue(result, row, number));
		return true;
	}
	value->text.len = (size_t)PQgetlength(result, row, text);
	value->text.data = (const uint8_t *)gy_result_text(pool, result, row, text);
	return value->text.data != NULL;
}

#define INT2(column) gy_get_int2(PQgetvalue(result, row, column))
#define INT4(column) gy_get_int4(PQgetvalue(result, row, column))
#define INT8(column) gy_get_int8(PQgetvalue(result, row, column))
#define TIME(column) gy_get_time(PQgetvalue(result, row, column))
#define BOOL(column) (*PQgetvalue(result, row, column) != 0)

static enum gy_rc read_attributes(struct loading *l, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result);
	struct gy_attribute_type *types =
		talloc_zero_array(l->dynamic, struct gy_attribute_type, n);

	if (types == NULL)
		return GY_NO_MEMORY;
	for (int row = 0; row < (int)n; row++) {
		types[row] = (struct gy_attribute_type){
			.attribute_id = INT4(0),
			.name = gy_result_text(types, result, row, 1),
			.source = (enum gy_attribute_source)INT2(2),
			.derivation = (enum gy_derivation)INT2(3),
			.type = (enum gy_value_type)INT2(4),
			.on_change = (enum gy_on_change)INT2(5),
			.calendar_id = INT4(6),
			.all_groups = BOOL(7),
		};
		if (types[row].name == NULL ||
		    !value_of(types, result, row, 8, 9, types[row].type, &types[row].fallback))
			return GY_NO_MEMORY;
		l->dynamic->counts |= types[row].source == GY_SOURCE_COUNTER;
		l->dynamic->places |= types[row].on_change == GY_CHANGE_REAUTH &&
				      types[row].derivation > GY_DERIVE_OF_ALL;
	}
	l->dynamic->attributes = types;
	l->dynamic->n_attributes = n;
	return GY_OK;
}

static enum gy_rc read_codes(struct loading *l, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result);
	struct gy_dynamic_code *codes = talloc_zero_array(l->dynamic, struct gy_dynamic_code, n);

	if (codes == NULL)
		return GY_NO_MEMORY;
	for (int row = 0; row < (int)n; row++) {
		codes[row] = (struct gy_dynamic_code){
			.code_id = INT4(0),
			.code = gy_result_text(codes, result, row, 1),
			.attribute_id = INT4(2),
			.on_missing = (enum gy_on_missing)INT2(3),
		};
		if (codes[row].code == NULL)
			return GY_NO_MEMORY;
	}
	l->dynamic->codes = codes;
	l->dynamic->n_codes = n;
	return GY_OK;
}

static int compare_elements(const void *a, const void *b)
{
	return gy_value_compare(a, b);
}

/* A set comes as one text, an element a line, in the order in which it was written; a predicate
 * has its set in the order of values. */
static bool read_set(void *pool, char *lines, enum gy_value_type type, struct gy_predicate *p)
{
	struct gy_value *set;
	char *element;
	unsigned n = 1;

	if (lines == NULL)
		return true;
	for (const char *c = lines; *c != '\0'; c++)
		n += *c == '\n';
	set = talloc_zero_array(pool, struct gy_value, n);
	if (set == NULL)
		return false;
	for (unsigned i = 0; (element = strsep(&lines, "\n")) != NULL && i < n; i++) {
		set[i].type = type;
		if (type == GY_VALUE_TEXT)
			set[i].text =
				(struct gy_bytes){ (const uint8_t *)element, strlen(element) };
		else
			set[i].number = strtoll(element, NULL, 10);
	}
	qsort(set, n, sizeof(*set), compare_elements);
	p->set = set;
	p->n_set = n;
	return true;
}

static bool read_rule(void *pool, const PGresult *result, int row, struct gy_dynamic_rule *rule)
{
	enum gy_value_type type = (enum gy_value_type)INT2(7);

	*rule = (struct gy_dynamic_rule){
		.rule_id = INT8(0),
		.tariff_id = INT4(1),
		.code_id = INT4(2),
		.attribute_id = INT4(3),
		.rating_group = INT8(4),
		.unit = (enum gy_unit)INT2(5),
		.predicate = { .match = (enum gy_match)INT2(6) },
		.effect = { .kind = (enum gy_effect_kind)INT2(13),
			    .amount = INT8(14),
			    .block = INT8(15),
			    .redirect_type = (enum gy_redirect_type)INT2(16),
			    .address = gy_result_text(pool, result, row, 17) },
		.precedence = INT4(18),
		.stack_group = INT4(19),
		.valid_from_us = TIME(20),
		.valid_until_us = TIME(21),
	};
	return value_of(pool, result, row, 8, 9, type, &rule->predicate.low) &&
	       value_of(pool, result, row, 10, 11, type, &rule->predicate.high) &&
	       read_set(pool, gy_result_text(pool, result, row, 12), type, &rule->predicate);
}

static enum gy_rc read_dynamic_rules(struct loading *l, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result);
	struct gy_dynamic_rule *rules = talloc_zero_array(l->dynamic, struct gy_dynamic_rule, n);

	if (rules == NULL)
		return GY_NO_MEMORY;
	for (int row = 0; row < (int)n; row++) {
		if (!read_rule(rules, result, row, &rules[row]))
			return GY_NO_MEMORY;
		l->dynamic->counts |= rules[row].effect.kind == GY_EFFECT_FREE;
	}
	l->dynamic->rules = rules;
	l->dynamic->n_rules = n;
	return GY_OK;
}

static enum gy_rc read_zones(struct loading *l, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result), zones_n = 0;
	struct gy_zone *zones = talloc_zero_array(l->dynamic, struct gy_zone, n);
	struct gy_zone_change *changes = talloc_zero_array(l->dynamic, struct gy_zone_change, n);

	if (zones == NULL || changes == NULL)
		return GY_NO_MEMORY;
	for (int row = 0; row < (int)n; row++) {
		int32_t id = INT4(0);

		if (zones_n == 0 || zones[zones_n - 1].zone_id != id) {
			zones[zones_n++] = (struct gy_zone){
				.zone_id = id,
				.name = gy_result_text(zones, result, row, 1),
				.changes = &changes[row],
			};
			if (BOOL(2))
				l->dynamic->zones.default_zone_id = id;
		}
		zones[zones_n - 1].n_changes++;
		changes[row] = (struct gy_zone_change){ .at_us = TIME(3), .offset_s = INT4(4) };
	}
	l->dynamic->zones.zones = zones;
	l->dynamic->zones.n = zones_n;
	return GY_OK;
}

static enum gy_rc read_calendars(struct loading *l, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result), calendars_n = 0, days_n = 0;
	struct gy_calendar *calendars = talloc_zero_array(l->dynamic, struct gy_calendar, n);
	int32_t *days = talloc_zero_array(l->dynamic, int32_t, n);

	if (calendars == NULL || days == NULL)
		return GY_NO_MEMORY;
	for (int row = 0; row < (int)n; row++) {
		int32_t id = INT4(0);

		if (calendars_n == 0 || calendars[calendars_n - 1].calendar_id != id)
			calendars[calendars_n++] = (struct gy_calendar){
				.calendar_id = id,
				.name = gy_result_text(calendars, result, row, 1),
				.days = &days[days_n],
			};
		if (is_null(result, row, 2))
			continue;
		days[days_n++] = INT4(2);
		calendars[calendars_n - 1].n_days++;
	}
	l->dynamic->calendars = calendars;
	l->dynamic->n_calendars = calendars_n;
	return GY_OK;
}

static enum gy_rc read_networks(struct loading *l, const PGresult *result)
{
	unsigned n = (unsigned)PQntuples(result);
	struct gy_bytes *networks = talloc_zero_array(l->dynamic, struct gy_bytes, n);

	if (networks == NULL)
		return GY_NO_MEMORY;
	for (int row = 0; row < (int)n; row++) {
		networks[row].len = (size_t)PQgetlength(result, row, 0);
		networks[row].data = (const uint8_t *)gy_result_text(networks, result, row, 0);
		if (networks[row].data == NULL)
			return GY_NO_MEMORY;
	}
	l->dynamic->home_networks = networks;
	l->dynamic->n_home_networks = n;
	return GY_OK;
}

static const struct {
	enum gy_sql sql;
	enum gy_rc (*read)(struct loading *l, const PGresult *result);
} parts[] = {
	{ GY_SQL_CATALOGUE_ATTRIBUTES, read_attributes },
	{ GY_SQL_CATALOGUE_CODES, read_codes },
	{ GY_SQL_CATALOGUE_DYNAMIC, read_dynamic_rules },
	{ GY_SQL_CATALOGUE_ZONES, read_zones },
	{ GY_SQL_CATALOGUE_DAYS, read_calendars },
	{ GY_SQL_CATALOGUE_NETWORKS, read_networks },
};

static void tell_fault(const struct gy_dynamic_fault *fault, char *error, size_t size)
{
	int n = fault->rule_id != 0 ? snprintf(error, size, "dynamic rule %" PRId64 ": %s",
					       fault->rule_id, gy_fault_text(fault->reason))
				    : snprintf(error, size, "object %" PRId64 ": %s",
					       fault->object_id, gy_fault_text(fault->reason));

	if (n > 0 && (size_t)n < size && fault->other_rule_id != 0)
		n += snprintf(error + n, size - (size_t)n, " (with rule %" PRId64 ")",
			      fault->other_rule_id);
	if (n > 0 && (size_t)n < size && fault->specific_rule_id != 0)
		snprintf(error + n, size - (size_t)n, " (over specific rule %" PRId64 ")",
			 fault->specific_rule_id);
}

static enum gy_rc compile(struct loading *l, char *error, size_t error_size)
{
	struct gy_dynamic_fault fault;
	size_t size = gy_dynamic_memory(l->dynamic);
	void *memory = talloc_size(l->dynamic, size);
	enum gy_rc rc;

	if (memory == NULL)
		return GY_NO_MEMORY;
	rc = gy_dynamic_compile(l->catalogue, l->dynamic, memory, size, &fault);
	if (rc != GY_OK)
		tell_fault(&fault, error, error_size);
	return rc;
}

enum gy_rc gy_dynamic_load(PGconn *connection, struct gy_catalogue *catalogue, char *error,
			   size_t error_size)
{
	struct loading l = { .connection = connection,
			     .catalogue = catalogue,
			     .dynamic = talloc_zero(catalogue, struct gy_dynamic) };
	enum gy_rc rc = l.dynamic != NULL ? GY_OK : GY_NO_MEMORY;

	for (size_t i = 0; rc == GY_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
		PGresult *result = gy_catalogue_query(connection, parts[i].sql, catalogue->version);

		rc = gy_catalogue_result(connection, result, error, error_size);
		if (rc == GY_OK)
			rc = parts[i].read(&l, result);
		PQclear(result);
	}
	if (rc == GY_OK)
		catalogue->zones = l.dynamic->zones;
	if (rc == GY_OK && l.dynamic->n_rules == 0 && l.dynamic->n_codes == 0)
		return GY_OK; /* nothing dynamic: nothing more to do per request */
	if (rc == GY_OK)
		rc = compile(&l, error, error_size);
	if (rc == GY_OK)
		catalogue->dynamic = l.dynamic;
	return rc;
}

enum gy_rc gy_pushed_load(PGconn *connection, void *pool, struct gy_pushed **out, char *error,
			  size_t error_size)
{
	PGresult *result = PQexecParams(connection, gy_sql_text[GY_SQL_PUSHED_VALUES], 0, NULL,
					NULL, NULL, NULL, 1);
	unsigned n = (unsigned)PQntuples(result);
	struct gy_pushed *pushed = talloc_zero(pool, struct gy_pushed);
	struct gy_pushed_value *values = talloc_zero_array(pushed, struct gy_pushed_value, n);
	enum gy_rc rc = gy_catalogue_result(connection, result, error, error_size);

	if (rc == GY_OK && (pushed == NULL || values == NULL))
		rc = GY_NO_MEMORY;
	for (int row = 0; rc == GY_OK && row < (int)n; row++) {
		values[row] = (struct gy_pushed_value){
			.attribute_id = INT4(0),
			.valid_from_us = TIME(5),
			.valid_until_us = TIME(6),
		};
		values[row].scope.len = (size_t)PQgetlength(result, row, 1);
		values[row].scope.data = (const uint8_t *)gy_result_text(values, result, row, 1);
		if (values[row].scope.data == NULL ||
		    !value_of(values, result, row, 3, 4, (enum gy_value_type)INT2(2),
			      &values[row].value))
			rc = GY_NO_MEMORY;
	}
	if (rc == GY_OK) {
		qsort(values, n, sizeof(*values), gy_pushed_compare);
		pushed->values = values;
		pushed->n_values = n;
		*out = pushed;
	} else {
		talloc_free(pushed);
	}
	PQclear(result);
	return rc;
}

/* --- a subscriber's half -----------------------------------------------------------------------
 */

/* What one subscriber has of codes and values. */
struct share {
	unsigned codes, values;
	struct gy_attributes *attributes;
};

static enum gy_rc count_shares(const PGresult *result, struct share *shares, unsigned n)
{
	for (int row = 0; row < PQntuples(result); row++) {
		int64_t position = INT8(0);

		if (position < 1 || position > (int64_t)n)
			return GY_STORE_REFUSED;
		shares[position - 1].codes += INT2(1) == 1;
		shares[position - 1].values += INT2(1) == 2;
	}
	return GY_OK;
}

static bool take_row(const PGresult *result, int row, struct share *share)
{
	struct gy_attributes *a = share->attributes;
	struct gy_attribute_value *value;

	switch (INT2(1)) {
	case 0:
		a->zone_id = INT4(2);
		return true;
	case 1:
		((struct gy_code_assignment *)(uintptr_t)a->codes)[a->n_codes++] =
			(struct gy_code_assignment){ INT4(2), TIME(6), TIME(7) };
		return true;
	default:
		value = &((struct gy_attribute_value *)(uintptr_t)a->values)[a->n_values++];
		value->attribute_id = INT4(2);
		value->valid_from_us = TIME(6);
		value->valid_until_us = TIME(7);
		return value_of(a, result, row, 4, 5, (enum gy_value_type)INT2(3), &value->value);
	}
}

/* Each under NULL, for whoever keeps the profile; talloc_free frees all of it. */
static struct gy_attributes *attributes_make(const struct share *share)
{
	struct gy_attributes *a = talloc_zero(NULL, struct gy_attributes);

	if (a == NULL)
		return NULL;
	a->codes = talloc_array(a, struct gy_code_assignment, share->codes);
	a->values = talloc_array(a, struct gy_attribute_value, share->values);
	if (a->codes != NULL && a->values != NULL)
		return a;
	talloc_free(a);
	return NULL;
}

enum gy_rc gy_store_attributes(struct gy_store *store, struct gy_profile *const *profiles,
			       unsigned n)
{
	struct share *shares = talloc_zero_array(NULL, struct share, n);
	struct gy_params *p = &store->find;
	const PGresult *result;
	enum gy_rc rc;

	gy_params_begin(p, 1);
	gy_array_begin(p, 1, GY_OID_INT8, 0);
	for (unsigned i = 0; i < n; i++)
		gy_array_int8(p, 1, profiles[i]->subscriber_id);
	gy_array_end(p, 1);
	if (shares == NULL || p->out_of_memory) {
		talloc_free(shares);
		return GY_NO_MEMORY;
	}
	gy_round_begin(store);
	gy_round_add(store, GY_SQL_PROFILE_ATTRIBUTES, p);
	rc = gy_round_end(store);
	result = store->result[0];
	if (rc == GY_OK)
		rc = count_shares(result, shares, n);
	for (unsigned i = 0; rc == GY_OK && i < n; i++) {
		shares[i].attributes = attributes_make(&shares[i]);
		if (shares[i].attributes == NULL)
			rc = GY_NO_MEMORY;
	}
	for (int row = 0; rc == GY_OK && row < PQntuples(result); row++)
		if (!take_row(result, row, &shares[INT8(0) - 1]))
			rc = GY_NO_MEMORY;
	for (unsigned i = 0; i < n; i++) {
		if (rc == GY_OK)
			profiles[i]->attributes = shares[i].attributes;
		else
			talloc_free(shares[i].attributes);
	}
	talloc_free(shares);
	return rc;
}
