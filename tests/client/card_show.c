/* See card_order.h: the answer's side. One walk over its AVPs fills a struct; people and programs
 * get it from there. */
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dict/gy_avp_table.h"
#include "tests/client/card_order.h"
#include "tests/client/report.h"

#define IETF         0
#define OWN          GY_VENDOR_GYRO
#define NTP_OFFSET_S INT64_C(2208988800)

struct amount {
	bool there;
	int64_t micros, currency;
};

struct usage {
	char card[256];
	enum gy_case_quantity quantity;
	int64_t rating_group, used, from_s, until_s, window;
	struct amount amount;
};

struct shown {
	char purchase[256], card[256], why[256];
	struct amount held, paid;
	int64_t validity_s, binding, user_class, priority, check_balance; /* -1: absent */
	unsigned n_groups, n_usage, n_failed;
	uint32_t groups[256];
	const char *failed[16]; /* names */
	struct usage usage[512];
};

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

static void take_text(char *to, size_t size, struct avp *avp)
{
	size_t len;
	const char *text = gy_avp_string(avp, &len);

	if (text)
		snprintf(to, size, "%.*s", (int)len, text);
}

static struct amount amount_of(struct avp *avp)
{
	if (!avp)
		return (struct amount){ .there = false };
	return (struct amount){ true, gy_reply_money(avp),
				gy_avp_value_in(avp, IETF, GY_AVP_CURRENCY_CODE, -1) };
}

/* Time as it came, unsigned 32 bits since 1900. */
static int64_t time_of(struct avp *group, uint32_t code)
{
	struct avp *avp = gy_avp_find_in(group, GY_VENDOR_3GPP, code);
	size_t len;
	const uint8_t *p = avp ? (const uint8_t *)gy_avp_string(avp, &len) : NULL;

	if (!p || len != 4)
		return 0;
	return ((int64_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]) - NTP_OFFSET_S;
}

static void take_usage(struct usage *u, struct avp *group)
{
	static const struct {
		uint32_t code;
		enum gy_case_quantity quantity;
	} units[] = { { GY_AVP_CC_TOTAL_OCTETS, GY_CASE_TOTAL },
		      { GY_AVP_CC_TIME, GY_CASE_SECONDS },
		      { GY_AVP_CC_SERVICE_SPECIFIC_UNITS, GY_CASE_SERVICE } };
	struct avp *card = gy_avp_find_in(group, OWN, GY_AVP_CARD_ID);

	*u = (struct usage){
		.rating_group = gy_avp_value_in(group, IETF, GY_AVP_RATING_GROUP, -1),
		.from_s = time_of(group, GY_AVP_START_TIME),
		.until_s = time_of(group, GY_AVP_STOP_TIME),
		.window = gy_avp_value_in(group, OWN, GY_AVP_WINDOW_ID, -1),
		.amount = amount_of(gy_avp_find_in(group, IETF, GY_AVP_CC_MONEY)),
	};
	if (card)
		take_text(u->card, sizeof(u->card), card);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		int64_t used = gy_avp_value_in(group, IETF, units[i].code, -1);

		if (used < 0)
			continue;
		u->used = used;
		u->quantity = units[i].quantity;
	}
}

static void take_failed(struct shown *s, struct avp *group)
{
	for (struct avp *a = gy_avp_first(group); a; a = gy_avp_next(a)) {
		const struct gy_avp_def *def = gy_avp_find(gy_avp_vendor(a), gy_avp_code(a));

		if (s->n_failed < sizeof(s->failed) / sizeof(s->failed[0]))
			s->failed[s->n_failed++] = def ? def->name : "unknown AVP";
	}
}

static void take_own(struct shown *s, struct avp *a)
{
	switch (gy_avp_code(a)) {
	case GY_AVP_PURCHASE_ID:
		take_text(s->purchase, sizeof(s->purchase), a);
		break;
	case GY_AVP_CARD_ID:
		take_text(s->card, sizeof(s->card), a);
		break;
	case GY_AVP_BINDING_ID:
		s->binding = gy_avp_value(a);
		break;
	case GY_AVP_USER_CLASS:
		s->user_class = gy_avp_value(a);
		break;
	case GY_AVP_USE_PRIORITY:
		s->priority = gy_avp_value(a);
		break;
	case GY_AVP_CARD_STATISTICS:
		if (s->n_usage < sizeof(s->usage) / sizeof(s->usage[0]))
			take_usage(&s->usage[s->n_usage++], a);
		break;
	default:
		break;
	}
}

