/* PostgreSQL's binary formats: see binary.h. */
#include "core/store/binary.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/assert.h"

/* PostgreSQL counts time from 2000-01-01. */
#define EPOCH_US INT64_C(946684800000000)

void gy_params_free(struct gy_params *params)
{
	for (unsigned i = 0; i < GY_PARAMS_MAX; i++)
		free(params->param[i].data);
	*params = (struct gy_params){ .n = 0 };
}

void gy_params_begin(struct gy_params *params, unsigned n)
{
	gy_assert(n <= GY_PARAMS_MAX);
	params->n = n;
	params->out_of_memory = false;
	for (unsigned i = 0; i < n; i++)
		params->param[i].len = 0;
}

/* Room for size more octets; NULL without memory. */
static uint8_t *extend(struct gy_params *params, struct gy_param *p, size_t size)
{
	uint8_t *at;

	if (p->len + size > p->room) {
		size_t room = 2 * (p->len + size) + 64;
		uint8_t *data = realloc(p->data, room);

		if (data == NULL) {
			params->out_of_memory = true;
			return NULL;
		}
		p->data = data;
		p->room = room;
	}
	at = p->data + p->len;
	p->len += size;
	return at;
}

static void put16(uint8_t *at, int16_t value)
{
	uint16_t big = htobe16((uint16_t)value);

	memcpy(at, &big, sizeof(big));
}

static void put32(uint8_t *at, int32_t value)
{
	uint32_t big = htobe32((uint32_t)value);

	memcpy(at, &big, sizeof(big));
}

static void put64(uint8_t *at, int64_t value)
{
	uint64_t big = htobe64((uint64_t)value);

	memcpy(at, &big, sizeof(big));
}

static struct gy_param *nth(struct gy_params *params, unsigned number)
{
	gy_assert(number >= 1 && number <= params->n);
	return &params->param[number - 1];
}

/* Dimensions, null flag, type; then for each dimension its size and lower bound. */
void gy_array_begin(struct gy_params *params, unsigned number, enum gy_oid oid, unsigned width)
{
	struct gy_param *p = nth(params, number);
	uint8_t *at;

	p->len = 0;
	p->n = 0;
	p->width = width;
	at = extend(params, p, width > 0 ? 28 : 20);
	if (at == NULL)
		return;
	put32(at, width > 0 ? 2 : 1);
	put32(at + 4, 0);
	put32(at + 8, (int32_t)oid);
}

void gy_array_end(struct gy_params *params, unsigned number)
{
	struct gy_param *p = nth(params, number);

	if (params->out_of_memory)
		return;
	if (p->n == 0) {
		put32(p->data, 0);
		p->len = 12;
		return;
	}
	put32(p->data + 12, (int32_t)(p->width > 0 ? p->n / p->width : p->n));
	put32(p->data + 16, 1);
	if (p->width > 0) {
		gy_assert(p->n % p->width == 0);
		put32(p->data + 20, (int32_t)p->width);
		put32(p->data + 24, 1);
	}
}

static uint8_t *element(struct gy_params *params, unsigned number, size_t size)
{
	struct gy_param *p = nth(params, number);
	uint8_t *at = extend(params, p, 4 + size);

	p->n++;
	if (at == NULL)
		return NULL;
	put32(at, (int32_t)size);
	return at + 4;
}

void gy_array_bool(struct gy_params *params, unsigned number, bool value)
{
	uint8_t *at = element(params, number, 1);

	if (at != NULL)
		*at = value;
}

void gy_array_int2(struct gy_params *params, unsigned number, int16_t value)
{
	uint8_t *at = element(params, number, 2);

	if (at != NULL)
		put16(at, value);
}

void gy_array_int4(struct gy_params *params, unsigned number, int32_t value)
{
	uint8_t *at = element(params, number, 4);

	if (at != NULL)
		put32(at, value);
}

void gy_array_int8(struct gy_params *params, unsigned number, int64_t value)
{
	uint8_t *at = element(params, number, 8);

	if (at != NULL)
		put64(at, value);
}

static int64_t to_database(gy_time_us value)
{
	if (value == INT64_MIN || value == INT64_MAX)
		return value;
	return value - EPOCH_US;
}

void gy_array_time(struct gy_params *params, unsigned number, gy_time_us value)
{
	gy_array_int8(params, number, to_database(value));
}

static void put_uuid(uint8_t *at, struct gy_session_key key)
{
	put64(at, (int64_t)key.hi);
	put64(at + 8, (int64_t)key.lo);
}

void gy_array_uuid(struct gy_params *params, unsigned number, struct gy_session_key key)
{
	uint8_t *at = element(params, number, 16);

	if (at != NULL)
		put_uuid(at, key);
}

