// SPDX-License-Identifier: Apache-2.0
// What HTTP brings along: credentials, codings, percent signs, deflated bodies, unsubscribe tokens
// and the form that is posted with one. The first byte chooses; what comes out is within its
// bounds, and text that needs no decoding is left as it is.
#include <string.h>
#include <strings.h>

#include "connectors/dialect/http.h"
#include "connectors/dialect/mail.h"
#include "schemas/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

enum { CREDENTIAL_BYTES = 24, INFLATED_BYTES_MAX = 1 << 16, TOKEN = 5, FORM = 6 };

static void take_credential(char *text) {
    char credential[CREDENTIAL_BYTES] = "unset";
    int r = http_credential(text, credential, sizeof(credential));
    REQUIRE(r == 0 ? memchr(credential, '\0', sizeof(credential)) != NULL
                   : strcmp(credential, "unset") == 0);
    REQUIRE(r != 0 || http_secret_equal(credential, credential));
}

static void take_coding(char *text) {
    enum http_coding coding;
    (void)http_coding_parse(text, &coding);
    REQUIRE(!http_type_is(text, "application/json") ||
            strncasecmp(text, "application/json", 16) == 0);
}

static void take_percent(char *text) {
    _cleanup_free_ char *before = strdup(text);
    REQUIRE(before != NULL);
    size_t size = strlen(text);
    if (http_percent_decode(text) == 0) {
        REQUIRE(strlen(text) <= size);
        REQUIRE(strchr(before, '%') != NULL || strcmp(before, text) == 0);
    }
}

static void inflate_body(enum http_coding coding, const uint8_t *data, size_t size) {
    char *body = NULL;
    size_t n = 0;
    int r = http_inflate(coding, data, size, INFLATED_BYTES_MAX, &body, &n);
    REQUIRE((r == 0) == (body != NULL) && (r != 0 || n <= INFLATED_BYTES_MAX));
    free(body);
}

// What opens is what was sealed: it makes the same token, and an event.
static void take_token(const char *text) {
    static const uint8_t key[MAIL_KEY_BYTES] = {1};
    static const struct mail_conf conf = {.source = "/web", .key = key};
    struct mail_token token;
    char again[MAIL_TOKEN_BYTES_MAX];
    touchbus_event *event = NULL;
    bool known = mail_token_open(&conf, text, &token) == 0;
    REQUIRE(known == token.known);
    REQUIRE(known == (mail_token_event(&conf, &token, 1, &event) == 0));
    touchbus_event_free(event);
    REQUIRE(!known || mail_token_make(&conf, token.address, token.purpose, again) == 0);
    REQUIRE(!known || strncmp(text, again, strlen(again)) == 0);
}

// The media type, a NUL, the body, which is not terminated.
static void take_form(const char *text, const uint8_t *data, size_t size) {
    size_t n = strlen(text), left = n < size ? size - n - 1 : 0;
    _cleanup_free_ char *body = malloc(left > 0 ? left : 1); // of its own: nothing is read behind
    REQUIRE(body != NULL);
    memcpy(body, data + size - left, left);
    REQUIRE(!mail_is_one_click(text, body, left) || memmem(body, left, "One-Click", 9) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const texts[])(char *text) = {take_credential, take_coding, take_percent};
    if (size == 0) {
        return 0;
    }
    _cleanup_free_ char *text = strndup((const char *)data + 1, size - 1);
    REQUIRE(text != NULL);
    if (data[0] == TOKEN) {
        take_token(text);
        return 0;
    }
    if (data[0] == FORM) {
        take_form(text, data + 1, size - 1);
        return 0;
    }
    if (data[0] % 5 >= 3) {
        inflate_body(data[0] % 5 == 3 ? HTTP_GZIP : HTTP_DEFLATE, data + 1, size - 1);
        return 0;
    }
    texts[data[0] % 5](text);
    return 0;
}
