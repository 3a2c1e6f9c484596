/* A load's connections: TCP, capabilities, watchdog, leaving; whole messages in and out.
 *
 * Answers DWR always (freeDiameter drops answers until it has seen three DWAs after an unclean
 * end), reconnects for as long as the load runs, ends with DPR. */
#include "tests/client/load_internal.h"
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

bool load_peer_init(struct load *load, struct load_peer *peer, unsigned index)
{
	const struct load_options *options = &load->options;
	struct load_identity identity = options->identity;
	unsigned wanted = options->window * 2; /* copies have slots of their own */

	memset(peer, 0, sizeof(*peer));
	peer->index = index;
	peer->node = options->nodes[index % options->n_nodes];
	peer->fd = -1;
	if (options->rate > 0 && wanted < SLOTS_OPEN)
		wanted = SLOTS_OPEN;
	peer->in = (struct load_buffer){ .data = malloc(IN_SIZE), .size = IN_SIZE };
	peer->out = (struct load_buffer){ .data = malloc(OUT_SIZE), .size = OUT_SIZE };
	if (!name_host(peer, options->origin_host) || !make_slots(peer, wanted) ||
	    peer->in.data == NULL || peer->out.data == NULL)
		return false;
	identity.origin_host = peer->origin_host;
	load_templates_make(&peer->templates, &identity);
	return true;
}

void load_peer_free(struct load_peer *peer)
{
	gy_tls_free(peer->tls);
	if (peer->fd >= 0)
		close(peer->fd);
	load_templates_free(&peer->templates);
	free(peer->in.data);
	free(peer->out.data);
	free(peer->slots);
	free(peer->free_slots);
}

/* --- sending --------------------------------------------------------------------------------- */

uint8_t *load_peer_reserve(struct load_peer *peer, size_t size)
{
	struct load_buffer *out = &peer->out;
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

static void send_base(struct load_peer *peer, const struct load_template *template,
		      uint32_t hop_by_hop, uint32_t end_to_end)
{
	uint8_t *at = load_peer_reserve(peer, template->size);

	memcpy(at, template->bytes, template->size);
	hop_by_hop = __builtin_bswap32(hop_by_hop);
	end_to_end = __builtin_bswap32(end_to_end);
	memcpy(at + 12, &hop_by_hop, 4);
	memcpy(at + 16, &end_to_end, 4);
}

static void poll_for(struct load *load, struct load_peer *peer, bool out)
{
	struct epoll_event event = { .events = EPOLLIN | (out ? EPOLLOUT : 0u) };

	event.data.ptr = peer;
	if (out != peer->polls_out && epoll_ctl(load->epoll, EPOLL_CTL_MOD, peer->fd, &event) == 0)
		peer->polls_out = out;
}

/* The connection broke, or was closed by the other side. */
static void broken(struct load *load, struct load_peer *peer)
{
	bool leaving = peer->state == LOAD_WAIT_DPA;

	/* A certificate that is not believed will not be the next time either. */
	if (*gy_tls_error(peer->tls) && load->phase == LOAD_PHASE_CONNECT) {
		fprintf(stderr, "load: %s as %s: %s\n", peer->node, peer->origin_host,
			gy_tls_error(peer->tls));
		load->failed = true;
	}
	gy_tls_free(peer->tls);
	peer->tls = NULL;
	close(peer->fd);
	peer->fd = -1;
	peer->polls_out = false;
	peer->in.start = peer->in.end = peer->out.start = peer->out.end = 0;
	if (peer->state == LOAD_OPEN)
		load->stats.reconnects++;
	peer->state = leaving ? LOAD_GONE : LOAD_DOWN;
	peer->retry_ns = load_now_ns() + RETRY_NS;
}

void load_peer_flush(struct load *load, struct load_peer *peer)
{
	struct load_buffer *out = &peer->out;
	ssize_t n;

	if (peer->fd < 0 || peer->state == LOAD_CONNECTING || peer->state == LOAD_SHAKING)
		return;
	while (out->start < out->end) {
		n = gy_tls_send(peer->tls, peer->fd, out->data + out->start, out->end - out->start);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			broken(load, peer);
			return;
		}
		out->start += (size_t)n;
	}
	if (out->start == out->end)
		out->start = out->end = 0;
	poll_for(load, peer, out->end > 0);
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

void load_peer_connect(struct load *load, struct load_peer *peer, int64_t now)
{
	struct addrinfo *address = NULL;
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	int one = 1, rc = -1;

	/* Later on, a node that is away is tried for as long as the load lasts. */
	if (load->phase == LOAD_PHASE_CONNECT && peer->give_up_ns == 0)
		peer->give_up_ns = now + GIVE_UP_NS;
	if (load->phase == LOAD_PHASE_CONNECT && now > peer->give_up_ns) {
		fprintf(stderr, "load: %s as %s: no connection\n", peer->node, peer->origin_host);
		load->failed = true;
		return;
	}
	peer->retry_ns = now + RETRY_NS;
	address = resolve(peer->node);
	if (address == NULL)
		return;
	peer->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	event.data.ptr = peer;
	if (peer->fd >= 0) {
		setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		rc = connect(peer->fd, address->ai_addr, address->ai_addrlen);
		if (rc == 0 || errno == EINPROGRESS)
			rc = epoll_ctl(load->epoll, EPOLL_CTL_ADD, peer->fd, &event);
	}
	freeaddrinfo(address);
	peer->state = LOAD_CONNECTING;
	peer->polls_out = true;
	if (rc != 0 && peer->fd >= 0)
		broken(load, peer);
	else if (peer->fd < 0)
		peer->state = LOAD_DOWN;
}

/* CER comes when TLS, if there is any, stands. */
static void shake(struct load *load, struct load_peer *peer)
{
	enum gy_tls_step step = peer->tls != NULL ? gy_tls_shake(peer->tls) : GY_TLS_DONE;

	peer->state = LOAD_SHAKING;
	if (step == GY_TLS_FAILED) {
		broken(load, peer);
		return;
	}
	if (step != GY_TLS_DONE) {
		poll_for(load, peer, step == GY_TLS_WRITE);
		return;
	}
	peer->state = LOAD_WAIT_CEA;
	send_base(peer, &peer->templates.cer, 1, (uint32_t)load_random(load));
	load_peer_flush(load, peer);
}

static void connected(struct load *load, struct load_peer *peer)
{
	socklen_t size = sizeof(int);
	int error = 0;

	getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error != 0) {
		broken(load, peer);
		return;
	}
	peer->tls = gy_tls_new(peer->fd);
	shake(load, peer);
}

