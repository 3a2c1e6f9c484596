/* Fuzz target: a message through app_gyro's decoder, and its answer through the encoder. */
#include "extensions/app_gyro/wire.h"
#include "tests/fuzz/messages.h"
#include "tests/unit/decode/check-bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= GY_HEADER_SIZE)
		check_bytes(data, size);
	return 0;
}

size_t fuzz_seed(unsigned n, uint8_t *out)
{
	return messages_seed(n, out);
}
