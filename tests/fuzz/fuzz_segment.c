// SPDX-License-Identifier: Apache-2.0
// The web connector's dialects: a Segment body as a batch and as a single call, a CloudEvents body
// in each mode, and the inflation before them. Whatever becomes an event passes the wire's codec.
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/cloudevents_http.h"
#include "connectors/dialect/http.h"
#include "connectors/dialect/segment.h"
#include "tests/fuzz/fuzz.h"

enum { INFLATED_BYTES_MAX = 1 << 20 };

static void check_items(struct items *items, const char *body, size_t size) {
    for (size_t i = 0; i < items->n; i++) {
        const struct item *item = &items->list[i];
        REQUIRE((item->event == NULL) == (item->why != NULL));
        REQUIRE(item->raw >= body && item->raw + item->raw_size <= body + size);
        if (item->event != NULL) {
            void *bytes = NULL;
            size_t n;
            touchbus_event *back = NULL;
            REQUIRE(touchbus_event_serialize(item->event, &bytes, &n) == 0);
            REQUIRE(touchbus_event_parse(bytes, n, &back) == 0);
            touchbus_event_free(back);
            free(bytes);
        }
    }
    items_clear(items);
}

static void check_segment(const char *call, const char *body, size_t size) {
    struct segment_request request = {
        .call = call, .source = "/web", .channel = "web", .received_us = 1772438400000000};
    struct items items = {0};
    char write_key[SEGMENT_KEY_BYTES_MAX];
    const char *why = NULL;
    if (segment_parse(&request, body, size, &items, write_key, &why) == 0) {
        check_items(&items, body, size);
    } else {
        REQUIRE(why != NULL);
    }
}

static void check_cloudevents(const char *type, const char *body, size_t size) {
    static const struct cloudevents_header headers[] = {
        {"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "/s"}, {"ce-type", "t"}};
    struct cloudevents_request request = {
        .content_type = type, .headers = headers, .n_headers = 4, .channel = "web"};
    struct items items = {0};
    const char *why = NULL;
    if (cloudevents_http_parse(&request, body, size, &items, &why) == 0) {
        check_items(&items, body, size);
    } else {
        REQUIRE(why != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    // A copy of exactly this size: reading beyond it is seen.
    char *body = malloc(size == 0 ? 1 : size);
    REQUIRE(body != NULL);
    memcpy(body, data, size);
    check_segment("batch", body, size);
    check_segment("track", body, size);
    check_segment("identify", body, size);
    check_cloudevents("application/cloudevents+json", body, size);
    check_cloudevents("application/cloudevents-batch+json", body, size);
    check_cloudevents("application/json", body, size);
    check_cloudevents("image/png", body, size);
    char *inflated = NULL;
    size_t n;
    if (http_inflate(HTTP_GZIP, body, size, INFLATED_BYTES_MAX, &inflated, &n) == 0) {
        REQUIRE(n <= INFLATED_BYTES_MAX);
        free(inflated);
    }
    free(body);
    return 0;
}
