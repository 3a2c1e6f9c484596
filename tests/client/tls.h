/* TLS of a client's connections, from the first octet on (RFC 6733 §2.2); or none of it.
 *
 * One set of credentials a process. Never waits: sockets are non-blocking, and whoever polls them
 * is told for what. The node's certificate must be signed by the authority; the name in it is not
 * looked at, since a node is reached by its address. */
#ifndef GY_CLIENT_TLS_H
#define GY_CLIENT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct gy_tls;

/* From here on connections have TLS: authority is whom the node's certificate must come from, the
 * other two are shown to the node (NULL: nothing is). Paths of PEM files. False after saying on
 * stderr what is wrong with them. */
bool gy_tls_use(const char *authority, const char *certificate, const char *key);

/* For a socket that has just been connected; NULL when TLS is not used. */
struct gy_tls *gy_tls_new(int fd);
void gy_tls_free(struct gy_tls *tls);

enum gy_tls_step {
	GY_TLS_DONE,
	GY_TLS_READ,   /* goes on when the socket can be read */
	GY_TLS_WRITE,  /* goes on when it can be written */
	GY_TLS_FAILED, /* gy_tls_error */
};

enum gy_tls_step gy_tls_shake(struct gy_tls *tls);

/* As recv(2) and send(2), errno too; tls NULL: these themselves. What was not sent at once is to
 * be given again. */
ssize_t gy_tls_receive(struct gy_tls *tls, int fd, void *data, size_t size);
ssize_t gy_tls_send(struct gy_tls *tls, int fd, const void *data, size_t size);

/* Says that nothing more will come. */
void gy_tls_part(struct gy_tls *tls);

/* What went wrong with TLS; "" if nothing did, also for NULL. */
const char *gy_tls_error(const struct gy_tls *tls);

#endif
