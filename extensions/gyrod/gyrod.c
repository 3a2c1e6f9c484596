/* gyrod: the daemon. A small main around libfdcore, which does what stock freeDiameterd can't:
 * interposed functions (interpose.c), batch scheduling, a drain before the end, a bounded log, and
 * an exit status that tells a stop on request (0) from any other end (1).
 *
 * Loads any freeDiameter configuration; what makes it Gyro are the extensions in there. */
#include <dlfcn.h>
#include <getopt.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>

#include "core/base/assert.h"
#include "extensions/gyrod/gyrod.h"

/* Together with the drain below systemd's usual patience, and ours, of 20 s. */
#define DRAIN_MS 5000
#define FLUSH_MS 1000
#define STOP_S   13

#define DESCRIPTORS 65536
/* For the threads that listen. */
#define LISTEN_MS 10000

#ifdef __SANITIZE_ADDRESS__
/* Every freeDiameter extension exports fd_ext_depends and fd_ext_init: no accident. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_odr_violation=0";
}
#endif

static _Atomic int stop_requested;
static sigset_t stop_signals;

static void usage(FILE *out)
{
	fputs("usage: gyrod -c FILE\n"
	      "  -c, --config FILE  freeDiameter configuration; its LoadExtension lines name\n"
	      "                     dict_gyro, acl_gyro and app_gyro, and these gyro.yaml\n"
	      "  -h, --help         this text\n"
	      "  -V, --version      versions\n"
	      "SIGTERM, SIGINT: refuse new requests, finish those in work, disconnect, exit 0.\n"
	      "A line \"gyro: ready on ADDRESS:PORT\" on standard output: requests are answered.\n",
	      out);
}

/* The last words before an abort; nothing here may allocate. */
static void last_words(const char *expression, const char *file, int line)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "gyro: assertion failed: %s (%s:%d)\n", expression,
			 file, line);

	if (n > 0 &&
	    write(STDERR_FILENO, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1) < 0)
		_exit(134);
}

/* Requests in work end, and their answers leave: the extension's drain, then our own queues. */
static void drain(void)
{
	void (*app_drain)(unsigned) = (void (*)(unsigned))dlsym(RTLD_DEFAULT, "gyro_app_drain");
	int waiting = 0;
	long receive, to_send, pending;

	if (app_drain != NULL)
		app_drain(DRAIN_MS);
	for (int ms = 0; ms < FLUSH_MS; ms += 10) {
		fd_stat_getstats(STAT_G_OUTGOING, NULL, &waiting, NULL, NULL, NULL, NULL, NULL,
				 NULL);
		pending = 0;
		pthread_rwlock_rdlock(&fd_g_peers_rw);
		for (struct fd_list *li = fd_g_peers.next; li != &fd_g_peers; li = li->next)
			if (fd_peer_get_load_pending((struct peer_hdr *)li, &receive, &to_send) ==
			    0)
				pending += to_send;
		pthread_rwlock_unlock(&fd_g_peers_rw);
		if (waiting == 0 && pending <= 0)
			break;
		usleep(10000);
	}
}

/* Waits for a signal to stop; then is the watchdog of the stop. */
static void *stopper(void *unused)
{
	int which = 0;

	(void)unused;
	gyrod_name_thread("gyro stop");
	while (sigwait(&stop_signals, &which) != 0 || which == SIGUSR1 || which == SIGUSR2)
		;
	atomic_store(&stop_requested, 1);
	gyrod_say("gyro: stopping (%s)", strsignal(which));
	drain();
	fd_core_shutdown(); /* a DPR, REBOOTING, to every peer */
	sleep(STOP_S);
	/* A peer keeps us waiting. What counts is durable: nothing is lost by not waiting longer.
	 */
	gyrod_say("gyro: stopped without the goodbye of every peer");
	_exit(0);
}

