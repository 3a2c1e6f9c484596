/* The help texts, made from the tables of commands. */
#ifndef GY_CTL_HELP_H
#define GY_CTL_HELP_H

#include <stdbool.h>
#include <stddef.h>

#include "deploy/gyroctl/ctl.h"

void gy_help_all(const struct gy_command *const *families, size_t n);
/* Whether there are commands of two words that begin with this one. */
bool gy_help_is_family(const struct gy_command *const *families, size_t n, const char *word);
/* The commands whose names begin with a word; false if there are none. */
bool gy_help_family(const struct gy_command *const *families, size_t n, const char *word);
void gy_help_command(const struct gy_command *command);
void gy_help_version(void);

#endif
