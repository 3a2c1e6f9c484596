/* One Diameter connection of a client; see the header. RFC 6733 §5. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dict/gy_avp_table.h"
#include "tests/client/avp.h"
#include "tests/client/connection.h"
#include "tests/client/tls.h"

#define IETF 0

#define HEADER_SIZE    20u
#define MESSAGE_MAX    65536u /* what freeDiameter sends at most */
#define INTRODUCE_US   INT64_C(5000000)
#define PART_US        INT64_C(2000000)
#define CREDIT_CONTROL 4

struct buffer {
	uint8_t *data;
	size_t len, room;
};

struct gy_connection {
	struct gy_connection_setup setup;
	gy_connection_on_message *on_message;
	void *owner;
	enum gy_connection_state state;
	int fd;
	struct gy_tls *tls;      /* NULL: none, or not connected yet */
	enum gy_tls_step shakes; /* while connecting, when there is tls */
	int64_t give_up_us;      /* when connecting, introducing or parting takes too long */
	struct buffer in, out;
	char error[160];
	char peer_host[256], peer_realm[256];
	uint32_t cea;
};

static uint32_t next_hop_by_hop, next_end_to_end;

int64_t gy_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint32_t gy_next_hop_by_hop(void)
{
	return ++next_hop_by_hop;
}

/* The high 12 bits are the time of start, the rest counts (RFC 6733 §3): a client that starts
 * again does not repeat itself. */
uint32_t gy_next_end_to_end(void)
{
	if (next_end_to_end == 0)
		next_end_to_end = (uint32_t)time(NULL) << 20 | ((uint32_t)getpid() & 0xfff) << 8;
	return ++next_end_to_end;
}

/* ---- buffers ---- */

