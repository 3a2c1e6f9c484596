/* Order of typed values and of pushed values. */
#include "core/rating/attribute.h"

#include <string.h>

static int compare_bytes(struct gy_bytes a, struct gy_bytes b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len == 0 ? 0 : memcmp(a.data, b.data, len);

	if (order != 0)
		return order < 0 ? -1 : 1;
	return (a.len > b.len) - (a.len < b.len);
}

int gy_value_compare(const struct gy_value *a, const struct gy_value *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->type == GY_VALUE_TEXT)
		return compare_bytes(a->text, b->text);
	return (a->number > b->number) - (a->number < b->number);
}

int gy_pushed_compare(const void *a, const void *b)
{
	const struct gy_pushed_value *x = a, *y = b;
	int order;

	if (x->attribute_id != y->attribute_id)
		return x->attribute_id < y->attribute_id ? -1 : 1;
	order = compare_bytes(x->scope, y->scope);
	if (order != 0)
		return order;
	return (x->valid_from_us > y->valid_from_us) - (x->valid_from_us < y->valid_from_us);
}
