/* See yaml_file.h. */
#include "deploy/gyroctl/yaml_file.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"

#define FILE_MAX ((size_t)256 << 20)

#define TEXT(type, key, member) \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, struct type, member, 0, 1000)
#define MAYBE(type, key, member)                                                                   \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct type, member, \
			       0, 1000)
#define LIST(type, key, member, entry)                                                           \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct type, member, \
			     entry, 0, CYAML_UNLIMITED)
#define ENTRY(name, type, fields)                                                          \
	static const cyaml_schema_value_t name = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, \
								       struct type, fields) }

static const cyaml_schema_value_t text_value = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1,
								    255) };

static const cyaml_schema_field_t context_fields[] = {
	TEXT(gy_yaml_context, "suffix", suffix),
	MAYBE(gy_yaml_context, "default_rating_group", default_rating_group),
	LIST(gy_yaml_context, "apns", apns, &text_value), MAYBE(gy_yaml_context, "cards", cards),
	CYAML_FIELD_END
};
ENTRY(context, gy_yaml_context, context_fields);

static const cyaml_schema_field_t redirect_fields[] = { TEXT(gy_yaml_redirect, "type", type),
							TEXT(gy_yaml_redirect, "address", address),
							CYAML_FIELD_END };

static const cyaml_schema_field_t group_fields[] = {
	TEXT(gy_yaml_group, "rating_group", rating_group),
	TEXT(gy_yaml_group, "name", name),
	TEXT(gy_yaml_group, "default_grant", default_grant),
	TEXT(gy_yaml_group, "max_grant", max_grant),
	MAYBE(gy_yaml_group, "threshold", threshold),
	TEXT(gy_yaml_group, "validity", validity),
	MAYBE(gy_yaml_group, "quota_holding", quota_holding),
	MAYBE(gy_yaml_group, "final_unit", final_unit),
	CYAML_FIELD_MAPPING_PTR("redirect", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
				struct gy_yaml_group, redirect, redirect_fields),
	LIST(gy_yaml_group, "filter_ids", filter_ids, &text_value),
	LIST(gy_yaml_group, "filter_rules", filter_rules, &text_value),
	MAYBE(gy_yaml_group, "provisioned", provisioned),
	MAYBE(gy_yaml_group, "quota_consumption", quota_consumption),
	LIST(gy_yaml_group, "triggers", triggers, &text_value),
	MAYBE(gy_yaml_group, "min_grant", min_grant),
	MAYBE(gy_yaml_group, "target", target),
	MAYBE(gy_yaml_group, "validity_jitter", validity_jitter),
	MAYBE(gy_yaml_group, "pool", pool),
	CYAML_FIELD_END
};
ENTRY(group, gy_yaml_group, group_fields);

static const cyaml_schema_field_t rule_fields[] = { TEXT(gy_yaml_rule, "rating_group",
							 rating_group),
						    TEXT(gy_yaml_rule, "unit", unit),
						    MAYBE(gy_yaml_rule, "kind", kind),
						    MAYBE(gy_yaml_rule, "price", price),
						    MAYBE(gy_yaml_rule, "per", per),
						    MAYBE(gy_yaml_rule, "valid_from", valid_from),
						    MAYBE(gy_yaml_rule, "valid_until", valid_until),
						    CYAML_FIELD_END };
ENTRY(rule, gy_yaml_rule, rule_fields);

static const cyaml_schema_field_t tariff_fields[] = { TEXT(gy_yaml_tariff, "code", code),
						      MAYBE(gy_yaml_tariff, "name", name),
						      LIST(gy_yaml_tariff, "rules", rules, &rule),
						      CYAML_FIELD_END };
ENTRY(tariff, gy_yaml_tariff, tariff_fields);

static const cyaml_schema_field_t account_fields[] = {
	TEXT(gy_yaml_account, "account", account),
	TEXT(gy_yaml_account, "currency", currency),
	MAYBE(gy_yaml_account, "balance", balance),
	MAYBE(gy_yaml_account, "credit_limit", credit_limit),
	MAYBE(gy_yaml_account, "state", state),
	MAYBE(gy_yaml_account, "valid_until", valid_until),
	CYAML_FIELD_END
};
ENTRY(account, gy_yaml_account, account_fields);

