/* A message as text, one AVP a line, by the names of dict/avps.csv. */
#ifndef GY_CLIENT_DUMP_H
#define GY_CLIENT_DUMP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

void gy_dump(FILE *out, const uint8_t *bytes, size_t len);

#endif
