/* Where things stand in a YAML file: for errors that libcyaml can't see.
 *
 * libyaml reads the file once more, as a tree whose nodes know their lines. */
#ifndef GY_CTL_LINES_H
#define GY_CTL_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct gy_lines;

/* NULL if it is no YAML; then *line and *reason (in the pool) say where and why. */
struct gy_lines *gy_lines_read(void *pool, const char *data, size_t size, int *line,
			       const char **reason);

/* The line of "tariffs/0/rules/3/price", or of the last part of the path that is there. */
int gy_lines_find(struct gy_lines *lines, const char *path);

/* The n-th key and value of the mapping at a path. 1: there is one; 0: there are no more, or
 * nothing is there; -1: it is no mapping, or *value is no scalar. The texts live as long as the
 * lines. */
int gy_lines_pair(struct gy_lines *lines, const char *path, int n, const char **key,
		  const char **value);

#endif