static const cyaml_schema_field_t subscriber_fields[] = {
	TEXT(gy_yaml_subscriber, "subscriber", subscriber),
	TEXT(gy_yaml_subscriber, "account", account),
	TEXT(gy_yaml_subscriber, "tariff", tariff),
	MAYBE(gy_yaml_subscriber, "state", state),
	MAYBE(gy_yaml_subscriber, "imsi", imsi),
	MAYBE(gy_yaml_subscriber, "e164", e164),
	MAYBE(gy_yaml_subscriber, "nai", nai),
	MAYBE(gy_yaml_subscriber, "sip_uri", sip_uri),
	MAYBE(gy_yaml_subscriber, "private", private_id),
	MAYBE(gy_yaml_subscriber, "user_name", user_name),
	MAYBE(gy_yaml_subscriber, "zone", zone),
	LIST(gy_yaml_subscriber, "dynamic_codes", dynamic_codes, &text_value),
	CYAML_FIELD_IGNORE("attributes", CYAML_FLAG_OPTIONAL),
	CYAML_FIELD_END
};
ENTRY(subscriber, gy_yaml_subscriber, subscriber_fields);

static const cyaml_schema_field_t peer_fields[] = {
	TEXT(gy_yaml_peer, "peer", peer),
	MAYBE(gy_yaml_peer, "tariff_time_change", tariff_time_change),
	MAYBE(gy_yaml_peer, "free", free_answer),
	MAYBE(gy_yaml_peer, "terminate_only", terminate_only),
	MAYBE(gy_yaml_peer, "credit_pools", credit_pools),
	MAYBE(gy_yaml_peer, "restart_ends_sessions", restart_ends_sessions),
	CYAML_FIELD_END
};
ENTRY(peer, gy_yaml_peer, peer_fields);

static const cyaml_schema_field_t zone_fields[] = { TEXT(gy_yaml_zone, "name", name),
						    MAYBE(gy_yaml_zone, "default", is_default),
						    CYAML_FIELD_END };
ENTRY(zone, gy_yaml_zone, zone_fields);

static const cyaml_schema_field_t calendar_fields[] = {
	TEXT(gy_yaml_calendar, "name", name), LIST(gy_yaml_calendar, "days", days, &text_value),
	CYAML_FIELD_END
};
ENTRY(calendar, gy_yaml_calendar, calendar_fields);

static const cyaml_schema_field_t attribute_fields[] = {
	TEXT(gy_yaml_attribute, "name", name),
	TEXT(gy_yaml_attribute, "source", source),
	MAYBE(gy_yaml_attribute, "derivation", derivation),
	MAYBE(gy_yaml_attribute, "type", type),
	MAYBE(gy_yaml_attribute, "default", fallback),
	MAYBE(gy_yaml_attribute, "on_change", on_change),
	MAYBE(gy_yaml_attribute, "calendar", calendar),
	MAYBE(gy_yaml_attribute, "all_groups", all_groups),
	CYAML_FIELD_END
};
ENTRY(attribute, gy_yaml_attribute, attribute_fields);

static const cyaml_schema_field_t code_fields[] = { TEXT(gy_yaml_code, "code", code),
						    TEXT(gy_yaml_code, "attribute", attribute),
						    MAYBE(gy_yaml_code, "on_missing", on_missing),
						    CYAML_FIELD_END };
ENTRY(code, gy_yaml_code, code_fields);

static const cyaml_schema_field_t rate_fields[] = { TEXT(gy_yaml_rate, "price", price),
						    TEXT(gy_yaml_rate, "per", per),
						    CYAML_FIELD_END };

#define INNER(key, member, fields)                                             \
	CYAML_FIELD_MAPPING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, \
				struct gy_yaml_dynamic, member, fields)
