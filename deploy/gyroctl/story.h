/* What explain and rate share: catalogues out of the archive, and the three units of dynamic rating
 * told as tables. What is printed is what the pure functions put on their trace; nothing is
 * calculated again here. */
#ifndef GY_CTL_STORY_H
#define GY_CTL_STORY_H

#include "core/rating/generate.h"
#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/table.h"

/* Entries of a trace; what goes beyond is counted, and told. */
#define GY_STORY_ENTRIES 4096

struct gy_story {
	struct gy_ctl *ctl;
	json_t *json; /* where tables go instead of the screen; NULL: the screen */
};

/* The catalogue of an archived version, in the run's pool. NULL after an error, which was told. */
const struct gy_catalogue *gy_story_catalogue(struct gy_ctl *ctl, int64_t version);

/* A buffer for a trace, in the pool. */
struct gy_trace gy_story_trace_new(struct gy_ctl *ctl);

/* "12.5", "true", "gold"; "-" if there is no value. In the pool. */
const char *gy_story_value(void *pool, const struct gy_value *value);
/* "0.10 per 1MiB" */
const char *gy_story_rate(void *pool, struct gy_rate rate, enum gy_unit unit);
/* Micro-units as money. */
const char *gy_story_money(void *pool, int64_t micros);

void gy_story_grid(const struct gy_story *story, const char *key, const struct gy_grid *grid);
void gy_story_rows(const struct gy_story *story, const char *key, const struct gy_column *columns,
		   const struct gy_rows *rows);
/* A line for people, and a member for programs; either may be NULL. */
void gy_story_say(const struct gy_story *story, const char *key, json_t *value, const char *format,
		  ...) __attribute__((format(printf, 4, 5)));

/* The codes in force and the attributes read. */
void gy_story_acquired(const struct gy_story *story, const struct gy_acquired *acquired);
/* Rules considered, matched or not and why, stage by stage with operand and running rate. */
void gy_story_trace(const struct gy_story *story, const struct gy_catalogue *catalogue,
		    const struct gy_trace *trace, enum gy_unit unit);

#endif
