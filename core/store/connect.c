/* Connects in time: see connect.h.
 *
 * PQconnectdb waits as long as the network likes, and PQconnectPoll knows no time limit at all: of
 * several servers it goes on to the next only when one refuses. A primary that the network has
 * lost does not refuse, so nodes would never come to the standby that took its place (P4). */
#include "core/store/connect.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* More than libpq has. */
#define OPTIONS_MAX 96

/* What the conninfo says goes first; else a server that the network has lost is given up on after
 * some seconds. */
static const struct {
	const char *keyword, *value;
} defaults[] = {
	{ "tcp_user_timeout", "10000" },
	{ "keepalives_idle", "10" },
	{ "keepalives_interval", "3" },
	{ "keepalives_count", "3" },
};

struct words {
	const char *keyword[OPTIONS_MAX + 1], *value[OPTIONS_MAX + 1];
	unsigned n;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- the servers of a conninfo ---- */

static bool is_listed(const char *keyword)
{
	return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
	       strcmp(keyword, "port") == 0;
}

static unsigned count_of(const char *list)
{
	unsigned n = 1;

	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

/* Lists that don't fit together count as one server: libpq says what is wrong with them. */
static unsigned servers_of(const PQconninfoOption *options)
{
	unsigned hosts = 0, n;

	for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
		if (o->val == NULL || !is_listed(o->keyword))
			continue;
		n = count_of(o->val);
		if (n == 1 && strcmp(o->keyword, "port") == 0)
			continue;
		if (hosts != 0 && n != hosts)
			return 1;
		hosts = n;
	}
	return hosts > 0 ? hosts : 1;
}

/* Leaves in each list nothing but what is at that place; a single port is that of all. */
static void choose(char *list, unsigned place)
{
	const char *from = list;

	if (count_of(list) == 1)
		return;
	for (; place > 0; place--)
		from += strcspn(from, ",") + (from[strcspn(from, ",")] != '\0');
	memmove(list, from, strlen(from) + 1);
	list[strcspn(list, ",")] = '\0';
}

/* --- one attempt ---- */

static void add(struct words *w, const char *keyword, const char *value)
{
	if (w->n == OPTIONS_MAX)
		return;
	w->keyword[w->n] = keyword;
	w->value[w->n++] = value;
	w->keyword[w->n] = NULL;
}

/* Until it is connected, refused, or the time is over. */
static void wait_connected(PGconn *connection, int64_t until_ms)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
		struct pollfd fd = { .fd = PQsocket(connection),
				     .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT };
		int64_t left = until_ms - now_ms();
		int n;

		if (left <= 0 || fd.fd < 0)
			return;
		n = poll(&fd, 1, (int)left);
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0)
			status = PQconnectPoll(connection);
	}
}

/* The conninfo as it is, or taken apart into options for one of its servers. */
static PGconn *attempt(const char *conninfo, const PQconninfoOption *options, int64_t until_ms)
{
	struct words w = { .n = 0 };
	PGconn *connection;

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		add(&w, defaults[i].keyword, defaults[i].value);
	if (options == NULL)
		add(&w, "dbname", conninfo);
	for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
		if (o->val != NULL)
			add(&w, o->keyword, o->val);
	connection = PQconnectStartParams(w.keyword, w.value, options == NULL);
	if (connection != NULL && PQstatus(connection) != CONNECTION_BAD)
		wait_connected(connection, until_ms);
	return connection;
}

static PGconn *attempt_at(const char *conninfo, unsigned place, int64_t until_ms)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	PGconn *connection;

	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
		if (o->val != NULL && is_listed(o->keyword))
			choose(o->val, place);
	connection = attempt(conninfo, options, until_ms);
	PQconninfoFree(options);
	return connection;
}

PGconn *gy_connect_in_time(const char *conninfo, unsigned timeout_ms)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	unsigned servers = servers_of(options);
	int64_t end_ms = now_ms() + timeout_ms;
	PGconn *connection = NULL;

	PQconninfoFree(options);
	if (servers == 1) /* also what only libpq understands: a name alone, a service */
		return attempt(conninfo, NULL, end_ms);
	for (unsigned i = 0; i < servers && PQstatus(connection) != CONNECTION_OK; i++) {
		PQfinish(connection);
		connection =
			attempt_at(conninfo, i, now_ms() + (end_ms - now_ms()) / (servers - i));
	}
	return connection;
}
