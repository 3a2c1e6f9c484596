/* Requests by hand, for tests of the decision: a gy_ccr with room for what it points to. */
#ifndef GY_TESTS_REQUEST_H
#define GY_TESTS_REQUEST_H

#include "core/charging/ccr.h"

#define REQUEST_SERVICES_MAX 16
#define REQUEST_USED_MAX     4

struct request {
	struct gy_ccr ccr;
	struct gy_service services[REQUEST_SERVICES_MAX];
	struct gy_used used[REQUEST_SERVICES_MAX][REQUEST_USED_MAX];
	uint32_t service_ids[REQUEST_SERVICES_MAX][2];
};

/* A request of gateway 1 under 32251@3gpp.org without services. */
void request_begin(struct request *r, enum gy_request_type type, uint64_t session, uint32_t number);

/* One more service; Service-Identifiers 1 to n_ids (at most 2) belong to it. */
void request_service(struct request *r, uint32_t rating_group, unsigned n_ids);
/* Of the last service: a usage report; a Requested-Service-Unit, empty if units < 0; a reason. */
void request_used(struct request *r, enum gy_unit unit, int64_t units);
void request_more(struct request *r, enum gy_unit unit, int64_t units);
/* The same for octets by direction; -1: that one isn't named. */
void request_directions(struct request *r, int64_t input, int64_t output);
void request_reason(struct request *r, enum gy_reporting_reason reason);

/* To be called last: pointers and content hash. A copied request must be ended again. */
void request_end(struct request *r);

#endif
