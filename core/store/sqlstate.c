/* SQLSTATE to result: see sqlstate.h. */
#include "core/store/sqlstate.h"

#include <stddef.h>
#include <string.h>

/* The first that matches counts: whole states before classes. */
static const struct {
	const char *prefix;
	enum gy_rc rc;
} table[] = {
	{ "55P03", GY_ROW_BUSY },    /* lock_timeout */
	{ "40001", GY_STORE_RETRY }, /* serialization failure */
	{ "40P01", GY_STORE_RETRY }, /* deadlock: somebody locks out of order; we lost */
	{ "57014", GY_STORE_RETRY }, /* statement_timeout, or cancelled by an operator */
	{ "23505", GY_STORE_RETRY }, /* two nodes made the same row at once */
	{ "26000",
	  GY_STORE_UNAVAILABLE }, /* prepared statement gone: a pooler or DISCARD; connect anew */
	{ "0A000",
	  GY_STORE_UNAVAILABLE }, /* "cached plan must not change result type": a migration */
	{ "25006", GY_STORE_UNAVAILABLE }, /* read-only: a standby that was not promoted (yet) */
	{ "25P03",
	  GY_STORE_UNAVAILABLE },       /* idle-in-transaction timeout: we stood still too long */
	{ "08", GY_STORE_UNAVAILABLE }, /* connection */
	{ "53", GY_STORE_UNAVAILABLE }, /* disk full, out of memory, too many connections */
	{ "57", GY_STORE_UNAVAILABLE }, /* shut down, crash of another backend, starting up */
	{ "58", GY_STORE_UNAVAILABLE }, /* I/O error, out of file handles */
	{ "XX", GY_STORE_UNAVAILABLE }, /* corruption: not ours to decide; nothing is answered */
};

enum gy_rc gy_sqlstate_rc(const char *sqlstate)
{
	if (sqlstate == NULL)
		return GY_STORE_UNAVAILABLE;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strncmp(sqlstate, table[i].prefix, strlen(table[i].prefix)) == 0)
			return table[i].rc;
	return GY_STORE_REFUSED;
}
