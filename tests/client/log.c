/* The request log; see the header and README.md. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/client/log.h"

struct gy_log {
	int fd;
	char *lines; /* not yet written */
	size_t len, room;
};

static const char *const unit_names[GY_CASE_QUANTITIES] = {
	[GY_CASE_TOTAL] = "octets",          [GY_CASE_INPUT] = "input_octets",
	[GY_CASE_OUTPUT] = "output_octets",  [GY_CASE_SECONDS] = "seconds",
	[GY_CASE_SERVICE] = "service_units", [GY_CASE_MONEY] = "money_micros",
};

/* ---- JSON ---- */

static void set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		abort();
}

static void set_number(json_t *object, const char *key, int64_t value)
{
	set(object, key, json_integer(value));
}

static void set_known(json_t *object, const char *key, int64_t value)
{
	if (value >= 0)
		set_number(object, key, value);
}

/* Identities and texts of a peer may be no UTF-8: then their Latin-1 reading. */
static json_t *text(const char *s)
{
	json_t *value = s ? json_string(s) : json_null();
	char *copy, *to;

	if (value)
		return value;
	copy = to = malloc(2 * strlen(s) + 1);
	if (!copy)
		abort();
	for (const unsigned char *c = (const unsigned char *)s; *c; c++) {
		if (*c >= 0x80) {
			*to++ = (char)(0xc0 | *c >> 6);
			*to++ = (char)(0x80 | (*c & 0x3f));
		} else {
			*to++ = (char)*c;
		}
	}
	*to = '\0';
	value = json_string(copy);
	free(copy);
	return value;
}

json_t *gy_json_units(const struct gy_case_units *units)
{
	json_t *object = json_object();

	for (int q = 0; q < GY_CASE_QUANTITIES; q++)
		if (units->present[q])
			set_number(object, unit_names[q], units->count[q]);
	return object;
}

static void set_service_key(json_t *object, bool has_rating_group, uint32_t rating_group,
			    unsigned n, const uint32_t *service_ids)
{
	json_t *ids = json_array();

	set(object, "rating_group", has_rating_group ? json_integer(rating_group) : json_null());
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(ids, json_integer(service_ids[i]));
	set(object, "service_ids", ids);
}

json_t *gy_json_request_services(const struct gy_case_request *request)
{
	json_t *services = json_array();

	for (unsigned i = 0; i < request->n_services; i++) {
		const struct gy_case_service *s = &request->services[i];
		json_t *object = json_object(), *used = json_array();

		set_service_key(object, s->has_rating_group, s->rating_group, s->n_service_ids,
				s->service_ids);
		set(object, "requested",
		    s->requested ? gy_json_units(&s->requested_units) : json_null());
		for (unsigned k = 0; k < s->n_used; k++)
			json_array_append_new(used, gy_json_units(&s->used[k].units));
		set(object, "used", used);
		set_known(object, "reason", s->reason >= 0 ? s->reason : s->used_reason);
		json_array_append_new(services, object);
	}
	return services;
}

json_t *gy_json_reply_services(const struct gy_case_seen *seen)
{
	json_t *services = json_array();

	for (unsigned i = 0; i < seen->n_services; i++) {
		const struct gy_case_seen_service *s = &seen->services[i];
		json_t *object = json_object();

		set_service_key(object, s->has_rating_group, s->rating_group, s->n_service_ids,
				s->service_ids);
		set_number(object, "code", s->code);
		set(object, "granted", s->has_grant ? gy_json_units(&s->grant) : json_null());
		set_known(object, "validity_s", s->validity);
		set_known(object, "volume_threshold", s->volume_threshold);
		set_known(object, "time_threshold", s->time_threshold);
		set_known(object, "unit_threshold", s->unit_threshold);
		set_known(object, "quota_holding_s", s->quota_holding);
		set_known(object, "final_unit", s->final_unit);
		if (s->redirect)
			set(object, "redirect", text(s->redirect));
		json_array_append_new(services, object);
	}
	return services;
}

static json_t *identities(const struct gy_log_request *request)
{
	static const char *const kinds[GY_IDENTITY_KINDS] = { "imsi",    "e164",    "nai",
							      "sip_uri", "private", "user_name" };
	json_t *object = json_object();

	for (unsigned i = 0; i < request->content->n_identities; i++) {
		const struct gy_case_identity *identity = &request->content->identities[i];

		set(object, kinds[identity->kind],
		    text(identity->value ? identity->value
					 : request->frame->identity[identity->kind]));
	}
	return object;
}

/* ---- lines ---- */

/* RFC 3339, UTC, microseconds. */
static json_t *now_text(void)
{
	struct timespec now;
	struct tm parts;
	char day[32], all[64];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(all, sizeof(all), "%s.%06ldZ", day, now.tv_nsec / 1000);
	return json_string(all);
}

static json_t *line(const char *event)
{
	json_t *object = json_object();

	set(object, "event", json_string(event));
	set(object, "time", now_text());
	return object;
}

