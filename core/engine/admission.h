/* Who is let in when more comes than can be served (G-94, P8). Pure: no clock, no lock, no memory.
 *
 * A lane's queue has a limit. Terminations may fill all of it, updates three quarters, initials and
 * events half: when the queue is that long, what frees and what accounts goes before what is new.
 * The limit is generous while a burst or a stall of the database is being worked off, and just
 * enough to keep the lane at work while more comes than goes: then a longer queue would serve
 * nobody sooner, and everybody later. Terminations keep the generous one. */
#ifndef GY_ENGINE_ADMISSION_H
#define GY_ENGINE_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/charging/ccr.h"

struct gy_admission_limits {
	unsigned batch_max;
	unsigned queue_max;
	unsigned patience_ms; /* older when taken up: refused */
	unsigned deadline_ms; /* older when answered: not sent */
};

/* How fast a lane is. Times in nanoseconds, CLOCK_MONOTONIC. All zero at first. */
struct gy_pace {
	int64_t batch_ns;   /* a batch takes about as long; 0: none has ended yet */
	int64_t began_ns;   /* of the batch under way; 0: there is none */
	unsigned taken;     /* requests in it */
	bool overloaded;    /* more comes than goes, and has for a while */
	bool heavily;       /* and much more than a little */
	int64_t refused_ns; /* when somebody was last turned away */

	/* The window in which it is found out whether the queue only grows. */
	int64_t window_ns;
	unsigned takes;
	unsigned first, least; /* requests left behind by the first take, and the fewest */
	unsigned served;       /* requests taken */
	unsigned refused;      /* turned away */
	unsigned windows;      /* so far */
};

enum gy_admission {
	GY_ADMIT,
	GY_ADMIT_NOT_FULL, /* the queue is as long as it may be for this type of request */
	/* Its turn would come too late to answer it in time. Never said for the pace alone while
	 * nobody goes before it. */
	GY_ADMIT_NOT_LATE,
};

/* May a request that is age_ns old join the waiting ones of this lane? Says no to no type that it
 * says yes to for a type of lower rank, all else being equal: T before U before I and E. */
enum gy_admission gy_admit(const struct gy_admission_limits *limits, const struct gy_pace *pace,
			   enum gy_request_type type, unsigned waiting, int64_t age_ns,
			   int64_t now_ns);

/* When a request that is let in now may expect its batch to begin, in nanoseconds from now. */
int64_t gy_expected_wait_ns(const struct gy_admission_limits *limits, const struct gy_pace *pace,
			    unsigned waiting, int64_t now_ns);

/* A batch of so many requests was taken, and so many were left behind; it is under way now. */
void gy_pace_taken(const struct gy_admission_limits *limits, struct gy_pace *pace, unsigned taken,
		   unsigned left, int64_t now_ns);
/* Somebody was turned away. */
void gy_pace_refused(struct gy_pace *pace, int64_t now_ns);
/* It has ended; ran: there was something in it that was not too old. */
void gy_pace_ended(struct gy_pace *pace, bool ran, int64_t now_ns);

#endif
