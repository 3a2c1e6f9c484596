/* Keeping an account's sessions, reservations and kept answers in order. */
#include "core/charging/account.h"

#include <string.h>

#include "core/base/assert.h"
#include "core/rating/price.h"

int64_t gy_account_available(const struct gy_account *account)
{
	return account->balance + account->credit_limit - account->reserved;
}

int gy_session_lost(const struct gy_account *account, int64_t gateway_id, gy_time_us restarted_us,
		    struct gy_session_key told_by)
{
	for (unsigned i = 0; i < account->n_sessions; i++) {
		const struct gy_session *s = &account->sessions[i];

		if (s->state == GY_SESSION_OPEN && s->gateway_id == gateway_id && !s->taken_over &&
		    s->opened_us < restarted_us &&
		    (s->key.hi != told_by.hi || s->key.lo != told_by.lo))
			return (int)i;
	}
	return -1;
}

int gy_session_find(const struct gy_account *account, struct gy_session_key key)
{
	int ended = -1;

	for (unsigned i = 0; i < account->n_sessions; i++) {
		const struct gy_session *session = &account->sessions[i];

		if (session->key.hi != key.hi || session->key.lo != key.lo)
			continue;
		if (session->state == GY_SESSION_OPEN)
			return (int)i;
		ended = (int)i;
	}
	return ended;
}

struct gy_reservation *gy_reservation_find(struct gy_account *account, unsigned session,
					   uint32_t rating_group, int64_t service_key)
{
	for (unsigned i = 0; i < account->n_reservations; i++) {
		struct gy_reservation *r = &account->reservations[i];

		if (r->session == session && r->rating_group == rating_group &&
		    r->service_key == service_key)
			return r;
	}
	return NULL;
}

void gy_reservation_clear(struct gy_account *account, struct gy_reservation *reservation)
{
	unsigned index = (unsigned)(reservation - account->reservations), kept = 0;

	account->reserved -= reservation->reserved;
	reservation->reserved = 0;
	reservation->granted = 0;
	reservation->switch_us = 0;
	for (unsigned i = 0; i < account->n_slices; i++)
		if (account->slices[i].reservation != index)
			account->slices[kept++] = account->slices[i];
	account->n_slices = kept;
}

void gy_reservation_release(struct gy_account *account, const struct gy_homes *homes,
			    struct gy_reservation *reservation)
{
	gy_cards_release(account, homes, reservation);
	gy_reservation_clear(account, reservation);
}

/* Slices follow their reservation when it moves. */
static void move_slices(struct gy_account *account, unsigned from, unsigned to)
{
	for (unsigned i = 0; i < account->n_slices; i++)
		if (account->slices[i].reservation == from)
			account->slices[i].reservation = to;
}

void gy_session_remove(struct gy_account *account, unsigned session)
{
	unsigned kept = 0;

	gy_assert(session < account->n_sessions);
	for (unsigned i = 0; i < account->n_reservations; i++) {
		struct gy_reservation r = account->reservations[i];

		if (r.session == session) {
			gy_assert(r.reserved == 0 && r.granted == 0);
			continue;
		}
		r.session -= r.session > session;
		move_slices(account, i, kept);
		account->reservations[kept++] = r;
	}
	account->n_reservations = kept;

	kept = 0;
	for (unsigned i = 0; i < account->n_answers; i++) {
		struct gy_kept_answer answer = account->answers[i];

		if (answer.session == session)
			continue;
		answer.session -= answer.session > session;
		account->answers[kept++] = answer;
	}
	account->n_answers = kept;

	memmove(&account->sessions[session], &account->sessions[session + 1],
		(account->n_sessions - session - 1) * sizeof(account->sessions[0]));
	account->n_sessions--;
}

