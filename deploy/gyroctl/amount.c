/* See amount.h. */
#include "deploy/gyroctl/amount.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/limits.h"

#define MICROS 1000000
#define DAY_S  86400

struct suffix {
	const char *name;
	int64_t factor;
};

/* Smallest first; the first one is what no suffix means. */
static const struct suffix sizes[] = {
	{ "", 1 },
	{ "KiB", INT64_C(1) << 10 },
	{ "MiB", INT64_C(1) << 20 },
	{ "GiB", INT64_C(1) << 30 },
	{ "TiB", INT64_C(1) << 40 },
};
static const struct suffix durations[] = {
	{ "s", 1 },
	{ "m", 60 },
	{ "h", 3600 },
	{ "d", DAY_S },
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Digits at *text, at least one; moves it past them. False: none, or beyond GY_AMOUNT_MAX. */
static bool digits(const char **text, int64_t *number)
{
	const char *p = *text;

	*number = 0;
	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		if (*number > (GY_AMOUNT_MAX - (*p - '0')) / 10)
			return false;
		*number = *number * 10 + (*p - '0');
	}
	*text = p;
	return true;
}

bool gy_money_parse(const char *text, int64_t *micros)
{
	bool negative = *text == '-';
	int64_t whole, part = 0;

	if (negative)
		text++;
	if (!digits(&text, &whole) || whole > GY_AMOUNT_MAX / MICROS)
		return false;
	if (*text == '.') {
		int places = 0;

		for (text++; isdigit((unsigned char)*text) && places < 6; text++, places++)
			part = part * 10 + (*text - '0');
		if (places == 0)
			return false;
		for (; places < 6; places++)
			part *= 10;
	}
	whole = whole * MICROS + part;
	if (*text != '\0' || whole > GY_AMOUNT_MAX)
		return false;
	*micros = negative ? -whole : whole;
	return true;
}

/* Cuts zeros off the end of a fraction, down to so many places. */
static void trim_zeros(char *fraction, size_t places)
{
	for (size_t n = strlen(fraction); n > places && fraction[n - 1] == '0'; n--)
		fraction[n - 1] = '\0';
}

void gy_money_format(int64_t micros, char out[static GY_AMOUNT_TEXT])
{
	uint64_t n = micros < 0 ? -(uint64_t)micros : (uint64_t)micros;
	char fraction[8];

	snprintf(fraction, sizeof(fraction), "%06u", (unsigned)(n % MICROS));
	trim_zeros(fraction, 2);
	snprintf(out, GY_AMOUNT_TEXT, "%s%" PRIu64 ".%s", micros < 0 ? "-" : "", n / MICROS,
		 fraction);
}

static bool suffixed_parse(const char *text, const struct suffix *suffixes, size_t n, int64_t *out)
{
	int64_t number;

	if (!digits(&text, &number))
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, suffixes[i].name) == 0 || (i == 0 && *text == '\0')) {
			if (number > GY_AMOUNT_MAX / suffixes[i].factor)
				return false;
			*out = number * suffixes[i].factor;
			return true;
		}
	return false;
}

static void suffixed_format(int64_t number, const struct suffix *suffixes, size_t n, char *out)
{
	size_t i = 0;

	while (number != 0 && i + 1 < n && number % suffixes[i + 1].factor == 0)
		i++;
	snprintf(out, GY_AMOUNT_TEXT, "%" PRId64 "%s", number / suffixes[i].factor,
		 suffixes[i].name);
}

bool gy_size_parse(const char *text, int64_t *count)
{
	return suffixed_parse(text, sizes, COUNT(sizes), count);
}

void gy_size_format(int64_t count, char out[static GY_AMOUNT_TEXT])
{
	suffixed_format(count, sizes, COUNT(sizes), out);
}

bool gy_duration_parse(const char *text, int64_t *seconds)
{
	return suffixed_parse(text, durations, COUNT(durations), seconds);
}

void gy_duration_format(int64_t seconds, char out[static GY_AMOUNT_TEXT])
{
	suffixed_format(seconds, durations, COUNT(durations), out);
}

