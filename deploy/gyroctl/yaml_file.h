/* A catalogue file as it was written: every scalar is still text, NULL where the key is absent.
 *
 * libcyaml checks the shape: unknown keys, missing keys, a list where a word belongs. What the
 * words mean is catalogue.h's business. */
#ifndef GY_CTL_YAML_FILE_H
#define GY_CTL_YAML_FILE_H

#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/lines.h"

struct gy_yaml_context {
	char *suffix, *default_rating_group, *cards;
	char **apns;
	unsigned apns_count;
};

struct gy_yaml_redirect {
	char *type, *address;
};

struct gy_yaml_group {
	char *rating_group, *name, *default_grant, *max_grant, *threshold, *validity,
		*quota_holding;
	char *final_unit;
	struct gy_yaml_redirect *redirect;
	char **filter_ids;
	unsigned filter_ids_count;
	char **filter_rules;
	unsigned filter_rules_count;
	char *provisioned, *quota_consumption, *min_grant, *target, *validity_jitter, *pool;
	char **triggers;
	unsigned triggers_count;
};

struct gy_yaml_rule {
	char *rating_group, *unit, *kind, *price, *per, *valid_from, *valid_until;
};

struct gy_yaml_tariff {
	char *code, *name;
	struct gy_yaml_rule *rules;
	unsigned rules_count;
};

struct gy_yaml_account {
	char *account, *currency, *balance, *credit_limit, *state, *valid_until;
};

struct gy_yaml_subscriber {
	char *subscriber, *account, *tariff, *state;
	char *imsi, *e164, *nai, *sip_uri, *private_id, *user_name;
	char *zone; /* attributes are a mapping of any keys: see gy_lines_pair */
	char **dynamic_codes;
	unsigned dynamic_codes_count;
};

struct gy_yaml_peer {
	char *peer, *tariff_time_change, *free_answer, *terminate_only, *credit_pools,
		*restart_ends_sessions;
};

struct gy_yaml_zone {
	char *name, *is_default;
};

struct gy_yaml_calendar {
	char *name;
	char **days;
	unsigned days_count;
};

struct gy_yaml_attribute {
	char *name, *source, *derivation, *type, *fallback, *on_change, *calendar, *all_groups;
};

struct gy_yaml_code {
	char *code, *attribute, *on_missing;
};

struct gy_yaml_rate {
	char *price, *per;
};

struct gy_yaml_dynamic {
	char *tariff, *code, *attribute, *rating_group, *unit;
	char *any, *equal, *from, *to, *missing;
	char **in;
	unsigned in_count;
	char *deny, *multiply, *ppm, *free, *quota, *validity;
	struct gy_yaml_rate *replace, *add, *floor, *cap;
	struct gy_yaml_redirect *redirect;
	char *precedence, *stack_group, *valid_from, *valid_until;
};

struct gy_yaml_audience {
	char *name, *everyone, *attribute, *equal;
	char **subscribers;
	unsigned subscribers_count;
};

struct gy_yaml_app {
	char *name;
	char **targets, **urls, **flows;
	unsigned targets_count, urls_count, flows_count;
};

struct gy_yaml_product {
	char *code, *name, *price, *currency, *unit, *quota, *validity, *validity_from;
	char *directed, *app, *audience, *on_sale, *sale_from, *sale_until, *stock, *per_buyer;
	char *hold, *max_bindings, *cap, *settle, *priority, *hours;
	struct gy_yaml_rate *usage_price;
};

struct gy_yaml_file {
	struct gy_yaml_context *service_contexts;
	unsigned service_contexts_count;
	struct gy_yaml_group *rating_groups;
	unsigned rating_groups_count;
	struct gy_yaml_tariff *tariffs;
	unsigned tariffs_count;
	struct gy_yaml_peer *peers;
	unsigned peers_count;
	struct gy_yaml_zone *time_zones;
	unsigned time_zones_count;
	struct gy_yaml_calendar *calendars;
	unsigned calendars_count;
	char **home_networks;
	unsigned home_networks_count;
	struct gy_yaml_attribute *attributes;
	unsigned attributes_count;
	struct gy_yaml_code *dynamic_codes;
	unsigned dynamic_codes_count;
	struct gy_yaml_dynamic *dynamic_rules;
	unsigned dynamic_rules_count;
	struct gy_yaml_account *accounts;
	unsigned accounts_count;
	struct gy_yaml_subscriber *subscribers;
	unsigned subscribers_count;
	struct gy_yaml_audience *audiences;
	unsigned audiences_count;
	struct gy_yaml_app *apps;
	unsigned apps_count;
	struct gy_yaml_product *products;
	unsigned products_count;
};

/* A file and its lines, in the pool. A section that is not in the file is NULL. */
struct gy_yaml {
	const char *path;
	struct gy_yaml_file *file;
	struct gy_lines *lines;
};

/* Reads a file ("-": standard input). NULL after an error, which names file and line. */
struct gy_yaml *gy_yaml_read(struct gy_ctl *ctl, const char *path);

#endif
