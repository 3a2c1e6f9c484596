/* Requests by hand: see request.h. */
#include "tests/unit/core/request.h"

#include "core/base/assert.h"
#include "core/charging/direction.h"
#include "tests/lib/world.h"

void request_begin(struct request *r, enum gy_request_type type, uint64_t session, uint32_t number)
{
	*r = (struct request){
		.ccr = {
			.session = { .hi = session * UINT64_C(0x9e3779b97f4a7c15), .lo = session },
			.type = type,
			.number = number,
			.end_to_end = number + 1000 * (uint32_t)session,
			.origin_host = { (const uint8_t *)"pgw1.spec.test", 14 },
			.origin_realm = { (const uint8_t *)"spec.test", 9 },
			.gateway_id = 1,
			.service_context = { (const uint8_t *)"32251@3gpp.org", 14 },
			.action = GY_ACTION_NONE,
			.multiple_services = true,
			.termination_cause = type == GY_TERMINATION ? 1 : 0,
		},
	};
}

void request_service(struct request *r, uint32_t rating_group, unsigned n_ids)
{
	struct gy_service *s = &r->services[r->ccr.n_services];

	gy_assert(r->ccr.n_services < REQUEST_SERVICES_MAX && n_ids <= 2);
	*s = (struct gy_service){
		.has_rating_group = true,
		.rating_group = rating_group,
		.n_service_ids = n_ids,
	};
	for (unsigned i = 0; i < n_ids; i++)
		r->service_ids[r->ccr.n_services][i] = i + 1;
	s->service_key = gy_service_key(r->service_ids[r->ccr.n_services], n_ids);
	r->ccr.n_services++;
}

static struct gy_service *last(struct request *r)
{
	gy_assert(r->ccr.n_services > 0);
	return &r->services[r->ccr.n_services - 1];
}

void request_used(struct request *r, enum gy_unit unit, int64_t units)
{
	struct gy_service *s = last(r);
	struct gy_used *u = &r->used[r->ccr.n_services - 1][s->n_used];

	gy_assert(s->n_used < REQUEST_USED_MAX);
	*u = (struct gy_used){ .tariff_change = GY_TCU_ABSENT };
	u->present[unit] = true;
	u->count[unit] = units;
	s->n_used++;
}

void request_more(struct request *r, enum gy_unit unit, int64_t units)
{
	struct gy_service *s = last(r);

	s->requested = true;
	if (units < 0)
		return;
	s->requested_present[unit] = true;
	s->requested_count[unit] = units;
}

void request_directions(struct request *r, int64_t input, int64_t output)
{
	request_more(r, GY_UNIT_OCTETS, (input > 0 ? input : 0) + (output > 0 ? output : 0));
	gy_directions_ask(last(r), input >= 0 ? &input : NULL, output >= 0 ? &output : NULL);
}

void request_reason(struct request *r, enum gy_reporting_reason reason)
{
	last(r)->reasons |= UINT32_C(1) << reason;
}

void request_end(struct request *r)
{
	for (unsigned i = 0; i < r->ccr.n_services; i++) {
		r->services[i].used = r->used[i];
		r->services[i].service_ids = r->service_ids[i];
	}
	r->ccr.services = r->services;
	r->ccr.content_hash = gy_world_content_hash(&r->ccr);
}