bool gy_number_parse(const char *text, int64_t least, int64_t most, int64_t *number)
{
	bool negative = *text == '-';
	int64_t n;

	if (negative)
		text++;
	if (!digits(&text, &n) || *text != '\0')
		return false;
	n = negative ? -n : n;
	if (n < least || n > most)
		return false;
	*number = n;
	return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar; years are counted from March, so that
 * the leap day is a year's last. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t m = month > 2 ? month - 3 : month + 9;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int days_in(int64_t year, int64_t month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month - 1];
}

/* Exactly width digits. */
static bool field(const char **text, int width, int64_t *number)
{
	*number = 0;
	for (int i = 0; i < width; i++, (*text)++) {
		if (!isdigit((unsigned char)**text))
			return false;
		*number = *number * 10 + (**text - '0');
	}
	return true;
}

static bool literal(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

static bool date_parse(const char **text, int64_t *days)
{
	int64_t year, month, day;

	if (!field(text, 4, &year) || !literal(text, '-') || !field(text, 2, &month) ||
	    !literal(text, '-') || !field(text, 2, &day))
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in(year, month))
		return false;
	*days = days_since_1970(year, month, day);
	return true;
}

/* HH:MM[:SS[.ffffff]] */
static bool clock_parse(const char **text, int64_t *us)
{
	int64_t hour, minute, second = 0, fraction = 0;

	if (!field(text, 2, &hour) || !literal(text, ':') || !field(text, 2, &minute))
		return false;
	if (literal(text, ':')) {
		if (!field(text, 2, &second))
			return false;
		if (literal(text, '.')) {
			int64_t unit = MICROS / 10;

			if (!isdigit((unsigned char)**text))
				return false;
			for (; isdigit((unsigned char)**text); (*text)++, unit /= 10) {
				if (unit == 0)
					return false;
				fraction += unit * (**text - '0');
			}
		}
	}
	if (hour > 23 || minute > 59 || second > 59)
		return false;
	*us = ((hour * 60 + minute) * 60 + second) * MICROS + fraction;
	return true;
}

/* Nothing, Z, +08, +08:00; in seconds east. */
static bool zone_parse(const char **text, int64_t *east_s)
{
	int64_t hours, minutes = 0;
	int sign;

	*east_s = 0;
	if (**text == '\0' || literal(text, 'Z'))
		return true;
	sign = **text == '-' ? -1 : 1;
	if (!literal(text, '+') && !literal(text, '-'))
		return false;
	if (!field(text, 2, &hours))
		return false;
	if (**text != '\0' && (!literal(text, ':') || !field(text, 2, &minutes)))
		return false;
	if (hours > 15 || minutes > 59)
		return false;
	*east_s = sign * (hours * 60 + minutes) * 60;
	return true;
}

bool gy_instant_parse(const char *text, int64_t *us)
{
	int64_t days, clock_us = 0, east_s = 0;

	if (!date_parse(&text, &days))
		return false;
	if (*text != '\0') {
		if (!literal(&text, 'T') && !literal(&text, ' '))
			return false;
		if (!clock_parse(&text, &clock_us) || !zone_parse(&text, &east_s))
			return false;
	}
	if (*text != '\0')
		return false;
	*us = (days * DAY_S - east_s) * MICROS + clock_us;
	return *us >= 0;
}

void gy_instant_format(int64_t us, char out[static GY_AMOUNT_TEXT])
{
	int64_t seconds = us / MICROS, days = seconds / DAY_S;
	unsigned second = (unsigned)(seconds % DAY_S);
	int64_t year = 1970 + days / 366; /* never too late */
	int64_t month = 1;
	char fraction[8];

	while (days >= days_since_1970(year + 1, 1, 1))
		year++;
	while (month < 12 && days >= days_since_1970(year, month + 1, 1))
		month++;
	snprintf(fraction, sizeof(fraction), ".%06u", (unsigned)(us % MICROS));
	trim_zeros(fraction, 1);
	snprintf(out, GY_AMOUNT_TEXT, "%04u-%02u-%02u %02u:%02u:%02u%s+00", (unsigned)year % 10000,
		 (unsigned)month % 100,
		 (unsigned)(days - days_since_1970(year, month, 1) + 1) % 100, second / 3600,
		 second / 60 % 60, second % 60, fraction[1] ? fraction : "");
}
