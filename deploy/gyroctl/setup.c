/* gyroctl migrate, apply: the table with their help. */
#include "deploy/gyroctl/apply.h"
#include "deploy/gyroctl/migrate.h"

static const struct gy_flag migrate_flags[] = {
	{ "dry-run", NULL, "show what would be applied, change nothing" },
	{ "to", "N", "stop after migration N (default: the newest)" },
	GY_FLAGS_END,
};
static const struct gy_flag apply_flags[] = {
	{ "file", "FILE", "the catalogue file, also -f FILE; - is standard input" },
	{ "dry-run", NULL, "show the difference, change nothing" },
	{ "prune", NULL, "also remove what the file's sections don't name" },
	GY_FLAGS_END,
};

const struct gy_command gy_setup_commands[] = {
	{ "migrate", "", 0, 0, "Brings the schema to the version that this gyroctl knows",
	  "Each migration is one transaction; running it again does nothing but to make the daily "
	  "record\n"
	  "partitions of today and the next days. A database newer than this gyroctl is refused.",
	  "  gyroctl migrate --dry-run\n  gyroctl --database 'host=/run/postgresql dbname=gyro' "
	  "migrate",
	  GY_NEEDS_DATABASE, migrate_flags, gy_migrate },
	{ "apply", "", 0, 0, "Makes the database say what a catalogue file says, all or nothing",
	  "Sections, each optional: service_contexts, peers, rating_groups, tariffs (with rules), "
	  "time_zones,\n"
	  "calendars, home_networks, attributes, dynamic_codes, dynamic_rules, accounts, "
	  "subscribers "
	  "(with\n"
	  "identities, attributes and dynamic codes), audiences, apps, products. Sizes as 10MiB, "
	  "money as \"12.50\", times as "
	  "600 or 1h, "
	  "instants as\n"
	  "2026-01-31T08:00:00Z. Unknown keys are refused; every error names its line.\n\n"
	  "What the file doesn't name stays as it is. With --prune, each section in the file is "
	  "complete:\n"
	  "other service contexts, rating groups, tariffs, rules of its tariffs and identities of "
	  "its\n"
	  "subscribers are removed. Accounts and subscribers are never removed. A product that was "
	  "ever bought is\n"
	  "taken off sale instead; what its cards refer to stays. A product's stock is set when it "
	  "is added, and sells\n"
	  "down: see gyroctl product stock.\n\n"
	  "A rule is known by tariff, rating_group, unit and valid_from. If its price changes it "
	  "is replaced by\n"
	  "one with a new number, so that the number in a record always means one price; to keep "
	  "the old price\n"
	  "in the catalogue, give it a valid_until and add a rule with that valid_from.\n\n"
	  "A dynamic rule is known by all that it says but operand and valid_until; another "
	  "operand "
	  "replaces it\n"
	  "likewise. Before anything is kept the whole catalogue is read as a node will read it: "
	  "what a node would\n"
	  "refuse is refused here, with the line of the rule. A dry run also shows whose prices "
	  "would "
	  "change.\n"
	  "It locks no account, so nodes go on charging; a real run locks those that it changes "
	  "until "
	  "it ends:\n"
	  "large changes of subscribers are better made in several files.\n"
	  "A subscriber's attributes and codes are those in force now; other ones go with --prune "
	  "only, and only\n"
	  "of subscribers that have some in the file.\n\n"
	  "An account's balance in the file is its opening balance: it is booked when the account "
	  "is made, and\n"
	  "never again. Credit limit, state and valid_until follow the file, where it names them.",
	  "  gyroctl apply -f catalogue.yaml --dry-run\n  gyroctl apply -f catalogue.yaml\n"
	  "  gyroctl apply -f catalogue.yaml --prune --json",
	  GY_NEEDS_NOTHING, apply_flags, gy_apply },
	GY_COMMANDS_END,
};
