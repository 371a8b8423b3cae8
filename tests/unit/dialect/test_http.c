// SPDX-License-Identifier: Apache-2.0
// Credentials, content codings and the CloudEvents binding.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "connectors/dialect/cloudevents_http.h"
#include "connectors/dialect/http.h"
#include "schemas/base/cleanup.h"

static void test_credentials(void **state) {
    (void)state;
    static const struct {
        const char *header;
        int r;
        const char *key;
    } rows[] = {
        {"Basic d2s6", 0, "wk"},
        {"basic  d2s6cGFzcw==", 0, "wk"},
        {"Bearer tok", 0, "tok"},
        {"Basic Og==", 0, ""},
        {"Basic", -EINVAL, NULL},
        {"Basic d2s", -EINVAL, NULL},
        {"Basic d2s=", -EINVAL, NULL},
        {"Basic AAA=", -EINVAL, NULL},
        {"Bearer ", -EINVAL, NULL},
        {"Digest x", -EINVAL, NULL},
        {"", -EINVAL, NULL},
        {"Bearer a b", -EINVAL, NULL},
        {"Bearer 12345678", -E2BIG, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char key[8];
        assert_int_equal(http_credential(rows[i].header, key, sizeof(key)), rows[i].r);
        if (rows[i].key != NULL) {
            assert_string_equal(key, rows[i].key);
        }
    }
    assert_true(http_secret_equal("abc", "abc"));
    assert_false(http_secret_equal("abc", "abd"));
    assert_false(http_secret_equal("abc", "abcabc"));
    assert_false(http_secret_equal("abc", ""));
    assert_false(http_secret_equal("", "abc"));
}

static size_t compress_gzip(const void *data, size_t size, uint8_t *ret, size_t ret_size) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = ret;
    stream.avail_out = (uInt)ret_size;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t n = stream.total_out;
    deflateEnd(&stream);
    return n;
}

static void test_inflate_stops_at_its_bound(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 };
    static char data[SIZE];
    static uint8_t packed[SIZE];
    size_t n = compress_gzip(data, SIZE, packed, sizeof(packed)), size;
    _cleanup_free_ char *out = NULL;
    assert_int_equal(http_inflate(HTTP_GZIP, packed, n, SIZE - 1, &out, &size), -E2BIG);
    assert_null(out);
    assert_int_equal(http_inflate(HTTP_GZIP, packed, n, SIZE, &out, &size), 0);
    assert_int_equal(size, SIZE);
}

static void test_inflate_refuses_what_is_damaged(void **state) {
    (void)state;
    uint8_t packed[256];
    size_t n = compress_gzip("hello", 5, packed, sizeof(packed)), size;
    for (size_t cut = 0; cut < n; cut++) {
        char *out = NULL;
        assert_int_equal(http_inflate(HTTP_GZIP, packed, cut, 100, &out, &size), -EBADMSG);
    }
    char *out = NULL;
    packed[n] = 0;
    assert_int_equal(http_inflate(HTTP_GZIP, packed, n + 1, 100, &out, &size), -EBADMSG);
    assert_int_equal(http_inflate(HTTP_DEFLATE, packed, n, 100, &out, &size), -EBADMSG);
    packed[12] ^= 1;
    assert_int_equal(http_inflate(HTTP_GZIP, packed, n, 100, &out, &size), -EBADMSG);
    assert_null(out);
}

static void test_codings_and_types(void **state) {
    (void)state;
    enum http_coding coding;
    assert_int_equal(http_coding_parse(NULL, &coding), 0);
    assert_int_equal(coding, HTTP_IDENTITY);
    assert_int_equal(http_coding_parse("GZIP", &coding), 0);
    assert_int_equal(coding, HTTP_GZIP);
    assert_int_equal(http_coding_parse("gzip, gzip", &coding), -EINVAL);
    assert_int_equal(http_coding_parse("br", &coding), -EINVAL);
    assert_true(http_type_is("Application/JSON; charset=utf-8", "application/json"));
    assert_false(http_type_is("application/jsonx", "application/json"));
    assert_false(http_type_is(NULL, "application/json"));
}

