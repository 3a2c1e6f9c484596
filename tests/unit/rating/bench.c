/* What a price costs: gy_tariff_rate over rules per code pair and dynamic codes of the subscriber.
 *
 *   rating-bench [MILLISECONDS]     per row; default 100
 *
 * Prints a table of CPU time, the median of eleven rounds; passes and fails nothing. In each row a
 * code pair has so many rules, of which two match (spread over values, as credit levels are);
 * around them stand as many rules of other specific codes and of other Rating-Groups, which can't.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/rating/generate.h"

#define ROUNDS    11
#define CODES_MAX 8

struct shop {
	struct gy_catalogue catalogue;
	struct gy_dynamic dynamic;
	struct gy_specific_rule specific[2];
	struct gy_attribute_type attributes[CODES_MAX];
	struct gy_dynamic_code codes[CODES_MAX];
	struct gy_dynamic_rule *rules;
	struct gy_attribute_value values[CODES_MAX];
	struct gy_code_assignment assignments[CODES_MAX];
	struct gy_attributes subscriber;
	void *memory;
};

static const struct gy_zone_change changes[] = { { INT64_MIN, 3600 } };
static const struct gy_zone zone = { 1, "zone", 1, changes };

static struct gy_value integer(int64_t number)
{
	return (struct gy_value){ .type = GY_VALUE_INTEGER, .number = number };
}

static void add_rule(struct shop *s, struct gy_dynamic_rule rule)
{
	struct gy_dynamic *d = &s->dynamic;

	rule.rule_id = d->n_rules + 1;
	rule.unit = GY_UNIT_OCTETS;
	rule.valid_from_us = INT64_MIN;
	rule.valid_until_us = INT64_MAX;
	s->rules[d->n_rules++] = rule;
}

/* n rules of one code pair: each value i has a factor; ranges of two values have a quota. */
static void add_pair(struct shop *s, int32_t tariff_id, int64_t rating_group, int32_t code_id,
		     unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct gy_dynamic_rule rule = { .tariff_id = tariff_id,
						.code_id = code_id,
						.rating_group = rating_group };

		if (i % 2 == 0) {
			rule.predicate = (struct gy_predicate){ .match = GY_MATCH_EQUAL,
								.low = integer(i / 2) };
			rule.effect =
				(struct gy_effect){ .kind = GY_EFFECT_MULTIPLY, .amount = 1200000 };
		} else {
			rule.predicate = (struct gy_predicate){ .match = GY_MATCH_RANGE,
								.low = integer(i / 2),
								.high = integer(i / 2 + 1) };
			rule.effect = (struct gy_effect){ .kind = GY_EFFECT_ADD,
							  .amount = 1000,
							  .block = 1048576 };
		}
		add_rule(s, rule);
	}
}

static void make(struct shop *s, unsigned n_codes, unsigned per_pair, bool strangers, bool clock)
{
	struct gy_dynamic_fault fault;
	size_t size;

	*s = (struct shop){ .rules =
				    calloc((size_t)n_codes * per_pair * 3 + 1, sizeof(*s->rules)) };
	for (int i = 0; i < 2; i++)
		s->specific[i] = (struct gy_specific_rule){ .rule_id = i + 1,
							    .tariff_id = 1,
							    .rating_group = i == 0 ? 10 : 20,
							    .unit = GY_UNIT_OCTETS,
							    .rate = { 100000, 1048576 },
							    .valid_from_us = INT64_MIN,
							    .valid_until_us = INT64_MAX };
	s->dynamic = (struct gy_dynamic){ .n_attributes = n_codes,
					  .attributes = s->attributes,
					  .n_codes = n_codes,
					  .codes = s->codes,
					  .rules = s->rules,
					  .zones = { 1, &zone, 1 } };
	for (unsigned i = 0; i < n_codes; i++) {
		bool hour = clock && i == 0;

		s->attributes[i] = (struct gy_attribute_type){
			.attribute_id = (int32_t)i + 1,
			.name = "attribute",
			.source = hour ? GY_SOURCE_CLOCK : GY_SOURCE_STORED,
			.derivation = hour ? GY_DERIVE_MINUTE_OF_DAY : GY_DERIVE_NONE,
			.type = GY_VALUE_INTEGER,
			.on_change = GY_CHANGE_NEXT,
		};
		s->codes[i] = (struct gy_dynamic_code){ (int32_t)i + 1, "code", (int32_t)i + 1,
							GY_MISSING_IGNORE };
		add_pair(s, i % 2 == 0 ? 1 : 0, GY_ANY_RATING_GROUP, (int32_t)i + 1, per_pair);
		if (strangers)
			add_pair(s, 1, 20, (int32_t)i + 1, per_pair * 2);
		s->values[i] = (struct gy_attribute_value){ (int32_t)i + 1, integer(per_pair / 4),
							    INT64_MIN, INT64_MAX };
		s->assignments[i] =
			(struct gy_code_assignment){ (int32_t)i + 1, INT64_MIN, INT64_MAX };
	}
	s->subscriber = (struct gy_attributes){ .n_values = n_codes,
						.values = s->values,
						.n_codes = n_codes,
						.codes = s->assignments };
	s->catalogue = (struct gy_catalogue){ .n_rules = 2, .rules = s->specific };
	size = gy_dynamic_memory(&s->dynamic);
	s->memory = malloc(size);
	if (gy_dynamic_compile(&s->catalogue, &s->dynamic, s->memory, size, &fault) != GY_OK) {
		fprintf(stderr, "refused: rule %" PRId64 ": %s\n", fault.rule_id,
			gy_fault_text(fault.reason));
		exit(2);
	}
	s->catalogue.dynamic = &s->dynamic;
}

