/* A load's connections: TCP, capabilities, watchdog, leaving; whole messages in and out.
 *
 * Answers DWR always (freeDiameter drops answers until it has seen three DWAs after an unclean
 * end), reconnects for as long as the load runs, ends with DPR. With failover a peer has one
 * connection to each node; which one a request takes is load_traffic.c's business. */
#include "tests/client/load_internal.h"
#include "tests/client/log.h"
#include "tests/client/tls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "extensions/app_gyro/wire.h"

#define IN_SIZE     (256 * 1024)
#define OUT_SIZE    (64 * 1024)
#define RETRY_NS    (200 * LOAD_NS / 1000)
#define GIVE_UP_NS  (10 * LOAD_NS)
#define SLOTS_OPEN  8192 /* in flight per connection in open loop */
#define MESSAGE_MAX 65536

#define CAPABILITIES_EXCHANGE 257u
#define DEVICE_WATCHDOG       280u
#define DISCONNECT_PEER       282u

static bool make_slots(struct load_peer *peer, unsigned wanted)
{
	while (1u << peer->slot_bits < wanted)
		peer->slot_bits++;
	peer->n_slots = 1u << peer->slot_bits;
	peer->slots = calloc(peer->n_slots, sizeof(*peer->slots));
	peer->free_slots = calloc(peer->n_slots, sizeof(*peer->free_slots));
	if (peer->slots == NULL || peer->free_slots == NULL)
		return false;
	for (unsigned i = 0; i < peer->n_slots; i++)
		peer->free_slots[peer->n_free++] = peer->n_slots - 1 - i;
	return true;
}

/* "pgw#.test" and 3 is "pgw3.test". */
static bool name_host(struct load_peer *peer, const char *pattern)
{
	const char *mark = strchr(pattern, '#');
	int n;

	if (mark == NULL)
		n = snprintf(peer->origin_host, sizeof(peer->origin_host), "%s", pattern);
	else
		n = snprintf(peer->origin_host, sizeof(peer->origin_host), "%.*s%u%s",
			     (int)(mark - pattern), pattern, peer->index, mark + 1);
	return n > 0 && (size_t)n < sizeof(peer->origin_host);
}

static bool make_link(struct load_peer *peer, unsigned k, const char *node)
{
	struct load_link *link = &peer->links[k];

	*link = (struct load_link){
		.peer = peer,
		.node = node,
		.fd = -1,
		.in = { .data = malloc(IN_SIZE), .size = IN_SIZE },
		.out = { .data = malloc(OUT_SIZE), .size = OUT_SIZE },
	};
	return link->in.data != NULL && link->out.data != NULL;
}

bool load_peer_init(struct load *load, struct load_peer *peer, unsigned index)
{
	const struct load_options *options = &load->options;
	struct load_identity identity = options->identity;
	unsigned wanted = options->window * 2; /* copies have slots of their own */

	memset(peer, 0, sizeof(*peer));
	peer->index = index;
	peer->n_links = options->failover ? options->n_nodes : 1;
	if (options->rate > 0 && wanted < SLOTS_OPEN)
		wanted = SLOTS_OPEN;
	if (!name_host(peer, options->origin_host) || !make_slots(peer, wanted))
		return false;
	/* Each node is the preferred one of as many. */
	for (unsigned k = 0; k < peer->n_links; k++)
		if (!make_link(peer, k, options->nodes[(index + k) % options->n_nodes]))
			return false;
	identity.origin_host = peer->origin_host;
	load_templates_make(&peer->templates, &identity);
	return true;
}

void load_peer_free(struct load_peer *peer)
{
	for (unsigned k = 0; k < peer->n_links; k++) {
		struct load_link *link = &peer->links[k];

		gy_tls_free(link->tls);
		if (link->fd >= 0)
			close(link->fd);
		free(link->in.data);
		free(link->out.data);
	}
	load_templates_free(&peer->templates);
	free(peer->slots);
	free(peer->free_slots);
}

struct load_link *load_peer_link(struct load_peer *peer)
{
	struct load_link *open = NULL;

	for (unsigned k = 0; k < peer->n_links; k++) {
		struct load_link *link = &peer->links[k];

		if (link->state == LOAD_OPEN && !link->suspect)
			return link;
		if (link->state == LOAD_OPEN && open == NULL)
			open = link;
	}
	return open;
}

bool load_peer_ready(struct load_peer *peer, int64_t now)
{
	unsigned n_open = 0;

	for (unsigned k = 0; k < peer->n_links; k++)
		n_open += peer->links[k].state == LOAD_OPEN;
	return n_open == peer->n_links || (n_open > 0 && now > peer->links[0].give_up_ns);
}

/* --- sending --------------------------------------------------------------------------------- */

uint8_t *load_link_reserve(struct load_link *link, size_t size)
{
	struct load_buffer *out = &link->out;
	uint8_t *bigger;

	if (out->start > 0 && out->end + size > out->size) {
		memmove(out->data, out->data + out->start, out->end - out->start);
		out->end -= out->start;
		out->start = 0;
	}
	if (out->end + size > out->size) {
		bigger = realloc(out->data, out->size * 2 + size);
		if (bigger == NULL) {
			fprintf(stderr, "load: out of memory\n");
			exit(2);
		}
		out->data = bigger;
		out->size = out->size * 2 + size;
	}
	out->end += size;
	return out->data + out->end - size;
}