void gy_tombstones_trim(struct gy_account *account, gy_time_us now)
{
	for (;;) {
		unsigned ended = 0;
		int oldest = -1;

		for (unsigned i = 0; i < account->n_sessions; i++) {
			if (account->sessions[i].state == GY_SESSION_OPEN)
				continue;
			ended++;
			if (oldest < 0 || account->sessions[i].deadline_us <
						  account->sessions[oldest].deadline_us)
				oldest = (int)i;
		}
		if (oldest < 0)
			return;
		if (ended <= GY_TOMBSTONES_MAX && account->sessions[oldest].deadline_us > now)
			return;
		gy_session_remove(account, (unsigned)oldest);
	}
}

static bool same_request(const struct gy_kept_answer *a, const struct gy_kept_answer *b)
{
	return a->session == b->session && a->type == b->type && a->number == b->number;
}

/* Removes the rows of the request that row `first` belongs to: they stand together. */
static void drop_kept(struct gy_account *account, unsigned first)
{
	unsigned end = first + 1;

	while (end < account->n_answers &&
	       same_request(&account->answers[first], &account->answers[end]))
		end++;
	memmove(&account->answers[first], &account->answers[end],
		(account->n_answers - end) * sizeof(account->answers[0]));
	account->n_answers -= end - first;
}

void gy_kept_answers_trim(struct gy_account *account, unsigned session)
{
	for (;;) {
		unsigned requests = 0, rows = 0;
		int first = -1, last = -1;

		for (unsigned i = 0; i < account->n_answers; i++) {
			if (account->answers[i].session != session)
				continue;
			rows++;
			if (first < 0)
				first = (int)i;
			if (last < 0 ||
			    !same_request(&account->answers[last], &account->answers[i]))
				requests++;
			last = (int)i;
		}
		if (requests <= 1 || (requests <= GY_ANSWERS_KEPT && rows <= GY_ANSWER_ROWS_KEPT))
			return;
		drop_kept(account, (unsigned)first);
	}
}

/* The slices of a grant: its units in each phase, and held what the dearer phase may cost. */
static bool slices_add_up(const struct gy_account *account, unsigned reservation, bool *any)
{
	const struct gy_reservation *r = &account->reservations[reservation];
	int64_t units[2] = { 0, 0 }, held[2] = { 0, 0 };

	*any = false;
	for (unsigned i = 0; i < account->n_slices; i++) {
		const struct gy_slice *s = &account->slices[i];

		if (s->reservation != reservation)
			continue;
		if (s->phase > 1 || s->units < 0 || s->held < 0)
			return false;
		*any = true;
		units[s->phase] += s->units;
		held[s->phase] += s->held;
	}
	return !*any ||
	       (units[0] == r->granted && units[1] == (r->switch_us != 0 ? r->granted : 0) &&
		r->reserved == (held[0] > held[1] ? held[0] : held[1]));
}

void gy_account_check(const struct gy_account *account)
{
	int64_t held = 0;

	for (unsigned i = 0; i < account->n_reservations; i++) {
		const struct gy_reservation *r = &account->reservations[i];
		int64_t due = 0;
		bool sliced = false;

		gy_assert(r->session < account->n_sessions);
		gy_assert(r->granted >= 0 && r->reserved >= 0);
		gy_assert(r->rate.block > 0 && r->carry >= 0 && r->carry < r->rate.block);
		gy_assert(account->sessions[r->session].state == GY_SESSION_OPEN ||
			  r->granted == 0);
		if (account->n_slices > 0)
			gy_assert(slices_add_up(account, i, &sliced));
		if (r->granted > 0 && !sliced)
			gy_assert(gy_price_reserve(r->rate, r->granted, r->carry, &due));
		gy_assert(sliced || r->reserved == due); /* I4 */
		held += r->reserved;
	}
	for (unsigned i = 0; i < account->n_cards; i++)
		held += account->cards[i].held;
	gy_assert(held == account->reserved); /* I3 */
	gy_cards_check(account);
	for (unsigned i = 0; i < account->n_slices; i++)
		gy_assert(account->slices[i].reservation < account->n_reservations);
	for (unsigned i = 0; i < account->n_answers; i++)
		gy_assert(account->answers[i].session < account->n_sessions);
}
