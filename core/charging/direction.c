/* See direction.h. */
#include "core/charging/direction.h"

#define BOTH ((unsigned)GY_DIRECTION_INPUT | GY_DIRECTION_OUTPUT)

void gy_directions_ask(struct gy_service *service, const int64_t *input, const int64_t *output)
{
	int64_t in = input != NULL ? *input : 0, out = output != NULL ? *output : 0;

	service->requested_directions = 0;
	service->requested_input = in;
	if (input != NULL && (in > 0 || out == 0))
		service->requested_directions |= GY_DIRECTION_INPUT;
	if (output != NULL && (out > 0 || in == 0))
		service->requested_directions |= GY_DIRECTION_OUTPUT;
}

unsigned gy_directions_of(const struct gy_service *service, enum gy_unit unit, unsigned before)
{
	if (unit != GY_UNIT_OCTETS)
		return 0;
	return gy_service_names_units(service) ? service->requested_directions : before;
}

/* At least one octet each, if there are two. */
static int64_t input_share(int64_t granted, const struct gy_service *asked)
{
	int64_t all = 0, input;

	if (asked != NULL && asked->requested_directions == BOTH)
		all = asked->requested_count[GY_UNIT_OCTETS];
	input = all > 0 ? (int64_t)((__int128)granted * asked->requested_input / all) : granted / 2;
	if (granted >= 2 && input == 0)
		return 1;
	return granted >= 2 && input == granted ? granted - 1 : input;
}

void gy_directions_grant(struct gy_service_answer *answer, unsigned directions,
			 const struct gy_service *asked)
{
	answer->directions = directions;
	answer->input = directions == GY_DIRECTION_INPUT ? answer->granted : 0;
	if (directions == BOTH)
		answer->input = input_share(answer->granted, asked);
}
