/* TLS of a client's connections; see the header. GnuTLS, as the node has it. */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tests/client/tls.h"

struct gy_tls {
	gnutls_session_t session;
	char error[160];
};

static gnutls_certificate_credentials_t credentials; /* NULL: no TLS */

bool gy_tls_use(const char *authority, const char *certificate, const char *key)
{
	int rc = gnutls_certificate_allocate_credentials(&credentials);
	const char *path = authority;

	if (rc >= 0)
		rc = gnutls_certificate_set_x509_trust_file(credentials, authority,
							    GNUTLS_X509_FMT_PEM);
	if (rc == 0)
		rc = GNUTLS_E_NO_CERTIFICATE_FOUND;
	if (rc > 0 && certificate != NULL) {
		path = certificate;
		rc = gnutls_certificate_set_x509_key_file(credentials, certificate, key,
							  GNUTLS_X509_FMT_PEM);
	}
	if (rc < 0)
		fprintf(stderr, "gyro-sim: %s: %s\n", path, gnutls_strerror(rc));
	return rc >= 0;
}

struct gy_tls *gy_tls_new(int fd)
{
	struct gy_tls *tls;

	if (credentials == NULL)
		return NULL;
	tls = calloc(1, sizeof(*tls));
	if (tls == NULL ||
	    gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0 ||
	    gnutls_set_default_priority(tls->session) < 0 ||
	    gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, credentials) < 0)
		abort(); /* out of memory */
	gnutls_session_set_verify_cert(tls->session, NULL, 0);
	gnutls_transport_set_int(tls->session, fd);
	return tls;
}

void gy_tls_free(struct gy_tls *tls)
{
	if (tls == NULL)
		return;
	gnutls_deinit(tls->session);
	free(tls);
}

static void note_error(struct gy_tls *tls, int rc)
{
	gnutls_datum_t text = { NULL, 0 };

	if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
		snprintf(tls->error, sizeof(tls->error), "TLS: the node says: %s",
			 gnutls_alert_get_name(gnutls_alert_get(tls->session)));
	else if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
		 gnutls_certificate_verification_status_print(
			 gnutls_session_get_verify_cert_status(tls->session), GNUTLS_CRT_X509,
			 &text, 0) == 0)
		snprintf(tls->error, sizeof(tls->error), "TLS: the node's certificate: %s",
			 (const char *)text.data);
	else
		snprintf(tls->error, sizeof(tls->error), "TLS: %s", gnutls_strerror(rc));
	gnutls_free(text.data);
}

enum gy_tls_step gy_tls_shake(struct gy_tls *tls)
{
	int rc;

	do {
		rc = gnutls_handshake(tls->session);
		if (rc == GNUTLS_E_SUCCESS)
			return GY_TLS_DONE;
		if (rc == GNUTLS_E_AGAIN)
			return gnutls_record_get_direction(tls->session) ? GY_TLS_WRITE
									 : GY_TLS_READ;
	} while (!gnutls_error_is_fatal(rc));
	note_error(tls, rc);
	return GY_TLS_FAILED;
}

static ssize_t as_errno(struct gy_tls *tls, ssize_t n)
{
	switch (n) {
	case GNUTLS_E_INTERRUPTED:
		errno = EINTR;
		return -1;
	case GNUTLS_E_AGAIN:
		errno = EAGAIN;
		return -1;
	case GNUTLS_E_PREMATURE_TERMINATION: /* closed without saying so, or reset */
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_PUSH_ERROR:
		errno = ECONNRESET;
		return -1;
	default:
		if (n >= 0)
			return n;
		if (gnutls_error_is_fatal((int)n)) {
			note_error(tls, (int)n);
			errno = EPROTO;
		} else { /* a warning, a ticket, and the like: more may come */
			errno = EINTR;
		}
		return -1;
	}
}

ssize_t gy_tls_receive(struct gy_tls *tls, int fd, void *data, size_t size)
{
	if (tls == NULL)
		return recv(fd, data, size, 0);
	return as_errno(tls, gnutls_record_recv(tls->session, data, size));
}

ssize_t gy_tls_send(struct gy_tls *tls, int fd, const void *data, size_t size)
{
	if (tls == NULL)
		return send(fd, data, size, MSG_NOSIGNAL);
	return as_errno(tls, gnutls_record_send(tls->session, data, size));
}

void gy_tls_part(struct gy_tls *tls)
{
	if (tls != NULL)
		gnutls_bye(tls->session, GNUTLS_SHUT_WR);
}

const char *gy_tls_error(const struct gy_tls *tls)
{
	return tls != NULL ? tls->error : "";
}
