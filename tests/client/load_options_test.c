/* The command line of gyro-sim load: what each option sets, and what is refused. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/client/load_internal.h"
#include "tests/unit/decode/tap.h"

#define WORDS_MAX 32

/* Words between blanks; they live as long as the options. */
static char line[512];

static bool reads(struct load_options *options, const char *text)
{
	char *words[WORDS_MAX] = { "load" }, *rest = line, *word;
	int n = 1;
	bool help;

	snprintf(line, sizeof(line), "%s", text);
	while (n < WORDS_MAX - 1 && (word = strsep(&rest, " ")) != NULL)
		words[n++] = word;
	words[n] = NULL;
	return load_options_read(options, n, words, &help) && !help;
}

static void nodes(void)
{
	struct load_options o;

	ok(reads(&o, "--connect 127.0.0.1:3868") && o.n_nodes == 1 && !o.failover && o.log == NULL,
	   "one node: no failover and no log unless they are asked for");
	ok(reads(&o, "--connect a:1 --connect b:2 --connections 4") && o.n_nodes == 2 &&
		   !o.failover && strcmp(o.nodes[1], "b:2") == 0,
	   "two nodes: connections are dealt out");
	ok(reads(&o, "--connect a:1 --failover --connect b:2") && o.failover && o.n_nodes == 2,
	   "--failover, with two nodes");
	ok(!reads(&o, "--connect a:1 --failover"), "--failover with one node is refused");
	ok(!reads(&o, "--failover"), "and without any");
	ok(!reads(&o, "--connect a"), "a node is HOST:PORT");
	ok(!reads(&o, "--connect a:1 --failover=yes --connect b:2"), "--failover has no value");
}

static void request_log(void)
{
	struct load_options o;

	ok(reads(&o, "--connect a:1 --log requests.log") && strcmp(o.log, "requests.log") == 0,
	   "--log FILE");
	ok(!reads(&o, "--connect a:1 --log"), "--log without FILE is refused");
}

static void amounts(void)
{
	struct load_options o;

	ok(reads(&o, "--connect a:1") && o.connections == 1 && o.window == 16 &&
		   o.sessions == 1000 && o.subscribers == 1000 && o.timeout_ms == 5000 &&
		   o.mode == LOAD_UPDATE && strcmp(o.identity.destination_realm, "gyro.test") == 0,
	   "what is so unless something else is said");
	ok(reads(&o, "--connect a:1 --rate 250.5 --poisson --seconds 2 --warmup 0 --sessions 20 "
		     "--timeout 300 --duplicates 12.5 --seed 7 --json --progress") &&
		   o.rate == 250.5 && o.poisson && o.seconds == 2 && o.warmup == 0 &&
		   o.sessions == 20 && o.timeout_ms == 300 && o.duplicates == 12.5 && o.seed == 7 &&
		   o.json && o.progress,
	   "how much, how fast, how often twice");
	ok(reads(&o, "--connect a:1 --mode full --updates 3 --session-first 100 --sessions 50") &&
		   o.mode == LOAD_FULL && o.updates == 3 && o.subscribers == 150,
	   "whole sessions; as many subscribers as the last one's number");
	ok(reads(&o, "--connect a:1 --allow 3004,5012 --pid node=7,9") && o.n_allowed == 2 &&
		   o.allowed[1] == 5012 && o.n_pids == 2 && o.pids[0].pid == 7 &&
		   strcmp(o.pids[0].name, "node") == 0 && strcmp(o.pids[1].name, "pid 9") == 0,
	   "lists");
}

static void refused(void)
{
	static const char *const lines[] = {
		"--connect a:1 --window 0",
		"--connect a:1 --window many",
		"--connect a:1 --window -1",
		"--connect a:1 --rate 0",
		"--connect a:1 --duplicates 101",
		"--connect a:1 --timeout 9",
		"--connect a:1 --mode some",
		"--connect a:1 --allow 99",
		"--connect a:1 --nonsense",
		"--connect a:1 something",
		"--connect a:1 --sessions 15",
		"--connect a:1 --connections 2 --origin-host me",
		"--connect a:1 --preloaded --mode full",
		"--connections 1",
	};
	struct load_options o;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ok(!reads(&o, lines[i]), lines[i]); /* refused */
}

int main(void)
{
	/* Why something is refused is told on standard error; here it is expected. */
	if (freopen("/dev/null", "w", stderr) == NULL)
		return 1;
	nodes();
	request_log();
	amounts();
	refused();
	return tap_end();
}
