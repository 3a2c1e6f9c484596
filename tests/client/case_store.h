/* The database behind the node that .case files are run against: the fixture put back before each
 * case, what the operator does, what is looked up.
 *
 * It deletes what was charged. So it refuses a database that does not look like a fixture's. */
#ifndef GY_CLIENT_CASE_STORE_H
#define GY_CLIENT_CASE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gy_case_store;

/* Functions that return bool say in gy_case_store_error what is wrong. */

/* NULL after saying on stderr why not. */
struct gy_case_store *gy_case_store_open(const char *conninfo);
void gy_case_store_close(struct gy_case_store *store);
const char *gy_case_store_error(const struct gy_case_store *store);

/* Everything as it was when the catalogue was applied. */
bool gy_case_store_restore(struct gy_case_store *store);

/* The identity of subscriber number, by kind (enum gy_case_identity_kind); NULL: has none. */
const char *gy_case_store_identity(const struct gy_case_store *store, int number, int kind);

bool gy_case_store_account(struct gy_case_store *store, int number, int64_t *balance,
			   int64_t *reserved);
bool gy_case_store_bar(struct gy_case_store *store, int number, bool barred);
bool gy_case_store_topup(struct gy_case_store *store, int number, int64_t micros);

/* gyro.audit() returns no row. */
bool gy_case_store_audit(struct gy_case_store *store);

/* Makes the sessions whose deadline has passed due now; how many there are still to be ended. */
bool gy_case_store_make_due(struct gy_case_store *store);
bool gy_case_store_overdue(struct gy_case_store *store, int64_t *count);

/* The greatest Origin-State-Id that any gateway announced; 0 if none did. */
bool gy_case_store_origin_state(struct gy_case_store *store, int64_t *greatest);

#endif
