/* What a load found out: a table for people, JSON for programs, a line a second meanwhile. */
#include "tests/client/load_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

static const struct {
	const char *name;
	double share;
} percentiles[] = {
	{ "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "max", 1 },
};
#define PERCENTILES (sizeof(percentiles) / sizeof(*percentiles))

static const char *const fault_names[LOAD_FAULTS] = {
	[LOAD_MALFORMED] = "malformed",         [LOAD_NOT_ASKED] = "not asked for",
	[LOAD_HEADER] = "wrong header",         [LOAD_OTHER_SESSION] = "other session",
	[LOAD_OTHER_REQUEST] = "other request", [LOAD_OTHER_SERVICE] = "other service",
	[LOAD_NO_GRANT] = "nothing granted",    [LOAD_UNLIKE_COPY] = "unlike its copy",
	[LOAD_LOST] = "never answered",
};

const char *load_fault_name(enum load_fault fault)
{
	return fault_names[fault];
}

uint64_t load_wrong(const struct load_stats *stats)
{
	uint64_t sum = stats->refused;

	for (unsigned i = 0; i < LOAD_FAULTS; i++)
		sum += stats->faults[i];
	return sum;
}

static double seconds(const struct load *load)
{
	return (double)(load->end_ns - load->start_ns) / 1e9;
}

static double per_request(const struct load *load, uint64_t start, uint64_t end)
{
	return load->in_time ? (double)(end - start) / 1e3 / (double)load->in_time : 0;
}

static double cores(const struct load *load, uint64_t start, uint64_t end)
{
	return load->end_ns > load->start_ns
		       ? (double)(end - start) / (double)(load->end_ns - load->start_ns)
		       : 0;
}

/* Cores that were busy with something that nobody asked us to look at. */
static double other_cores(const struct load *load)
{
	double sum = cores(load, load->cpu_start.machine, load->cpu_end.machine) -
		     cores(load, load->cpu_start.self, load->cpu_end.self);

	for (unsigned i = 0; i < load->options.n_pids; i++)
		sum -= cores(load, load->cpu_start.pid[i], load->cpu_end.pid[i]);
	return sum > 0 ? sum : 0;
}

static json_t *codes_json(const struct load_codes *codes)
{
	json_t *object = json_object();
	char key[16];

	for (unsigned i = 0; i < codes->n; i++) {
		snprintf(key, sizeof(key), "%" PRIu32, codes->at[i].code);
		json_object_set_new(object, key, json_integer((json_int_t)codes->at[i].count));
	}
	return object;
}

static json_t *latency_json(const struct load_histogram *histogram)
{
	json_t *object = json_object();

	for (unsigned i = 0; i < PERCENTILES; i++)
		json_object_set_new(
			object, percentiles[i].name,
			json_real((double)load_histogram_at(histogram, percentiles[i].share) /
				  1e3));
	return object;
}

static json_t *cpu_json(const struct load *load, const char *name, uint64_t start, uint64_t end)
{
	return json_pack("{s:s, s:f, s:f}", "name", name, "us_per_request",
			 per_request(load, start, end), "cores", cores(load, start, end));
}

static void put_count(json_t *object, const char *name, uint64_t count)
{
	json_object_set_new(object, name, json_integer((json_int_t)count));
}

struct json_t *load_report_json(const struct load *load)
{
	const struct load_stats *stats = &load->measured, *rest = &load->rest;
	json_t *root, *faults = json_object(), *cpu = json_array();

	for (unsigned i = 0; i < LOAD_FAULTS; i++)
		json_object_set_new(faults, fault_names[i],
				    json_integer((json_int_t)stats->faults[i]));
	for (unsigned i = 0; i < load->options.n_pids; i++)
		json_array_append_new(cpu, cpu_json(load, load->options.pids[i].name,
						    load->cpu_start.pid[i], load->cpu_end.pid[i]));
	json_array_append_new(cpu,
			      cpu_json(load, "client", load->cpu_start.self, load->cpu_end.self));
	root = json_pack("{s:f, s:I, s:f, s:o, s:o, s:o, s:o, s:o}", "seconds", seconds(load),
			 "answered", (json_int_t)stats->answered, "rate",
			 (double)load->in_time / seconds(load), "latency_us",
			 latency_json(&stats->latency), "command_results",
			 codes_json(&stats->command), "service_results",
			 codes_json(&stats->service), "faults", faults, "cpu", cpu);
	json_object_set_new(root, "served_latency_us", latency_json(&stats->served));
	json_object_set_new(root, "latest_us", json_real((double)stats->latest_ns / 1e3));
	json_object_set_new(root, "busy",
			    json_pack("{s:I, s:I, s:I}", "initial", (json_int_t)stats->busy[1],
				      "update", (json_int_t)stats->busy[2], "termination",
				      (json_int_t)stats->busy[3]));
	json_object_set_new(root, "other_cores", json_real(other_cores(load)));
	put_count(root, "initial", stats->by_type[1]);
	put_count(root, "update", stats->by_type[2]);
	put_count(root, "termination", stats->by_type[3]);
	put_count(root, "copies", stats->copies);
	put_count(root, "copies_equal", stats->copies_equal);
	put_count(root, "resent", stats->resent);
	put_count(root, "late", stats->late);
	put_count(root, "reconnects", stats->reconnects);
	put_count(root, "starved", stats->starved);
	put_count(root, "refused", stats->refused);
	put_count(root, "wrong", load_wrong(stats) + load_wrong(rest));
	/* Warm-up, opening and closing too: what the database must know of. */
	put_count(root, "all_answered",
		  stats->answered + stats->copies + rest->answered + rest->copies);
	put_count(root, "all_succeeded", stats->succeeded + rest->succeeded);
	/* Nodes may die at any time. */
	put_count(root, "all_resent", stats->resent + rest->resent);
	put_count(root, "moved", stats->moved + rest->moved);
	put_count(root, "busy_again", stats->busy_again + rest->busy_again);
	put_count(root, "failovers", stats->failovers + rest->failovers);
	put_count(root, "returns", stats->returns + rest->returns);
	return root;
}

static void report_json(const struct load *load)
{
	json_t *root = load_report_json(load);

	json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	printf("\n");
	json_decref(root);
}

static void print_codes(const char *what, const struct load_codes *codes)
{
	printf("%-10s", what);
	for (unsigned i = 0; i < codes->n; i++)
		printf("  %" PRIu32 ": %" PRIu64, codes->at[i].code, codes->at[i].count);
	printf("\n");
}

static void print_latency(const char *what, const struct load_histogram *histogram)
{
	printf("%-11s", what);
	for (unsigned i = 0; i < PERCENTILES; i++)
		printf(" %s %.3f", percentiles[i].name,
		       (double)load_histogram_at(histogram, percentiles[i].share) / 1e6);
	printf(" ms\n");
}

static void print_cpu(const struct load *load, const char *name, uint64_t start, uint64_t end)
{
	printf("cpu         %-10s %7.1f us per request, %.2f cores\n", name,
	       per_request(load, start, end), cores(load, start, end));
}

/* Over all phases. */
static void print_failover(const struct load *load)
{
	const struct load_stats *stats = &load->measured, *rest = &load->rest;

	if (load->options.failover)
		printf("failover    %" PRIu64 " times to another node, %" PRIu64
		       " times back; resent %" PRIu64 ", of these to another node %" PRIu64
		       ", after a refusal for overload %" PRIu64 "\n",
		       stats->failovers + rest->failovers, stats->returns + rest->returns,
		       stats->resent + rest->resent, stats->moved + rest->moved,
		       stats->busy_again + rest->busy_again);
}

static void report_text(const struct load *load)
{
	const struct load_stats *stats = &load->measured;

	printf("requests    %" PRIu64 " answered in %.1f s: %.0f per second (%" PRIu64
	       " initial, %" PRIu64 " update, %" PRIu64 " termination)\n",
	       stats->answered, seconds(load), (double)load->in_time / seconds(load),
	       stats->by_type[1], stats->by_type[2], stats->by_type[3]);
	print_latency("latency", &stats->latency);
	if (stats->busy[1] + stats->busy[2] + stats->busy[3] != 0) {
		print_latency("served", &stats->served);
		printf("busy        refused for overload: %" PRIu64 " initial, %" PRIu64
		       " update, %" PRIu64 " termination\n",
		       stats->busy[1], stats->busy[2], stats->busy[3]);
	}
	print_codes("results", &stats->command);
	print_codes("services", &stats->service);
	for (unsigned i = 0; i < load->options.n_pids; i++)
		print_cpu(load, load->options.pids[i].name, load->cpu_start.pid[i],
			  load->cpu_end.pid[i]);
	print_cpu(load, "client", load->cpu_start.self, load->cpu_end.self);
	printf("cpu         others     %.2f cores busy with something else\n", other_cores(load));
	if (stats->copies != 0)
		printf("copies      %" PRIu64 ", answered alike %" PRIu64 "\n", stats->copies,
		       stats->copies_equal);
	if (stats->resent || stats->reconnects || stats->late || stats->starved)
		printf("trouble     resent %" PRIu64 ", reconnects %" PRIu64
		       ", answered after a resend %" PRIu64 ", due but never sent %" PRIu64 "\n",
		       stats->resent, stats->reconnects, stats->late, stats->starved);
	print_failover(load);
	for (unsigned i = 0; i < LOAD_FAULTS; i++)
		if (stats->faults[i] + load->rest.faults[i] != 0)
			printf("WRONG       %s: %" PRIu64 "\n", fault_names[i],
			       stats->faults[i] + load->rest.faults[i]);
	if (stats->refused + load->rest.refused != 0)
		printf("WRONG       refused: %" PRIu64 "\n", stats->refused + load->rest.refused);
}

void load_report(const struct load *load)
{
	if (load->options.json)
		report_json(load);
	else
		report_text(load);
}

void load_progress(struct load *load, int64_t now)
{
	static const char *const phases[] = {
		[LOAD_PHASE_CONNECT] = "connecting", [LOAD_PHASE_OPENING] = "opening",
		[LOAD_PHASE_WARMUP] = "warm-up",     [LOAD_PHASE_MEASURE] = "measuring",
		[LOAD_PHASE_DRAIN] = "waiting",      [LOAD_PHASE_CLOSING] = "closing",
		[LOAD_PHASE_BYE] = "leaving",        [LOAD_PHASE_DONE] = "done",
	};
	const struct load_stats *stats = &load->stats;
	uint64_t answered = load->rest.answered + load->measured.answered + stats->answered;
	double elapsed = (double)(now - load->progress_ns) / 1e9;

	if (load->progress_ns != 0)
		fprintf(stderr,
			"load: %-10s %8.0f/s  p50 %.2f p99 %.2f ms  in flight %" PRIu64
			"  wrong %" PRIu64 "\n",
			phases[load->phase], (double)(answered - load->progress_answered) / elapsed,
			(double)load_histogram_at(&stats->latency, 0.5) / 1e6,
			(double)load_histogram_at(&stats->latency, 0.99) / 1e6,
			load_in_flight(load), load_wrong(stats) + load_wrong(&load->rest));
	load->progress_answered = answered;
	load->progress_ns = now;
}
