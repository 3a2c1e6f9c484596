/* Traces in answers, for people with Wireshark: which rule did what to the price (Tariff-Trace),
 * which source gave how many units (Bucket-Trace). Off unless the configuration asks for them; a
 * copy's answer, which comes from the store, has none. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <talloc.h>

#include "core/charging/service.h"
#include "core/engine/batch.h"

#define TEXT_MAX 2048 /* a CCA stays small whatever the rules are */
#define ENTRIES  64

struct text {
	char *words; /* NULL: out of memory */
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
	va_list words;
	int n;

	if (text->words == NULL || text->len + 1 >= TEXT_MAX)
		return;
	va_start(words, format);
	n = vsnprintf(text->words + text->len, TEXT_MAX - text->len, format, words);
	va_end(words);
	if (n > 0)
		text->len = text->len + (size_t)n < TEXT_MAX ? text->len + (size_t)n : TEXT_MAX - 1;
}

static void say_source(struct text *text, enum gy_from from, int64_t id, int64_t units,
		       struct gy_rate rate)
{
	switch (from) {
	case GY_FROM_CARD:
		say(text, " card c%" PRId64 " %" PRId64, id, units);
		break;
	case GY_FROM_FREE:
		say(text, " free (rule %" PRId64 ") %" PRId64, id, units);
		break;
	case GY_FROM_MONEY:
		say(text,
		    " money (rule %" PRId64 ", %" PRId64 " micro-units per %" PRId64 ") %" PRId64,
		    id, rate.price_micros, rate.block, units);
		break;
	}
}

/* Which charges of the record are the n-th service's: its own and the parts behind it. */
static unsigned first_charge(const struct gy_record *record, unsigned service)
{
	unsigned i = 0;

	for (; i < record->n_charges; i++)
		if (!(record->charges[i].flags & GY_CHARGE_PART) && service-- == 0)
			break;
	return i;
}

static void say_used(struct text *text, const struct gy_record *record, unsigned service)
{
	unsigned first = first_charge(record, service);

	for (unsigned i = first; i < record->n_charges; i++) {
		const struct gy_charge *charge = &record->charges[i];

		if (i > first && !(charge->flags & GY_CHARGE_PART))
			return;
		if (charge->from == 0)
			continue;
		say(text, "%s", i == first ? "used:" : ";");
		say_source(text, charge->from, charge->from_id, charge->used, charge->debit_rate);
	}
}

static void say_granted(struct text *text, const struct gy_account *a,
			const struct gy_reservation *row)
{
	unsigned n = 0;

	if (row->granted == 0)
		return;
	say(text, "%sgranted:", text->len > 0 ? ". " : "");
	for (unsigned i = 0; i < a->n_slices; i++) {
		const struct gy_slice *slice = &a->slices[i];

		if (slice->reservation != (unsigned)(row - a->reservations) || slice->units == 0)
			continue;
		say(text, "%s%s", n > 0 ? ";" : "", slice->phase == 1 ? " after the change:" : "");
		say_source(text, slice->from, slice->from_id, slice->units, slice->rate);
		n++;
	}
	if (n == 0)
		say_source(text, GY_FROM_MONEY, row->rule_id, row->granted, row->rate);
}

static void say_price(struct text *text, const struct gy_trace *trace)
{
	for (unsigned i = 0; i < trace->n; i++) {
		const struct gy_trace_entry *entry = &trace->entries[i];

		if (entry->verdict != GY_VERDICT_APPLIED && entry->verdict != GY_VERDICT_DENIED)
			continue;
		say(text, "%s%s by rule %" PRId64, text->len > 0 ? "; " : "",
		    gy_stage_name(entry->stage), entry->rule_id);
		if (entry->rate.block != 0)
			say(text, ": %" PRId64 " micro-units per %" PRId64,
			    entry->rate.price_micros, entry->rate.block);
	}
}

static struct text begin(void *pool)
{
	return (struct text){ talloc_zero_size(pool, TEXT_MAX), 0 };
}

static const char *end(const struct text *text)
{
	return text->len > 0 ? text->words : NULL;
}

void gy_answer_trace(void *pool, const struct gy_ccr *ccr, const struct gy_view *view,
		     const struct gy_catalogue *catalogue, gy_time_us now, struct gy_plan *plan)
{
	int session = gy_session_find(view->account, ccr->session);

	if (!plan->changed)
		return;
	for (unsigned i = 0; i < plan->answer.n_services && i < ccr->n_services; i++) {
		struct gy_service_answer *service = &plan->answer.services[i];
		struct text bucket = begin(pool), tariff = begin(pool);
		struct gy_trace_entry entries[ENTRIES];
		struct gy_trace trace = { .room = ENTRIES, .entries = entries };
		unsigned charge = first_charge(&plan->record, i);
		struct gy_reservation *row = NULL;

		if (session >= 0 && charge < plan->record.n_charges)
			row = gy_reservation_find(view->account, (unsigned)session,
						  plan->record.charges[charge].rating_group,
						  ccr->services[i].service_key);
		say_used(&bucket, &plan->record, i);
		if (row != NULL)
			say_granted(&bucket, view->account, row);
		gy_service_trace(ccr, view, catalogue, now, i, &trace);
		say_price(&tariff, &trace);
		service->bucket_trace = end(&bucket);
		service->tariff_trace = end(&tariff);
	}
}
