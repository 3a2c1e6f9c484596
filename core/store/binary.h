/* PostgreSQL's binary formats, as far as the store needs them: parameters out, results in.
 *
 * Array parameters are built element by element into a buffer that is kept from batch to batch.
 * Reading trusts the server about lengths no more than the bytes received allow. */
#ifndef GY_STORE_BINARY_H
#define GY_STORE_BINARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/result.h"
#include "core/base/units.h"
#include "core/charging/ccr.h"

/* Type numbers of PostgreSQL's catalogue; fixed for ever. */
enum gy_oid {
	GY_OID_BOOL = 16,
	GY_OID_INT8 = 20,
	GY_OID_INT2 = 21,
	GY_OID_INT4 = 23,
	GY_OID_TEXT = 25,
	GY_OID_TIMESTAMPTZ = 1184,
	GY_OID_UUID = 2950,
};

/* One parameter. Bytes grow by realloc and stay; out of memory is noted and told by
 * gy_params_ok. */
struct gy_param {
	uint8_t *data;
	size_t len, room;
	unsigned n;     /* elements so far */
	unsigned width; /* of a matrix; 0: a list */
};

#define GY_PARAMS_MAX 61

struct gy_params {
	struct gy_param param[GY_PARAMS_MAX];
	unsigned n; /* in use */
	bool out_of_memory;
};

void gy_params_free(struct gy_params *params);

/* Starts anew with n parameters; each is then begun as an array or set as one value. */
void gy_params_begin(struct gy_params *params, unsigned n);

/* A list (width 0) or a matrix of so many columns; parameter numbers count from 1 as in SQL. */
void gy_array_begin(struct gy_params *params, unsigned number, enum gy_oid oid, unsigned width);
void gy_array_bool(struct gy_params *params, unsigned number, bool value);
void gy_array_int2(struct gy_params *params, unsigned number, int16_t value);
void gy_array_int4(struct gy_params *params, unsigned number, int32_t value);
void gy_array_int8(struct gy_params *params, unsigned number, int64_t value);
/* INT64_MIN and INT64_MAX are -infinity and infinity. */
void gy_array_time(struct gy_params *params, unsigned number, gy_time_us value);
void gy_array_uuid(struct gy_params *params, unsigned number, struct gy_session_key key);
/* Bytes that aren't text PostgreSQL takes (NUL, bad UTF-8) must not get here. */
void gy_array_text(struct gy_params *params, unsigned number, struct gy_bytes text);
/* Writes the dimensions; after the last element. */
void gy_array_end(struct gy_params *params, unsigned number);

void gy_value_bool(struct gy_params *params, unsigned number, bool value);
void gy_value_int2(struct gy_params *params, unsigned number, int16_t value);
void gy_value_int4(struct gy_params *params, unsigned number, int32_t value);
void gy_value_int8(struct gy_params *params, unsigned number, int64_t value);
void gy_value_time(struct gy_params *params, unsigned number, gy_time_us value);
void gy_value_uuid(struct gy_params *params, unsigned number, struct gy_session_key key);
void gy_value_text(struct gy_params *params, unsigned number, struct gy_bytes text);

/* --- results ---- */

int16_t gy_get_int2(const char *value);
int32_t gy_get_int4(const char *value);
int64_t gy_get_int8(const char *value);
gy_time_us gy_get_time(const char *value);
struct gy_session_key gy_get_uuid(const char *value);

/* A list of one dimension in a result, read from its first element to its last. */
struct gy_list {
	const char *at;
	size_t left; /* octets */
	unsigned n;  /* elements */
};

/* False if the value is no list of this type (an empty array is one of no elements). */
bool gy_list_read(const char *value, int len, enum gy_oid oid, struct gy_list *list) GY_MUST_CHECK;
/* False at the end. data NULL: the element is NULL. */
bool gy_list_next(struct gy_list *list, struct gy_bytes *element);

/* A bigint matrix in a result. */
struct gy_matrix {
	const char *elements; /* of 12 octets each: length, value */
	unsigned rows, width;
};

/* False if the value is no bigint matrix of this width (an empty array is one of no rows). */
bool gy_matrix_read(const char *value, int len, unsigned width,
		    struct gy_matrix *matrix) GY_MUST_CHECK;
/* Row and column from 0. */
int64_t gy_matrix_at(const struct gy_matrix *matrix, unsigned row, unsigned column);

#endif
