// SPDX-License-Identifier: Apache-2.0
// What stream.c and stream_tls.c share.
#pragma once

#include <gnutls/gnutls.h>

#include "connectors/email/stream.h"

struct stream {
    int fd, wake_fd;
    gnutls_session_t tls;
    gnutls_certificate_credentials_t credentials;
    int64_t deadline_us;
    size_t bytes_left;
    bool broken;
    char why[STREAM_WHY_BYTES];
};

// Notes what went wrong where; gives error.
int stream_complain(char *why, int error, const char *what, const char *text);
// Until TLS can go on. 0 or a negative errno.
int stream_await_tls(struct stream *stream);
// Whether a call of GnuTLS only has to wait.
bool stream_is_again(ssize_t n);
