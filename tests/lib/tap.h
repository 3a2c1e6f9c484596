/* Runs a Check suite so that it speaks TAP on standard output, as all test programs here do. */
#ifndef GY_TESTS_TAP_H
#define GY_TESTS_TAP_H

#include <check.h>
#include <stdlib.h>

/* A test that hangs ends some day; Check's own 4 s are over before that on a busy machine. It reads
 * this when a test case is created. */
__attribute__((constructor)) static void gy_tap_patience(void)
{
	setenv("CK_DEFAULT_TIMEOUT", "120", 0);
}

/* Runs all of it; the exit status of the program. */
static inline int gy_tap_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
