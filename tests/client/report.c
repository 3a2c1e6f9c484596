/* Tables and JSON of what happened; see the header. */
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/client/report.h"

enum column {
	COLUMN_REQUEST,
	COLUMN_NUMBER,
	COLUMN_SERVICE,
	COLUMN_USED,
	COLUMN_REASON,
	COLUMN_ASKED,
	COLUMN_GRANTED,
	COLUMN_THRESHOLD,
	COLUMN_VALIDITY,
	COLUMN_RESULT,
	COLUMN_NOTE,
	COLUMNS,
};

struct gy_report {
	bool json;
	json_t *requests; /* array */
	struct libscols_table *table;
};

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

struct gy_report *gy_report_new(bool json)
{
	static const struct {
		const char *name;
		int flags;
	} columns[COLUMNS] = {
		[COLUMN_REQUEST] = { "REQUEST", 0 },
		[COLUMN_NUMBER] = { "NUMBER", SCOLS_FL_RIGHT },
		[COLUMN_SERVICE] = { "RATING-GROUP", SCOLS_FL_RIGHT },
		[COLUMN_USED] = { "USED", SCOLS_FL_RIGHT },
		[COLUMN_REASON] = { "REASON", 0 },
		[COLUMN_ASKED] = { "ASKED", SCOLS_FL_RIGHT },
		[COLUMN_GRANTED] = { "GRANTED", SCOLS_FL_RIGHT },
		[COLUMN_THRESHOLD] = { "THRESHOLD", SCOLS_FL_RIGHT },
		[COLUMN_VALIDITY] = { "VALIDITY", SCOLS_FL_RIGHT },
		[COLUMN_RESULT] = { "RESULT", 0 },
		[COLUMN_NOTE] = { "NOTE", 0 },
	};
	struct gy_report *report = need(calloc(1, sizeof(*report)));

	report->json = json;
	report->requests = json_array();
	report->table = need(scols_new_table());
	for (int i = 0; i < COLUMNS; i++)
		need(scols_table_new_column(report->table, columns[i].name, 0, columns[i].flags));
	/* Nothing may be cut off: in a file or a narrow window either. */
	scols_table_set_termforce(report->table, SCOLS_TERMFORCE_NEVER);
	return report;
}

void gy_report_quantity(char *to, size_t size, enum gy_case_quantity quantity, int64_t count)
{
	static const char *const names[] = { "", " KiB", " MiB", " GiB" };
	int64_t shown = count;
	int scale = 0;

	switch (quantity) {
	case GY_CASE_SECONDS:
		snprintf(to, size, "%" PRId64 " s", count);
		return;
	case GY_CASE_SERVICE:
		snprintf(to, size, "%" PRId64 " units", count);
		return;
	case GY_CASE_MONEY:
		snprintf(to, size, "%" PRId64 ".%06" PRId64, count / 1000000, count % 1000000);
		return;
	case GY_CASE_TOTAL:
	case GY_CASE_INPUT:
	case GY_CASE_OUTPUT:
		break;
	}
	while (scale < 3 && shown != 0 && shown % 1024 == 0) {
		shown /= 1024;
		scale++;
	}
	snprintf(to, size, "%" PRId64 "%s", shown, names[scale]);
}

static void append_units(char *to, size_t size, const struct gy_case_units *units)
{
	static const char *const prefixes[GY_CASE_QUANTITIES] = { "", "in ", "out ", "", "", "" };

	for (int q = 0; q < GY_CASE_QUANTITIES; q++) {
		size_t len = strlen(to);
		char amount[48];

		if (!units->present[q])
			continue;
		gy_report_quantity(amount, sizeof(amount), (enum gy_case_quantity)q,
				   units->count[q]);
		snprintf(to + len, size - len, "%s%s%s", len > 0 ? " + " : "", prefixes[q], amount);
	}
}

static void set(struct libscols_line *line, enum column column, const char *text)
{
	if (scols_line_set_data(line, column, text) != 0)
		abort();
}

__attribute__((format(printf, 3, 4))) static void set_formatted(struct libscols_line *line,
								enum column column,
								const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	set(line, column, text);
}

/* ---- columns ---- */

static void show_asked(struct libscols_line *line, const struct gy_case_service *s)
{
	static const char *const reasons[] = { "threshold",     "holding time", "final",
					       "exhausted",     "validity",     "other quota",
					       "rating change", "RAR",          "pool exhausted",
					       "unused quota" };
	int reason = s->reason >= 0 ? s->reason : s->used_reason;
	char text[192] = "";

	for (unsigned i = 0; i < s->n_used; i++)
		append_units(text, sizeof(text), &s->used[i].units);
	set(line, COLUMN_USED, text);
	if (reason >= 0 && reason < (int)(sizeof(reasons) / sizeof(reasons[0])))
		set(line, COLUMN_REASON, reasons[reason]);
	text[0] = '\0';
	append_units(text, sizeof(text), &s->requested_units);
	if (s->requested)
		set(line, COLUMN_ASKED, *text ? text : "any");
}

static void show_key(struct libscols_line *line, const struct gy_case_service *s)
{
	char text[128] = "";

	if (s->at_command_level)
		snprintf(text, sizeof(text), "(command)");
	else if (s->has_rating_group)
		snprintf(text, sizeof(text), "%u", s->rating_group);
	for (unsigned i = 0; i < s->n_service_ids; i++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%u", i == 0 ? "/" : ",",
			 s->service_ids[i]);
	}
	set(line, COLUMN_SERVICE, text);
}

