/* Exact amounts as people write them: money, sizes, durations, instants.
 *
 * Parsers take the whole text or nothing: no blanks, no floating point, no silent overflow. What a
 * formatter prints, its parser reads back to the same number. */
#ifndef GY_CTL_AMOUNT_H
#define GY_CTL_AMOUNT_H

#include <stdbool.h>
#include <stdint.h>

#define GY_AMOUNT_TEXT 40 /* room for whatever a formatter here prints */

/* "98.80", "-5", "0.000001": at most six decimals, within GY_AMOUNT_MAX; in micro-units. */
bool gy_money_parse(const char *text, int64_t *micros);
/* At least two decimals, further ones only if they are needed: 98.80, 0.000001. */
void gy_money_format(int64_t micros, char out[static GY_AMOUNT_TEXT]);

/* "10MiB", "64KiB", "2GiB", "1TiB", or a plain number of units; not negative. */
bool gy_size_parse(const char *text, int64_t *count);
/* The largest suffix that leaves a whole number: 10MiB, but 1048577. */
void gy_size_format(int64_t count, char out[static GY_AMOUNT_TEXT]);

/* "90s", "10m", "2h", "1d", or a plain number of seconds; not negative. */
bool gy_duration_parse(const char *text, int64_t *seconds);
void gy_duration_format(int64_t seconds, char out[static GY_AMOUNT_TEXT]);

/* A whole number from least to most. */
bool gy_number_parse(const char *text, int64_t least, int64_t most, int64_t *number);

/* "2026-01-31", "2026-01-31T08:00", "2026-01-31 08:00:00.5+08:00", "...Z": without zone it is UTC.
 * Years 1970 to 9999; microseconds since 1970. */
bool gy_instant_parse(const char *text, int64_t *us);
/* As PostgreSQL prints it in UTC: 2026-01-31 08:00:00.5+00 */
void gy_instant_format(int64_t us, char out[static GY_AMOUNT_TEXT]);

#endif
