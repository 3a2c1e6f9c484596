/* A node without Diameter: the engine on a database, driven by lines on standard input.
 *
 *   drive CONNINFO
 *   I 0 SESSION-ID IMSI RATING-GROUP         asks for units
 *   U 1 SESSION-ID IMSI RATING-GROUP OCTETS  reports OCTETS and asks for more
 *   T 2 SESSION-ID IMSI RATING-GROUP OCTETS  reports OCTETS and ends
 *   t 2 SESSION-ID ...                       the same once more: with the T bit; so i and u
 *
 * Prints "ready", then one line per request: Result-Code, Result-Code of the service, units
 * granted. Ends with its input. So gyroctl's tests look at rows that the real thing wrote, and a
 * real sweeper ends the sessions that gyroctl releases. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/engine/engine.h"
#include "extensions/app_gyro/session_key.h"

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool done;
	enum gy_outcome outcome;
} reply = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void answered(void *data, struct gy_request *request, enum gy_outcome outcome)
{
	(void)data;
	(void)request;
	pthread_mutex_lock(&reply.mutex);
	reply.done = true;
	reply.outcome = outcome;
	pthread_cond_signal(&reply.changed);
	pthread_mutex_unlock(&reply.mutex);
}

static void complain(void *data, enum gy_log_level level, const char *line)
{
	(void)data;
	if (level >= GY_LOG_WARNING)
		fprintf(stderr, "drive: %s\n", line);
}

static struct gy_bytes bytes(const char *text)
{
	return (struct gy_bytes){ (const uint8_t *)text, strlen(text) };
}

static void wait_for_answer(void)
{
	pthread_mutex_lock(&reply.mutex);
	while (!reply.done)
		pthread_cond_wait(&reply.changed, &reply.mutex);
	reply.done = false;
	pthread_mutex_unlock(&reply.mutex);
}

static void print_answer(const struct gy_request *request)
{
	const struct gy_answer *answer = &request->answer;

	if (reply.outcome != GY_ANSWER) {
		printf("none\n");
		return;
	}
	printf("%" PRIu32, gy_rc_result_code(answer->rc));
	for (unsigned i = 0; i < answer->n_services; i++)
		printf(" %" PRIu32 " %" PRId64, gy_rc_result_code(answer->services[i].rc),
		       answer->services[i].granted);
	printf("\n");
}

/* One line of input; false if it can't be understood. */
static bool request_of(struct gy_request *request, const char *line)
{
	static const char letters[] = "IUTiut";
	static uint32_t end_to_end = 1;
	char letter, session_id[200], imsi[40];
	long long octets = 0;
	struct gy_service *service = talloc_zero(request->pool, struct gy_service);
	struct gy_identity *identity = talloc_zero(request->pool, struct gy_identity);
	struct gy_used *used = talloc_zero(request->pool, struct gy_used);
	struct gy_ccr *ccr = &request->ccr;
	int n = sscanf(line, "%c %" SCNu32 " %199s %39s %" SCNu32 " %lld", &letter, &ccr->number,
		       session_id, imsi, &service->rating_group, &octets);

	if (n < 5 || !strchr(letters, letter))
		return false;
	ccr->type = (enum gy_request_type)((strchr(letters, letter) - letters) % 3 + 1);
	ccr->retransmitted = letter >= 'a';
	ccr->session_id = bytes(talloc_strdup(request->pool, session_id));
	ccr->session = gy_session_key(ccr->session_id, false, 0);
	ccr->end_to_end = end_to_end++;
	ccr->content_hash = ccr->end_to_end;
	ccr->origin_host = bytes("pgw1.gyro.test");
	ccr->origin_realm = bytes("gyro.test");
	ccr->service_context = bytes("32251@3gpp.org");
	ccr->multiple_services = true;
	ccr->action = GY_ACTION_NONE;
	*identity = (struct gy_identity){ .kind = GY_IDENTITY_IMSI,
					  .value = bytes(talloc_strdup(request->pool, imsi)) };
	ccr->n_identities = 1;
	ccr->identities = identity;
	service->has_rating_group = true;
	service->requested = ccr->type != GY_TERMINATION;
	used->present[GY_UNIT_OCTETS] = true;
	used->count[GY_UNIT_OCTETS] = octets;
	used->tariff_change = GY_TCU_ABSENT;
	service->n_used = n == 6;
	service->used = used;
	ccr->n_services = 1;
	ccr->services = service;
	request->arrived_ns = gy_engine_now_ns();
	return true;
}

int main(int argc, char **argv)
{
	struct gy_engine_config config = { .database = argc > 1 ? argv[1] : "",
					   .lanes = 1,
					   .sweep_ms = 200,
					   .answered = answered,
					   .log = complain };
	struct gy_engine *engine;
	char error[300], line[400];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (gy_engine_start(&config, &engine, error, sizeof(error)) != GY_OK) {
		fprintf(stderr, "drive: %s\n", error);
		return EXIT_FAILURE;
	}
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		void *pool = talloc_new(NULL);
		struct gy_request *request = talloc_zero(pool, struct gy_request);

		request->pool = pool;
		if (request_of(request, line)) {
			gy_engine_submit(engine, request);
			wait_for_answer();
			print_answer(request);
		} else {
			printf("what?\n");
		}
		talloc_free(pool);
	}
	gy_engine_stop(engine);
	return EXIT_SUCCESS;
}
