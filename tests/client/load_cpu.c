/* CPU time of processes, from /proc: nanoseconds of all living threads, and what ended children
 * left to their parent (in clock ticks; PostgreSQL's backends come and go). */
#include "tests/client/load_internal.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t threads_ns(int pid)
{
	char path[64];
	uint64_t sum = 0, ns;
	struct dirent *entry;
	FILE *file;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (tasks == NULL)
		return 0;
	while ((entry = readdir(tasks)) != NULL) {
		char name[384];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s/schedstat", path, entry->d_name);
		file = fopen(name, "r");
		if (file == NULL)
			continue;
		if (fscanf(file, "%" SCNu64, &ns) == 1)
			sum += ns;
		fclose(file);
	}
	closedir(tasks);
	return sum;
}

/* The parent, and the CPU time of children that ended and were waited for. */
static bool read_stat(int pid, int *parent, uint64_t *ended_ns)
{
	char path[64], line[1024], *at;
	unsigned long user = 0, system = 0;
	bool good = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	if (fgets(line, sizeof(line), file) != NULL && (at = strrchr(line, ')')) != NULL)
		good = sscanf(at + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu",
			      parent, &user, &system) == 3;
	fclose(file);
	*ended_ns = (uint64_t)(user + system) * (uint64_t)(LOAD_NS / sysconf(_SC_CLK_TCK));
	return good;
}

/* One level of children is all there is below a postmaster. */
static uint64_t family_ns(int pid)
{
	DIR *processes = opendir("/proc");
	uint64_t sum = threads_ns(pid), ended = 0, unused;
	struct dirent *entry;
	int parent, child;

	if (read_stat(pid, &parent, &ended))
		sum += ended;
	if (processes == NULL)
		return sum;
	while ((entry = readdir(processes)) != NULL) {
		child = atoi(entry->d_name);
		if (child > 0 && read_stat(child, &parent, &unused) && parent == pid)
			sum += threads_ns(child);
	}
	closedir(processes);
	return sum;
}

/* The first line of /proc/stat: user nice system idle iowait irq softirq steal. */
static uint64_t machine_ns(void)
{
	unsigned long user = 0, nice = 0, system = 0, irq = 0, softirq = 0, steal = 0;
	FILE *file = fopen("/proc/stat", "r");

	if (file == NULL)
		return 0;
	if (fscanf(file, "cpu %lu %lu %lu %*u %*u %lu %lu %lu", &user, &nice, &system, &irq,
		   &softirq, &steal) != 6)
		user = nice = system = irq = softirq = steal = 0;
	fclose(file);
	return (uint64_t)(user + nice + system + irq + softirq + steal) *
	       (uint64_t)(LOAD_NS / sysconf(_SC_CLK_TCK));
}

void load_cpu_read(const struct load_options *options, struct load_cpu *cpu)
{
	struct timespec self;

	for (unsigned i = 0; i < options->n_pids; i++)
		cpu->pid[i] = family_ns(options->pids[i].pid);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &self);
	cpu->machine = machine_ns();
	cpu->self = (uint64_t)self.tv_sec * (uint64_t)LOAD_NS + (uint64_t)self.tv_nsec;
}