static void append(struct buffer *b, const uint8_t *data, size_t len)
{
	if (b->len + len > b->room) {
		b->room = 2 * (b->len + len);
		b->data = realloc(b->data, b->room);
		if (!b->data)
			abort();
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void take(struct buffer *b, size_t len)
{
	b->len -= len;
	memmove(b->data, b->data + len, b->len);
}

/* ---- the end ---- */

__attribute__((format(printf, 2, 3))) static void close_because(struct gy_connection *c,
								const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->error, sizeof(c->error), format, args);
	va_end(args);
	gy_tls_free(c->tls);
	c->tls = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = GY_CONNECTION_CLOSED;
	c->in.len = c->out.len = 0;
}

void gy_connection_abort(struct gy_connection *c)
{
	const struct linger reset = { 1, 0 };

	if (c->fd >= 0)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close_because(c, "broken off");
}

/* ---- base protocol messages ---- */

static void put_origin(struct gy_connection *c, struct msg *message)
{
	gy_avp_put(message, gy_avp_text(IETF, GY_AVP_ORIGIN_HOST, c->setup.origin_host));
	gy_avp_put(message, gy_avp_text(IETF, GY_AVP_ORIGIN_REALM, c->setup.origin_realm));
}

static void send_message(struct gy_connection *c, struct msg *message)
{
	size_t len;
	uint8_t *bytes = gy_message_encode(message, &len);

	append(&c->out, bytes, len);
	free(bytes);
}

/* Host-IP-Address: the local end of the connection. */
static struct avp *local_address(const struct gy_connection *c)
{
	struct sockaddr_storage name = { 0 };
	socklen_t size = sizeof(name);
	uint8_t address[18] = { 0, 1, 127, 0, 0, 1 };

	if (getsockname(c->fd, (struct sockaddr *)&name, &size) == 0 &&
	    name.ss_family == AF_INET6) {
		address[1] = 2;
		memcpy(address + 2, &((struct sockaddr_in6 *)&name)->sin6_addr, 16);
		return gy_avp_octets(IETF, GY_AVP_HOST_IP_ADDRESS, address, 18);
	}
	if (name.ss_family == AF_INET)
		memcpy(address + 2, &((struct sockaddr_in *)&name)->sin_addr, 4);
	return gy_avp_octets(IETF, GY_AVP_HOST_IP_ADDRESS, address, 6);
}

static void introduce(struct gy_connection *c)
{
	struct msg *cer = gy_message_new("Capabilities-Exchange-Request", gy_next_hop_by_hop(),
					 gy_next_end_to_end());

	gy_message_header(cer)->msg_flags = CMD_FLAG_REQUEST;
	put_origin(c, cer);
	gy_avp_put(cer, local_address(c));
	gy_avp_put(cer, gy_avp_number(IETF, GY_AVP_VENDOR_ID, 0));
	gy_avp_put(cer, gy_avp_text(IETF, GY_AVP_PRODUCT_NAME, "gyro-sim"));
	gy_avp_put(cer, gy_avp_number(IETF, GY_AVP_SUPPORTED_VENDOR_ID, GY_VENDOR_3GPP));
	gy_avp_put(cer, gy_avp_number(IETF, GY_AVP_AUTH_APPLICATION_ID, CREDIT_CONTROL));
	send_message(c, cer);
	c->state = GY_CONNECTION_INTRODUCED;
}

static void answer_base(struct gy_connection *c, struct msg *request, const char *answer)
{
	struct msg *message = gy_message_new(answer, gy_message_header(request)->msg_hbhid,
					     gy_message_header(request)->msg_eteid);

	gy_message_header(message)->msg_flags = 0;
	gy_avp_put(message, gy_avp_number(IETF, GY_AVP_RESULT_CODE, 2001));
	put_origin(c, message);
	send_message(c, message);
}

static void keep_text(char *to, size_t size, struct msg *message, uint32_t code)
{
	struct avp *avp = gy_avp_find_in(message, IETF, code);
	size_t len = 0;
	const char *text = avp ? gy_avp_string(avp, &len) : NULL;

	snprintf(to, size, "%.*s", text ? (int)len : 0, text ? text : "");
}

static void on_cea(struct gy_connection *c, struct msg *cea)
{
	char text[128];

	c->cea = (uint32_t)gy_avp_value_in(cea, IETF, GY_AVP_RESULT_CODE, 0);
	keep_text(text, sizeof(text), cea, GY_AVP_ERROR_MESSAGE);
	if (c->cea != 2001) {
		close_because(c, "CEA %u%s%s", c->cea, *text ? ": " : "", text);
		return;
	}
	keep_text(c->peer_host, sizeof(c->peer_host), cea, GY_AVP_ORIGIN_HOST);
	keep_text(c->peer_realm, sizeof(c->peer_realm), cea, GY_AVP_ORIGIN_REALM);
	c->state = GY_CONNECTION_OPEN;
	c->error[0] = '\0';
}

static void flush_out(struct gy_connection *c);

static void on_dpr(struct gy_connection *c, struct msg *dpr)
{
	answer_base(c, dpr, "Disconnect-Peer-Answer");
	flush_out(c);
	close_because(c, "the node disconnected (DPR, cause %lld)",
		      (long long)gy_avp_value_in(dpr, IETF, GY_AVP_DISCONNECT_CAUSE, -1));
}

static void parted(struct gy_connection *c)
{
	gy_tls_part(c->tls);
	close_because(c, "%s", "");
}

/* One whole message. */
static void on_bytes(struct gy_connection *c, const uint8_t *bytes, size_t len)
{
	uint32_t command = (uint32_t)bytes[5] << 16 | (uint32_t)bytes[6] << 8 | bytes[7];
	bool request = bytes[4] & CMD_FLAG_REQUEST;
	struct msg *message;

	if (command != 257 && command != 280 && command != 282) {
		if (c->state == GY_CONNECTION_OPEN || c->state == GY_CONNECTION_PARTING)
			c->on_message(c->owner, c, bytes, len);
		return;
	}
	message = gy_message_decode(bytes, len);
	if (!message)
		close_because(c, "the node sent a malformed message");
	else if (command == 257 && !request && c->state == GY_CONNECTION_INTRODUCED)
		on_cea(c, message);
	else if (command == 280 && request)
		answer_base(c, message, "Device-Watchdog-Answer");
	else if (command == 282 && request)
		on_dpr(c, message);
	else if (command == 282 && c->state == GY_CONNECTION_PARTING)
		parted(c);
	gy_message_free(message);
}

/* ---- bytes in and out ---- */

static const char *failure(const struct gy_connection *c)
{
	return *gy_tls_error(c->tls) ? gy_tls_error(c->tls) : strerror(errno);
}

static void messages_in(struct gy_connection *c)
{
	size_t done = 0;

	while (c->fd >= 0 && c->in.len - done >= HEADER_SIZE) {
		const uint8_t *at = c->in.data + done;
		size_t len = (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];

		if (at[0] != 1 || len < HEADER_SIZE || len > MESSAGE_MAX) {
			close_because(c, "the node sent no Diameter");
			return;
		}
		if (c->in.len - done < len)
			break;
		done += len;
		on_bytes(c, at, len);
	}
	if (c->fd >= 0)
		take(&c->in, done);
}

static void read_in(struct gy_connection *c)
{
	uint8_t chunk[32768];

	/* Bounded, so that others get their turn. */
	for (int i = 0; i < 16 && c->fd >= 0; i++) {
		ssize_t n = gy_tls_receive(c->tls, c->fd, chunk, sizeof(chunk));

		if (n > 0) {
			append(&c->in, chunk, (size_t)n);
			messages_in(c);
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (c->state == GY_CONNECTION_PARTING)
			close_because(c, "%s", "");
		else if (n == 0)
			close_because(c, "the node closed the connection");
		else
			close_because(c, "%s", failure(c));
	}
}

static void flush_out(struct gy_connection *c)
{
	while (c->fd >= 0 && c->out.len > 0) {
		ssize_t n = gy_tls_send(c->tls, c->fd, c->out.data, c->out.len);

		if (n > 0)
			take(&c->out, (size_t)n);
		else if (n < 0 && errno == EAGAIN)
			return;
		else if (n < 0 && errno != EINTR)
			close_because(c, "%s", failure(c));
	}
}

/* ---- opening ---- */

/* "host:port" into a socket that is connecting; -1 after saying why not. */
static int start_connect(struct gy_connection *c)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	char host[256];
	const char *from = c->setup.address, *colon = strrchr(from, ':');
	int fd = -1, one = 1, rc;
	size_t len;

	if (!colon) {
		close_because(c, "'%s' is not ADDRESS:PORT", c->setup.address);
		return -1;
	}
	len = (size_t)(colon - from);
	if (*from == '[' && len > 2 && colon[-1] == ']') {
		from++;
		len -= 2;
	}
	snprintf(host, sizeof(host), "%.*s", (int)len, from);
	rc = getaddrinfo(host, colon + 1, &hints, &found);
	if (rc != 0) {
		close_because(c, "%s: %s", c->setup.address, gai_strerror(rc));
		return -1;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (connect(fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
			rc = errno;
			close(fd);
			fd = -1;
			errno = rc;
		}
	}
	if (fd < 0)
		close_because(c, "%s: %s", c->setup.address, strerror(errno));
	freeaddrinfo(found);
	return fd;
}

void gy_connection_open(struct gy_connection *c)
{
	c->cea = 0;
	c->fd = start_connect(c);
	if (c->fd < 0)
		return;
	c->state = GY_CONNECTION_CONNECTING;
	c->give_up_us = gy_now_us() + INTRODUCE_US;
}

/* CER comes when TLS, if there is any, stands. */
static void shake(struct gy_connection *c)
{
	c->shakes = c->tls ? gy_tls_shake(c->tls) : GY_TLS_DONE;
	if (c->shakes == GY_TLS_FAILED)
		close_because(c, "%s: %s", c->setup.address, gy_tls_error(c->tls));
	else if (c->shakes == GY_TLS_DONE)
		introduce(c);
}

static void connected(struct gy_connection *c)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error != 0) {
		close_because(c, "%s: %s", c->setup.address, strerror(error));
		return;
	}
	c->tls = gy_tls_new(c->fd);
	shake(c);
}

