/* Lines about what was acquired: see inputs.h. */
#include "core/charging/inputs.h"

#include <string.h>

/* Five numbers of at most 20 characters, the blanks, and the longest text. */
#define LINE_MAX (5 * 21 + 21 + GY_TEXT_MAX + 1)

struct line {
	char text[LINE_MAX];
	size_t len;
};

static void put_number(struct line *line, int64_t number)
{
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char digits[20];
	unsigned n = 0;

	if (line->len > 0)
		line->text[line->len++] = ' ';
	if (number < 0)
		line->text[line->len++] = '-';
	do {
		digits[n++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	while (n > 0)
		line->text[line->len++] = digits[--n];
}

/* Control characters would break the line; nobody's attribute means them. */
static void put_text(struct line *line, struct gy_bytes text)
{
	line->text[line->len++] = ' ';
	for (size_t i = 0; i < text.len && i < GY_TEXT_MAX; i++)
		line->text[line->len++] = text.data[i] < ' ' ? '?' : (char)text.data[i];
}

static void put_line(struct gy_inputs *inputs, const struct line *line)
{
	if (inputs->len + line->len + 1 > inputs->room)
		return;
	memcpy(inputs->text + inputs->len, line->text, line->len);
	inputs->len += line->len;
	inputs->text[inputs->len++] = '\n';
}

static void put_numbers(struct gy_inputs *inputs, const int64_t numbers[6])
{
	struct line line = { .len = 0 };

	for (unsigned i = 0; i < 6; i++)
		put_number(&line, numbers[i]);
	put_line(inputs, &line);
}

void gy_inputs_note(struct gy_inputs *inputs, unsigned service, const struct gy_acquired *acquired,
		    const struct gy_counters *counters)
{
	for (unsigned i = 0; i < acquired->n; i++) {
		const struct gy_acquired_code *a = &acquired->codes[i];
		struct line line = { .len = 0 };

		put_number(&line, service);
		put_number(&line, a->code != NULL ? a->code->code_id : 0);
		put_number(&line, a->attribute != NULL ? a->attribute->attribute_id : 0);
		put_number(&line, a->origin);
		put_number(&line, a->value.type);
		if (a->value.type == GY_VALUE_TEXT)
			put_text(&line, a->value.text);
		else
			put_number(&line, a->value.number);
		put_line(inputs, &line);
	}
	for (unsigned i = 0; i < counters->n_free; i++)
		if (counters->free[i].units > 0)
			put_numbers(inputs, (const int64_t[]){ service, counters->free[i].rule_id,
							       0, GY_INPUTS_FREE, GY_VALUE_INTEGER,
							       counters->free[i].units });
}

void gy_inputs_next(struct gy_inputs *inputs, unsigned service, const struct gy_tariff_result *next)
{
	put_numbers(inputs, (const int64_t[]){ service, next->rate.price_micros, next->rate.block,
					       GY_INPUTS_NEXT, GY_VALUE_INTEGER, next->rule_id });
}
