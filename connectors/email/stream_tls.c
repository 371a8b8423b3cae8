// SPDX-License-Identifier: Apache-2.0
// TLS on a connection: the certificate is checked, and that it is for this host.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connectors/email/stream_private.h"
#include "schemas/base/guards.h"

static bool is_address(const char *host) {
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static int set_up(struct stream *stream, const char *host, const struct stream_trust *trust) {
    int r = gnutls_certificate_allocate_credentials(&stream->credentials);
    if (r >= 0) {
        r = trust->ca_file != NULL ? gnutls_certificate_set_x509_trust_file(
                                         stream->credentials, trust->ca_file, GNUTLS_X509_FMT_PEM)
                                   : gnutls_certificate_set_x509_system_trust(stream->credentials);
    }
    r = r < 0 ? r : gnutls_init(&stream->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
    r = r < 0 ? r : gnutls_set_default_priority(stream->tls);
    r = r < 0 ? r
              : gnutls_credentials_set(stream->tls, GNUTLS_CRD_CERTIFICATE, stream->credentials);
    if (r >= 0 && !is_address(host)) {
        r = gnutls_server_name_set(stream->tls, GNUTLS_NAME_DNS, host, strlen(host));
    }
    if (r >= 0) {
        gnutls_transport_set_int(stream->tls, stream->fd);
        if (!GUARD(mail_certificate) || trust->no_verify) {
            return 0;
        }
        gnutls_session_set_verify_cert(stream->tls, host, 0);
    }
    return r < 0 ? r : 0;
}

static int complain_of_handshake(struct stream *stream, int error) {
    gnutls_datum_t text = {0};
    if (error != GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
        return stream_complain(stream->why, -EPROTO, "TLS", gnutls_strerror(error));
    }
    unsigned status = gnutls_session_get_verify_cert_status(stream->tls);
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) == 0) {
        stream_complain(stream->why, 0, "certificate", (const char *)text.data);
        gnutls_free(text.data);
    } else {
        stream_complain(stream->why, 0, "certificate", "is not trusted");
    }
    return -EPERM;
}

static int shake_hands(struct stream *stream) {
    stream_allow(stream, STREAM_CONNECT_MS_MAX, 0);
    for (;;) {
        int r = gnutls_handshake(stream->tls);
        if (r == 0) {
            return 0;
        }
        if (stream_is_again(r)) {
            r = stream_await_tls(stream);
            if (r < 0) {
                return r;
            }
        } else if (gnutls_error_is_fatal(r) != 0) {
            return complain_of_handshake(stream, r);
        }
    }
}

int stream_start_tls(struct stream *stream, const char *host, const struct stream_trust *trust,
                     char why[STREAM_WHY_BYTES]) {
    int r = set_up(stream, host, trust);
    r = r < 0 ? stream_complain(stream->why, -EPROTO, "TLS", gnutls_strerror(r))
              : shake_hands(stream);
    if (r < 0) {
        stream->broken = true;
        snprintf(why, STREAM_WHY_BYTES, "%s", stream->why);
    }
    return r;
}