static void send_base(struct load_link *link, const struct load_template *template,
		      uint32_t hop_by_hop, uint32_t end_to_end)
{
	uint8_t *at = load_link_reserve(link, template->size);

	memcpy(at, template->bytes, template->size);
	hop_by_hop = __builtin_bswap32(hop_by_hop);
	end_to_end = __builtin_bswap32(end_to_end);
	memcpy(at + 12, &hop_by_hop, 4);
	memcpy(at + 16, &end_to_end, 4);
}

void load_link_suspect(struct load *load, struct load_link *link)
{
	if (link->peer->n_links == 1 || link->suspect)
		return;
	link->suspect = true;
	send_base(link, &link->peer->templates.dwr, 3, (uint32_t)load_random(load));
}

static void poll_for(struct load *load, struct load_link *link, bool out)
{
	struct epoll_event event = { .events = EPOLLIN | (out ? EPOLLOUT : 0u) };

	event.data.ptr = link;
	if (out != link->polls_out && epoll_ctl(load->epoll, EPOLL_CTL_MOD, link->fd, &event) == 0)
		link->polls_out = out;
}

/* The connection broke, or was closed by the other side. */
static void broken(struct load *load, struct load_link *link)
{
	bool leaving = link->state == LOAD_WAIT_DPA, was_open = link->state == LOAD_OPEN;

	/* A certificate that is not believed will not be the next time either. */
	if (*gy_tls_error(link->tls) && load->phase == LOAD_PHASE_CONNECT) {
		fprintf(stderr, "load: %s as %s: %s\n", link->node, link->peer->origin_host,
			gy_tls_error(link->tls));
		load->failed = true;
	}
	gy_tls_free(link->tls);
	link->tls = NULL;
	close(link->fd);
	link->fd = -1;
	link->polls_out = link->suspect = false;
	link->in.start = link->in.end = link->out.start = link->out.end = 0;
	link->state = leaving ? LOAD_GONE : LOAD_DOWN;
	link->retry_ns = load_now_ns() + RETRY_NS;
	if (!was_open)
		return;
	load->stats.reconnects++;
	load_link_lost(load, link);
}

static void flush(struct load *load, struct load_link *link)
{
	struct load_buffer *out = &link->out;
	ssize_t n;

	if (link->fd < 0 || link->state == LOAD_CONNECTING || link->state == LOAD_SHAKING)
		return;
	if (gy_log_is_behind(load->log))
		return; /* load_commit comes */
	while (out->start < out->end) {
		n = gy_tls_send(link->tls, link->fd, out->data + out->start, out->end - out->start);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			broken(load, link);
			return;
		}
		out->start += (size_t)n;
	}
	if (out->start == out->end)
		out->start = out->end = 0;
	poll_for(load, link, out->end > 0);
}

void load_peer_flush(struct load *load, struct load_peer *peer)
{
	for (unsigned k = 0; k < peer->n_links; k++)
		flush(load, &peer->links[k]);
}

/* --- connecting ------------------------------------------------------------------------------ */

static struct addrinfo *resolve(const char *node)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	char host[256], *colon;
	int rc;

	snprintf(host, sizeof(host), "%s", node);
	colon = strrchr(host, ':');
	if (colon == NULL)
		return NULL;
	*colon = '\0';
	rc = getaddrinfo(host, colon + 1, &hints, &found);
	return rc == 0 ? found : NULL;
}

void load_link_connect(struct load *load, struct load_link *link, int64_t now)
{
	struct addrinfo *address = NULL;
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	int one = 1, rc = -1;

	/* Later on, a node that is away is tried for as long as the load lasts. */
	if (load->phase == LOAD_PHASE_CONNECT && link->give_up_ns == 0)
		link->give_up_ns = now + GIVE_UP_NS;
	if (load->phase == LOAD_PHASE_CONNECT && now > link->give_up_ns &&
	    load_peer_link(link->peer) == NULL) {
		fprintf(stderr, "load: %s as %s: no connection\n", link->node,
			link->peer->origin_host);
		load->failed = true;
		return;
	}
	link->retry_ns = now + RETRY_NS;
	address = resolve(link->node);
	if (address == NULL)
		return;
	link->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	event.data.ptr = link;
	if (link->fd >= 0) {
		setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		rc = connect(link->fd, address->ai_addr, address->ai_addrlen);
		if (rc == 0 || errno == EINPROGRESS)
			rc = epoll_ctl(load->epoll, EPOLL_CTL_ADD, link->fd, &event);
	}
	freeaddrinfo(address);
	link->state = LOAD_CONNECTING;
	link->polls_out = true;
	if (rc != 0 && link->fd >= 0)
		broken(load, link);
	else if (link->fd < 0)
		link->state = LOAD_DOWN;
}

