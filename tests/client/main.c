/* gyro-sim: a Diameter Gy client that behaves as gateways do, well or badly.
 *
 * This file only finds the command. All of them speak over sockets of their own, and encode and
 * decode with libfdproto and the dictionary of the node. */
#include <stdio.h>
#include <string.h>

#include "tests/client/commands.h"
#include "tests/client/dictionary.h"
#ifdef GYRO_SIM_LOAD
#include "tests/client/load.h"
#endif

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "session", gyro_sim_session, "one session, from the first request to the last" },
	{ "request", gyro_sim_request, "single requests" },
	{ "case", gyro_sim_case, ".case files against a node" },
	{ "churn", gyro_sim_churn,
	  "many sessions at once, resent until answered: for crash tests" },
#ifdef GYRO_SIM_LOAD
	{ "load", gyro_sim_load, "as many requests as the node takes, measured" },
#endif
	{ "raw", gyro_sim_raw, "octets of your own making" },
	{ "purchase", gyro_sim_purchase, "buys a traffic card, or asks what it would cost" },
	{ "bind", gyro_sim_bind, "binds a card to a subscriber" },
	{ "unbind", gyro_sim_unbind, "takes a card from a subscriber" },
	{ "priority", gyro_sim_priority, "says which card is used before which" },
	{ "statistics", gyro_sim_statistics, "what was used of cards, window by window" },
	{ "cancel", gyro_sim_cancel, "gives up a purchase that is not confirmed" },
	{ "refund", gyro_sim_refund, "gives a card that nobody used back" },
};

static void usage(FILE *out)
{
	fputs("usage: gyro-sim COMMAND [options]\n\n", out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].what);
	fputs("\ngyro-sim COMMAND --help tells more, with examples.\n", out);
}

int main(int argc, char **argv)
{
	int rc;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		usage(stdout);
		return GYRO_SIM_OK;
	}
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (!gy_dictionary_load())
			return GYRO_SIM_NO_ANSWER;
		rc = commands[i].run(argc - 1, argv + 1);
		return fflush(stdout) == 0 ? rc : GYRO_SIM_NO_ANSWER;
	}
	usage(stderr);
	return GYRO_SIM_USAGE;
}
