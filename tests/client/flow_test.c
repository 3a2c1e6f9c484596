/* The traffic behind a gateway (flow.c), and the log of requests (log.c): without any node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/client/dictionary.h"
#include "tests/client/flow.h"
#include "tests/client/log.h"
#include "tests/client/options.h"
#include "tests/client/report.h"
#include "tests/unit/decode/tap.h"

#define MIB (INT64_C(1) << 20)

static struct gy_case_service service;
static struct gy_case_used used;

static struct gy_flow wants(int64_t units)
{
	return (struct gy_flow){ .has_rating_group = true,
				 .rating_group = 10,
				 .quantity = GY_CASE_TOTAL,
				 .wanted = units,
				 .threshold = -1,
				 .final_unit = -1 };
}

static struct gy_case_seen_service granted(int64_t units, int64_t threshold, int64_t final_unit)
{
	struct gy_case_seen_service s = { .code = 2001,
					  .has_grant = units > 0,
					  .validity = 3600,
					  .volume_threshold = threshold,
					  .time_threshold = -1,
					  .unit_threshold = -1,
					  .final_unit = final_unit };

	s.grant.present[GY_CASE_TOTAL] = units > 0;
	s.grant.count[GY_CASE_TOTAL] = units;
	return s;
}

static void grant(struct gy_flow *f, int64_t units, int64_t threshold, int64_t final_unit)
{
	struct gy_case_seen_service s = granted(units, threshold, final_unit);

	gy_flow_answered(f, &s);
}

static void thresholds(void)
{
	struct gy_flow f = wants(30 * MIB);

	gy_flow_report(&f, -1, true, &service, &used);
	ok(service.requested && service.n_used == 0, "the first request asks, and reports nothing");
	grant(&f, 10 * MIB, 2 * MIB, -1);
	ok(gy_flow_run(&f, 0) == 0 && f.used == 8 * MIB, "a report when 2 MiB are left: THRESHOLD");
	gy_flow_report(&f, 0, true, &service, &used);
	ok(service.used_reason == 0 && service.reason == -1 && service.n_used == 1 &&
		   used.units.count[GY_CASE_TOTAL] == 8 * MIB,
	   "the reason stands in the Used-Service-Unit");
	grant(&f, 10 * MIB, -1, -1);
	ok(gy_flow_run(&f, 0) == 3 && f.used == 10 * MIB,
	   "without a threshold a report when all is used: QUOTA_EXHAUSTED");
	gy_flow_report(&f, 3, true, &service, &used);
	grant(&f, 50 * MIB, 2 * MIB, -1);
	ok(gy_flow_run(&f, 0) == -1 && f.state == GY_FLOW_DONE && f.used == 12 * MIB &&
		   f.total == 30 * MIB && f.reported == 18 * MIB,
	   "what was wanted is used: no report but the last");
	ok(gy_flow_open(&f), "which the termination has to make");
	gy_flow_report(&f, 2, false, &service, &used);
	ok(service.reason == 2 && !service.requested && f.reported == f.total && !gy_flow_open(&f),
	   "and then all is reported, once");
}

static void finals(void)
{
	struct gy_flow f = wants(5 * MIB);
	struct gy_case_seen_service refused = granted(0, -1, -1);

	grant(&f, 3 * MIB, -1, 0);
	ok(gy_flow_run(&f, 0) == 2 && f.used == 3 * MIB && f.state == GY_FLOW_BLOCKED,
	   "final units: used to the end, then FINAL, then nothing flows");
	f = wants(3 * MIB);
	grant(&f, 3 * MIB, -1, 1);
	ok(gy_flow_run(&f, 0) == 2 && f.total == 3 * MIB,
	   "also when they are just what was wanted");
	f = wants(MIB);
	refused.code = 4012;
	gy_flow_answered(&f, &refused);
	ok(f.state == GY_FLOW_BLOCKED && gy_flow_run(&f, 0) == -1 && f.total == 0,
	   "refused: nothing flows");
	f = wants(MIB);
	refused.code = 4011;
	gy_flow_answered(&f, &refused);
	ok(gy_flow_run(&f, 0) == -1 && f.total == MIB && !gy_flow_open(&f),
	   "free of charge: all flows, nothing is reported");
	f = wants(10 * MIB);
	grant(&f, 10 * MIB, 2 * MIB, -1);
	ok(gy_flow_run(&f, 3 * MIB) == 0 && f.used == 3 * MIB, "a report every 3 MiB, if asked to");
}

static void reauthorised(void)
{
	struct gy_flow f = wants(5 * MIB);

	grant(&f, 3 * MIB, -1, 1);
	gy_flow_run(&f, 0);
	gy_flow_report(&f, 2, false, &service, &used);
	grant(&f, 0, -1, 1);
	ok(gy_flow_run(&f, 0) == -1 && !gy_flow_open(&f), "at the portal nothing flows");
	ok(gy_flow_reauthorise(&f), "asked by the node, it asks again");
	gy_flow_report(&f, 7, true, &service, &used);
	ok(service.requested && service.n_used == 0 && service.reason == 7,
	   "without usage: it has been reported");
	grant(&f, 10 * MIB, -1, -1);
	ok(gy_flow_run(&f, 0) == -1 && f.used == 2 * MIB && f.state == GY_FLOW_DONE,
	   "and what was still wanted flows");
	ok(gy_flow_reauthorise(&f), "whoever has units reports them when asked");
	gy_flow_report(&f, 7, true, &service, &used);
	grant(&f, 10 * MIB, -1, -1);
	ok(f.state == GY_FLOW_DONE && gy_flow_open(&f),
	   "and has to give back the new ones at the end");
	f = wants(0);
	f.state = GY_FLOW_DONE;
	ok(!gy_flow_reauthorise(&f), "whoever has nothing, and wants nothing, has nothing to say");
}

/* ---- the log ---- */