static void take_plain(struct shown *s, struct avp *a)
{
	switch (gy_avp_code(a)) {
	case GY_AVP_ERROR_MESSAGE:
		take_text(s->why, sizeof(s->why), a);
		break;
	case GY_AVP_FAILED_AVP:
		take_failed(s, a);
		break;
	case GY_AVP_GRANTED_SERVICE_UNIT:
		s->held = amount_of(gy_avp_find_in(a, IETF, GY_AVP_CC_MONEY));
		break;
	case GY_AVP_VALIDITY_TIME:
		s->validity_s = gy_avp_value(a);
		break;
	case GY_AVP_COST_INFORMATION:
		s->paid = amount_of(a);
		break;
	case GY_AVP_CHECK_BALANCE_RESULT:
		s->check_balance = gy_avp_value(a);
		break;
	case GY_AVP_RATING_GROUP:
		if (s->n_groups < sizeof(s->groups) / sizeof(s->groups[0]))
			s->groups[s->n_groups++] = (uint32_t)gy_avp_value(a);
		break;
	default:
		break;
	}
}

/* To be freed. */
static struct shown *read_answer(const uint8_t *reply, size_t len)
{
	struct shown *s = need(calloc(1, sizeof(*s)));
	struct msg *message = gy_message_decode(reply, len);

	s->validity_s = s->binding = s->user_class = s->priority = s->check_balance = -1;
	if (!message)
		return s;
	for (struct avp *a = gy_avp_first(message); a; a = gy_avp_next(a)) {
		if (gy_avp_vendor(a) == OWN)
			take_own(s, a);
		else if (gy_avp_vendor(a) == IETF)
			take_plain(s, a);
	}
	gy_message_free(message);
	return s;
}

/* ---- for people ---- */

/* "30.00", "0.000001": at least two places. */
static void money_text(char *to, size_t size, const struct amount *amount)
{
	int64_t micros = amount->micros < 0 ? -amount->micros : amount->micros;
	int n = snprintf(to, size, "%s%" PRId64 ".%06" PRId64, amount->micros < 0 ? "-" : "",
			 micros / 1000000, micros % 1000000);

	for (char *end = to + n; n > 3 && end[-1] == '0' && end[-3] != '.'; end--)
		end[-1] = '\0';
}

static void print_money(const char *name, const struct amount *amount)
{
	char text[48];

	if (!amount->there)
		return;
	money_text(text, sizeof(text), amount);
	printf("    %-14s %s", name, text);
	if (amount->currency > 0)
		printf(" of currency %" PRId64, amount->currency);
	putchar('\n');
}

static void time_text(char *to, size_t size, int64_t time_s)
{
	time_t t = (time_t)time_s;
	struct tm utc;

	if (!gmtime_r(&t, &utc) || strftime(to, size, "%Y-%m-%d %H:%M:%S", &utc) == 0)
		abort();
}

static void print_usage(const struct shown *s)
{
	static const struct {
		const char *name;
		int flags;
	} columns[] = { { "CARD", 0 },
			{ "RATING-GROUP", SCOLS_FL_RIGHT },
			{ "USED", SCOLS_FL_RIGHT },
			{ "FROM (UTC)", 0 },
			{ "UNTIL (UTC)", 0 },
			{ "AMOUNT", SCOLS_FL_RIGHT },
			{ "WINDOW", SCOLS_FL_RIGHT } };
	struct libscols_table *table = need(scols_new_table());

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		need(scols_table_new_column(table, columns[i].name, 0, columns[i].flags));
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	for (unsigned i = 0; i < s->n_usage; i++) {
		const struct usage *u = &s->usage[i];
		struct libscols_line *line = need(scols_table_new_line(table, NULL));
		char group[24], used[48], from[32], until[32], amount[48], window[24];
		const char *cells[] = { u->card, group, used, from, until, amount, window };

		snprintf(group, sizeof(group), "%" PRId64, u->rating_group);
		gy_report_quantity(used, sizeof(used), u->quantity, u->used);
		time_text(from, sizeof(from), u->from_s);
		time_text(until, sizeof(until), u->until_s);
		money_text(amount, sizeof(amount), &u->amount);
		snprintf(window, sizeof(window), "%" PRId64, u->window);
		for (size_t c = 0; c < sizeof(cells) / sizeof(cells[0]); c++)
			if (scols_line_set_data(line, c, cells[c]) != 0)
				abort();
	}
	putchar('\n');
	if (scols_print_table(table) != 0)
		abort();
	scols_unref_table(table);
}

