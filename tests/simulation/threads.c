/* Threads, clocks and waiting of the engines, played by coroutines: see sim.h. Nothing here runs at
 * the same time as anything else, so a seed or a plan repeats a run exactly. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/simulation/sim.h"

#define THREADS_MAX 64
#define STACK_SIZE  (512 * 1024)
/* A step takes time, so that no two things happen at one instant. */
#define STEP_NS 20000

struct thread {
	ucontext_t context;
	void *stack;
	void *(*run)(void *);
	void *data;
	bool used, ended;
	int64_t wake_ns; /* 0: can go on */
	const void *condition;
};

int64_t sim_now_ns;
unsigned sim_steps;
bool sim_could_switch[STEPS_MAX];

static struct thread threads[THREADS_MAX];
static struct thread *current;
static ucontext_t scheduler;
static unsigned turn; /* whose it is */

/* The wrapped functions (see CMakeLists.txt). */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
			  void *data);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
				  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_nanosleep(const struct timespec *pause, struct timespec *left);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_prctl(int option, ...);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

gy_time_us sim_database_now(void)
{
	return sim_db.begin_us + sim_now_ns / 1000;
}

void sim_threads_begin(void)
{
	sim_now_ns = 1000 * MS;
	sim_steps = turn = 0;
}

void sim_threads_end(void)
{
	for (unsigned i = 0; i < THREADS_MAX; i++)
		if (threads[i].used)
			sim_broken("a thread was left behind");
}

static void entry(void)
{
	current->run(current->data);
	current->ended = true;
	swapcontext(&current->context, &scheduler);
}

static void resume(struct thread *t)
{
	t->wake_ns = 0;
	t->condition = NULL;
	current = t;
	swapcontext(&scheduler, &t->context);
	current = NULL;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
			  void *data)
{
	unsigned i = 0;

	(void)attributes;
	while (i < THREADS_MAX && threads[i].used)
		i++;
	if (i == THREADS_MAX)
		return EAGAIN;
	threads[i].run = run;
	threads[i].data = data;
	threads[i].used = true;
	threads[i].ended = false;
	threads[i].wake_ns = 0;
	threads[i].condition = NULL;
	if (threads[i].stack == NULL) /* and kept for the next one */
		threads[i].stack = malloc(STACK_SIZE);
	if (threads[i].stack == NULL)
		abort();
	getcontext(&threads[i].context);
	threads[i].context.uc_stack.ss_sp = threads[i].stack;
	threads[i].context.uc_stack.ss_size = STACK_SIZE;
	threads[i].context.uc_link = NULL;
	makecontext(&threads[i].context, entry, 0);
	*thread = (pthread_t)i;
	return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
	struct thread *t = &threads[(unsigned)thread];

	while (!t->ended)
		resume(t);
	t->used = false;
	if (result != NULL)
		*result = NULL;
	return 0;
}

void sim_yield(void)
{
	if (current != NULL)
		swapcontext(&current->context, &scheduler);
}

void sim_wait(int64_t until_ns, const void *condition)
{
	current->wake_ns = until_ns > sim_now_ns ? until_ns : sim_now_ns + 1;
	current->condition = condition;
	swapcontext(&current->context, &scheduler);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
				  const struct timespec *until)
{
	pthread_mutex_unlock(mutex);
	sim_wait((int64_t)until->tv_sec * 1000 * MS + until->tv_nsec, condition);
	pthread_mutex_lock(mutex);
	return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
	for (unsigned i = 0; i < THREADS_MAX; i++)
		if (threads[i].used && threads[i].condition == condition)
			threads[i].wake_ns = 0;
	return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	now->tv_sec = sim_now_ns / (1000 * MS);
	now->tv_nsec = sim_now_ns % (1000 * MS);
	return 0;
}

int __wrap_nanosleep(const struct timespec *pause, struct timespec *left)
{
	(void)left;
	sim_wait(sim_now_ns + (int64_t)pause->tv_sec * 1000 * MS + pause->tv_nsec, NULL);
	return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	if (__real_poll(fds, n, 0) == 0)
		sim_wait(sim_now_ns + timeout_ms * MS, NULL);
	return __real_poll(fds, n, 0);
}

/* Threads would give their names to the only real one. */
int __wrap_prctl(int option, ...)
{
	(void)option;
	return 0;
}

static bool can_run(const struct thread *t)
{
	return t->used && !t->ended && t->wake_ns <= sim_now_ns;
}

/* The same thread goes on until it waits, but for the planned switches. */
static bool switch_planned(void)
{
	for (unsigned i = 0; i < sim_plan.n_switches; i++)
		if (sim_plan.switches[i] == sim_steps)
			return true;
	return false;
}

static struct thread *choose(void)
{
	unsigned able[THREADS_MAX], n = 0, at = 0;

	for (unsigned i = 0; i < THREADS_MAX; i++)
		if (can_run(&threads[(turn + i) % THREADS_MAX]))
			able[n++] = (turn + i) % THREADS_MAX;
	if (n == 0)
		return NULL;
	if (sim_steps < STEPS_MAX)
		sim_could_switch[sim_steps] = n > 1;
	if (sim_plan.seed != 0)
		at = sim_below(n);
	else if (n > 1 && switch_planned())
		at = 1;
	turn = able[at];
	return &threads[turn];
}

bool sim_run_one(void)
{
	struct thread *t = choose();

	if (t == NULL)
		return false;
	sim_steps++;
	sim_now_ns += STEP_NS;
	resume(t);
	return true;
}

int64_t sim_next_wake_ns(void)
{
	int64_t next = INT64_MAX;

	for (unsigned i = 0; i < THREADS_MAX; i++)
		if (threads[i].used && !threads[i].ended && threads[i].wake_ns < next)
			next = threads[i].wake_ns;
	return next;
}
