/* Names of units: see units.h. */
#include "core/base/units.h"

const char *gy_unit_name(enum gy_unit unit)
{
	static const char *const names[GY_UNIT_COUNT] = { "none", "octets", "seconds",
							  "service-specific", "money" };

	return (unsigned)unit < GY_UNIT_COUNT ? names[unit] : "unknown";
}
