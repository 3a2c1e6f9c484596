/* SQLSTATE to result: the one table that says what an error of the database means for a request. */
#ifndef GY_STORE_SQLSTATE_H
#define GY_STORE_SQLSTATE_H

#include "core/base/result.h"

/* sqlstate: five characters, or NULL when libpq has none (the connection is gone).
 * GY_STORE_RETRY: run the transaction again. GY_STORE_UNAVAILABLE: nobody can be served just now.
 * GY_ROW_BUSY: a lock was not had in time. GY_STORE_REFUSED: the statement itself is at fault. */
enum gy_rc gy_sqlstate_rc(const char *sqlstate);

#endif
