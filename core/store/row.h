/* An account row: matrices to structs and back. For the files of core/store only.
 *
 * The numbers of the matrices' columns stand here, in the schema's comments and in its
 * views: one meaning, three places. */
#ifndef GY_STORE_ROW_H
#define GY_STORE_ROW_H

#include <libpq-fe.h>

#include "core/store/binary.h"
#include "core/store/store.h"

#define GY_SESSION_COLUMNS     12
#define GY_RESERVATION_COLUMNS 12
#define GY_ANSWER_COLUMNS      9
#define GY_SLICE_COLUMNS       6
#define GY_COUNTER_COLUMNS     10
#define GY_DRAW_COLUMNS        5
#define GY_CARD_USE_COLUMNS    4
#define GY_CARD_COLUMNS        8 /* only operations change them */
#define GY_CHARGE_COLUMNS      18

/* A result row of account_lock.sql; arrays under pool with no spare room. GY_STORE_REFUSED: the row
 * is not what this version writes. */
enum gy_rc gy_account_read(void *pool, const PGresult *result, int row,
			   struct gy_account *account) GY_MUST_CHECK;

void gy_sessions_put(struct gy_params *params, unsigned number, const struct gy_account *account);
void gy_reservations_put(struct gy_params *params, unsigned number,
			 const struct gy_account *account);
void gy_answers_put(struct gy_params *params, unsigned number, const struct gy_account *account);
void gy_slices_put(struct gy_params *params, unsigned number, const struct gy_account *account);
void gy_counters_put(struct gy_params *params, unsigned number, const struct gy_account *account);
void gy_draws_put(struct gy_params *params, unsigned number, const struct gy_account *account);
void gy_card_use_put(struct gy_params *params, unsigned number, const struct gy_account *account);
void gy_charges_put(struct gy_params *params, unsigned number, const struct gy_record *record);

/* True if a charge is a further part of the usage before it: no answer of its own. */
bool gy_charge_is_part(const struct gy_matrix *charges, unsigned row);
/* What a charge, or a part, took from the balance; micro-units, negative: it gave back. */
int64_t gy_charge_debit(const struct gy_matrix *charges, unsigned row);
/* What a charge, or a part, was drained from. */
enum gy_from gy_charge_from(const struct gy_matrix *charges, unsigned row);
/* A charge of a record as the answer that was given: what a duplicate is answered from. */
struct gy_kept_answer gy_charge_as_answer(const struct gy_matrix *charges, unsigned row);

#endif
