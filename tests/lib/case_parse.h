/* Inside of the .case parser: what case.c (files and steps) and case_line.c (a request line) share.
 *
 * All memory hangs on one list, and the first error leaves by longjmp to the one place that frees
 * it: a parser for tests need not limp on. */
#ifndef GY_TESTS_CASE_PARSE_H
#define GY_TESTS_CASE_PARSE_H

#include <setjmp.h>
#include <string.h>

#include "tests/lib/case.h"

struct block {
	struct block *next;
	max_align_t data[];
};

struct memory {
	struct block *blocks;
};

#define SESSIONS_MAX 64

struct parser {
	struct memory *memory;
	const char *name;
	unsigned line;
	char *error;
	size_t error_size;
	jmp_buf failed;

	/* Of the case that is being read. */
	struct gy_case *current;
	const char *sessions[SESSIONS_MAX];
	int subscriber[SESSIONS_MAX]; /* sticky */
	const struct gy_case_request *last[SESSIONS_MAX];
};

__attribute__((format(printf, 2, 3), noreturn)) void gy_parse_fail(struct parser *p,
								   const char *format, ...);

/* Zeroed memory that lives as long as the file. */
void *gy_parse_take(struct parser *p, size_t size);
char *gy_parse_copy(struct parser *p, const char *text, size_t len);

/* Room for one more element: a larger copy of the array at each power of two. */
void *gy_parse_grow(struct parser *p, const void *array, unsigned n, size_t element);

#define APPEND(p, array, n, value)                                                           \
	do {                                                                                 \
		__typeof__(value) *grown_ = gy_parse_grow((p), (array), (n), sizeof(value)); \
		grown_[(n)++] = (value);                                                     \
		(array) = grown_;                                                            \
	} while (0)

/* The next word of a line, NULL at its end. A group, from '{' to '}', is one word. */
char *gy_parse_word(struct parser *p, const char **cursor);
/* The value of a "name=value" word, NULL if it is another word. */
const char *gy_parse_value(const char *word, const char *name);

/* Decimal digits; false if there are none or they exceed 63 bits. */
bool gy_parse_digits(const char *text, const char **end, int64_t *value);

int gy_parse_subscriber(struct parser *p, const char *word);
int64_t gy_parse_money(struct parser *p, const char *text);
/* 2s, 5m, 24h, 500ms in microseconds. */
int64_t gy_parse_duration(struct parser *p, const char *text);

/* What stands before and after "->". */
const struct gy_case_request *gy_parse_request(struct parser *p, const char *line);
const struct gy_case_expect *gy_parse_expect(struct parser *p, const char *line);

#endif