void load_peer_bye(struct load *load, struct load_peer *peer)
{
	if (peer->state == LOAD_OPEN) {
		send_base(peer, &peer->templates.dpr, 2, (uint32_t)load_random(load));
		peer->state = LOAD_WAIT_DPA;
		load_peer_flush(load, peer);
		return;
	}
	gy_tls_free(peer->tls);
	peer->tls = NULL;
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	peer->state = LOAD_GONE;
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

static void on_cea(struct load *load, struct load_peer *peer, const uint8_t *bytes, size_t size)
{
	uint32_t code = result_code(bytes, size);

	if (peer->state != LOAD_WAIT_CEA)
		return;
	if (code == 2001) {
		peer->state = LOAD_OPEN;
		load_resend(load, peer);
		return;
	}
	/* 5012: the node is still tearing down the connection before. */
	if (code != 5012) {
		fprintf(stderr, "load: %s refuses %s: CEA %u\n", peer->node, peer->origin_host,
			code);
		load->failed = true;
	}
	broken(load, peer);
}

static void on_message(struct load *load, struct load_peer *peer, const uint8_t *bytes, size_t size,
		       int64_t now)
{
	bool request = bytes[4] & GY_CMD_REQUEST;
	uint32_t hop_by_hop = gy_get32(bytes + 12), end_to_end = gy_get32(bytes + 16);

	switch (gy_get24(bytes + 5)) {
	case CAPABILITIES_EXCHANGE:
		on_cea(load, peer, bytes, size);
		break;
	case DEVICE_WATCHDOG:
		if (request)
			send_base(peer, &peer->templates.dwa, hop_by_hop, end_to_end);
		break;
	case DISCONNECT_PEER:
		if (request)
			send_base(peer, &peer->templates.dpa, hop_by_hop, end_to_end);
		else if (peer->state == LOAD_WAIT_DPA) {
			gy_tls_part(peer->tls);
			broken(load, peer);
		}
		break;
	default:
		load_answer(load, peer, bytes, size, now);
		break;
	}
}

/* All whole messages in the buffer; what is left moves to its front. */
static void take_messages(struct load *load, struct load_peer *peer, int64_t now)
{
	struct load_buffer *in = &peer->in;
	size_t size;

	while (in->end - in->start >= GY_HEADER_SIZE) {
		size = gy_get24(in->data + in->start + 1);
		if (size < GY_HEADER_SIZE || size > MESSAGE_MAX || in->data[in->start] != 1) {
			load->stats.faults[LOAD_MALFORMED]++;
			broken(load, peer);
			return;
		}
		if (size > in->end - in->start)
			break;
		on_message(load, peer, in->data + in->start, size, now);
		if (peer->fd < 0)
			return;
		in->start += size;
	}
	memmove(in->data, in->data + in->start, in->end - in->start);
	in->end -= in->start;
	in->start = 0;
}

void load_peer_event(struct load *load, struct load_peer *peer, uint32_t events)
{
	ssize_t n;

	if (peer->fd < 0)
		return; /* closed earlier in this round */
	if (peer->state == LOAD_CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		connected(load, peer);
		return;
	}
	if (peer->state == LOAD_SHAKING) {
		shake(load, peer);
		return;
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
		/* There is room for a whole record of TLS, so nothing is left in its library. */
		n = gy_tls_receive(peer->tls, peer->fd, peer->in.data + peer->in.end,
				   peer->in.size - peer->in.end);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			broken(load, peer);
			return;
		}
		if (n > 0) {
			peer->in.end += (size_t)n;
			take_messages(load, peer, load_now_ns());
		}
	}
	if (peer->state == LOAD_OPEN)
		load_refill(load, peer);
	load_peer_flush(load, peer);
}
