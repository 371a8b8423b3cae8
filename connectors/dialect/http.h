// SPDX-License-Identifier: Apache-2.0
// What HTTP brings along, as pure functions: credentials and content codings.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// The credential of an Authorization header: the user of Basic (RFC 7617), or a Bearer token
// (RFC 6750). 0; -EINVAL for another scheme or a malformed one; -E2BIG where it does not fit.
int http_credential(const char *authorization, char *ret, size_t ret_size);

enum http_coding { HTTP_IDENTITY, HTTP_GZIP, HTTP_DEFLATE };
// Content-Encoding (RFC 9110, 8.4); NULL is identity. -EINVAL: not one of ours, or several.
int http_coding_parse(const char *content_encoding, enum http_coding *ret);
// Inflates; *ret is malloc'ed (never NULL). 0; -E2BIG beyond bytes_max, which is never exceeded on
// the way; -EBADMSG where the input is damaged, cut short, or something follows it; -ENOMEM.
int http_inflate(enum http_coding coding, const void *data, size_t size, size_t bytes_max,
                 char **ret, size_t *ret_size);

// Whether a Content-Type names this media type, whatever its parameters ("application/json").
bool http_type_is(const char *content_type, const char *media_type);
// Percent-decodes in place (CloudEvents HTTP binding 3.1.3.2). -EINVAL: malformed, or a NUL.
int http_percent_decode(char *text);
// Whether two secrets are equal, in a time that does not depend on where they differ.
bool http_secret_equal(const char *a, const char *b);