void gy_connection_part(struct gy_connection *c)
{
	struct msg *dpr;

	if (c->state != GY_CONNECTION_OPEN) {
		if (c->state != GY_CONNECTION_PARTING)
			close_because(c, "%s", "");
		return;
	}
	dpr = gy_message_new("Disconnect-Peer-Request", gy_next_hop_by_hop(), gy_next_end_to_end());
	gy_message_header(dpr)->msg_flags = CMD_FLAG_REQUEST;
	put_origin(c, dpr);
	gy_avp_put(dpr, gy_avp_number(IETF, GY_AVP_DISCONNECT_CAUSE, 0));
	send_message(c, dpr);
	c->state = GY_CONNECTION_PARTING;
	c->give_up_us = gy_now_us() + PART_US;
}

/* ---- what the owner calls ---- */

struct gy_connection *gy_connection_new(const struct gy_connection_setup *setup,
					gy_connection_on_message *on_message, void *owner)
{
	struct gy_connection *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->setup = *setup;
	c->on_message = on_message;
	c->owner = owner;
	c->fd = -1;
	return c;
}

void gy_connection_free(struct gy_connection *c)
{
	if (!c)
		return;
	gy_tls_free(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	free(c->in.data);
	free(c->out.data);
	free(c);
}

int gy_connection_fd(const struct gy_connection *c)
{
	return c->fd;
}

short gy_connection_events(const struct gy_connection *c)
{
	if (c->state == GY_CONNECTION_CONNECTING)
		return c->tls && c->shakes == GY_TLS_READ ? POLLIN : POLLOUT;
	return c->out.len > 0 ? POLLIN | POLLOUT : POLLIN;
}

void gy_connection_ready(struct gy_connection *c, short events)
{
	if (c->fd >= 0 && c->state == GY_CONNECTION_CONNECTING && events && c->tls)
		shake(c);
	else if (c->fd >= 0 && c->state == GY_CONNECTION_CONNECTING && events)
		connected(c);
	else if (c->fd >= 0 && (events & (POLLIN | POLLHUP | POLLERR)))
		read_in(c);
	flush_out(c);
}

void gy_connection_tick(struct gy_connection *c)
{
	if (c->fd < 0 || c->state == GY_CONNECTION_OPEN || gy_now_us() < c->give_up_us)
		return;
	if (c->state == GY_CONNECTION_PARTING)
		close_because(c, "%s", "");
	else
		close_because(c, "%s: no %s within %lld s", c->setup.address,
			      c->state == GY_CONNECTION_INTRODUCED ? "CEA" : "connection",
			      (long long)(INTRODUCE_US / 1000000));
}

bool gy_connection_send(struct gy_connection *c, const uint8_t *bytes, size_t len)
{
	if (c->state != GY_CONNECTION_OPEN)
		return false;
	append(&c->out, bytes, len);
	return true;
}

enum gy_connection_state gy_connection_state(const struct gy_connection *c)
{
	return c->state;
}

const char *gy_connection_address(const struct gy_connection *c)
{
	return c->setup.address;
}

const char *gy_connection_origin_host(const struct gy_connection *c)
{
	return c->setup.origin_host;
}

const char *gy_connection_error(const struct gy_connection *c)
{
	return c->error;
}

uint32_t gy_connection_cea(const struct gy_connection *c)
{
	return c->cea;
}

const char *gy_connection_peer_host(const struct gy_connection *c)
{
	return c->peer_host;
}

const char *gy_connection_peer_realm(const struct gy_connection *c)
{
	return c->peer_realm;
}
