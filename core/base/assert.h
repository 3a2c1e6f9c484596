/* gy_assert: for bugs of ours only, never for what a peer or an operator can cause.
 * Always on: exactly-once survives an abort as it survives kill -9 (I5), a wrong debit it doesn't.
 */
#ifndef GY_BASE_ASSERT_H
#define GY_BASE_ASSERT_H

/* Set once by the host so that the last words reach its log; NULL: standard error. */
extern void (*gy_assert_report)(const char *expression, const char *file, int line);

_Noreturn void gy_assert_failed(const char *expression, const char *file, int line);

#define gy_assert(expression)                          \
	(__builtin_expect(!!(expression), 1) ? (void)0 \
					     : gy_assert_failed(#expression, __FILE__, __LINE__))

#endif
