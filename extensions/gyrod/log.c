/* gyrod's log: "2026-01-01T00:00:00.000Z notice text", one line each, at most LINES_PER_SECOND;
 * what is left out is counted. Whoever starts gyrod decides where standard output goes. */
#include "extensions/gyrod/gyrod.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#define LINES_PER_SECOND 50
#define LINE_LENGTH      512
#define FATAL_MORE       10

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static time_t second;
static unsigned lines, suppressed;

static const char *level_name(int level)
{
	/* 2 and 4 are ours; freeDiameter leaves them free. */
	static const char *const names[] = { "debug",   "debug", "info", "notice",
					     "warning", "error", "fatal" };

	return level >= 0 && level < 7 ? names[level] : "error";
}

static void stamp(char *out, size_t size)
{
	struct timespec now;
	struct tm utc;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
}

/* Under lock. False: over the bound, of which fatal lines may fill the last part. */
static bool within_bound(int level, unsigned *missed)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec != second) {
		second = now.tv_sec;
		lines = 0;
	}
	if (lines >= (level >= FD_LOG_FATAL ? LINES_PER_SECOND + FATAL_MORE : LINES_PER_SECOND)) {
		suppressed++;
		return false;
	}
	lines++;
	*missed = suppressed;
	suppressed = 0;
	return true;
}

static void unlock(void *mutex)
{
	pthread_mutex_unlock(mutex);
}

__attribute__((format(printf, 2, 0))) static void on_line(int level, const char *format,
							  va_list args)
{
	unsigned missed = 0;
	char when[48], text[LINE_LENGTH];

	if (level < fd_g_debug_lvl)
		return;
	stamp(when, sizeof(when));
	vsnprintf(text, sizeof(text), format, args);
	/* Names and texts of peers are in there: they end no line and steer no terminal. */
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	/* libfdcore cancels threads, also ones that are just writing a line. */
	pthread_mutex_lock(&lock);
	pthread_cleanup_push(unlock, &lock);
	if (within_bound(level, &missed)) {
		if (missed > 0)
			printf("%s notice %u lines left out\n", when, missed);
		printf("%s %s %s\n", when, level_name(level), text);
		fflush(stdout);
	}
	pthread_cleanup_pop(1);
}

void gyrod_say(const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&lock);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

void gyrod_log_start(void)
{
	fd_log_handler_register(on_line);
}
