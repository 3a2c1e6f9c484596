/* The .case parser: what it reads, and that it refuses all it does not understand. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/case.h"
#include "tests/lib/tap.h"

static struct gy_case_file *parsed(const char *text)
{
	char error[256] = "";
	struct gy_case_file *file = gy_case_parse("t.case", text, error, sizeof(error));

	ck_assert_msg(file != NULL, "%s", error);
	return file;
}

START_TEST(money)
{
	int64_t micros;

	ck_assert(gy_case_money("100.00", &micros) && micros == 100000000);
	ck_assert(gy_case_money("0", &micros) && micros == 0);
	ck_assert(gy_case_money("-0.05", &micros) && micros == -50000);
	ck_assert(gy_case_money("0.000001", &micros) && micros == 1);
	ck_assert(gy_case_money("99.999999", &micros) && micros == 99999999);
	ck_assert(gy_case_money("9223372036854.775807", &micros) && micros == INT64_MAX);
	ck_assert(!gy_case_money("9223372036854.775808", &micros));
	ck_assert(!gy_case_money("0.0000001", &micros));
	ck_assert(!gy_case_money("", &micros) && !gy_case_money("-", &micros));
	ck_assert(!gy_case_money("1.", &micros) && !gy_case_money(".5", &micros));
	ck_assert(!gy_case_money("1e3", &micros) && !gy_case_money(" 1", &micros));
	ck_assert(!gy_case_money("+1", &micros) && !gy_case_money("1 ", &micros));
}
END_TEST

START_TEST(sizes)
{
	enum gy_case_quantity q;
	int64_t n;

	ck_assert(gy_case_size("8MiB", &q, &n) && q == GY_CASE_TOTAL && n == 8388608);
	ck_assert(gy_case_size("3KiB", &q, &n) && n == 3072);
	ck_assert(gy_case_size("2GiB", &q, &n) && n == INT64_C(2147483648));
	ck_assert(gy_case_size("17", &q, &n) && q == GY_CASE_TOTAL && n == 17);
	ck_assert(gy_case_size("60s", &q, &n) && q == GY_CASE_SECONDS && n == 60);
	ck_assert(gy_case_size("3u", &q, &n) && q == GY_CASE_SERVICE && n == 3);
	ck_assert(gy_case_size("8589934591GiB", &q, &n));
	ck_assert(!gy_case_size("8589934592GiB", &q, &n));
	ck_assert(!gy_case_size("9223372036854775808", &q, &n));
	ck_assert(!gy_case_size("MiB", &q, &n) && !gy_case_size("1.5MiB", &q, &n));
	ck_assert(!gy_case_size("1MB", &q, &n) && !gy_case_size("-1", &q, &n));
}
END_TEST

START_TEST(tc_30)
{
	struct gy_case_file *file =
		parsed("# a comment\n"
		       "case TC-30 one Rating-Group, three requests\n"
		       "S1 I0 {10:RSU} -> 2001 {10: 2001 GSU=10MiB VT=3600 VQT=2MiB QHT=600}\n"
		       "check S1 bal=100.00 res=1.00   # held\n"
		       "U1 {10:USU=8MiB reason=THRESHOLD RSU} -> 2001 {10: 2001 GSU=10MiB}\n"
		       "T2 {10:USU=4MiB reason=FINAL} -> 2001 {10: 2001 -GSU}\n");
	const struct gy_case *c = &file->cases[0];
	const struct gy_case_request *r;
	const struct gy_case_expect *e;

	ck_assert_uint_eq(file->n_cases, 1);
	ck_assert_str_eq(c->id, "TC-30");
	ck_assert_str_eq(c->title, "one Rating-Group, three requests");
	ck_assert_uint_eq(c->n_steps, 4);
	r = c->steps[0].request;
	e = c->steps[0].expect;
	ck_assert_int_eq(r->type, 'I');
	ck_assert_int_eq(r->subscriber, 1);
	ck_assert(r->n_services == 1 && r->services[0].requested);
	ck_assert_uint_eq(r->services[0].rating_group, 10);
	ck_assert(r->n_identities == 1 && r->identities[0].kind == GY_CASE_IMSI);
	ck_assert(e->codes.n == 1 && e->codes.code[0] == 2001);
	ck_assert_int_eq(e->services[0].grant[GY_CASE_TOTAL].test, GY_CASE_EQUAL);
	ck_assert_int_eq(e->services[0].grant[GY_CASE_TOTAL].value, 10485760);
	ck_assert_int_eq(e->services[0].volume_threshold.value, 2097152);
	ck_assert_int_eq(e->services[0].quota_holding.value, 600);
	ck_assert_uint_eq(c->steps[1].line, 4);
	ck_assert_int_eq(c->steps[1].balance.value, 100000000);
	ck_assert_int_eq(c->steps[1].reserved.value, 1000000);
	r = c->steps[2].request;
	ck_assert_int_eq(r->subscriber, 1); /* sticky */
	ck_assert_int_eq(r->services[0].reason, 0);
	ck_assert_int_eq(r->services[0].used[0].units.count[GY_CASE_TOTAL], 8388608);
	ck_assert_int_eq(r->services[0].used[0].tariff_change, -1);
	ck_assert(c->steps[3].expect->services[0].no_grant);
	gy_case_free(file);
}
END_TEST