static void test_percent_decoding(void **state) {
    (void)state;
    char good[] = "caf%C3%A9%20%25", bad[][8] = {"%", "%4", "%zz", "%00"};
    assert_int_equal(http_percent_decode(good), 0);
    assert_string_equal(good, "caf\xc3\xa9 %");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(http_percent_decode(bad[i]), -EINVAL);
    }
}

// ---- CloudEvents

#define CLOUD(id) "{\"specversion\":\"1.0\",\"id\":\"" id "\",\"source\":\"/s\",\"type\":\"t\"}"

static int parse(const char *type, const char *body, const struct cloudevents_header *headers,
                 size_t n_headers, struct items *ret) {
    struct cloudevents_request request = {
        .content_type = type, .headers = headers, .n_headers = n_headers};
    const char *why;
    return cloudevents_http_parse(&request, body, strlen(body), ret, &why);
}

static void test_structured_and_batched(void **state) {
    (void)state;
    struct items items = {0};
    assert_int_equal(
        parse("application/cloudevents+json; charset=utf-8", CLOUD("1"), NULL, 0, &items), 0);
    assert_int_equal(items.n, 1);
    assert_string_equal(touchbus_event_get(items.list[0].event, "id"), "1");
    items_clear(&items);
    assert_int_equal(parse("application/cloudevents-batch+json",
                           "[" CLOUD("1") ",{}," CLOUD("2") "]", NULL, 0, &items),
                     0);
    assert_int_equal(items.n, 3);
    assert_non_null(items.list[1].why);
    assert_non_null(items.list[2].event);
    items_clear(&items);
    assert_int_equal(parse("application/cloudevents+json", "{}", NULL, 0, &items), -EBADMSG);
    assert_int_equal(parse("application/cloudevents+json", "[]", NULL, 0, &items), -EBADMSG);
    assert_int_equal(parse("application/cloudevents-batch+json", "{}", NULL, 0, &items), -EBADMSG);
    assert_int_equal(parse("application/cloudevents-batch+json", "[", NULL, 0, &items), -EBADMSG);
}

static void test_binary(void **state) {
    (void)state;
    static const struct cloudevents_header headers[] = {{"CE-SpecVersion", "1.0"}, {"ce-id", "1"},
                                                        {"ce-source", "/s"},       {"ce-type", "t"},
                                                        {"ce-other", "a%20b"},     {"Host", "x"}};
    struct items items = {0};
    assert_int_equal(parse("application/json", "{\"a\":1}", headers, 6, &items), 0);
    const touchbus_event *event = items.list[0].event;
    _cleanup_free_ char *data = touchbus_event_data_json(event);
    assert_string_equal(data, "{\"a\":1}");
    assert_string_equal(touchbus_event_get(event, "other"), "a b");
    items_clear(&items);
    assert_int_equal(parse("application/json", "{\"a\":1,\"a\":2}", headers, 6, &items), -EBADMSG);
    assert_int_equal(parse("application/json", "{}", headers + 1, 5, &items), -EPROTO);
    static const struct cloudevents_header twice[] = {{"ce-specversion", "1.0"},
                                                      {"ce-id", "1"},
                                                      {"ce-id", "2"},
                                                      {"ce-source", "/s"},
                                                      {"ce-type", "t"}};
    assert_int_equal(parse("application/json", "{}", twice, 5, &items), -EBADMSG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_inflate_stops_at_its_bound),
        cmocka_unit_test(test_inflate_refuses_what_is_damaged),
        cmocka_unit_test(test_codings_and_types),
        cmocka_unit_test(test_percent_decoding),
        cmocka_unit_test(test_structured_and_batched),
        cmocka_unit_test(test_binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
