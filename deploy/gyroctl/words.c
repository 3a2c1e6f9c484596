/* See words.h. The numbers are those of the schema, which comments each of them. */
#include "deploy/gyroctl/words.h"

#include <stddef.h>
#include <string.h>

const char *const gy_words_state[] = { "", "active", "barred", NULL };
const char *const gy_words_unit[] = { "", "octets", "seconds", "service", "money", NULL };
const char *const gy_words_rule_kind[] = { "priced", "free", "forbidden", NULL };
const char *const gy_words_final_unit[] = { "terminate", "redirect", "restrict", NULL };
const char *const gy_words_free_answer[] = { "service", "command", "grant", NULL };
const char *const gy_words_redirect[] = { "ipv4", "ipv6", "url", "sip", NULL };
const char *const gy_words_identity[] = { "",        "imsi",    "e164",      "nai",
					  "sip_uri", "private", "user_name", NULL };
const char *const gy_words_request[] = { "ended", "initial", "update", "terminate", "event", NULL };
const char *const gy_words_payment[] = { "", "opening", "top-up", "adjustment", NULL };
const char *const gy_words_session_state[] = {
	"", "open", "terminated", "expired", "released", NULL
};
const char *const gy_words_source[] = {
	"", "stored", "request", "clock", "counter", "pushed", NULL
};
const char *const gy_words_value_type[] = { "",        "integer", "decimal", "text",
					    "boolean", "time",    NULL };
const char *const gy_words_on_change[] = { "", "reauth", "next", "validity", NULL };
const char *const gy_words_on_missing[] = { "", "ignore", "deny", NULL };
const char *const gy_words_match[] = { "", "any", "equal", "in", "range", "missing", NULL };
const char *const gy_words_effect[] = { "",      "deny", "replace", "multiply", "add",      "free",
					"floor", "cap",  "quota",   "validity", "redirect", NULL };
const char *const gy_words_audience[] = { "", "everyone", "list", "segment", NULL };
const char *const gy_words_validity_from[] = { "", "purchase", "binding", "use", NULL };
const char *const gy_words_directed[] = { "none", "optional", "required", NULL };
const char *const gy_words_settle[] = { "", "purchase", "usage", NULL };
const char *const gy_words_priority[] = { "", "top", "by_expiry", "fixed", NULL };
const char *const gy_words_user_class[] = { "specified", "non-specified", NULL };
/* Every source begins at a number of its own. */
/* clang-format off */
const char *const gy_words_derivation[] = {
	"none", "roaming", "serving_network", "serving_country", "rat", "cell", "area", "apn", "charging_characteristics", "rule_base",
	"", "", "", "", "", "", "", "", "", "",
	"hour", "minute_of_day", "weekday", "day_of_month", "month", "holiday", "", "", "", "",
	"", "", "", "", "", "", "", "", "", "",
	"units_day", "units_month", "money_day", "money_month", "", "", "", "", "", "",
	"", "", "", "", "", "", "", "", "", "",
	"everywhere", "by_cell", "by_area", "by_network", "by_apn", NULL
};
/* clang-format on */

const char *gy_word_name(const char *const *words, int number, const char *otherwise)
{
	for (int i = 0; words[i]; i++)
		if (i == number && *words[i])
			return words[i];
	return otherwise;
}

int gy_word_number(const char *const *words, const char *name)
{
	for (int i = 0; words[i]; i++)
		if (*words[i] && strcmp(words[i], name) == 0)
			return i;
	return -1;
}
