/* Fuzz target: loading the rules of dynamic tariffs, and pricing with them.
 *
 * The bytes become a snapshot, sound or not: counts, fields and texts as they come. Checking it
 * must not read or write outside of what it is given; one that is accepted must then price every
 * request without failing, and price it alike with its rules in another order. */
#include <stdlib.h>
#include <string.h>

#include "core/base/assert.h"
#include "core/rating/generate.h"
#include "tests/fuzz/fuzz.h"

#define THINGS 24
#define VALUES 96

struct source {
	const uint8_t *at, *end;
};

static uint8_t octet(struct source *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

/* Mostly small; sometimes anything. */
static int64_t number(struct source *s)
{
	uint8_t kind = octet(s);
	int64_t value = 0;

	if (kind < 200)
		return (int64_t)kind - 8;
	if (kind < 206)
		return kind & 1 ? INT64_MAX - (kind >> 1 & 1) : INT64_MIN + (kind >> 1 & 1);
	for (int i = 0; i < kind % 9; i++)
		value = (int64_t)((uint64_t)value << 8 | octet(s));
	return value;
}

static int64_t scaled(struct source *s, uint64_t by)
{
	return (int64_t)((uint64_t)number(s) * by);
}

static struct gy_bytes text(struct source *s)
{
	size_t n = octet(s) % 12;
	struct gy_bytes t = { s->at, n };

	if ((size_t)(s->end - s->at) < n)
		t.len = (size_t)(s->end - s->at);
	s->at += t.len;
	return t;
}

static struct gy_value value(struct source *s)
{
	struct gy_value v = { .type = (enum gy_value_type)(octet(s) % 7) };

	if (v.type == GY_VALUE_TEXT)
		v.text = text(s);
	else
		v.number = number(s);
	return v;
}

struct shop {
	struct gy_catalogue catalogue;
	struct gy_dynamic dynamic;
	struct gy_specific_rule specific[4];
	struct gy_attribute_type attributes[THINGS];
	struct gy_dynamic_code codes[THINGS];
	struct gy_dynamic_rule rules[THINGS], backwards[THINGS];
	struct gy_zone zones[3];
	struct gy_zone_change changes[3][4];
	struct gy_calendar calendars[2];
	int32_t days[2][4];
	struct gy_bytes homes[2];
	unsigned n_values;
	struct gy_value values[VALUES];
};

static void fill_times(struct source *s, struct gy_dynamic *d, struct shop *shop)
{
	d->zones.n = octet(s) % 4;
	for (unsigned i = 0; i < d->zones.n; i++) {
		shop->zones[i] = (struct gy_zone){ .zone_id = (int32_t)number(s),
						   .name = "z",
						   .n_changes = octet(s) % 5,
						   .changes = shop->changes[i] };
		for (unsigned k = 0; k < shop->zones[i].n_changes; k++)
			shop->changes[i][k] = (struct gy_zone_change){ scaled(s, GY_SECOND_US / 64),
								       (int32_t)number(s) };
	}
	d->zones.default_zone_id = (int32_t)number(s);
	d->n_calendars = octet(s) % 3;
	for (unsigned i = 0; i < d->n_calendars; i++) {
		shop->calendars[i] = (struct gy_calendar){ .calendar_id = (int32_t)number(s),
							   .name = "c",
							   .n_days = octet(s) % 5,
							   .days = shop->days[i] };
		for (unsigned k = 0; k < shop->calendars[i].n_days; k++)
			shop->days[i][k] = (int32_t)number(s);
	}
	d->n_home_networks = octet(s) % 3;
	for (unsigned i = 0; i < d->n_home_networks; i++)
		shop->homes[i] = text(s);
}

static void fill_names(struct source *s, struct gy_dynamic *d, struct shop *shop)
{
	d->n_attributes = octet(s) % THINGS;
	for (unsigned i = 0; i < d->n_attributes; i++) {
		uint8_t plain = octet(s);

		shop->attributes[i] = (struct gy_attribute_type){ .attribute_id = (int32_t)i + 1,
								  .name = "a",
								  .source = GY_SOURCE_STORED,
								  .type = 1 + plain % 5,
								  .on_change = GY_CHANGE_NEXT };
		if (plain < 128)
			continue;
		shop->attributes[i].source = (enum gy_attribute_source)(octet(s) % 7);
		shop->attributes[i].derivation = (enum gy_derivation)octet(s);
		shop->attributes[i].fallback = value(s);
		shop->attributes[i].calendar_id = (int32_t)number(s);
		shop->attributes[i].all_groups = plain & 1;
	}
	d->n_codes = octet(s) % THINGS;
	for (unsigned i = 0; i < d->n_codes; i++)
		shop->codes[i] = (struct gy_dynamic_code){ (int32_t)i + 1, "c", (int32_t)number(s),
							   (enum gy_on_missing)(octet(s) % 4) };
}

static struct gy_dynamic_rule rule(struct source *s, struct shop *shop)
{
	struct gy_dynamic_rule r = {
		.rule_id = number(s),
		.tariff_id = octet(s) % 4,
		.code_id = (int32_t)number(s),
		.attribute_id = octet(s) % 8 < 6 ? 0 : (int32_t)number(s),
		.rating_group = octet(s) % 4 < 2 ? GY_ANY_RATING_GROUP : number(s),
		.unit = (enum gy_unit)(octet(s) % 6),
		.precedence = (int32_t)number(s),
		.stack_group = octet(s) % 4,
		.valid_from_us = INT64_MIN,
		.valid_until_us = INT64_MAX,
	};
	struct gy_predicate *p = &r.predicate;

	p->match = (enum gy_match)(octet(s) % 7);
	p->low = value(s);
	p->high = value(s);
	p->set = &shop->values[shop->n_values];
	for (unsigned n = octet(s) % 8; n > 0 && shop->n_values < VALUES; n--, p->n_set++)
		shop->values[shop->n_values++] = value(s);
	r.effect = (struct gy_effect){ .kind = (enum gy_effect_kind)(octet(s) % 12),
				       .amount = number(s),
				       .block = octet(s) % 4 == 0 ? number(s) : 0,
				       .redirect_type = (enum gy_redirect_type)(octet(s) % 5),
				       .address = octet(s) % 2 == 0 ? NULL : "http://x.test/" };
	if (octet(s) % 4 == 0) {
		r.valid_from_us = scaled(s, 1000);
		r.valid_until_us = scaled(s, 1000);
	}
	return r;
}

static void fill(struct source *s, struct shop *shop)
{
	struct gy_dynamic *d = &shop->dynamic;

	*d = (struct gy_dynamic){ .attributes = shop->attributes,
				  .codes = shop->codes,
				  .rules = shop->rules,
				  .zones = { .zones = shop->zones },
				  .calendars = shop->calendars,
				  .home_networks = shop->homes };
	shop->n_values = 0;
	fill_times(s, d, shop);
	fill_names(s, d, shop);
	d->n_rules = octet(s) % THINGS;
	for (unsigned i = 0; i < d->n_rules; i++)
		shop->rules[i] = rule(s, shop);
	for (unsigned i = 0; i < d->n_rules; i++)
		shop->backwards[i] = shop->rules[d->n_rules - 1 - i];
	for (unsigned i = 0; i < 4; i++)
		shop->specific[i] = (struct gy_specific_rule){
			.rule_id = i + 1,
			.tariff_id = (int32_t)(i / 2) + 1,
			.rating_group = 1 + i % 2,
			.unit = i == 3 ? GY_UNIT_SECONDS : GY_UNIT_OCTETS,
			.kind = i == 2 ? GY_RULE_FREE : GY_RULE_PRICED,
			.rate = { i == 2 ? 0 : 100000, i == 2 ? 1 : 1048576 },
			.valid_from_us = INT64_MIN,
			.valid_until_us = INT64_MAX,
		};
	shop->catalogue = (struct gy_catalogue){ .n_rules = 4, .rules = shop->specific };
}

/* Prices a few requests; their results one after the other. */
static void ask(const struct shop *shop, struct source s, struct gy_tariff_result results[8])
{
	struct gy_attribute_value values[8];
	struct gy_code_assignment codes[8];
	struct gy_attributes a = { .n_values = 8, .values = values, .n_codes = 8, .codes = codes };
	uint8_t rat = octet(&s);
	struct gy_network network = { .apn = text(&s),
				      .serving_mcc_mnc = text(&s),
				      .rat_type = { &rat, 1 },
				      .location = text(&s) };
	struct gy_counters counters = { .at_us = 0,
					.group = { 5, 5, 5, 5 },
					.all = { 9, 9, 9, 9 } };

	for (int i = 0; i < 8; i++) {
		values[i] = (struct gy_attribute_value){ (int32_t)number(&s), value(&s), INT64_MIN,
							 INT64_MAX };
		codes[i] = (struct gy_code_assignment){ (int32_t)number(&s), INT64_MIN, INT64_MAX };
	}
	for (int i = 0; i < 8; i++) {
		struct gy_rating_input input = { .tariff_id = 1 + i % 2,
						 .rating_group = (uint32_t)(1 + i / 2 % 2),
						 .now = i * INT64_C(3000000) - 5000000,
						 .attributes = &a,
						 .network = &network,
						 .counters = &counters };
		enum gy_rc rc = gy_tariff_rate(&shop->catalogue, &input, &results[i], NULL);

		gy_assert(rc == GY_OK);
		gy_assert(results[i].kind != GY_RULE_PRICED ||
			  (results[i].rate.price_micros >= 0 && results[i].rate.block > 0));
		gy_assert(results[i].valid_until_us > input.now);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shop *shop = calloc(1, sizeof(*shop));
	struct source s = { data, data + size };
	struct gy_tariff_result first[8], second[8];
	struct gy_dynamic_fault fault;
	void *memory;
	size_t room;

	fill(&s, shop);
	room = gy_dynamic_memory(&shop->dynamic);
	memory = malloc(room);
	if (gy_dynamic_compile(&shop->catalogue, &shop->dynamic, memory, room, &fault) == GY_OK) {
		shop->catalogue.dynamic = &shop->dynamic;
		ask(shop, s, first);
		shop->dynamic.rules = shop->backwards;
		gy_assert(gy_dynamic_compile(&shop->catalogue, &shop->dynamic, memory, room,
					     &fault) == GY_OK);
		ask(shop, s, second);
		for (int i = 0; i < 8; i++)
			gy_assert(gy_tariff_same(&first[i], &second[i]) &&
				  first[i].valid_until_us == second[i].valid_until_us);
	} else {
		gy_assert(fault.reason > GY_FAULT_NONE && fault.reason < GY_FAULT_COUNT);
	}
	free(memory);
	free(shop);
	return 0;
}

/* Any octets are a snapshot; sound ones come about by themselves. */
size_t fuzz_seed(unsigned n, uint8_t *out)
{
	uint64_t state = n + 1;

	if (n >= 64)
		return 0;
	for (size_t i = 0; i < 2048; i++)
		out[i] = (uint8_t)(fuzz_next(&state) % (n % 4 == 0 ? 256 : 12));
	return 2048;
}