static void write_log(const char *path)
{
	struct gy_case_request r = gy_request_plain('U', 3);
	const struct gy_case_identity identity = { .kind = GY_CASE_IMSI };
	struct gy_request_frame frame = { .origin_host = "pgw1.spec.test",
					  .identity = { [GY_CASE_IMSI] = "460001000000001" } };
	const struct gy_log_request request = { 7, "pgw1.spec.test;1;1", &r, &frame, 99 };
	const struct gy_log_attempt attempt = { 2, true, true, 5, "127.0.0.1:3868" };
	struct gy_case_seen_service s = granted(10 * MIB, -1, -1);
	const struct gy_reply reply = { .seen = { .code = 2001, .n_services = 1, .services = &s } };
	struct gy_log *log = gy_log_open(path);

	s.has_rating_group = service.has_rating_group = true;
	s.rating_group = service.rating_group = 10;
	service.n_used = 1;
	service.used = &used;
	r.n_services = 1;
	r.services = &service;
	r.n_identities = 1;
	r.identities = &identity;
	gy_log_start(log, "test", 1);
	gy_log_sent(log, &request, &attempt);
	gy_log_answer(log, &request, 2, 1500, &reply);
	gy_log_lost(log, &request, 1, "the node said \xff");
	gy_log_outcome(log, &request, 2, "ok", &reply);
	gy_log_end(log, json_pack("{s:i}", "requests", 1));
	gy_log_close(log);
}

static json_int_t number(json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void logged(void)
{
	static const char *const events[] = { "start", "sent", "answer", "lost", "outcome", "end" };
	char path[] = "/tmp/gyro-log-XXXXXX", line[4096];
	int fd = mkstemp(path), n = 0;
	json_t *lines[6] = { NULL }, *first;
	bool good = fd >= 0;
	FILE *in;

	close(fd);
	write_log(path);
	in = fopen(path, "r");
	while (in && n < 6 && fgets(line, sizeof(line), in)) {
		lines[n] = json_loads(line, 0, NULL);
		good = good && lines[n] &&
		       strcmp(json_string_value(json_object_get(lines[n], "event")), events[n]) ==
			       0;
		n++;
	}
	if (in)
		fclose(in);
	unlink(path);
	if (!ok(good && n == 6, "a line for each event, each valid JSON, whatever a peer said"))
		return;
	ok(number(lines[1], "request") == 7 && number(lines[1], "type") == 2 &&
		   number(lines[1], "number") == 3 && number(lines[1], "end_to_end") == 99 &&
		   number(lines[1], "attempt") == 2 &&
		   json_is_true(json_object_get(lines[1], "retransmitted")) &&
		   json_is_true(json_object_get(lines[1], "copy")),
	   "what was sent");
	first = json_array_get(json_object_get(lines[1], "services"), 0);
	ok(number(first, "rating_group") == 10 &&
		   number(json_array_get(json_object_get(first, "used"), 0), "octets") ==
			   used.units.count[GY_CASE_TOTAL],
	   "with its usage");
	first = json_array_get(json_object_get(lines[4], "services"), 0);
	ok(strcmp(json_string_value(json_object_get(lines[4], "outcome")), "ok") == 0 &&
		   number(lines[4], "code") == 2001 &&
		   number(json_object_get(first, "granted"), "octets") == 10 * MIB,
	   "and its outcome, with what was granted");
	for (int i = 0; i < 6; i++)
		json_decref(lines[i]);
}

/* ---- words of the command line ---- */

static bool shows(enum gy_case_quantity quantity, int64_t count, const char *expected)
{
	char text[48];

	gy_report_quantity(text, sizeof(text), quantity, count);
	return strcmp(text, expected) == 0;
}

static void values(void)
{
	char a[256], b[256];
	uint32_t list[GY_LIST_MAX];

	ok(gy_option_size("30M") == 30 * MIB && gy_option_size("8MiB") == 8 * MIB &&
		   gy_option_size("60s") == 60 && gy_option_size("1048576") == MIB,
	   "sizes");
	ok(gy_option_duration_us("500ms") == 500000 && gy_option_duration_us("2") == 2000000 &&
		   gy_option_duration_us("5m") == 300000000,
	   "durations");
	ok(gy_option_list("10,30,4294967295", list) == 3 && list[2] == 4294967295u, "lists");
	ok(gy_option_percent("20%") == 20 && gy_option_percent("7") == 7, "percentages");
	ok(shows(GY_CASE_TOTAL, 10 * MIB, "10 MiB") && shows(GY_CASE_TOTAL, 1025, "1025") &&
		   shows(GY_CASE_SECONDS, 60, "60 s") && shows(GY_CASE_TOTAL, 0, "0"),
	   "quantities are shown exactly");
	gy_session_id_new(a, sizeof(a), "pgw1.spec.test", "");
	gy_session_id_new(b, sizeof(b), "pgw1.spec.test", "");
	ok(strcmp(a, b) != 0 && strncmp(a, "pgw1.spec.test;", 15) == 0, "Session-Ids differ");
}

int main(void)
{
	thresholds();
	finals();
	reauthorised();
	logged();
	values();
	return tap_end();
}