static const cyaml_schema_field_t dynamic_fields[] = {
	MAYBE(gy_yaml_dynamic, "tariff", tariff),
	MAYBE(gy_yaml_dynamic, "code", code),
	MAYBE(gy_yaml_dynamic, "attribute", attribute),
	MAYBE(gy_yaml_dynamic, "rating_group", rating_group),
	MAYBE(gy_yaml_dynamic, "unit", unit),
	MAYBE(gy_yaml_dynamic, "any", any),
	MAYBE(gy_yaml_dynamic, "equal", equal),
	MAYBE(gy_yaml_dynamic, "from", from),
	MAYBE(gy_yaml_dynamic, "to", to),
	MAYBE(gy_yaml_dynamic, "missing", missing),
	MAYBE(gy_yaml_dynamic, "deny", deny),
	MAYBE(gy_yaml_dynamic, "multiply", multiply),
	MAYBE(gy_yaml_dynamic, "ppm", ppm),
	MAYBE(gy_yaml_dynamic, "free", free),
	MAYBE(gy_yaml_dynamic, "quota", quota),
	MAYBE(gy_yaml_dynamic, "validity", validity),
	MAYBE(gy_yaml_dynamic, "precedence", precedence),
	MAYBE(gy_yaml_dynamic, "stack_group", stack_group),
	MAYBE(gy_yaml_dynamic, "valid_from", valid_from),
	MAYBE(gy_yaml_dynamic, "valid_until", valid_until),
	LIST(gy_yaml_dynamic, "in", in, &text_value),
	INNER("replace", replace, rate_fields),
	INNER("add", add, rate_fields),
	INNER("floor", floor, rate_fields),
	INNER("cap", cap, rate_fields),
	INNER("redirect", redirect, redirect_fields),
	CYAML_FIELD_END
};
ENTRY(dynamic, gy_yaml_dynamic, dynamic_fields);

static const cyaml_schema_field_t audience_fields[] = {
	TEXT(gy_yaml_audience, "name", name),
	MAYBE(gy_yaml_audience, "everyone", everyone),
	MAYBE(gy_yaml_audience, "attribute", attribute),
	MAYBE(gy_yaml_audience, "equal", equal),
	LIST(gy_yaml_audience, "subscribers", subscribers, &text_value),
	CYAML_FIELD_END
};
ENTRY(audience, gy_yaml_audience, audience_fields);

static const cyaml_schema_field_t app_fields[] = {
	TEXT(gy_yaml_app, "name", name), LIST(gy_yaml_app, "targets", targets, &text_value),
	LIST(gy_yaml_app, "urls", urls, &text_value),
	LIST(gy_yaml_app, "flows", flows, &text_value), CYAML_FIELD_END
};
ENTRY(app, gy_yaml_app, app_fields);

static const cyaml_schema_field_t product_fields[] = {
	TEXT(gy_yaml_product, "code", code),
	MAYBE(gy_yaml_product, "name", name),
	MAYBE(gy_yaml_product, "price", price),
	TEXT(gy_yaml_product, "currency", currency),
	MAYBE(gy_yaml_product, "unit", unit),
	TEXT(gy_yaml_product, "quota", quota),
	MAYBE(gy_yaml_product, "validity", validity),
	MAYBE(gy_yaml_product, "validity_from", validity_from),
	MAYBE(gy_yaml_product, "directed", directed),
	MAYBE(gy_yaml_product, "app", app),
	MAYBE(gy_yaml_product, "audience", audience),
	MAYBE(gy_yaml_product, "on_sale", on_sale),
	MAYBE(gy_yaml_product, "sale_from", sale_from),
	MAYBE(gy_yaml_product, "sale_until", sale_until),
	MAYBE(gy_yaml_product, "stock", stock),
	MAYBE(gy_yaml_product, "per_buyer", per_buyer),
	MAYBE(gy_yaml_product, "hold", hold),
	MAYBE(gy_yaml_product, "max_bindings", max_bindings),
	MAYBE(gy_yaml_product, "cap", cap),
	MAYBE(gy_yaml_product, "settle", settle),
	MAYBE(gy_yaml_product, "priority", priority),
	MAYBE(gy_yaml_product, "hours", hours),
	CYAML_FIELD_MAPPING_PTR("usage_price", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
				struct gy_yaml_product, usage_price, rate_fields),
	CYAML_FIELD_END
};
ENTRY(product, gy_yaml_product, product_fields);

