/* gyro-sim raw: bytes of one's own making over a good connection, and what comes back.
 *
 * It introduces itself properly, sends the bytes as they are, and prints each answer decoded. It
 * looks at nothing before it sends. */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/client/commands.h"
#include "tests/client/dump.h"
#include "tests/client/options.h"

static const char help[] =
	"usage: gyro-sim raw --connect ADDRESS:PORT [options] HEXFILE|-\n"
	"Says CER, sends the octets of HEXFILE (hex digits; blanks and line breaks between them "
	"and\n"
	"comments from '#' to the end of the line don't count), prints what comes back.\n"
	"\n"
	"  --wait DURATION            how long it listens afterwards (2s; less after an answer)\n"
	"  --reset                    breaks the connection off directly after sending\n";

static const char help_examples[] =
	"\n"
	"examples:\n"
	"  gyro-sim raw --connect 127.0.0.1:3868 request.hex\n"
	"  echo '01 000014 c0 000110 00000004 00000001 00000001' | gyro-sim raw --connect "
	"127.0.0.1:3868 -\n";

enum {
	OPTION_HELP = GY_OPTION_OWN,
	OPTION_WAIT,
	OPTION_RESET,
};

struct raw {
	unsigned answers;
};

/* The octets of a file of hex digits; leaves with status 2 if it is none. */
static uint8_t *read_hex(const char *path, size_t *len)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	uint8_t *bytes = malloc(1 << 20);
	int c, digits = 0, value = 0;

	*len = 0;
	if (!in || !bytes)
		gy_usage_error("%s: %s", path, strerror(errno));
	while ((c = getc(in)) != EOF) {
		if (c == '#')
			while (c != '\n' && c != EOF)
				c = getc(in);
		if (c == EOF || isspace(c))
			continue;
		if (!isxdigit(c) || *len == 1 << 20)
			gy_usage_error("%s: not hex digits, or more than a mebibyte", path);
		value = value << 4 | (isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
		if (++digits % 2 == 0) {
			bytes[(*len)++] = (uint8_t)value;
			value = 0;
		}
	}
	if (in != stdin)
		fclose(in);
	if (digits % 2 != 0 || *len == 0)
		gy_usage_error("%s: half an octet, or none", path);
	return bytes;
}

static void on_message(void *owner, struct gy_connection *connection, const uint8_t *bytes,
		       size_t len)
{
	struct raw *raw = owner;

	(void)connection;
	raw->answers++;
	gy_dump(stdout, bytes, len);
}

static void turn(struct gy_connection *c, int timeout_ms)
{
	struct pollfd p = { gy_connection_fd(c), gy_connection_events(c), 0 };

	if (poll(&p, 1, timeout_ms) > 0)
		gy_connection_ready(c, p.revents);
	gy_connection_tick(c);
}

static int talk(struct gy_connection *c, struct raw *raw, const uint8_t *bytes, size_t len,
		int64_t wait_us, bool reset)
{
	int64_t until;

	gy_connection_open(c);
	while (gy_connection_state(c) == GY_CONNECTION_CONNECTING ||
	       gy_connection_state(c) == GY_CONNECTION_INTRODUCED)
		turn(c, 50);
	if (!gy_connection_send(c, bytes, len)) {
		fprintf(stderr, "gyro-sim: %s\n", gy_connection_error(c));
		return GYRO_SIM_NO_ANSWER;
	}
	gy_connection_ready(c, 0);
	if (reset) {
		gy_connection_abort(c);
		return GYRO_SIM_OK;
	}
	until = gy_now_us() + wait_us;
	while (gy_now_us() < until && gy_connection_state(c) == GY_CONNECTION_OPEN) {
		unsigned before = raw->answers;

		turn(c, 50);
		/* One answer may be followed by more, but not much later. */
		if (raw->answers > before && until > gy_now_us() + 200000)
			until = gy_now_us() + 200000;
	}
	if (gy_connection_state(c) != GY_CONNECTION_OPEN)
		printf("connection: %s\n", gy_connection_error(c));
	gy_connection_part(c);
	while (gy_connection_state(c) != GY_CONNECTION_CLOSED)
		turn(c, 50);
	return raw->answers > 0 ? GYRO_SIM_OK : GYRO_SIM_NO_ANSWER;
}

int gyro_sim_raw(int argc, char **argv)
{
	static const struct option known[] = {
		GY_OPTIONS_PEER,
		{ "help", no_argument, NULL, OPTION_HELP },
		{ "wait", required_argument, NULL, OPTION_WAIT },
		{ "reset", no_argument, NULL, OPTION_RESET },
		{ NULL, 0, NULL, 0 },
	};
	struct gy_options options = gy_options_default();
	struct gy_connection_setup setup;
	struct gy_connection *connection;
	struct raw raw = { 0 };
	int64_t wait_us = 2000000;
	bool reset = false;
	uint8_t *bytes;
	size_t len;
	int option, rc;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (gy_options_take(&options, option, optarg))
			continue;
		if (option == OPTION_HELP) {
			printf("%s%s%s", help, gy_help_peer, help_examples);
			return GYRO_SIM_OK;
		}
		if (option == OPTION_WAIT)
			wait_us = gy_option_duration_us(optarg);
		else if (option == OPTION_RESET)
			reset = true;
		else
			return GYRO_SIM_USAGE;
	}
	gy_options_need_connect(&options);
	if (optind + 1 != argc)
		gy_usage_error("one HEXFILE, or - for standard input");
	bytes = read_hex(argv[optind], &len);
	setup = (struct gy_connection_setup){ options.connect[0], options.origin_host,
					      options.origin_realm };
	connection = gy_connection_new(&setup, on_message, &raw);
	rc = talk(connection, &raw, bytes, len, wait_us, reset);
	gy_connection_free(connection);
	free(bytes);
	return rc;
}
