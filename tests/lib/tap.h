/* Runs a Check suite so that it speaks TAP on standard output, as all test programs here do. */
#ifndef GY_TESTS_TAP_H
#define GY_TESTS_TAP_H

#include <check.h>
#include <stdlib.h>

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
