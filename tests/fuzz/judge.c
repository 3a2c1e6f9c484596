/* Fuzz target: the guard's verdict on what a peer sent, before freeDiameter parses it. What it lets
 * pass as a CER has a name within the message. */
#include "core/base/assert.h"
#include "extensions/acl_gyro/judge.h"
#include "tests/fuzz/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gy_bytes message = { data, size }, host;

	if (guard_judge(message) != GUARD_PASS)
		return 0;
	host = guard_cer_host(message);
	gy_assert(host.len == 0 || (host.data >= data && host.data + host.len <= data + size));
	return 0;
}

size_t fuzz_seed(unsigned n, uint8_t *out)
{
	return messages_seed(n, out);
}