static const cyaml_schema_field_t file_fields[] = {
	LIST(gy_yaml_file, "service_contexts", service_contexts, &context),
	LIST(gy_yaml_file, "rating_groups", rating_groups, &group),
	LIST(gy_yaml_file, "tariffs", tariffs, &tariff),
	LIST(gy_yaml_file, "peers", peers, &peer),
	LIST(gy_yaml_file, "time_zones", time_zones, &zone),
	LIST(gy_yaml_file, "calendars", calendars, &calendar),
	LIST(gy_yaml_file, "home_networks", home_networks, &text_value),
	LIST(gy_yaml_file, "attributes", attributes, &attribute),
	LIST(gy_yaml_file, "dynamic_codes", dynamic_codes, &code),
	LIST(gy_yaml_file, "dynamic_rules", dynamic_rules, &dynamic),
	LIST(gy_yaml_file, "accounts", accounts, &account),
	LIST(gy_yaml_file, "subscribers", subscribers, &subscriber),
	LIST(gy_yaml_file, "audiences", audiences, &audience),
	LIST(gy_yaml_file, "apps", apps, &app),
	LIST(gy_yaml_file, "products", products, &product),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t file_value = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_POINTER, struct gy_yaml_file, file_fields) };

/* What libcyaml says: the reason first, then a backtrace whose first line is the place. */
struct complaint {
	char reason[300];
	int line, column;
};

static void complain(cyaml_log_t level, void *data, const char *format, va_list args)
{
	struct complaint *c = data;
	char text[300];
	const char *place;

	(void)level;
	/* The format is libcyaml's own. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	vsnprintf(text, sizeof(text), format, args);
#pragma GCC diagnostic pop
	text[strcspn(text, "\n")] = '\0';
	if (!c->reason[0])
		snprintf(c->reason, sizeof(c->reason), "%s",
			 strncmp(text, "Load: ", 6) ? text : text + 6);
	place = strstr(text, "(line: ");
	if (place && !c->line && sscanf(place, "(line: %d, column: %d)", &c->line, &c->column) != 2)
		c->line = 0;
}

static cyaml_config_t reader(struct complaint *complaint)
{
	return (cyaml_config_t){ .log_fn = complain,
				 .log_ctx = complaint,
				 .log_level = CYAML_LOG_ERROR,
				 .mem_fn = cyaml_mem };
}

static int yaml_free(struct gy_yaml *yaml)
{
	struct complaint complaint = { 0 };
	cyaml_config_t config = reader(&complaint);

	cyaml_free(&config, &file_value, yaml->file, 0);
	return 0;
}

/* The whole file in the pool. */
static char *slurp(struct gy_ctl *ctl, const char *path, size_t *size)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	size_t room = 1 << 16, n;
	char *data = talloc_size(ctl->pool, room);

	*size = 0;
	if (!in) {
		gy_fail(ctl, GY_EXIT_FAILED, "%s: %s", path, strerror(errno));
		return NULL;
	}
	while ((n = fread(data + *size, 1, room - *size, in)) > 0) {
		*size += n;
		if (*size == room && room <= FILE_MAX) {
			room *= 2;
			data = talloc_realloc_size(ctl->pool, data, room);
			gy_assert(data);
		}
	}
	if (ferror(in) || *size > FILE_MAX) {
		gy_fail(ctl, GY_EXIT_FAILED, "%s: %s", path,
			ferror(in) ? strerror(errno) : "too large");
		data = NULL;
	}
	if (in != stdin)
		fclose(in);
	return data;
}

struct gy_yaml *gy_yaml_read(struct gy_ctl *ctl, const char *path)
{
	struct gy_yaml *yaml = talloc_zero(ctl->pool, struct gy_yaml);
	struct complaint complaint = { 0 };
	cyaml_config_t config = reader(&complaint);
	const char *reason;
	size_t size;
	char *data = slurp(ctl, path, &size);
	int line;

	if (!data)
		return NULL;
	yaml->path = path;
	yaml->lines = gy_lines_read(yaml, data, size, &line, &reason);
	if (!yaml->lines) {
		gy_fail(ctl, GY_EXIT_FAILED, "%s:%d: %s", path, line, reason);
		return NULL;
	}
	if (cyaml_load_data((const uint8_t *)data, size, &config, &file_value,
			    (cyaml_data_t **)&yaml->file, NULL) != CYAML_OK) {
		gy_fail(ctl, GY_EXIT_FAILED, "%s:%d: %s", path, complaint.line ? complaint.line : 1,
			complaint.reason);
		return NULL;
	}
	if (!yaml->file) {
		gy_fail(ctl, GY_EXIT_FAILED, "%s:1: there is nothing in it", path);
		return NULL;
	}
	talloc_set_destructor(yaml, yaml_free);
	return yaml;
}
