/* Has this request been answered before? Rules G-84 to G-89.
 *
 * A duplicate has the exact (type, number) of a request of the session, or says that it is one (T)
 * and has the type and the End-to-End identifier of one that is still kept. A lower number that was
 * never seen is a late original and is charged: requests of a session may arrive in any order
 * (G-25, G-26). */
#ifndef GY_CHARGING_DUPLICATE_H
#define GY_CHARGING_DUPLICATE_H

#include "core/charging/decide.h"

enum gy_seen {
	GY_SEEN_NEVER,   /* to be decided */
	GY_SEEN_KEPT,    /* answered; the answer is in the account row */
	GY_SEEN_EARLIER, /* answered or not, only the history can tell */
};

/* Where the (type, number) of a request stands in a session. */
enum gy_seen gy_request_seen(const struct gy_account *account, unsigned session,
			     const struct gy_ccr *ccr);

/* Notes a CCR-U's number as seen. */
void gy_number_note(struct gy_session *session, uint32_t number);

/* Puts the answer into the session's kept answers. */
void gy_answer_keep(struct gy_account *account, unsigned session, const struct gy_ccr *ccr,
		    const struct gy_answer *answer);

/* True if the kept answer lacks what only its record still has: the price of a pool's units, once a
 * later request may have changed the grant's. */
bool gy_answer_outdated(const struct gy_account *account, unsigned session,
			const struct gy_ccr *ccr);

/* Replays the kept answer of this request; G-86: other content with T clear is the client's fault.
 */
void gy_answer_replay(const struct gy_account *account, unsigned session, const struct gy_ccr *ccr,
		      const struct gy_catalogue *catalogue, struct gy_plan *plan);

/* The same from the history. */
void gy_history_replay(const struct gy_account *account, const struct gy_history *history,
		       const struct gy_ccr *ccr, const struct gy_catalogue *catalogue,
		       struct gy_plan *plan);

#endif
