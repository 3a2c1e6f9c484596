/* gyrod's log: "2026-01-01T00:00:00.000Z notice text", one line each, at most LINES_PER_SECOND;
 * what is left out is counted. Whoever starts gyrod decides where standard output goes.
 *
 * libfdcore tells its whole configuration at the start, in some 40 notices. They are kept back;
 * only those just before an error, or before a start that fails, are written, since libfdcore
 * sometimes says there what is wrong. At log_level debug all of them are, once the start is over.
 */
#include "extensions/gyrod/gyrod.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#define LINES_PER_SECOND 50
#define LINE_LENGTH      512
#define HEAD_LENGTH      64 /* stamp and level */
#define FATAL_MORE       10
#define KEPT_LINES       64
#define KEPT_CONTEXT     4  /* written before an error */
#define THREAD_NAME      16 /* Linux's, with the zero */

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

/* --- the start ------------------------------------------------------------------------------- */

static char kept[KEPT_LINES][HEAD_LENGTH + LINE_LENGTH]; /* the last ones, in a ring */
static unsigned kept_count;
static bool starting;

/* Under lock: a whole line, with stamp and level. */
static void keep(const char *when, const char *level, const char *text)
{
	snprintf(kept[kept_count % KEPT_LINES], sizeof(kept[0]), "%s %s %s", when, level, text);
	kept_count++;
}

/* Under lock: the last so many, and forgets them. */
static void write_kept(unsigned most)
{
	for (unsigned i = kept_count > most ? kept_count - most : 0; i < kept_count; i++)
		puts(kept[i % KEPT_LINES]);
	kept_count = 0;
	fflush(stdout);
}

void gyrod_log_started(bool well)
{
	pthread_mutex_lock(&lock);
	starting = false;
	if (fd_g_debug_lvl <= FD_LOG_DEBUG)
		write_kept(KEPT_LINES);
	else if (!well)
		write_kept(KEPT_CONTEXT);
	pthread_mutex_unlock(&lock);
}

/* --- lines ----------------------------------------------------------------------------------- */

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
	if (starting && level == FD_LOG_NOTICE) {
		keep(when, level_name(level), text);
	} else if (within_bound(level, &missed)) {
		if (starting && level >= FD_LOG_ERROR)
			write_kept(KEPT_CONTEXT);
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
	starting = true;
	fd_log_handler_register(on_line);
}

/* --- threads --------------------------------------------------------------------------------- */

void gyrod_name_thread(const char *name)
{
	prctl(PR_SET_NAME, name);
}

/* libfdcore's name of the calling thread in Linux's 15 octets. The listing of them is theirs. */
static void shorten(const char *name, char *out, size_t size)
{
	const char *port = strrchr(name, ':');
	int number;

	if (strncmp(name, "{----} ", 7) == 0 && port != NULL) /* "{----} TCP srv [::1]:3868 (5)" */
		snprintf(out, size, "door %.*s %d", (int)strcspn(name + 7, " "), name + 7,
			 atoi(port + 1));
	else if (sscanf(name, "Receiver (%d)", &number) == 1) /* the socket */
		snprintf(out, size, "receive %d", number);
	else if (sscanf(name, "Worker#%d", &number) == 1)
		snprintf(out, size, "worker %d", number);
	else
		snprintf(out, size, "%s", name);
	out[strcspn(out, "(")] = '\0'; /* addresses of no use here */
	for (size_t n = strlen(out); n > 0 && out[n - 1] == ' '; n--)
		out[n - 1] = '\0';
}

__attribute__((visibility("default"))) void fd_log_threadname(const char *name);
void fd_log_threadname(const char *name)
{
	void (*real)(const char *) = (void (*)(const char *))dlsym(RTLD_NEXT, "fd_log_threadname");
	char text[THREAD_NAME];

	real(name);
	/* The main thread's name is the process's: gyrod. */
	if (name == NULL || strcmp(name, "Main") == 0)
		return;
	shorten(name, text, sizeof(text));
	gyrod_name_thread(text);
}