START_TEST(flags)
{
	struct gy_case_file *file = parsed(
		"case X\nwire-only\n"
		"S2 @b I7 T ctx=8.32251@3gpp.org msi=1 realm=r.test host=h.test action=7 aaid=5 "
		"cc-type=9 "
		"sub=3 conn=2 origin-state=44 tcause=4 proxy=p1:s1 proxy=p2:s:2 id=imsi,+e164:861 "
		"raw=3999:10415:c0:6162 omit=416,415 reverse app=99 cmd=999 ebit "
		"{10/5,6:USU=in:1MiB,out:2MiB TCU=1 USU=60s reason=QHT usu-reason=FINAL} "
		"mscc-raw=432:0:40:0000000b -> 3002|3003 failed=416,461 -mscc\n"
		"@b I7 repeat -> 2001 same\n"
		"@c I0 id=none ctx=none {-:RSU=money:2.50} -> 5005\n");
	const struct gy_case *c = &file->cases[0];
	const struct gy_case_request *r = c->steps[0].request;
	const struct gy_case_expect *e = c->steps[0].expect;
	const struct gy_case_service *s = &r->services[0];

	ck_assert(c->wire_only && !c->pure_only && *c->title == '\0');
	ck_assert(c->n_sessions == 2 && strcmp(c->sessions[0], "b") == 0);
	ck_assert(r->t_bit && !r->repeat && !r->e2e_same && r->reverse && r->header_error);
	ck_assert_str_eq(r->context, "8.32251@3gpp.org");
	ck_assert(r->multiple_services == 1 && r->action == 7 && r->auth_application == 5);
	ck_assert(r->cc_type == 9 && r->has_sub_session && r->sub_session == 3);
	ck_assert(r->connection == 2 && r->origin_state == 44 && r->termination_cause == 4);
	ck_assert(r->header_application == 99 && r->header_command == 999);
	ck_assert(r->n_proxies == 2 && strcmp(r->proxies[1].state, "s:2") == 0);
	ck_assert(r->n_identities == 2 && r->identities[1].plus);
	ck_assert_str_eq(r->identities[1].value, "861");
	ck_assert(r->n_raw == 1 && r->raw[0].vendor == 10415 && r->raw[0].flags == 0xc0);
	ck_assert(r->raw[0].len == 2 && memcmp(r->raw[0].data, "ab", 2) == 0);
	ck_assert(r->n_omit == 2 && r->omit[1] == 415);
	ck_assert(s->n_service_ids == 2 && s->service_ids[1] == 6);
	ck_assert(s->n_used == 2 && s->used[0].tariff_change == 1 &&
		  s->used[1].tariff_change == -1);
	ck_assert(s->used[0].units.present[GY_CASE_INPUT] &&
		  !s->used[0].units.present[GY_CASE_TOTAL]);
	ck_assert(s->reason == 1 && s->used_reason == 2 && s->n_raw == 1 && s->raw[0].code == 432);
	ck_assert(e->codes.n == 2 && e->codes.code[1] == 3003 && e->no_service && e->n_failed == 2);
	r = c->steps[1].request;
	ck_assert(r->repeat && r->e2e_same && !r->t_bit && r->n_services == 1 &&
		  r->sub_session == 3);
	ck_assert(c->steps[1].expect->same);
	r = c->steps[2].request;
	ck_assert(r->n_identities == 0 && r->no_context && !r->context);
	ck_assert(!r->services[0].has_rating_group);
	ck_assert_int_eq(r->services[0].requested_units.count[GY_CASE_MONEY], 2500000);
	gy_case_free(file);
}
END_TEST

