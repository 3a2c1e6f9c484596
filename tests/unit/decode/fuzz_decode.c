/* libFuzzer's entry: clang, -DGYRO_FUZZ=ON; then: fuzz-decode CORPUS -max_len=4096. */
#include "extensions/app_gyro/wire.h"
#include "tests/unit/decode/check-bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= GY_HEADER_SIZE)
		check_bytes(data, size);
	return 0;
}