static bool await_listening(void)
{
	bool plain = fd_g_config->cnf_port != 0, tls = fd_g_config->cnf_port_tls != 0;
	unsigned wanted = plain && !fd_g_config->cnf_flags.no_sctp; /* one for all addresses */

	for (struct fd_list *li = fd_g_config->cnf_endpoints.next;
	     li != &fd_g_config->cnf_endpoints; li = li->next)
		if (((struct fd_endpoint *)li)->flags & EP_FL_CONF)
			wanted += plain + tls;
	for (int ms = 0; gyrod_listening() < wanted; ms++) {
		if (ms >= LISTEN_MS)
			return false;
		usleep(1000);
	}
	return true;
}

static void say_ready_on(const struct fd_endpoint *ep, uint16_t port, const char *how)
{
	bool v6 = ep->sa.sa_family == AF_INET6;
	char host[NI_MAXHOST];

	if (port == 0 || !(ep->flags & EP_FL_CONF) ||
	    getnameinfo(&ep->sa, v6 ? sizeof(ep->sin6) : sizeof(ep->sin), host, sizeof(host), NULL,
			0, NI_NUMERICHOST) != 0)
		return;
	gyrod_say(v6 ? "gyro: ready on [%s]:%u%s" : "gyro: ready on %s:%u%s", host, (unsigned)port,
		  how);
}

static void say_ready(void)
{
	for (struct fd_list *li = fd_g_config->cnf_endpoints.next;
	     li != &fd_g_config->cnf_endpoints; li = li->next) {
		struct fd_endpoint *ep = (struct fd_endpoint *)li;

		say_ready_on(ep, fd_g_config->cnf_port,
			     fd_g_config->cnf_flags.no_sctp ? "" : ", TCP and SCTP");
		say_ready_on(ep, fd_g_config->cnf_port_tls, ", TLS");
	}
}

/* As many descriptors as we may have: a connection is one, and shells give 1024. */
static void more_descriptors(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max < DESCRIPTORS ? files.rlim_max : DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &files);
}

/* Runs until the core has ended. Returns the exit status. */
static int run(const char *file)
{
	pthread_t thread;

	if (fd_core_initialize())
		return 1;
	if (fd_core_parseconf(file)) {
		gyrod_log_started(false);
		gyrod_say("gyro: %s: the configuration can't be used; the lines above say why",
			  file);
		return 1; /* at once: libfdcore's own clean-up here waits for what never started */
	}
	if (fd_core_start() || !await_listening()) {
		gyrod_log_started(false);
		gyrod_say("gyro: the network side can't start; the lines above say why");
		return 1;
	}
	gyrod_log_started(true);
	if (pthread_create(&thread, NULL, stopper, NULL))
		return 1;
	say_ready();
	fd_core_wait_shutdown_complete();
	if (!atomic_load(&stop_requested))
		gyrod_say("gyro: freeDiameter ended by itself");
	return atomic_load(&stop_requested) ? 0 : 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "help", no_argument, NULL, 'h' },
						 { "version", no_argument, NULL, 'V' },
						 { NULL, 0, NULL, 0 } };
	const struct sched_param batch = { 0 };
	const char *file = NULL;
	sigset_t all;
	int c, status;

	while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			file = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("gyrod %s, %s %s\n", GYRO_VERSION, FD_PROJECT_NAME, fd_core_version);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (file == NULL || optind != argc) {
		usage(stderr);
		return 2;
	}
	/* All threads inherit both: signals go to the stopper; batch scheduling spares a quarter of
	 * the time by not pre-empting a thread for each message it has handed on. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	sigemptyset(&stop_signals);
	sigaddset(&stop_signals, SIGTERM);
	sigaddset(&stop_signals, SIGINT);
	sched_setscheduler(0, SCHED_BATCH, &batch);
	more_descriptors();
	gy_assert_report = last_words;
	gyrod_log_start();
	status = run(file);
	fflush(stdout);
	/* libfdcore's threads may still be ending: no destructors under their feet. */
	_exit(status);
}