START_TEST(steps)
{
	struct gy_case_file *file =
		parsed("case X steps\npure-only # why\nS1 I0 -> 2001\nbar S1\n"
		       "unbar S2\ntopup S3 10.00\nwait 1500ms\nwait 2h\nsweep\n"
		       "restart\ncheck audit\ncheck S1 res=0\ncase Y\nS1 I0 -> 2001\n");
	const struct gy_case_step *s = file->cases[0].steps;

	ck_assert(file->n_cases == 2 && file->cases[0].pure_only && file->cases[0].n_steps == 10);
	ck_assert(s[1].kind == GY_CASE_BAR && s[1].subscriber == 1);
	ck_assert(s[2].kind == GY_CASE_UNBAR && s[2].subscriber == 2);
	ck_assert(s[3].kind == GY_CASE_TOPUP && s[3].amount_micros == 10000000);
	ck_assert(s[4].kind == GY_CASE_WAIT && s[4].wait_us == 1500000);
	ck_assert(s[5].wait_us == INT64_C(7200000000));
	ck_assert(s[6].kind == GY_CASE_SWEEP && s[7].kind == GY_CASE_RESTART);
	ck_assert(s[8].kind == GY_CASE_AUDIT);
	ck_assert(s[9].balance.test == GY_CASE_UNCHECKED && s[9].reserved.test == GY_CASE_EQUAL);
	gy_case_free(file);
}
END_TEST