/* CER comes when TLS, if there is any, stands. */
static void shake(struct load *load, struct load_link *link)
{
	enum gy_tls_step step = link->tls != NULL ? gy_tls_shake(link->tls) : GY_TLS_DONE;

	link->state = LOAD_SHAKING;
	if (step == GY_TLS_FAILED) {
		broken(load, link);
		return;
	}
	if (step != GY_TLS_DONE) {
		poll_for(load, link, step == GY_TLS_WRITE);
		return;
	}
	link->state = LOAD_WAIT_CEA;
	send_base(link, &link->peer->templates.cer, 1, (uint32_t)load_random(load));
	flush(load, link);
}

static void connected(struct load *load, struct load_link *link)
{
	socklen_t size = sizeof(int);
	int error = 0;

	getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error != 0) {
		broken(load, link);
		return;
	}
	link->tls = gy_tls_new(link->fd);
	shake(load, link);
}

void load_link_bye(struct load *load, struct load_link *link)
{
	if (link->state == LOAD_OPEN) {
		send_base(link, &link->peer->templates.dpr, 2, (uint32_t)load_random(load));
		link->state = LOAD_WAIT_DPA;
		flush(load, link);
		return;
	}
	gy_tls_free(link->tls);
	link->tls = NULL;
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	link->state = LOAD_GONE;
}

/* --- receiving ------------------------------------------------------------------------------- */

static uint32_t result_code(const uint8_t *bytes, size_t size)
{
	struct gy_bytes all = { bytes + GY_HEADER_SIZE, size - GY_HEADER_SIZE };
	struct gy_avp_cursor cursor = gy_avp_cursor(all);
	struct gy_avp avp;

	while (gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK)
		if (avp.code == 268 && avp.vendor == 0 && avp.data.len == 4)
			return gy_get32(avp.data.data);
	return 0;
}

static void on_cea(struct load *load, struct load_link *link, const uint8_t *bytes, size_t size)
{
	uint32_t code = result_code(bytes, size);

	if (link->state != LOAD_WAIT_CEA)
		return;
	if (code == 2001) {
		link->state = LOAD_OPEN;
		load_resend(load, link->peer);
		return;
	}
	/* 5012: the node is still tearing down the connection before. */
	if (code != 5012) {
		fprintf(stderr, "load: %s refuses %s: CEA %u\n", link->node,
			link->peer->origin_host, code);
		load->failed = true;
	}
	broken(load, link);
}

static void on_message(struct load *load, struct load_link *link, const uint8_t *bytes, size_t size,
		       int64_t now)
{
	bool request = bytes[4] & GY_CMD_REQUEST;
	uint32_t hop_by_hop = gy_get32(bytes + 12), end_to_end = gy_get32(bytes + 16);

	link->suspect = false;
	switch (gy_get24(bytes + 5)) {
	case CAPABILITIES_EXCHANGE:
		on_cea(load, link, bytes, size);
		break;
	case DEVICE_WATCHDOG:
		if (request)
			send_base(link, &link->peer->templates.dwa, hop_by_hop, end_to_end);
		break;
	case DISCONNECT_PEER:
		if (request)
			send_base(link, &link->peer->templates.dpa, hop_by_hop, end_to_end);
		else if (link->state == LOAD_WAIT_DPA) {
			gy_tls_part(link->tls);
			broken(load, link);
		}
		break;
	default:
		load_answer(load, link->peer, bytes, size, now);
		break;
	}
}

/* All whole messages in the buffer; what is left moves to its front. */
static void take_messages(struct load *load, struct load_link *link, int64_t now)
{
	struct load_buffer *in = &link->in;
	size_t size;

	while (in->end - in->start >= GY_HEADER_SIZE) {
		size = gy_get24(in->data + in->start + 1);
		if (size < GY_HEADER_SIZE || size > MESSAGE_MAX || in->data[in->start] != 1) {
			load->stats.faults[LOAD_MALFORMED]++;
			broken(load, link);
			return;
		}
		if (size > in->end - in->start)
			break;
		on_message(load, link, in->data + in->start, size, now);
		if (link->fd < 0)
			return;
		in->start += size;
	}
	memmove(in->data, in->data + in->start, in->end - in->start);
	in->end -= in->start;
	in->start = 0;
}

void load_link_event(struct load *load, struct load_link *link, uint32_t events)
{
	ssize_t n;

	if (link->fd < 0)
		return; /* closed earlier in this round */
	if (link->state == LOAD_CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		connected(load, link);
		return;
	}
	if (link->state == LOAD_SHAKING) {
		shake(load, link);
		return;
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
		/* There is room for a whole record of TLS, so nothing is left in its library. */
		n = gy_tls_receive(link->tls, link->fd, link->in.data + link->in.end,
				   link->in.size - link->in.end);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			broken(load, link);
			return;
		}
		if (n > 0) {
			link->in.end += (size_t)n;
			take_messages(load, link, load_now_ns());
		}
	}
	if (link->state == LOAD_OPEN)
		load_refill(load, link->peer);
	load_peer_flush(load, link->peer);
}
