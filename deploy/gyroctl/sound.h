/* The catalogue as this transaction sees it, read as a node will read it. */
#ifndef GY_CTL_SOUND_H
#define GY_CTL_SOUND_H

#include "core/rating/attribute.h"
#include "core/rating/catalogue.h"
#include "deploy/gyroctl/diff.h"

/* Reads and compiles it; nothing of that stays in the database. NULL if it isn't sound, which was
 * printed with the line of the rule, if it is the file's (file may be NULL: then nothing is
 * printed). *pushed: its pushed values; may be NULL. Both live until the run ends. */
const struct gy_catalogue *gy_sound_catalogue(struct gy_ctl *ctl,
					      const struct gy_catalogue_file *file,
					      struct gy_pushed **pushed);

#endif