/* Each text must be refused, at the line, with these words. */
static const struct {
	const char *text;
	const char *error;
} refused[] = {
	{ "", "t.case:0: no case" },
	{ "S1 I0 -> 2001\n", "t.case:1: a step before the first case" },
	{ "case\n", "t.case:1: case: ID title" },
	{ "case X\n", "t.case:1: case X checks nothing" },
	{ "case X\nbar S1\ncase Y\nS1 I0 -> 2001\n", "t.case:1: case X checks nothing" },
	{ "case X\nS1 I0 -> 2001\ncase X\n", "t.case:3: case X is already on line 1" },
	{ "case X\nS1 I0 -> 2001\nwire-only\n", "t.case:3: wire-only stands once" },
	{ "case X\nwire-only\npure-only\n", "t.case:3: pure-only stands once" },
	{ "case X\nfrobnicate S1\n", "t.case:2: neither a step" },
	{ "case X\nS1 I0\n", "t.case:2: neither a step" },
	{ "case X\nS1 I0 ->\n", "t.case:2: nothing after" },
	{ "case X\nS1 -> 2001\n", "t.case:2: no request" },
	{ "case X\nS1 I0 U1 -> 2001\n", "t.case:2: two requests" },
	{ "case X\nI0 -> 2001\n", "names no subscriber" },
	{ "case X\nI0 id=imsi -> 2001\n", "no subscriber to take it from" },
	{ "case X\nS1 I0 color=red -> 2001\n", "unknown word 'color=red'" },
	{ "case X\nS0 I0 -> 2001\n", "not a subscriber" },
	{ "case X\nS1 I4294967296 -> 2001\n", "not a number" },
	{ "case X\nS1 I0 e2e=old -> 2001\n", "same or new" },
	{ "case X\nS1 I0 conn=0 -> 2001\n", "counts from 1" },
	{ "case X\nS1 I0 id=imei -> 2001\n", "id=imei" },
	{ "case X\nS1 I0 id=+imsi -> 2001\n", "id=+imsi" },
	{ "case X\nS1 I0 proxy=host -> 2001\n", "host:state" },
	{ "case X\nS1 I0 raw=1:0:40 -> 2001\n", "code:vendor:flags:hex" },
	{ "case X\nS1 I0 raw=1:0:40:abc -> 2001\n", "pairs" },
	{ "case X\nS1 I0 raw=1:0:4:ab -> 2001\n", "two hex digits" },
	{ "case X\nS1 I0 mscc-raw=1:0:40:ab {10:RSU} -> 2001\n", "after a group" },
	{ "case X\nS1 {10:RSU} I0 -> 2001\n", "before the request" },
	{ "case X\nS1 I0 {10} -> 2001\n", "a group is" },
	{ "case X\nS1 I0 {x:RSU} -> 2001\n", "'x' is not a number" },
	{ "case X\nS1 I0 {10:RSU -> 2001\n", "'{' without '}'" },
	{ "case X\nS1 I0 10:RSU} -> 2001\n", "unknown word '10:RSU'" },
	{ "case X\nS1 I0 {10:RSU RSU} -> 2001\n", "two RSU" },
	{ "case X\nS1 I0 {10:TCU=1 USU=1} -> 2001\n", "TCU belongs after" },
	{ "case X\nS1 I0 {10:RSU=5MB} -> 2001\n", "not a size" },
	{ "case X\nS1 I0 {10:USU=in:60s} -> 2001\n", "not a number of octets" },
	{ "case X\nS1 I0 {10:USU=1MiB,2MiB} -> 2001\n", "twice" },
	{ "case X\nS1 I0 {10:reason=WHIM} -> 2001\n", "not a Reporting-Reason" },
	{ "case X\nS1 I0 {10:GSU=1} -> 2001\n", "unknown item 'GSU=1'" },
	{ "case X\nS1 I0 repeat -> 2001\n", "no request yet" },
	{ "case X\nS1 I0 -> 2001\nU1 repeat -> 2001\n",
	  "the previous request of this session is I0" },
	{ "case X\nS1 I0 -> 2001\nI0 repeat {10:RSU} -> 2001\n", "repeat takes the groups" },
	{ "case X\nS1 I0 -> success\n", "not a Result-Code" },
	{ "case X\nS1 I0 -> 2001|\n", "not a Result-Code" },
	{ "case X\nS1 I0 -> 20001\n", "not a Result-Code" },
	{ "case X\nS1 I0 -> 2001 maybe\n", "unknown word 'maybe'" },
	{ "case X\nS1 I0 -> 2001 {10:}\n", "begins with its Result-Code" },
	{ "case X\nS1 I0 -> 2001 {10: 2001 RSU}\n", "unknown item 'RSU'" },
	{ "case X\nS1 I0 -> 2001 {10: 2001 VT}\n", "unknown item 'VT'" },
	{ "case X\nS1 I0 -> 2001 {10: 2001 VT=soon}\n", "not a number" },
	{ "case X\nS1 I0 -> 2001 {10: 2001 FUI=STOP}\n", "FUI=STOP" },
	{ "case X\nS1 I0 -> 2001 -mscc {10: 2001}\n", "contradict" },
	{ "case X\ncheck\n", "check: S1" },
	{ "case X\ncheck S1\n", "neither bal= nor res=" },
	{ "case X\ncheck S1 bal=1.0000001\n", "not an amount of money" },
	{ "case X\ncheck S1 money=1\n", "unknown word 'money=1'" },
	{ "case X\ncheck audit S1\n", "stands alone" },
	{ "case X\ntopup S1\n", "how much" },
	{ "case X\nwait\n", "how long" },
	{ "case X\nwait 2\n", "not a duration" },
	{ "case X\nsweep now\n", "one word too many" },
	{ "case X\nbar\n", "which subscriber" },
};