static void set_request(json_t *object, const struct gy_log_request *request)
{
	const struct gy_case_request *r = request->content;

	set_number(object, "request", (int64_t)request->request);
	set(object, "session_id", text(request->session_id));
	if (r->has_sub_session)
		set_number(object, "sub_session", (int64_t)r->sub_session);
	set_number(object, "type",
		   r->type == 'I'   ? 1
		   : r->type == 'U' ? 2
		   : r->type == 'T' ? 3
				    : 4);
	set_number(object, "number", r->number);
	set_number(object, "end_to_end", request->end_to_end);
}

/* Appends the line; frees the object. */
static void put(struct gy_log *log, json_t *object)
{
	char *dumped = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
	size_t len;

	if (!dumped)
		abort();
	len = strlen(dumped);
	if (log->len + len + 1 > log->room) {
		log->room = 2 * (log->len + len + 1);
		log->lines = realloc(log->lines, log->room);
		if (!log->lines)
			abort();
	}
	memcpy(log->lines + log->len, dumped, len);
	log->lines[log->len + len] = '\n';
	log->len += len + 1;
	free(dumped);
	json_decref(object);
}

void gy_log_start(struct gy_log *log, const char *command, uint64_t seed)
{
	json_t *object;

	if (!log)
		return;
	object = line("start");
	set(object, "command", json_string(command));
	set_number(object, "version", 1);
	set_number(object, "seed", (int64_t)seed);
	put(log, object);
}

void gy_log_sent(struct gy_log *log, const struct gy_log_request *request,
		 const struct gy_log_attempt *attempt)
{
	json_t *object;

	if (!log)
		return;
	object = line("sent");
	set_request(object, request);
	set_number(object, "attempt", attempt->attempt);
	set(object, "copy", json_boolean(attempt->copy));
	set(object, "retransmitted", json_boolean(attempt->retransmitted));
	set_number(object, "hop_by_hop", attempt->hop_by_hop);
	set(object, "node", text(attempt->node));
	set(object, "origin_host", text(request->frame->origin_host));
	set(object, "identities", identities(request));
	set(object, "services", gy_json_request_services(request->content));
	put(log, object);
}

void gy_log_answer(struct gy_log *log, const struct gy_log_request *request, unsigned attempt,
		   int64_t latency_us, const struct gy_reply *reply)
{
	json_t *object;

	if (!log)
		return;
	object = line("answer");
	set_request(object, request);
	set_number(object, "attempt", attempt);
	set_number(object, "latency_us", latency_us);
	set_number(object, "code", reply->seen.code);
	if (reply->error_message)
		set(object, "error_message", text(reply->error_message));
	set(object, "services", gy_json_reply_services(&reply->seen));
	put(log, object);
}

void gy_log_lost(struct gy_log *log, const struct gy_log_request *request, unsigned attempt,
		 const char *why)
{
	json_t *object;

	if (!log)
		return;
	object = line("lost");
	set_request(object, request);
	set_number(object, "attempt", attempt);
	set(object, "why", text(why));
	put(log, object);
}

void gy_log_outcome(struct gy_log *log, const struct gy_log_request *request, unsigned attempts,
		    const char *outcome, const struct gy_reply *reply)
{
	json_t *object;

	if (!log)
		return;
	object = line("outcome");
	set_request(object, request);
	set_number(object, "attempts", attempts);
	set(object, "outcome", json_string(outcome));
	if (reply) {
		set_number(object, "code", reply->seen.code);
		set(object, "services", gy_json_reply_services(&reply->seen));
	}
	put(log, object);
}

void gy_log_end(struct gy_log *log, json_t *totals)
{
	json_t *object;

	if (!log) {
		json_decref(totals);
		return;
	}
	object = line("end");
	json_object_update(object, totals);
	json_decref(totals);
	put(log, object);
	gy_log_sync(log);
}

/* ---- the file ---- */

bool gy_log_is_behind(const struct gy_log *log)
{
	return log && log->len > 0;
}

void gy_log_sync(struct gy_log *log)
{
	size_t done = 0;

	if (!log || log->len == 0)
		return;
	while (done < log->len) {
		ssize_t n = write(log->fd, log->lines + done, log->len - done);

		if (n > 0) {
			done += (size_t)n;
		} else if (n < 0 && errno != EINTR) {
			fprintf(stderr, "gyro-sim: the request log: %s\n", strerror(errno));
			abort(); /* to send what isn't logged would make the log worthless */
		}
	}
	if (fdatasync(log->fd) != 0 && errno != EINVAL) { /* EINVAL: a pipe */
		fprintf(stderr, "gyro-sim: the request log: %s\n", strerror(errno));
		abort();
	}
	log->len = 0;
}

struct gy_log *gy_log_open(const char *path)
{
	struct gy_log *log = calloc(1, sizeof(*log));

	if (!log)
		abort();
	log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log->fd >= 0)
		return log;
	fprintf(stderr, "gyro-sim: %s: %s\n", path, strerror(errno));
	free(log);
	return NULL;
}

void gy_log_close(struct gy_log *log)
{
	if (!log)
		return;
	gy_log_sync(log);
	close(log->fd);
	free(log->lines);
	free(log);
}
