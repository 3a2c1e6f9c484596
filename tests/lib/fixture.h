/* Fixture F in memory: tests/cases/fixture.yaml as the catalogue, accounts and profiles of the
 * core.
 *
 * For tests of the pure core. It reads the same file that `gyroctl apply` puts into a database, but
 * shares no code with it; it refuses keys and values it does not know. */
#ifndef GY_TESTS_FIXTURE_H
#define GY_TESTS_FIXTURE_H

#include "core/charging/account.h"
#include "core/rating/catalogue.h"

struct gy_fixture_subscriber {
	int number;  /* S1 = 1 */
	int account; /* index in gy_fixture.accounts */
	struct gy_profile profile;
};

struct gy_fixture {
	struct gy_catalogue catalogue;
	unsigned n_accounts;
	const struct gy_account *accounts; /* without sessions; copy them */
	unsigned n_subscribers;
	const struct gy_fixture_subscriber *subscribers;
};

/* NULL on failure, with one line in error. */
struct gy_fixture *gy_fixture_read(const char *path, char *error, size_t error_size);

void gy_fixture_free(struct gy_fixture *fixture);

/* The subscriber of a number, NULL if there is none. */
const struct gy_fixture_subscriber *gy_fixture_find(const struct gy_fixture *fixture, int number);

#endif
