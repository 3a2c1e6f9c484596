/* From the words of a catalogue file to cells: what the files that read its sections share.
 *
 * Each reader returns the cell, otherwise if the key is absent, NULL after an error, which was
 * printed with its line and counted; reading goes on, so that one run shows them all. */
#ifndef GY_CTL_MODEL_H
#define GY_CTL_MODEL_H

#include "deploy/gyroctl/catalogue.h"

#define GY_ERRORS_MAX     20
#define GY_PRICE_CELL_MAX INT64_C(1000000000000000)

struct gy_model {
	struct gy_ctl *ctl;
	const struct gy_yaml *yaml;
	struct gy_catalogue_file *out;
	int errors;
	char where[200]; /* path of the entry at hand, e.g. "tariffs/0/rules/3" */
};

/* An error at a key of the entry at hand (NULL: at the entry). */
void gy_model_wrong(struct gy_model *m, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Goes to an entry. */
void gy_model_entry(struct gy_model *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A new row of a section, at the line of the entry at hand. */
struct gy_item *gy_model_item(struct gy_model *m, enum gy_section_id id);

const char *gy_model_decimal(struct gy_model *m, int64_t n);
const char *gy_model_number(struct gy_model *m, const char *key, const char *text, int64_t least,
			    int64_t most, const char *otherwise);
const char *gy_model_size(struct gy_model *m, const char *key, const char *text, int64_t least,
			  int64_t most, const char *otherwise);
const char *gy_model_duration(struct gy_model *m, const char *key, const char *text, int64_t least,
			      int64_t most, const char *otherwise);
const char *gy_model_money(struct gy_model *m, const char *key, const char *text, int64_t least,
			   int64_t most, const char *otherwise);
const char *gy_model_word(struct gy_model *m, const char *key, const char *text,
			  const char *const *words, const char *otherwise);
const char *gy_model_instant(struct gy_model *m, const char *key, const char *text,
			     const char *otherwise);
/* true or false, as PostgreSQL prints it. */
const char *gy_model_bool(struct gy_model *m, const char *key, const char *text,
			  const char *otherwise);
/* Not empty; otherwise if the key is absent. */
const char *gy_model_text(struct gy_model *m, const char *key, const char *text);
/* A JSON array of texts. */
const char *gy_model_list(struct gy_model *m, char *const *texts, unsigned n);
/* Names of an Enumerated AVP's values as a JSON array of their numbers; the one word "none" is an
 * empty array. NULL without any, or after an error. */
const char *gy_model_enums(struct gy_model *m, const char *key, char *const *texts, unsigned n,
			   uint32_t vendor, uint32_t code);
int64_t gy_model_value(const char *cell);
/* That valid_until is after valid_from. */
void gy_model_validity(struct gy_model *m, const char *from, const char *until);

/* The sections of dynamic tariffs. */
void gy_model_dynamic(struct gy_model *m, const struct gy_yaml_file *f);
/* Zone, attributes and dynamic codes of the subscriber at hand. */
void gy_model_subscriber(struct gy_model *m, const struct gy_yaml_subscriber *s, const char *id);

/* The sections of cards: audiences, apps, products. */
void gy_model_cards(struct gy_model *m, const struct gy_yaml_file *f);

#endif
