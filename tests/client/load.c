/* gyro-sim load: the loop, and the phases that a load goes through.
 *
 * One thread, epoll. Closed loop: every answer makes room for the next request. Open loop: requests
 * have a time at which they are to be sent, and latency counts from it however late they leave. */
#include "tests/client/load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/client/load_internal.h"
#include "tests/client/load_names.h"
#include "tests/client/log.h"
#include "tests/client/options.h"

#define NTP_EPOCH   2208988800u /* 1900 to 1970, seconds */
#define TICK_NS     (100 * LOAD_NS / 1000)
#define EVENTS_MAX  256
#define BURST_MAX   256             /* open loop: sent at most before answers are read */
#define OPENING_MAX (600 * LOAD_NS) /* closing too */
#define BYE_MAX     (2 * LOAD_NS)

int64_t load_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * LOAD_NS + now.tv_nsec;
}

/* xorshift64*: no more is asked of it than to be fast and spread. */
uint64_t load_random(struct load *load)
{
	load->random ^= load->random >> 12;
	load->random ^= load->random << 25;
	load->random ^= load->random >> 27;
	return load->random * UINT64_C(2685821657736338717);
}

/* --- start and end --------------------------------------------------------------------------- */

static bool start(struct load *load)
{
	const struct load_options *options = &load->options;

	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	load->peers = calloc(options->connections, sizeof(*load->peers));
	load->sessions = calloc(options->sessions, sizeof(*load->sessions));
	if (load->epoll < 0 || load->peers == NULL || load->sessions == NULL)
		return false;
	load->random = options->seed * 2 + 1;
	load->end_to_end = (uint32_t)time(NULL) << 20 | (uint32_t)(load_random(load) >> 44);
	load->run = options->preloaded ? LOAD_RUN_PRELOADED : (uint32_t)time(NULL);
	for (uint64_t i = 0; i < options->sessions; i++)
		if (options->preloaded)
			load->sessions[i] = (struct load_session){ .open = true,
								   .number = options->number_first,
								   .granted = options->use_octets };
	for (unsigned i = 0; i < options->connections; i++)
		if (!load_peer_init(load, &load->peers[i], i))
			return false;
	gy_log_start(load->log, "load", options->seed);
	for (unsigned i = 0; i < options->connections; i++)
		for (unsigned k = 0; k < load->peers[i].n_links; k++)
			load_link_connect(load, &load->peers[i].links[k], load_now_ns());
	prctl(PR_SET_TIMERSLACK, 1000ul); /* ns; else an open loop sends 50 us late */
	return true;
}

static void end(struct load *load)
{
	for (unsigned i = 0; i < load->options.connections; i++)
		load_peer_free(&load->peers[i]);
	free(load->peers);
	free(load->sessions);
	close(load->epoll);
	gy_log_close(load->log);
}

/* --- phases ---------------------------------------------------------------------------------- */

/* What was counted so far goes to the rest, and counting begins anew. */
static void reset_stats(struct load *load)
{
	const struct load_stats *stats = &load->stats;

	load->rest.sent += stats->sent;
	load->rest.answered += stats->answered;
	load->rest.succeeded += stats->succeeded;
	load->rest.copies += stats->copies;
	load->rest.refused += stats->refused;
	load->rest.resent += stats->resent;
	load->rest.moved += stats->moved;
	load->rest.busy_again += stats->busy_again;
	load->rest.failovers += stats->failovers;
	load->rest.returns += stats->returns;
	for (unsigned i = 0; i < LOAD_FAULTS; i++)
		load->rest.faults[i] += stats->faults[i];
	memset(&load->stats, 0, sizeof(load->stats));
}

static bool all_ready(const struct load *load, int64_t now)
{
	for (unsigned i = 0; i < load->options.connections; i++)
		if (!load_peer_ready(&load->peers[i], now))
			return false;
	return true;
}

static bool all_gone(const struct load *load)
{
	for (unsigned i = 0; i < load->options.connections; i++)
		for (unsigned k = 0; k < load->peers[i].n_links; k++)
			if (load->peers[i].links[k].state != LOAD_GONE)
				return false;
	return true;
}

/* Opening, closing: every session was looked at. */
static bool cursors_at_end(const struct load *load)
{
	for (unsigned i = 0; i < load->options.connections; i++)
		if (load->peers[i].cursor * load->options.connections + i < load->options.sessions)
			return false;
	return true;
}