static void print_binding(const struct shown *s)
{
	printf("    %-14s %" PRId64 "\n", "binding", s->binding);
	if (s->user_class >= 0)
		printf("    %-14s %s\n", "user class",
		       s->user_class == 0 ? "SPECIFIED" : "NON_SPECIFIED");
	printf("    %-14s ", "serves");
	if (s->n_groups == 0)
		printf("every Rating-Group\n");
	for (unsigned i = 0; i < s->n_groups; i++)
		printf("%s%" PRIu32 "%s", i == 0 ? "Rating-Group " : ", ", s->groups[i],
		       i + 1 == s->n_groups ? "\n" : "");
	if (s->priority >= 0)
		printf("    %-14s %" PRId64 "\n", "priority", s->priority);
}

void gy_card_print(const uint8_t *reply, size_t len, const char *cost)
{
	struct shown *s = read_answer(reply, len);

	if (*s->why)
		printf("    %-14s %s\n", "because", s->why);
	for (unsigned i = 0; i < s->n_failed; i++)
		printf("    %-14s %s\n", "Failed-AVP", s->failed[i]);
	if (*s->purchase)
		printf("    %-14s %s\n", "purchase", s->purchase);
	print_money("held", &s->held);
	if (s->validity_s >= 0)
		printf("    %-14s %" PRId64 " s\n", "confirm within", s->validity_s);
	print_money(cost, &s->paid);
	if (s->check_balance >= 0)
		printf("    %-14s %s\n", "credit", s->check_balance == 0 ? "enough" : "not enough");
	if (*s->card)
		printf("    %-14s %s\n", "card", s->card);
	if (s->binding >= 0)
		print_binding(s);
	if (s->n_usage > 0)
		print_usage(s);
	free(s);
}

/* ---- for programs ---- */

static void json_amount(json_t *object, const char *name, const struct amount *amount)
{
	if (amount->there)
		json_object_set_new(object, name,
				    json_pack("{s:I, s:I}", "micros", (json_int_t)amount->micros,
					      "currency", (json_int_t)amount->currency));
}

static void json_number(json_t *object, const char *name, int64_t value)
{
	if (value >= 0)
		json_object_set_new(object, name, json_integer(value));
}

static json_t *json_usage(const struct usage *u)
{
	static const char *const units[GY_CASE_QUANTITIES] = {
		[GY_CASE_TOTAL] = "octets",
		[GY_CASE_SECONDS] = "seconds",
		[GY_CASE_SERVICE] = "service_units",
	};

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "card", u->card, "rating_group",
			 (json_int_t)u->rating_group, units[u->quantity], (json_int_t)u->used,
			 "from_s", (json_int_t)u->from_s, "until_s", (json_int_t)u->until_s,
			 "amount_micros", (json_int_t)u->amount.micros, "window",
			 (json_int_t)u->window);
}

void gy_card_json(const uint8_t *reply, size_t len, json_t *object)
{
	struct shown *s = read_answer(reply, len);
	json_t *list;

	if (*s->why)
		json_object_set_new(object, "error_message", json_string(s->why));
	list = json_array();
	for (unsigned i = 0; i < s->n_failed; i++)
		json_array_append_new(list, json_string(s->failed[i]));
	json_object_set_new(object, "failed", list);
	if (*s->purchase)
		json_object_set_new(object, "purchase", json_string(s->purchase));
	if (*s->card)
		json_object_set_new(object, "card", json_string(s->card));
	json_amount(object, "held", &s->held);
	json_amount(object, "cost", &s->paid);
	json_number(object, "validity_s", s->validity_s);
	json_number(object, "binding", s->binding);
	json_number(object, "user_class", s->user_class);
	json_number(object, "priority", s->priority);
	json_number(object, "check_balance", s->check_balance);
	list = json_array();
	for (unsigned i = 0; i < s->n_groups; i++)
		json_array_append_new(list, json_integer(s->groups[i]));
	json_object_set_new(object, "rating_groups", list);
	list = json_array();
	for (unsigned i = 0; i < s->n_usage; i++)
		json_array_append_new(list, json_usage(&s->usage[i]));
	json_object_set_new(object, "statistics", list);
	free(s);
}

bool gy_card_no_credit(const uint8_t *reply, size_t len)
{
	struct shown *s = read_answer(reply, len);
	bool none = s->check_balance > 0;

	free(s);
	return none;
}