START_TEST(refusals)
{
	char error[256] = "";
	struct gy_case_file *file = gy_case_parse("t.case", refused[_i].text, error, sizeof(error));

	ck_assert_msg(file == NULL, "accepted: %s", refused[_i].text);
	ck_assert_msg(strstr(error, refused[_i].error) != NULL, "'%s' does not say '%s'", error,
		      refused[_i].error);
	ck_assert_msg(strncmp(error, "t.case:", 7) == 0, "no file and line in '%s'", error);
}
END_TEST

/* An answer, and lines that must (or must not) match it. */
static const struct {
	const char *expect;
	const char *why; /* NULL: matches */
} matched[] = {
	{ "2001", NULL },
	{ "5001|2001", NULL },
	{ "2001 {10: 2001}{11/7: 4012}", NULL },
	{ "2001 {10: 2001 GSU=10MiB VT=3600 VQT=2MiB -QHT -FUI}{11/7: 4012 -GSU -VT}", NULL },
	{ "2001 {10: 2001 GSU<=10MiB VT<=3600 VT>0}{11/7: 4012|5031 GSU<=0}", NULL },
	{ "2001 failed=432", NULL },
	{ "2002", "command Result-Code is 2001, expected 2002" },
	{ "2001 -mscc", "2 MSCC in the answer" },
	{ "2001 {10: 2001}", "2 groups in the answer, expected 1" },
	{ "2001 {11/7: 4012}{10: 2001}", "group 1: Rating-Group or Service" },
	{ "2001 {10/7: 2001}{11/7: 4012}", "group 1: Rating-Group or Service" },
	{ "2001 {-: 2001}{11/7: 4012}", "group 1: Rating-Group or Service" },
	{ "2001 {10: 2001}{11/8: 4012}", "group 2: Rating-Group or Service" },
	{ "2001 {10: 2001}{11/7: 2001}", "group 2: Result-Code is 4012" },
	{ "2001 {10: 2001 GSU=9MiB}{11/7: 4012}", "group 1: grant of total octets" },
	{ "2001 {10: 2001 GSU<=9MiB}{11/7: 4012}", "group 1: grant of total octets" },
	{ "2001 {10: 2001 GSU=10s}{11/7: 4012}", "total octets is 10485760, expected absent" },
	{ "2001 {10: 2001 GSU=10MiB GSU=10s}{11/7: 4012}", "grant of seconds is absent" },
	{ "2001 {10: 2001 -GSU}{11/7: 4012}", "there is a Granted-Service-Unit" },
	{ "2001 {10: 2001}{11/7: 4012 GSU<=1MiB}", "grant of total octets is absent" },
	{ "2001 {10: 2001 VT=3599}{11/7: 4012}", "Validity-Time is 3600" },
	{ "2001 {10: 2001 -VT}{11/7: 4012}", "expected absent" },
	{ "2001 {10: 2001 QHT=600}{11/7: 4012}", "Quota-Holding-Time is absent" },
	{ "2001 {10: 2001 FUI=TERMINATE}{11/7: 4012}", "Final-Unit-Action is absent" },
	{ "2001 {10: 2001 redirect=http://x/}{11/7: 4012}", "Redirect-Server-Address" },
	{ "2001 {10: 2001 filter=f}{11/7: 4012}", "no Filter-Id" },
	{ "2001 {cmd: 2001}{11/7: 4012}", "service level" },
	{ "2001 failed=433", "Failed-AVP does not name 433" },
	{ "2001 same", "no previous answer" },
};

