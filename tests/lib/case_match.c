/* Compares an answer with what a .case line expects, for both runners.
 *
 * What a line does not mention is not looked at; but once it names groups, their number and order
 * must match. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/case.h"

static const char *const quantity_names[GY_CASE_QUANTITIES] = { "total octets",  "input octets",
								"output octets", "seconds",
								"service units", "money" };

__attribute__((format(printf, 3, 4))) static bool differs(char *why, size_t size,
							  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	return false;
}

bool gy_case_bound_holds(struct gy_case_bound bound, bool present, int64_t value)
{
	switch (bound.test) {
	case GY_CASE_UNCHECKED:
		return true;
	case GY_CASE_ABSENT:
		return !present;
	case GY_CASE_EQUAL:
		return present && value == bound.value;
	case GY_CASE_AT_MOST:
		return present && value <= bound.value;
	case GY_CASE_ABOVE:
		return present && value > bound.value;
	}
	return false;
}

static void show(char *text, size_t size, bool present, int64_t value)
{
	if (present)
		snprintf(text, size, "%lld", (long long)value);
	else
		snprintf(text, size, "absent");
}

static bool holds(const char *what, struct gy_case_bound bound, bool present, int64_t value,
		  char *why, size_t size)
{
	static const char *const signs[] = { "", "absent", "", "at most ", "above " };
	char seen[32];

	if (gy_case_bound_holds(bound, present, value))
		return true;
	show(seen, sizeof(seen), present, value);
	if (bound.test == GY_CASE_ABSENT)
		return differs(why, size, "%s is %s, expected absent", what, seen);
	return differs(why, size, "%s is %s, expected %s%lld", what, seen, signs[bound.test],
		       (long long)bound.value);
}

static bool code_fits(const char *what, const struct gy_case_codes *codes, uint32_t code, char *why,
		      size_t size)
{
	char list[64] = "";

	for (unsigned i = 0; i < codes->n; i++) {
		size_t used = strlen(list);

		if (codes->code[i] == code)
			return true;
		snprintf(list + used, sizeof(list) - used, "%s%u", i > 0 ? "|" : "",
			 codes->code[i]);
	}
	return differs(why, size, "%s is %u, expected %s", what, code, list);
}

static bool same_key(bool has_a, uint32_t rg_a, unsigned n_a, const uint32_t *ids_a, bool has_b,
		     uint32_t rg_b, unsigned n_b, const uint32_t *ids_b)
{
	if (has_a != has_b || (has_a && rg_a != rg_b) || n_a != n_b)
		return false;
	return n_a == 0 || memcmp(ids_a, ids_b, n_a * sizeof(*ids_a)) == 0;
}

static bool grant_fits(const struct gy_case_expect_service *e, const struct gy_case_seen_service *s,
		       char *why, size_t size)
{
	bool any = false;
	char what[48];

	if (e->no_grant && s->has_grant)
		return differs(why, size, "there is a Granted-Service-Unit, expected none");
	for (int q = 0; q < GY_CASE_QUANTITIES; q++)
		any |= e->grant[q].test != GY_CASE_UNCHECKED;
	for (int q = 0; q < GY_CASE_QUANTITIES; q++) {
		bool present = s->has_grant && s->grant.present[q];
		struct gy_case_bound bound = e->grant[q];

		if (bound.test == GY_CASE_AT_MOST && bound.value == 0 && !present)
			continue;
		snprintf(what, sizeof(what), "grant of %s", quantity_names[q]);
		if (any && bound.test == GY_CASE_UNCHECKED)
			bound.test = GY_CASE_ABSENT; /* one kind is expected, and no other */
		if (!holds(what, bound, present, s->grant.count[q], why, size))
			return false;
	}
	return true;
}

static bool text_fits(const struct gy_case_expect_service *e, const struct gy_case_seen_service *s,
		      char *why, size_t size)
{
	if (e->redirect && (!s->redirect || strcmp(e->redirect, s->redirect) != 0))
		return differs(why, size, "Redirect-Server-Address is %s, expected %s",
			       s->redirect ? s->redirect : "absent", e->redirect);
	if (!e->filter)
		return true;
	for (unsigned i = 0; i < s->n_filters; i++)
		if (strcmp(e->filter, s->filters[i]) == 0)
			return true;
	return differs(why, size, "no Filter-Id %s", e->filter);
}

static bool service_fits(const struct gy_case_expect_service *e,
			 const struct gy_case_seen_service *s, char *why, size_t size)
{
	const struct {
		const char *name;
		struct gy_case_bound bound;
		int64_t value;
	} numbers[] = {
		{ "Validity-Time", e->validity, s->validity },
		{ "Volume-Quota-Threshold", e->volume_threshold, s->volume_threshold },
		{ "Time-Quota-Threshold", e->time_threshold, s->time_threshold },
		{ "Unit-Quota-Threshold", e->unit_threshold, s->unit_threshold },
		{ "Quota-Holding-Time", e->quota_holding, s->quota_holding },
		{ "Final-Unit-Action", e->final_unit, s->final_unit },
	};

	if (e->at_command_level != s->at_command_level)
		return differs(why, size, "answered at %s level",
			       s->at_command_level ? "command" : "service");
	if (!e->at_command_level &&
	    !same_key(e->has_rating_group, e->rating_group, e->n_service_ids, e->service_ids,
		      s->has_rating_group, s->rating_group, s->n_service_ids, s->service_ids))
		return differs(why, size,
			       "Rating-Group or Service-Identifiers are not those expected "
			       "here (Rating-Group %s%u, %u identifiers)",
			       s->has_rating_group ? "" : "absent ",
			       s->has_rating_group ? s->rating_group : 0, s->n_service_ids);
	if (!code_fits("Result-Code", &e->codes, s->code, why, size) ||
	    !grant_fits(e, s, why, size))
		return false;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!holds(numbers[i].name, numbers[i].bound, numbers[i].value >= 0,
			   numbers[i].value, why, size))
			return false;
	return text_fits(e, s, why, size);
}

