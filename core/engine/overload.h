/* What gateways that speak DOIC are told about overload (RFC 7683, G-95). Pure.
 *
 * The loss algorithm: a gateway is asked to leave out a percentage of its requests. Which, is up to
 * it. Those that don't speak DOIC are turned away one by one (admission.h). */
#ifndef GY_ENGINE_OVERLOAD_H
#define GY_ENGINE_OVERLOAD_H

#include <stdbool.h>
#include <stdint.h>

/* The most that is asked for: who sends nothing hears nothing, not even that it is over. */
#define GY_REDUCTION_MAX 90
/* A report holds so long if nothing follows it: RFC 7683 §7.5's default. */
#define GY_OVERLOAD_VALIDITY_S 30

/* A host report as it is sent. */
struct gy_overload_report {
	uint64_t sequence; /* grows with every change; 0: there is nothing to report */
	unsigned reduction_percent;
	unsigned validity_s; /* 0: the overload is over (§5.2.3) */
};

struct gy_overload {
	struct gy_overload_report report;
	int64_t changed_ns; /* when the report got its sequence number */
	uint64_t sequence;  /* the last one used */
};

/* Once a second: so many requests came since the last time, so many of them were refused for
 * overload. now_ns: CLOCK_MONOTONIC. stamp: the wall clock in milliseconds, so that a node that was
 * restarted does not count from where it was before (§7.4). Returns true if the report changed.
 *
 * What was refused although gateways already left out what they were asked to, is to be left out
 * as well: of 100 that a gateway has, 100 - reduction came, and of these the unrefused ones are
 * what can be served. Without refusals the reduction fades, a tenth at a time. */
bool gy_overload_step(struct gy_overload *overload, uint64_t came, uint64_t refused, int64_t now_ns,
		      uint64_t stamp);

#endif