static const uint32_t seven = 7, code_432 = 432;
static struct gy_case_seen_service answer_services[2] = {
	{ .has_rating_group = true,
	  .rating_group = 10,
	  .code = 2001,
	  .has_grant = true,
	  .grant = { .present = { [GY_CASE_TOTAL] = true },
		     .count = { [GY_CASE_TOTAL] = 10485760 } },
	  .validity = 3600,
	  .volume_threshold = 2097152,
	  .time_threshold = -1,
	  .unit_threshold = -1,
	  .quota_holding = -1,
	  .final_unit = -1 },
	{ .has_rating_group = true,
	  .rating_group = 11,
	  .n_service_ids = 1,
	  .service_ids = &seven,
	  .code = 4012,
	  .validity = -1,
	  .volume_threshold = -1,
	  .time_threshold = -1,
	  .unit_threshold = -1,
	  .quota_holding = -1,
	  .final_unit = -1 },
};
static const struct gy_case_seen answer = { .code = 2001,
					    .n_failed = 1,
					    .failed = &code_432,
					    .n_services = 2,
					    .services = answer_services };

START_TEST(matching)
{
	char text[256], why[256] = "";
	struct gy_case_file *file;
	bool good;

	snprintf(text, sizeof(text), "case X\nS1 I0 -> %s\n", matched[_i].expect);
	file = parsed(text);
	good = gy_case_matches(file->cases[0].steps[0].expect, &answer, NULL, why, sizeof(why));
	if (matched[_i].why)
		ck_assert_msg(!good && strstr(why, matched[_i].why), "%s: '%s'", matched[_i].expect,
			      why);
	else
		ck_assert_msg(good, "%s: %s", matched[_i].expect, why);
	gy_case_free(file);
}
END_TEST

START_TEST(sameness)
{
	struct gy_case_seen_service services[2];
	struct gy_case_seen other = answer;
	char why[256];

	other.services = services;
	memcpy(services, answer_services, sizeof(services));
	ck_assert(gy_case_same(&answer, &other, why, sizeof(why)));
	services[0].grant.count[GY_CASE_TOTAL]--;
	ck_assert(!gy_case_same(&answer, &other, why, sizeof(why)));
	services[0].grant.count[GY_CASE_TOTAL]++;
	services[1].code = 5031;
	ck_assert(!gy_case_same(&answer, &other, why, sizeof(why)));
	services[1].code = 4012;
	services[1].final_unit = 0;
	ck_assert(!gy_case_same(&answer, &other, why, sizeof(why)));
	services[1].final_unit = -1;
	services[1].n_service_ids = 0;
	ck_assert(!gy_case_same(&answer, &other, why, sizeof(why)));
	services[1].n_service_ids = 1;
	services[0].currency = 156;
	ck_assert(!gy_case_same(&answer, &other, why, sizeof(why)));
	services[0].currency = 0;
	other.message = "other";
	ck_assert(!gy_case_same(&answer, &other, why, sizeof(why)));
	other.message = NULL;
	other.n_services = 1;
	ck_assert(!gy_case_same(&answer, &other, why, sizeof(why)));
	other.n_services = 2;
	other.code = 5012;
	ck_assert(!gy_case_same(&answer, &other, why, sizeof(why)));
}
END_TEST

START_TEST(unreadable)
{
	char error[256] = "";

	ck_assert(gy_case_read("/nonexistent/x.case", error, sizeof(error)) == NULL);
	ck_assert(strstr(error, "x.case: No such file") != NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("case-parser");
	TCase *tests = tcase_create("parser");

	tcase_add_test(tests, money);
	tcase_add_test(tests, sizes);
	tcase_add_test(tests, tc_30);
	tcase_add_test(tests, flags);
	tcase_add_test(tests, steps);
	tcase_add_loop_test(tests, refusals, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_loop_test(tests, matching, 0, sizeof(matched) / sizeof(matched[0]));
	tcase_add_test(tests, sameness);
	tcase_add_test(tests, unreadable);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