static void show_final(char *to, size_t size, const struct gy_case_seen_service *s)
{
	if (s->final_unit == 0)
		snprintf(to, size, "final units, then the service ends");
	else if (s->final_unit == 1)
		snprintf(to, size, "final units, then redirected to %s",
			 s->redirect ? s->redirect : "?");
	else if (s->final_unit == 2)
		snprintf(to, size, "final units, then restricted to %s",
			 s->n_filters > 0 ? s->filters[0] : "what is configured");
}

static void show_answer(struct libscols_line *line, const struct gy_case_seen_service *s)
{
	int64_t threshold = s->volume_threshold >= 0 ? s->volume_threshold
			    : s->time_threshold >= 0 ? s->time_threshold
						     : s->unit_threshold;
	enum gy_case_quantity quantity = s->volume_threshold >= 0 ? GY_CASE_TOTAL
					 : s->time_threshold >= 0 ? GY_CASE_SECONDS
								  : GY_CASE_SERVICE;
	char text[256] = "";

	append_units(text, sizeof(text), &s->grant);
	if (s->has_grant)
		set(line, COLUMN_GRANTED, text);
	if (threshold >= 0) {
		gy_report_quantity(text, sizeof(text), quantity, threshold);
		set(line, COLUMN_THRESHOLD, text);
	}
	if (s->validity >= 0)
		set_formatted(line, COLUMN_VALIDITY, "%lld s", (long long)s->validity);
	set_formatted(line, COLUMN_RESULT, "%u %s", s->code, gy_reply_code_name(s->code));
	text[0] = '\0';
	show_final(text, sizeof(text), s);
	set(line, COLUMN_NOTE, text);
}

/* ---- rows ---- */

static struct libscols_line *new_line(struct gy_report *report, struct libscols_line *parent)
{
	return need(scols_table_new_line(report->table, parent));
}

static void name_request(struct libscols_line *line, const struct gy_case_request *r)
{
	set(line, COLUMN_REQUEST,
	    r->type == 'I'   ? "initial"
	    : r->type == 'U' ? "update"
	    : r->type == 'T' ? "termination"
			     : "event");
	set_formatted(line, COLUMN_NUMBER, "%u", r->number);
}

/* What is to be said about the command as a whole; "" if all went well. */
static void command_note(char *to, size_t size, const struct gy_exchange *e,
			 const struct gy_reply *reply)
{
	unsigned attempts = gy_exchange_attempts(e);

	*to = '\0';
	if (attempts > 1)
		snprintf(to, size, "sent %u times; ", attempts);
	if (!reply)
		snprintf(to + strlen(to), size - strlen(to), "no answer");
	else if (reply->error_message)
		snprintf(to + strlen(to), size - strlen(to), "%s", reply->error_message);
}

static void add_rows(struct gy_report *report, const struct gy_exchange *e,
		     const struct gy_reply *reply)
{
	const struct gy_case_request *r = gy_exchange_content(e);
	unsigned rows = r->n_services > 0 ? r->n_services : 1;
	bool each = reply && reply->seen.n_services == r->n_services;
	char note[320];

	command_note(note, sizeof(note), e, reply);
	for (unsigned i = 0; i < rows; i++) {
		struct libscols_line *line = new_line(report, NULL);

		if (i == 0)
			name_request(line, r);
		if (i < r->n_services) {
			show_key(line, &r->services[i]);
			show_asked(line, &r->services[i]);
		}
		if (i < r->n_services && each)
			show_answer(line, &reply->seen.services[i]);
		else if (i == 0 && reply)
			set_formatted(line, COLUMN_RESULT, "%u %s", reply->seen.code,
				      gy_reply_code_name(reply->seen.code));
		if (i == 0 && *note)
			set(line, COLUMN_NOTE, note);
	}
}

void gy_report_exchange(struct gy_report *report, const struct gy_exchange *e,
			const struct gy_reply *reply)
{
	static const char *const types[] = { "initial", "update", "termination", "event" };
	const struct gy_case_request *r = gy_exchange_content(e);
	int type = r->type == 'I' ? 0 : r->type == 'U' ? 1 : r->type == 'T' ? 2 : 3;
	json_t *object;

	if (!report->json) {
		add_rows(report, e, reply);
		return;
	}
	object = json_pack("{s:s, s:I, s:I, s:o}", "request", types[type], "number",
			   (json_int_t)r->number, "attempts", (json_int_t)gy_exchange_attempts(e),
			   "services", gy_json_request_services(r));
	if (reply) {
		json_object_set_new(object, "answer",
				    json_pack("{s:I, s:I, s:o}", "code",
					      (json_int_t)reply->seen.code, "latency_us",
					      (json_int_t)gy_exchange_latency_us(e), "services",
					      gy_json_reply_services(&reply->seen)));
		if (reply->error_message)
			json_object_set_new(json_object_get(object, "answer"), "error_message",
					    json_string(reply->error_message));
	} else {
		json_object_set_new(object, "answer", json_null());
	}
	json_array_append_new(report->requests, object);
}

void gy_report_note(struct gy_report *report, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (report->json)
		json_array_append_new(report->requests, json_pack("{s:s}", "note", text));
	else
		set(new_line(report, NULL), COLUMN_NOTE, text);
}

void gy_report_print(struct gy_report *report, const char *session_id)
{
	if (report->json) {
		json_t *all = json_pack("{s:s?, s:O}", "session_id", session_id, "requests",
					report->requests);

		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(all);
	} else {
		if (session_id)
			printf("Session %s\n\n", session_id);
		if (scols_print_table(report->table) != 0)
			abort();
	}
	json_decref(report->requests);
	scols_unref_table(report->table);
	free(report);
}
