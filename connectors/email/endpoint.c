// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/endpoint.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "schemas/base/cleanup.h"

static const struct {
    const char *kind, *scheme, *port;
    bool tls;
} schemes[] = {
    {"imap", "imap", "143", false},
    {"imap", "imaps", "993", true},
    {"smtp", "smtp", "587", false},
    {"smtp", "smtps", "465", true},
};

static void cleanup_url(CURLU **url) {
    curl_url_cleanup(*url);
}

static int complain(const char *kind, const char *text, char *why) {
    snprintf(why, ENDPOINT_WHY_BYTES, "%s: %s", kind, text);
    return -EINVAL;
}

// "" where the URL has no such part; false where it does not fit, or has control characters.
static bool take(CURLU *url, CURLUPart part, unsigned flags, char *ret, size_t size) {
    char *text = NULL;
    CURLUcode code = curl_url_get(url, part, &text, flags);
    size_t length = code == CURLUE_OK ? strlen(text) : 0;
    bool fits = (code == CURLUE_OK || code == CURLUE_NO_USER || code == CURLUE_NO_PASSWORD ||
                 code == CURLUE_NO_PORT) &&
                length < size;
    ret[0] = '\0';
    for (size_t i = 0; fits && i < length; i++) {
        fits = (unsigned char)text[i] >= ' ' && text[i] != 0x7f;
    }
    if (fits && length > 0) {
        memcpy(ret, text, length + 1);
    }
    curl_free(text);
    return fits;
}

// An IPv6 address stands in brackets in a URL, and nowhere else.
static void strip_brackets(char *host) {
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        memmove(host, host + 1, length - 2);
        host[length - 2] = '\0';
    }
}

int endpoint_parse(const char *kind, const char *text, struct endpoint *ret,
                   char why[ENDPOINT_WHY_BYTES]) {
    _cleanup_(cleanup_url) CURLU *url = curl_url();
    char scheme[16], password[8] = "", path[ENDPOINT_TEXT_BYTES];
    size_t i = 0;
    if (url == NULL ||
        curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
        !take(url, CURLUPART_SCHEME, 0, scheme, sizeof(scheme))) {
        return complain(kind, "is no URL such as imaps://USER@HOST/MAILBOX, smtps://USER@HOST",
                        why);
    }
    while (i < sizeof(schemes) / sizeof(schemes[0]) &&
           (strcmp(schemes[i].kind, kind) != 0 || strcmp(schemes[i].scheme, scheme) != 0)) {
        i++;
    }
    if (i == sizeof(schemes) / sizeof(schemes[0])) {
        return complain(kind, "has another scheme than this option takes", why);
    }
    if (!take(url, CURLUPART_PASSWORD, 0, password, sizeof(password)) || password[0] != '\0') {
        return complain(kind, "a password does not belong into a URL: give a file", why);
    }
    struct endpoint endpoint = {.tls = schemes[i].tls};
    if (!take(url, CURLUPART_HOST, 0, endpoint.host, sizeof(endpoint.host)) ||
        !take(url, CURLUPART_PORT, 0, endpoint.port, sizeof(endpoint.port)) ||
        !take(url, CURLUPART_USER, CURLU_URLDECODE, endpoint.user, sizeof(endpoint.user)) ||
        !take(url, CURLUPART_PATH, CURLU_URLDECODE, path, sizeof(path)) ||
        endpoint.host[0] == '\0') {
        return complain(kind, "a part of the URL is missing, too long or not text", why);
    }
    strip_brackets(endpoint.host);
    if (endpoint.port[0] == '\0') {
        snprintf(endpoint.port, sizeof(endpoint.port), "%s", schemes[i].port);
    }
    snprintf(endpoint.mailbox, sizeof(endpoint.mailbox), "%s", path[0] == '/' ? path + 1 : path);
    *ret = endpoint;
    return 0;
}