void gy_array_text(struct gy_params *params, unsigned number, struct gy_bytes text)
{
	uint8_t *at = element(params, number, text.len);

	if (at != NULL && text.len > 0)
		memcpy(at, text.data, text.len);
}

static uint8_t *value_of(struct gy_params *params, unsigned number, size_t size)
{
	struct gy_param *p = nth(params, number);

	p->len = 0;
	return extend(params, p, size);
}

void gy_value_bool(struct gy_params *params, unsigned number, bool value)
{
	uint8_t *at = value_of(params, number, 1);

	if (at != NULL)
		*at = value;
}

void gy_value_int2(struct gy_params *params, unsigned number, int16_t value)
{
	uint8_t *at = value_of(params, number, 2);

	if (at != NULL)
		put16(at, value);
}

void gy_value_int4(struct gy_params *params, unsigned number, int32_t value)
{
	uint8_t *at = value_of(params, number, 4);

	if (at != NULL)
		put32(at, value);
}

void gy_value_int8(struct gy_params *params, unsigned number, int64_t value)
{
	uint8_t *at = value_of(params, number, 8);

	if (at != NULL)
		put64(at, value);
}

void gy_value_time(struct gy_params *params, unsigned number, gy_time_us value)
{
	gy_value_int8(params, number, to_database(value));
}

void gy_value_uuid(struct gy_params *params, unsigned number, struct gy_session_key key)
{
	uint8_t *at = value_of(params, number, 16);

	if (at != NULL)
		put_uuid(at, key);
}

void gy_value_text(struct gy_params *params, unsigned number, struct gy_bytes text)
{
	uint8_t *at = value_of(params, number, text.len);

	if (at != NULL && text.len > 0)
		memcpy(at, text.data, text.len);
}

int16_t gy_get_int2(const char *value)
{
	uint16_t big;

	memcpy(&big, value, sizeof(big));
	return (int16_t)be16toh(big);
}

int32_t gy_get_int4(const char *value)
{
	uint32_t big;

	memcpy(&big, value, sizeof(big));
	return (int32_t)be32toh(big);
}

int64_t gy_get_int8(const char *value)
{
	uint64_t big;

	memcpy(&big, value, sizeof(big));
	return (int64_t)be64toh(big);
}

gy_time_us gy_get_time(const char *value)
{
	int64_t time = gy_get_int8(value);

	if (time == INT64_MIN || time >= INT64_MAX - EPOCH_US)
		return time == INT64_MIN ? INT64_MIN : INT64_MAX;
	return time + EPOCH_US;
}

struct gy_session_key gy_get_uuid(const char *value)
{
	return (struct gy_session_key){ (uint64_t)gy_get_int8(value),
					(uint64_t)gy_get_int8(value + 8) };
}

bool gy_list_read(const char *value, int len, enum gy_oid oid, struct gy_list *list)
{
	*list = (struct gy_list){ .at = NULL };
	if (len < 12 || gy_get_int4(value + 8) != (int32_t)oid)
		return false;
	if (gy_get_int4(value) == 0)
		return true;
	if (gy_get_int4(value) != 1 || len < 20)
		return false;
	*list = (struct gy_list){ .at = value + 20,
				  .left = (size_t)len - 20,
				  .n = (unsigned)gy_get_int4(value + 12) };
	return list->n <= list->left / 4;
}

bool gy_list_next(struct gy_list *list, struct gy_bytes *element)
{
	int32_t len;

	*element = (struct gy_bytes){ NULL, 0 };
	if (list->left < 4)
		return false;
	len = gy_get_int4(list->at);
	list->at += 4;
	list->left -= 4;
	if (len < 0)
		return true;
	if ((size_t)len > list->left)
		return false;
	*element = (struct gy_bytes){ (const uint8_t *)list->at, (size_t)len };
	list->at += len;
	list->left -= (size_t)len;
	return true;
}

bool gy_matrix_read(const char *value, int len, unsigned width, struct gy_matrix *matrix)
{
	int32_t dimensions;

	*matrix = (struct gy_matrix){ .width = width };
	if (len < 12)
		return false;
	dimensions = gy_get_int4(value);
	if (dimensions == 0)
		return true;
	if (dimensions != 2 || len < 28 || gy_get_int4(value + 4) != 0 ||
	    gy_get_int4(value + 8) != GY_OID_INT8 || gy_get_int4(value + 20) != (int32_t)width)
		return false;
	matrix->rows = (unsigned)gy_get_int4(value + 12);
	matrix->elements = value + 28;
	return (size_t)len == 28 + (size_t)matrix->rows * width * 12;
}

int64_t gy_matrix_at(const struct gy_matrix *matrix, unsigned row, unsigned column)
{
	return gy_get_int8(matrix->elements + ((size_t)row * matrix->width + column) * 12 + 4);
}
