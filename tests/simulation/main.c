/* P16: the core is right in every interleaving (spec: reliability).
 *
 *   simulation [--seed N] [--runs N] [--requests N] [--switches N] [--trace] [--run LABEL]
 *              [--spoil NAME]
 *
 * First every flow with a fault at each of its I/O points, then the racing flows with every choice
 * of thread switches, then random life. --run repeats one of them by its label; --spoil uses a
 * store with a defect, and must fail. Without --spoil all of these are tried, too. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/simulation/sim.h"

static struct options {
	uint64_t seed;
	unsigned runs, requests, switches;
	const char *only;
	bool trace, spoilt;
} options = { .runs = 60, .requests = 60, .switches = 2 };

static const char *const spoil_names[SIM_SPOILS] = {
	"none", "loses-row",      "loses-record", "forgets",       "no-lock",
	"lies", "doubts-nothing", "half",         "forgets-index",
};

static char label[100];
static unsigned tests;
static bool failed;

static bool nothing_open(void)
{
	bool idle = sim_network_idle() && sim_all_answered();

	/* After an outage each node has to connect again. */
	idle = idle && sim_now_ns > sim_db.away_until_ns + 1000 * MS;
	idle = idle && sim_db.open == 0 && sim_db.late == NULL;
	for (unsigned i = 0; i < NODES; i++)
		idle = idle && sim_nodes[i].engine != NULL && !sim_nodes[i].dead &&
		       atomic_load(&sim_nodes[i].engine->in_flight) == 0;
	return idle;
}

/* The whole of a run; flow NULL: random life. */
static void run(const struct sim_flow *flow, const struct sim_plan *plan)
{
	sim_label = label;
	sim_trace = options.trace;
	sim_begin(plan);
	if (flow != NULL)
		flow->run();
	else
		sim_random_run(options.requests);
	sim_until(nothing_open, 60000, "what is left open");
	sim_check_settled();
	/* Whoever has vanished is waited for, and then no longer. */
	sim_now_ns += 3 * VALIDITY_S * 1000 * MS;
	sim_for(600);
	sim_until(nothing_open, 60000, "the sweeper");
	sim_check_settled();
	sim_check_ended();
	sim_end();
}