/* New requests may go out: windows are filled. */
static void begin_sending(struct load *load)
{
	for (unsigned i = 0; i < load->options.connections; i++) {
		struct load_peer *peer = &load->peers[i];

		peer->cursor = 0;
		load_refill(load, peer);
		load_peer_flush(load, peer);
	}
}

static void leave(struct load *load)
{
	for (unsigned i = 0; i < load->options.connections; i++) {
		struct load_peer *peer = &load->peers[i];

		load_give_up(load, peer);
		for (unsigned k = 0; k < peer->n_links; k++)
			load_link_bye(load, &peer->links[k]);
	}
}

static void enter(struct load *load, enum load_phase phase, int64_t now)
{
	bool sending = load->phase == LOAD_PHASE_WARMUP;

	load->phase = phase;
	switch (phase) {
	case LOAD_PHASE_OPENING:
	case LOAD_PHASE_CLOSING:
		load->phase_end_ns = now + OPENING_MAX;
		begin_sending(load);
		break;
	case LOAD_PHASE_WARMUP:
		load->next_due_ns = now;
		load->phase_end_ns = now + (int64_t)(load->options.warmup * 1e9);
		begin_sending(load);
		break;
	case LOAD_PHASE_MEASURE:
		reset_stats(load);
		load_cpu_read(&load->options, &load->cpu_start);
		load->start_ns = load_now_ns();
		load->phase_end_ns = load->start_ns + (int64_t)(load->options.seconds * 1e9);
		if (sending)
			break;
		load->next_due_ns = load->start_ns;
		begin_sending(load);
		break;
	case LOAD_PHASE_DRAIN:
		load->end_ns = load_now_ns();
		load_cpu_read(&load->options, &load->cpu_end);
		load->in_time = load->stats.answered + load->stats.copies;
		if (load->starving && load->options.requests == 0)
			load->stats.starved =
				(uint64_t)((double)(load->end_ns - load->next_due_ns) *
					   load->options.rate / 1e9);
		load->phase_end_ns = now + (int64_t)load->options.timeout_ms * 5 * 1000000;
		break;
	case LOAD_PHASE_BYE:
		load->phase_end_ns = now + BYE_MAX;
		leave(load);
		break;
	default:
		break;
	}
}

static void after_drain(struct load *load, int64_t now)
{
	bool own = !load->options.preloaded && !load->options.leave_open;

	for (unsigned i = 0; i < load->options.connections; i++)
		load_give_up(load, &load->peers[i]);
	load->measured = load->stats;
	memset(&load->stats, 0, sizeof(load->stats));
	enter(load, own ? LOAD_PHASE_CLOSING : LOAD_PHASE_BYE, now);
}

/* Goes on to the next phase when its time has come. */
static void step_phase(struct load *load, int64_t now)
{
	const struct load_options *options = &load->options;
	bool over = now >= load->phase_end_ns, idle = load_in_flight(load) == 0;
	enum load_phase loaded = options->warmup > 0 ? LOAD_PHASE_WARMUP : LOAD_PHASE_MEASURE;

	switch (load->phase) {
	case LOAD_PHASE_CONNECT:
		if (all_ready(load, now))
			enter(load,
			      options->mode == LOAD_UPDATE && !options->preloaded
				      ? LOAD_PHASE_OPENING
				      : loaded,
			      now);
		break;
	case LOAD_PHASE_OPENING:
		if (over || (idle && cursors_at_end(load)))
			enter(load, loaded, now);
		break;
	case LOAD_PHASE_WARMUP:
		if (over)
			enter(load, LOAD_PHASE_MEASURE, now);
		break;
	case LOAD_PHASE_MEASURE:
		if (options->requests ? load->stats.sent >= options->requests : over)
			enter(load, LOAD_PHASE_DRAIN, now);
		break;
	case LOAD_PHASE_DRAIN:
		if (over || idle)
			after_drain(load, now);
		break;
	case LOAD_PHASE_CLOSING:
		if (over || (idle && cursors_at_end(load)))
			enter(load, LOAD_PHASE_BYE, now);
		break;
	case LOAD_PHASE_BYE:
		if (over || all_gone(load))
			load->phase = LOAD_PHASE_DONE;
		break;
	case LOAD_PHASE_DONE:
		break;
	}
}