static void drop(struct shop *s)
{
	free(s->rules);
	free(s->memory);
}

/* CPU time: what else runs shows in the caches only. */
static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Nanoseconds a price; every call at another instant, so that nothing can be kept. */
static double measure(struct shop *s, int milliseconds)
{
	struct gy_rating_input input = { .tariff_id = 1,
					 .rating_group = 10,
					 .attributes = &s->subscriber };
	double rounds[ROUNDS];
	int64_t sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t begin = now_ns(), end = begin + milliseconds * INT64_C(1000000) / ROUNDS;
		int64_t calls = 0, t;

		do {
			for (int i = 0; i < 1000; i++) {
				struct gy_tariff_result result;

				input.now = INT64_C(1717200000000000) + i;
				if (gy_tariff_rate(&s->catalogue, &input, &result, NULL) != GY_OK)
					exit(2);
				sum += result.rate.price_micros;
			}
			calls += 1000;
			t = now_ns();
		} while (t < end);
		rounds[round] = (double)(t - begin) / (double)calls;
	}
	if (sum == 0) /* the compiler may not leave it out */
		exit(2);
	qsort(rounds, ROUNDS, sizeof(rounds[0]), by_number);
	return rounds[ROUNDS / 2];
}

static double row(unsigned n_codes, unsigned per_pair, bool strangers, bool clock, int milliseconds)
{
	struct shop *s = malloc(sizeof(*s));
	double ns;

	make(s, n_codes, per_pair, strangers, clock);
	ns = measure(s, milliseconds);
	drop(s);
	free(s);
	return ns;
}

int main(int argc, char **argv)
{
	static const unsigned pairs[] = { 10, 100, 1000 }, codes[] = { 1, 2, 4, 8 };
	int milliseconds = argc > 1 ? atoi(argv[1]) : 100;
	struct shop *plain = malloc(sizeof(*plain));

	make(plain, 1, 0, false, false);
	plain->catalogue.dynamic = NULL;
	printf("no dynamic rules                         %8.0f ns\n", measure(plain, milliseconds));
	drop(plain);
	free(plain);
	printf("2 codes, 20 rules each                   %8.0f ns\n",
	       row(2, 20, false, false, milliseconds));
	printf("2 codes, 20 rules each, one by the clock %8.0f ns\n",
	       row(2, 20, false, true, milliseconds));
	printf("\nrules of a pair");
	for (size_t c = 0; c < sizeof(codes) / sizeof(codes[0]); c++)
		printf("  %u codes", codes[c]);
	printf("     (ns; then with three times as many rules, that can't match)\n");
	for (size_t p = 0; p < sizeof(pairs) / sizeof(pairs[0]); p++)
		for (int strangers = 0; strangers < 2; strangers++) {
			printf("%6u%s", pairs[p], strangers ? " (x 3)   " : "         ");
			for (size_t c = 0; c < sizeof(codes) / sizeof(codes[0]); c++)
				printf("%9.0f",
				       row(codes[c], pairs[p], strangers, false, milliseconds));
			printf("\n");
		}
	return 0;
}