__attribute__((format(printf, 1, 2))) static void ok(const char *format, ...)
{
	va_list args;

	printf("ok %u - ", ++tests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

/* --- a fault at each I/O point ---- */

static const char *const modes[] = { "before", "after", "late" };
static const char *const kinds[] = { "crash", "loss", "outage" };

static unsigned fault_everywhere(const struct sim_flow *flow)
{
	struct sim_plan plan = { 0 };
	unsigned n = 0, points;

	snprintf(label, sizeof(label), "%s", flow->name);
	run(flow, &plan);
	points = sim_points;
	for (plan.fault_point = 1; plan.fault_point <= points; plan.fault_point++)
		for (int how = 0; how < SIM_MODES * SIM_KINDS * 2; how++) {
			plan.mode = (enum sim_mode)(how % SIM_MODES);
			plan.kind = (enum sim_kind)(how / SIM_MODES % SIM_KINDS);
			plan.resend_elsewhere = how / SIM_MODES / SIM_KINDS;
			snprintf(label, sizeof(label), "%s: %s %s point %u, resend to the %s",
				 flow->name, kinds[plan.kind], modes[plan.mode], plan.fault_point,
				 plan.resend_elsewhere ? "other" : "same");
			run(flow, &plan);
			n++;
		}
	return n;
}

/* --- every interleaving with so many switches ---- */

static void name_switches(const struct sim_flow *flow, const struct sim_plan *plan)
{
	size_t at = (size_t)snprintf(label, sizeof(label), "%s: switch", flow->name);

	for (unsigned i = 0; i < plan->n_switches; i++)
		at += (size_t)snprintf(label + at, sizeof(label) - at, " %u", plan->switches[i]);
}

/* Runs the plan, then with one switch more at each later step that has a choice. */
static unsigned switch_everywhere(const struct sim_flow *flow, struct sim_plan plan)
{
	unsigned from = plan.n_switches > 0 ? plan.switches[plan.n_switches - 1] + 1 : 0;
	unsigned steps[STEPS_MAX], n_steps = 0, n = 1;

	name_switches(flow, &plan);
	run(flow, &plan);
	if (plan.n_switches == flow->races || plan.n_switches == options.switches)
		return n;
	for (unsigned at = from; at < sim_steps && at < STEPS_MAX; at++)
		if (sim_could_switch[at])
			steps[n_steps++] = at;
	plan.n_switches++;
	for (unsigned i = 0; i < n_steps; i++) {
		plan.switches[plan.n_switches - 1] = steps[i];
		n += switch_everywhere(flow, plan);
	}
	return n;
}

static void all_flows(void)
{
	unsigned n;

	for (unsigned i = 0; i < sim_n_flows; i++) {
		n = fault_everywhere(&sim_flows[i]);
		ok("%u runs of '%s' with a fault at each I/O point", n, sim_flows[i].name);
	}
	for (unsigned i = 0; i < sim_n_flows; i++) {
		if (sim_flows[i].races == 0)
			continue;
		n = switch_everywhere(&sim_flows[i], (struct sim_plan){ 0 });
		ok("%u interleavings of '%s', of up to %u switches", n, sim_flows[i].name,
		   sim_flows[i].races < options.switches ? sim_flows[i].races : options.switches);
	}
}

static void random_life(void)
{
	for (unsigned i = 0; i < options.runs; i++) {
		struct sim_plan plan = { .seed = options.seed + i,
					 .loss = 20 + i % 3 * 60,
					 .copies = 150,
					 .faults = i % 4 * 8 };

		snprintf(label, sizeof(label), "random %" PRIu64, plan.seed);
		run(NULL, &plan);
	}
	ok("%u runs of random life, with losses, copies and crashes", options.runs);
}

static void everything(void)
{
	all_flows();
	random_life();
}

/* The run that has this label. */
static bool run_only(void)
{
	char flow[40], kind[20], mode[20], target[20];
	struct sim_plan plan = { 0 };
	int n;

	snprintf(label, sizeof(label), "%s", options.only);
	if (strncmp(label, "random ", 7) == 0) {
		random_life();
		return true;
	}
	n = sscanf(label, "%39[^:]: %19s %19s point %u, resend to the %19s", flow, kind, mode,
		   &plan.fault_point, target);
	if (n == 5)
		plan.resend_elsewhere = strcmp(target, "other") == 0;
	for (int i = 0; n == 5 && i < SIM_KINDS; i++)
		if (strcmp(kind, kinds[i]) == 0)
			plan.kind = (enum sim_kind)i;
	for (int i = 0; n == 5 && i < SIM_MODES; i++)
		if (strcmp(mode, modes[i]) == 0)
			plan.mode = (enum sim_mode)i;
	if (n != 5) {
		plan.fault_point = 0;
		n = sscanf(label, "%39[^:]: switch %u %u %u", flow, &plan.switches[0],
			   &plan.switches[1], &plan.switches[2]);
		plan.n_switches = n > 1 ? (unsigned)n - 1 : 0;
	}
	for (unsigned i = 0; i < sim_n_flows; i++)
		if (strcmp(flow, sim_flows[i].name) == 0) {
			run(&sim_flows[i], &plan);
			return true;
		}
	return false;
}

/* --- can it fail? ---- */

static void find_out(enum sim_spoil how)
{
	pid_t child;
	int status = 0;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		sim_spoil = how;
		options.switches = options.switches > 0; /* pairs add nothing here */
		if (freopen("/dev/null", "w", stdout) == NULL ||
		    freopen("/dev/null", "w", stderr) == NULL)
			_exit(0);
		everything();
		_exit(0);
	}
	waitpid(child, &status, 0);
	failed |= status == 0;
	printf("%sok %u - a store with the defect '%s' is found out\n", status == 0 ? "not " : "",
	       ++tests, spoil_names[how]);
}

static void reached(void)
{
	const struct sim_count *c = &sim_count;
	bool all = c->resends && c->answers_lost && c->replayed && c->crashes && c->losses &&
		   c->outages && c->late_commits && c->swept && c->late_usage && c->refused &&
		   c->histories && c->retries && c->restarts;

	printf("# %" PRIu64 " runs, %" PRIu64 " requests, %" PRIu64 " resends, %" PRIu64
	       " copies, %" PRIu64 " answers lost, %" PRIu64 " replayed\n"
	       "# %" PRIu64 " crashes, %" PRIu64 " connections lost, %" PRIu64 " outages, %" PRIu64
	       " late commits, %" PRIu64 " ends by supervision, %" PRIu64 " late reports\n"
	       "# %" PRIu64 " refused for another node, %" PRIu64 " histories, %" PRIu64
	       " tried again, %" PRIu64 " restarts of gateways\n",
	       c->runs, c->requests, c->resends, c->copies, c->answers_lost, c->replayed,
	       c->crashes, c->losses, c->outages, c->late_commits, c->swept, c->late_usage,
	       c->refused, c->histories, c->retries, c->restarts);
	failed |= !all;
	printf("%sok %u - all that may go wrong did\n", all ? "" : "not ", ++tests);
}

static bool take_options(int argc, char **argv)
{
	const char *given = getenv("GYRO_SEED");

	options.seed = given != NULL ? strtoull(given, NULL, 10) : 0;
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--trace") == 0) {
			options.trace = true;
			continue;
		}
		if (value == NULL)
			return false;
		i++;
		if (strcmp(argv[i - 1], "--seed") == 0)
			options.seed = strtoull(value, NULL, 10);
		else if (strcmp(argv[i - 1], "--runs") == 0)
			options.runs = (unsigned)strtoul(value, NULL, 10);
		else if (strcmp(argv[i - 1], "--requests") == 0)
			options.requests = (unsigned)strtoul(value, NULL, 10);
		else if (strcmp(argv[i - 1], "--switches") == 0)
			options.switches = (unsigned)strtoul(value, NULL, 10);
		else if (strcmp(argv[i - 1], "--run") == 0)
			options.only = value;
		else if (strcmp(argv[i - 1], "--spoil") == 0)
			for (int how = 0; how < SIM_SPOILS; how++)
				if (strcmp(value, spoil_names[how]) == 0)
					sim_spoil = (enum sim_spoil)how;
	}
	if (options.only != NULL && strncmp(options.only, "random ", 7) == 0) {
		options.seed = strtoull(options.only + 7, NULL, 10);
		options.runs = 1;
	}
	if (options.seed == 0)
		options.seed = (uint64_t)time(NULL);
	return options.requests <= REQUESTS_MAX - 8 && options.switches <= 3;
}

int main(int argc, char **argv)
{
	if (!take_options(argc, argv))
		return 2;
	printf("# seed %" PRIu64 "\n", options.seed);
	if (options.only != NULL && !run_only())
		return 2;
	if (options.only == NULL)
		everything();
	if (options.only == NULL && sim_spoil == SIM_SOUND) {
		reached();
		for (int how = 1; how < SIM_SPOILS; how++)
			find_out((enum sim_spoil)how);
	}
	printf("1..%u\n# seed %" PRIu64 "\n", tests, options.seed);
	return failed ? 1 : 0;
}
