/* See admission.h. */
#include "core/engine/admission.h"

#define MS INT64_C(1000000)

/* So long, and over so many batches, the queue must have been long, and grow: by so much of what
 * was served meanwhile. */
#define WINDOW_NS (100 * MS)
#define TAKES_MIN 4
#define GROWTH    8
/* One window in so many is not heavy. */
#define PROBE 100
/* Heavy overload: so much of what is served is refused. */
#define HEAVY 16
/* The end of overload: so long without a refusal. */
#define CALM_NS (300 * MS)
/* Old durations of batches fade by an eighth with each new one; a single stall counts as so many
 * usual ones, not more. */
#define FADE       8
#define STALL_MOST 4
/* What is usual before there was one: the first may have met a cold database. */
#define USUAL_NS (25 * MS)

/* Quarters of the limit that each type may use. */
static unsigned quarters(enum gy_request_type type)
{
	switch (type) {
	case GY_TERMINATION:
		return 4;
	case GY_UPDATE:
		return 3;
	case GY_INITIAL:
	case GY_EVENT:
		break;
	}
	return 2;
}

/* What is left of the batch under way, as if its requests were done one by one. Without it the
 * queue would look short whenever a batch has just been taken, and let in whoever comes then. */
static uint64_t unfinished(const struct gy_pace *pace, int64_t now_ns)
{
	int64_t left_ns = pace->batch_ns - (now_ns - pace->began_ns);

	if (pace->began_ns == 0 || left_ns <= 0)
		return 0;
	return pace->taken * (uint64_t)left_ns / (uint64_t)pace->batch_ns;
}

/* A lane that was left alone meanwhile has not noticed that it is over: whoever comes then must not
 * be refused for it, for that would be the next refusal. */
static bool lasts(const struct gy_pace *pace, int64_t now_ns)
{
	return pace->overloaded && now_ns - pace->refused_ns <= CALM_NS;
}

/* As full as the queue may get for this type. In overload: once all that is there, and what is
 * under way, is half a batch for updates, a third for initials. Batches of that size cost little
 * more a request than full ones, and whoever is let in waits for one of them and is done with the
 * next; what refusing the others takes from the machine slows both down. Four times as much while
 * hardly anybody is refused: so full batches are tried before it is called overload again. Not for
 * terminations: there is one to a session, and it makes room. */
static bool is_full(const struct gy_admission_limits *limits, const struct gy_pace *pace,
		    enum gy_request_type type, unsigned waiting, int64_t now_ns)
{
	uint64_t share = quarters(type), queue;

	if ((uint64_t)waiting * 4 >= limits->queue_max * share)
		return true;
	if (!lasts(pace, now_ns) || type == GY_TERMINATION)
		return false;
	queue = waiting + unfinished(pace, now_ns);
	return queue * 6 >= limits->batch_max * share * (pace->heavily ? 1 : 4);
}

/* Until the batch under way ends. One that takes longer than usual may well take as long again. */
static int64_t rest_ns(const struct gy_pace *pace, int64_t now_ns)
{
	int64_t running = now_ns - pace->began_ns;

	if (pace->began_ns == 0)
		return 0;
	return running < pace->batch_ns ? pace->batch_ns - running : running;
}

int64_t gy_expected_wait_ns(const struct gy_admission_limits *limits, const struct gy_pace *pace,
			    unsigned waiting, int64_t now_ns)
{
	/* Whole batches go before its own: the waiting ones fill these first. */
	return rest_ns(pace, now_ns) + (int64_t)(waiting / limits->batch_max) * pace->batch_ns;
}

/* Nobody goes before it. How long its batch takes is then no reason to refuse it: whoever is
 * refused for that proves nothing, and the lane would believe for ever that it is too slow. */
static bool is_alone(const struct gy_pace *pace, unsigned waiting)
{
	return waiting == 0 && pace->began_ns == 0;
}

enum gy_admission gy_admit(const struct gy_admission_limits *limits, const struct gy_pace *pace,
			   enum gy_request_type type, unsigned waiting, int64_t age_ns,
			   int64_t now_ns)
{
	unsigned share = quarters(type);
	int64_t taken_up_ns, patience_ns;

	if (is_full(limits, pace, type, waiting, now_ns))
		return GY_ADMIT_NOT_FULL;
	taken_up_ns = age_ns + gy_expected_wait_ns(limits, pace, waiting, now_ns);
	patience_ns = (int64_t)limits->patience_ms * MS * share / 4;
	if (taken_up_ns > patience_ns ||
	    (taken_up_ns + pace->batch_ns > (int64_t)limits->deadline_ms * MS &&
	     !is_alone(pace, waiting)))
		return GY_ADMIT_NOT_LATE;
	return GY_ADMIT;
}

/* Clients that wait for their answers before they ask again may make a queue that is always long;
 * it does not grow. */
static bool grew(const struct gy_pace *pace, unsigned left)
{
	return left > pace->first &&
	       (uint64_t)(left - pace->first) * GROWTH >= (uint64_t)pace->served;
}

void gy_pace_taken(const struct gy_admission_limits *limits, struct gy_pace *pace, unsigned taken,
		   unsigned left, int64_t now_ns)
{
	pace->taken = taken;
	pace->began_ns = now_ns;
	pace->overloaded = lasts(pace, now_ns);
	if (pace->takes == 0) {
		pace->window_ns = now_ns;
		pace->first = pace->least = left;
		pace->served = 0;
	}
	pace->takes++;
	pace->served += taken;
	if (left < pace->least)
		pace->least = left;
	if (now_ns - pace->window_ns < WINDOW_NS || pace->takes < TAKES_MIN)
		return;
	/* Clients that come again as soon as they are refused look like ever so many. Now and then
	 * a little more are let in: if that was all of them, it is over. */
	pace->windows++;
	pace->heavily = pace->refused * HEAVY >= pace->served && pace->windows % PROBE != 0;
	if (!pace->overloaded && pace->least >= limits->batch_max &&
	    (grew(pace, left) || pace->refused > 0)) {
		pace->overloaded = pace->heavily = true;
		pace->refused_ns = now_ns;
	}
	pace->takes = pace->refused = 0;
}

void gy_pace_refused(struct gy_pace *pace, int64_t now_ns)
{
	pace->refused++;
	pace->refused_ns = now_ns;
}

void gy_pace_ended(struct gy_pace *pace, bool ran, int64_t now_ns)
{
	int64_t most = STALL_MOST * (pace->batch_ns != 0 ? pace->batch_ns : USUAL_NS);
	int64_t took = now_ns - pace->began_ns;

	pace->began_ns = 0;
	if (!ran)
		return;
	if (took > most)
		took = most;
	pace->batch_ns =
		pace->batch_ns == 0 ? took : pace->batch_ns + (took - pace->batch_ns) / FADE;
}