/* --- the loop -------------------------------------------------------------------------------- */

static bool sends_by_clock(const struct load *load)
{
	return load->options.rate > 0 &&
	       (load->phase == LOAD_PHASE_WARMUP || load->phase == LOAD_PHASE_MEASURE);
}

/* Open loop: what is due by now. What finds no idle session waits for one, and its latency counts.
 */
static void send_due(struct load *load, int64_t now)
{
	double gap, share;
	bool sent = false;

	for (unsigned i = 0; i < BURST_MAX && load->next_due_ns <= now; i++) {
		load->starving = !load_send_one(load, load->next_due_ns);
		if (load->starving)
			break;
		gap = 1e9 / load->options.rate;
		share = (double)(load_random(load) >> 11) / 9007199254740992.0;
		load->next_due_ns += (int64_t)(load->options.poisson ? gap * -log1p(-share) : gap);
		sent = true;
	}
	if (sent)
		for (unsigned i = 0; i < load->options.connections; i++)
			load_peer_flush(load, &load->peers[i]);
}

/* Ten times a second. */
static void tick(struct load *load, int64_t now)
{
	struct timespec real;

	load->tick_ns = now + TICK_NS;
	clock_gettime(CLOCK_REALTIME, &real);
	load->now_ntp = (uint32_t)real.tv_sec + NTP_EPOCH;
	for (unsigned i = 0; i < load->options.connections; i++) {
		struct load_peer *peer = &load->peers[i];

		for (unsigned k = 0; k < peer->n_links; k++) {
			struct load_link *link = &peer->links[k];

			if (link->state == LOAD_DOWN && now >= link->retry_ns &&
			    load->phase < LOAD_PHASE_BYE)
				load_link_connect(load, link, now);
		}
		load_check_overdue(load, peer, now);
		/* Sessions may have become idle by other means than an answer. */
		load_refill(load, peer);
		load_peer_flush(load, peer);
	}
	if (load->options.progress && now - load->progress_ns >= LOAD_NS)
		load_progress(load, now);
}

static void wait_for_events(struct load *load, int64_t now)
{
	struct epoll_event events[EVENTS_MAX];
	int64_t until = load->tick_ns, wait_ns;
	struct timespec wait;
	int n;

	if (sends_by_clock(load) && !load->starving && load->next_due_ns < until)
		until = load->next_due_ns;
	if (load->phase_end_ns > now && load->phase_end_ns < until)
		until = load->phase_end_ns;
	/* A slow clock: many requests leave, and many answers are read, at one wake-up. */
	if (sends_by_clock(load) && load->options.tick_us > 0) {
		wait = (struct timespec){ 0, load->options.tick_us * 1000L };
		clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
		until = now;
	}
	wait_ns = until > now ? until - now : 0;
	wait = (struct timespec){ wait_ns / LOAD_NS, wait_ns % LOAD_NS };
	n = epoll_pwait2(load->epoll, events, EVENTS_MAX, &wait, NULL);
	for (int i = 0; i < n; i++)
		load_link_event(load, events[i].data.ptr, events[i].events);
}

static void run(struct load *load)
{
	int64_t now = load_now_ns();

	tick(load, now);
	while (load->phase != LOAD_PHASE_DONE && !load->failed) {
		wait_for_events(load, now);
		now = load_now_ns();
		if (now >= load->tick_ns)
			tick(load, now);
		if (sends_by_clock(load))
			send_due(load, now);
		step_phase(load, now);
		load_commit(load);
	}
	reset_stats(load);
}

int gyro_sim_load(int argc, char **argv)
{
	static struct load load; /* large */
	bool help;

	memset(&load, 0, sizeof(load));
	if (!load_options_read(&load.options, argc, argv, &help))
		return 2;
	if (help)
		return 0;
	gy_options_use_tls(load.options.tls_ca, load.options.tls_cert, load.options.tls_key);
	if (load.options.log != NULL && (load.log = gy_log_open(load.options.log)) == NULL)
		return 2;
	if (!start(&load)) {
		fprintf(stderr, "load: can't start: out of memory or descriptors\n");
		return 2;
	}
	run(&load);
	if (!load.failed) {
		load_report(&load);
		gy_log_end(load.log, load_report_json(&load));
	}
	end(&load);
	if (load.failed)
		return 2;
	return load_wrong(&load.measured) + load_wrong(&load.rest) != 0;
}
