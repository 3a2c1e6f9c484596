/* The names of small numbers: the same words in YAML files, tables and JSON. */
#ifndef GY_CTL_WORDS_H
#define GY_CTL_WORDS_H

#include "core/base/units.h"

/* Index = number; "" where a number has no name; ends with NULL. */
extern const char *const gy_words_state[];
extern const char *const gy_words_unit[];
extern const char *const gy_words_rule_kind[];
extern const char *const gy_words_final_unit[];
extern const char *const gy_words_free_answer[];
extern const char *const gy_words_redirect[];
extern const char *const gy_words_identity[];
extern const char *const gy_words_request[];
extern const char *const gy_words_payment[];
extern const char *const gy_words_session_state[];
extern const char *const gy_words_source[];
extern const char *const gy_words_value_type[];
extern const char *const gy_words_on_change[];
extern const char *const gy_words_on_missing[];
extern const char *const gy_words_match[];
extern const char *const gy_words_effect[];
extern const char *const gy_words_derivation[];
extern const char *const gy_words_audience[];
extern const char *const gy_words_validity_from[];
extern const char *const gy_words_directed[];
extern const char *const gy_words_settle[];
extern const char *const gy_words_priority[];
extern const char *const gy_words_user_class[];

/* The name of a number; otherwise if it has none. */
const char *gy_word_name(const char *const *words, int number, const char *otherwise);

/* The number of a name, -1 if there is no such name. */
int gy_word_number(const char *const *words, const char *name);

#endif
