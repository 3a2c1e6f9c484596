/* What happened, as a person would like to read it (a table) or a program (JSON). */
#ifndef GY_CLIENT_REPORT_H
#define GY_CLIENT_REPORT_H

#include "tests/client/client.h"

struct gy_report;

struct gy_report *gy_report_new(bool json);

/* A request and its answer; reply NULL: there was none. */
void gy_report_exchange(struct gy_report *report, const struct gy_exchange *exchange,
			const struct gy_reply *reply);

/* A line of its own between the requests; takes printf's arguments. */
__attribute__((format(printf, 2, 3))) void gy_report_note(struct gy_report *report,
							  const char *format, ...);

/* Prints everything on standard output. session_id may be NULL. Frees the report. */
void gy_report_print(struct gy_report *report, const char *session_id);

/* "10 MiB", "1234567", "60 s": exact, as short as that allows. */
void gy_report_quantity(char *to, size_t size, enum gy_case_quantity quantity, int64_t count);

#endif
