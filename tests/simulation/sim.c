/* A run of the simulation: nodes that start, crash and start again, and the loop that lets time
 * pass. See sim.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/sim.h"

#define DOWN_NS (100 * MS)

struct sim_plan sim_plan;
enum sim_spoil sim_spoil;
const char *sim_label = "";
bool sim_trace;
struct sim_node sim_nodes[NODES];

static uint64_t random_state;
static unsigned checked; /* commits when the audit looked last */

/* Profiles that a lane keeps: few, so that entries make way (see CMakeLists.txt). */
bool __wrap_gy_cache_init(struct gy_cache *cache, size_t entries);
bool __real_gy_cache_init(struct gy_cache *cache, size_t entries);

bool __wrap_gy_cache_init(struct gy_cache *cache, size_t entries)
{
	(void)entries;
	return __real_gy_cache_init(cache, 64);
}

/* --- words ---- */

void sim_say(const char *format, ...)
{
	va_list args;

	if (!sim_trace)
		return;
	printf("# %10.3f ms: ", (double)sim_now_ns / 1e6);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

void sim_broken(const char *format, ...)
{
	va_list args;

	printf("not ok - %s\n# ", sim_label);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n# to see it happen: simulation --trace --run \"%s\"\n", sim_label);
	fflush(stdout);
	_Exit(1);
}

static void on_log(void *data, enum gy_log_level level, const char *line)
{
	const struct sim_node *node = data;

	(void)level;
	sim_say("node %u says: %s", node->number, line);
}

/* --- chance: none in runs without a seed ---- */

static uint64_t next_random(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

unsigned sim_below(unsigned n)
{
	return sim_plan.seed != 0 ? (unsigned)(next_random() % n) : 0;
}

bool sim_chance(unsigned per_mille)
{
	return per_mille > 0 && sim_plan.seed != 0 && sim_below(1000) < per_mille;
}

/* --- nodes ---- */

static void start(struct sim_node *node)
{
	static const char *const databases[NODES] = { "0", "1" };
	struct gy_engine_config config = {
		.database = databases[node->number],
		.lanes = 2,
		.batch_max = 8,
		.alternate_node = true,
		.queue_age_ms = 250,
		.sweep_ms = 200,
		.node = databases[node->number],
		.answered = sim_answered,
		.answered_data = node,
		.log = on_log,
		.log_data = node,
	};
	char error[200];

	node->dead = false;
	if (gy_engine_start(&config, &node->engine, error, sizeof(error)) != GY_OK)
		sim_say("node %u does not start: %s", node->number, error);
	node->start_at_ns = sim_now_ns + DOWN_NS;
}

static void stop(struct sim_node *node)
{
	struct gy_engine_counters counters;

	gy_engine_count(node->engine, &counters);
	sim_count.retries += counters.retries;
	gy_engine_stop(node->engine);
	node->engine = NULL;
	node->start_at_ns = sim_now_ns + DOWN_NS + sim_below(500) * MS;
}

static void look_after(struct sim_node *node)
{
	if (node->dead && node->engine != NULL)
		stop(node);
	else if (node->engine == NULL && sim_now_ns >= node->start_at_ns)
		start(node);
}

/* --- the run ---- */

void sim_begin(const struct sim_plan *plan)
{
	sim_plan = *plan;
	random_state = plan->seed;
	sim_points = sim_failed = 0;
	checked = 0;
	sim_threads_begin();
	sim_database_begin();
	sim_network_begin();
	for (unsigned i = 0; i < NODES; i++) {
		sim_nodes[i] = (struct sim_node){ .number = i };
		start(&sim_nodes[i]);
	}
	sim_count.runs++;
}

void sim_end(void)
{
	for (unsigned i = 0; i < NODES; i++)
		if (sim_nodes[i].engine != NULL)
			stop(&sim_nodes[i]);
	sim_threads_end();
	sim_database_end();
}

/* Nothing can go on now: on to the next thing that happens. */
static void pass_time(void)
{
	int64_t next = sim_next_wake_ns();

	if (sim_network_next_ns() < next)
		next = sim_network_next_ns();
	if (sim_database_next_ns() < next)
		next = sim_database_next_ns();
	for (unsigned i = 0; i < NODES; i++)
		if (sim_nodes[i].engine == NULL && sim_nodes[i].start_at_ns < next)
			next = sim_nodes[i].start_at_ns;
	if (next > sim_now_ns)
		sim_now_ns = next;
}

static void step(void)
{
	for (unsigned i = 0; i < NODES; i++)
		look_after(&sim_nodes[i]);
	sim_network_run();
	sim_database_run();
	if (sim_db.commits != checked)
		sim_check_now();
	checked = sim_db.commits;
	if (!sim_run_one())
		pass_time();
}

void sim_until(bool (*done)(void), int64_t limit_ms, const char *what)
{
	int64_t limit_ns = sim_now_ns + limit_ms * MS;

	while (!done()) {
		if (sim_now_ns > limit_ns)
			sim_broken("%s takes too long", what);
		step();
	}
}

void sim_for(int64_t ms)
{
	int64_t until_ns = sim_now_ns + ms * MS;

	while (sim_now_ns < until_ns)
		step();
}
