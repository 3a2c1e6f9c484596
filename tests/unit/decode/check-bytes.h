/* One input through decoder and encoder, as the host does it; aborts on what must never happen. */
#ifndef GY_TEST_CHECK_BYTES_H
#define GY_TEST_CHECK_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/result.h"

/* data: a message of at least GY_HEADER_SIZE octets. Returns what was decided. */
enum gy_rc check_bytes(const uint8_t *data, size_t size);

#endif