static bool failed_fits(const struct gy_case_expect *expect, const struct gy_case_seen *seen,
			char *why, size_t size)
{
	for (unsigned i = 0; i < expect->n_failed; i++) {
		bool found = false;

		for (unsigned j = 0; j < seen->n_failed; j++)
			found |= seen->failed[j] == expect->failed[i];
		if (!found)
			return differs(why, size, "Failed-AVP does not name %u", expect->failed[i]);
	}
	return true;
}

bool gy_case_matches(const struct gy_case_expect *expect, const struct gy_case_seen *seen,
		     const struct gy_case_seen *previous, char *why, size_t why_size)
{
	char inner[256];

	if (!code_fits("command Result-Code", &expect->codes, seen->code, why, why_size) ||
	    !failed_fits(expect, seen, why, why_size) ||
	    !holds("Check-Balance-Result", expect->balance, seen->check_balance >= 0,
		   seen->check_balance, why, why_size))
		return false;
	if (expect->no_service && seen->n_services > 0)
		return differs(why, why_size, "%u MSCC in the answer, expected none",
			       seen->n_services);
	if (expect->same) {
		if (!previous)
			return differs(why, why_size, "no previous answer to be the same as");
		if (!gy_case_same(previous, seen, inner, sizeof(inner)))
			return differs(why, why_size, "not the same as before: %s", inner);
	}
	if (!expect->services_given)
		return true;
	if (expect->n_services != seen->n_services)
		return differs(why, why_size, "%u groups in the answer, expected %u",
			       seen->n_services, expect->n_services);
	for (unsigned i = 0; i < expect->n_services; i++)
		if (!service_fits(&expect->services[i], &seen->services[i], inner, sizeof(inner)))
			return differs(why, why_size, "group %u: %s", i + 1, inner);
	return true;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_service(const struct gy_case_seen_service *a, const struct gy_case_seen_service *b,
			 char *why, size_t size)
{
	const struct {
		const char *name;
		int64_t a, b;
	} numbers[] = {
		{ "Result-Code", a->code, b->code },
		{ "presence of a grant", a->has_grant, b->has_grant },
		{ "Currency-Code", a->currency, b->currency },
		{ "Validity-Time", a->validity, b->validity },
		{ "Volume-Quota-Threshold", a->volume_threshold, b->volume_threshold },
		{ "Time-Quota-Threshold", a->time_threshold, b->time_threshold },
		{ "Unit-Quota-Threshold", a->unit_threshold, b->unit_threshold },
		{ "Quota-Holding-Time", a->quota_holding, b->quota_holding },
		{ "Final-Unit-Action", a->final_unit, b->final_unit },
		{ "level", a->at_command_level, b->at_command_level },
	};

	if (!same_key(a->has_rating_group, a->rating_group, a->n_service_ids, a->service_ids,
		      b->has_rating_group, b->rating_group, b->n_service_ids, b->service_ids))
		return differs(why, size, "other Rating-Group or Service-Identifiers");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i].a != numbers[i].b)
			return differs(why, size, "%s was %lld, is %lld", numbers[i].name,
				       (long long)numbers[i].a, (long long)numbers[i].b);
	for (int q = 0; a->has_grant && q < GY_CASE_QUANTITIES; q++)
		if (a->grant.present[q] != b->grant.present[q] ||
		    (a->grant.present[q] && a->grant.count[q] != b->grant.count[q]))
			return differs(why, size, "another grant of %s", quantity_names[q]);
	if (!same_text(a->redirect, b->redirect))
		return differs(why, size, "another Redirect-Server-Address");
	return true;
}

bool gy_case_same(const struct gy_case_seen *a, const struct gy_case_seen *b, char *why,
		  size_t why_size)
{
	char inner[200];

	if (a->code != b->code)
		return differs(why, why_size, "command Result-Code was %u, is %u", a->code,
			       b->code);
	if (!same_text(a->message, b->message))
		return differs(why, why_size, "Error-Message was '%s', is '%s'",
			       a->message ? a->message : "", b->message ? b->message : "");
	if (a->check_balance != b->check_balance)
		return differs(why, why_size, "another Check-Balance-Result");
	if (a->n_services != b->n_services)
		return differs(why, why_size, "%u groups before, %u now", a->n_services,
			       b->n_services);
	for (unsigned i = 0; i < a->n_services; i++)
		if (!same_service(&a->services[i], &b->services[i], inner, sizeof(inner)))
			return differs(why, why_size, "group %u: %s", i + 1, inner);
	return true;
}
