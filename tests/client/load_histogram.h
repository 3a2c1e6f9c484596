/* Latencies: counts in buckets of at most 1.6 % width, from 1 ns to an hour.
 *
 * Debian 12 has no HdrHistogram for C; this is the part of it that a load needs. */
#ifndef GYRO_LOAD_HISTOGRAM_H
#define GYRO_LOAD_HISTOGRAM_H

#include <stdint.h>

#define LOAD_HISTOGRAM_BUCKETS (64 * 36)

struct load_histogram {
	uint64_t counts[LOAD_HISTOGRAM_BUCKETS];
	uint64_t total, sum_ns, max_ns;
};

static inline void load_histogram_add(struct load_histogram *histogram, uint64_t ns)
{
	unsigned shift = 0, bucket;

	if (ns > 127)
		shift = 57u - (unsigned)__builtin_clzll(ns); /* leaves 64..127 */
	bucket = (unsigned)(ns >> shift) + shift * 64;
	if (bucket >= LOAD_HISTOGRAM_BUCKETS)
		bucket = LOAD_HISTOGRAM_BUCKETS - 1;
	histogram->counts[bucket]++;
	histogram->total++;
	histogram->sum_ns += ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
}

/* The latency that a share (0..1) of all did not exceed: the upper end of its bucket, and never
 * more than the maximum. 0 if nothing was counted. */
static inline uint64_t load_histogram_at(const struct load_histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)histogram->total + 0.5), seen = 0, end;

	if (wanted == 0)
		wanted = 1;
	for (unsigned i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++) {
		seen += histogram->counts[i];
		if (seen < wanted)
			continue;
		end = i < 128 ? i : (((uint64_t)(i % 64) + 64 + 1) << (i / 64 - 1)) - 1;
		return end < histogram->max_ns ? end : histogram->max_ns;
	}
	return histogram->max_ns;
}

#endif
