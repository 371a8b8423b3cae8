// SPDX-License-Identifier: Apache-2.0
// The nth allocation fails, for every n until a run passes without, in what connectors do with
// every event: the client's codec, the dialects of the web, the spool. What comes out is a refusal,
// or the same as with all the memory in the world: nothing is left out in silence. Under a
// sanitizer a leak ends the run.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "connectors/client/touchbus.h"
#include "connectors/dialect/cloudevents_http.h"
#include "connectors/dialect/http.h"
#include "connectors/dialect/segment.h"
#include "connectors/kit/spool.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/logging.h"
#include "tests/faults/alloc.h"
#include "tests/faults/folder.h"

enum { N_MAX = 20000, TEXT_BYTES = 1 << 16, SPOOL_BYTES_MAX = 1 << 20 };

static char spool_folder[64];

// Appends what came out; without memory of its own.
static void tell(char *ret, const char *text) {
    strncat(ret, text, TEXT_BYTES - strlen(ret) - 1);
}

static int tell_event(char *ret, const touchbus_event *event) {
    _cleanup_free_ char *json = touchbus_event_to_json(event);
    if (json == NULL) {
        return -ENOMEM;
    }
    tell(ret, json);
    return 0;
}

// Its texts are short: jansson's reader loses a byte of a longer one where its buffer cannot grow,
// which the dialects look after (json_memory_ended) and the library, a guest in its process,
// cannot.
static int run_codec(char *ret) {
    static const char data[] = "{\"lines\":[{\"sku\":\"s-1\",\"price\":\"19.90\"}],\"note\":\"x\"}";
    touchbus_event *event = touchbus_event_new("order.placed", "/shop", "id-1"), *back = NULL;
    _cleanup_free_ void *bytes = NULL;
    size_t size = 0;
    int r = event == NULL ? -ENOMEM : touchbus_event_set(event, "channel", "web");
    r = r != 0 ? r : touchbus_event_set(event, "subject", "o-1");
    r = r != 0 ? r : touchbus_event_set(event, "myextension", "7");
    r = r != 0 ? r : touchbus_event_set_time(event, 1700000000000000);
    r = r != 0 ? r : touchbus_event_add_identity(event, "user_id", "u-1", true);
    r = r != 0 ? r : touchbus_event_add_identity(event, "email", "ana@klant.example", false);
    r = r != 0 ? r : touchbus_event_set_data_json(event, data, strlen(data));
    r = r != 0 ? r : touchbus_event_serialize(event, &bytes, &size);
    r = r != 0 ? r : touchbus_event_parse(bytes, size, &back);
    r = r != 0 ? r : tell_event(ret, back);
    touchbus_event_free(event);
    touchbus_event_free(back);
    return r;
}

static int tell_items(char *ret, struct items *items) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < items->n; i++) {
        const struct item *item = &items->list[i];
        r = item->why != NULL ? -ENOMEM : tell_event(ret, item->event); // put aside, and said
        tell(ret, item->id != NULL ? item->id : "");
    }
    return r;
}

static int run_segment(char *ret) {
    static const char body[] =
        "{\"batch\":[{\"type\":\"track\",\"event\":\"Order Completed\",\"messageId\":\"m-1\","
        "\"userId\":\"u-1\",\"anonymousId\":\"a-1\",\"timestamp\":\"2026-03-01T10:00:00Z\","
        "\"context\":{\"traits\":{\"email\":\"ana@klant.example\",\"phone\":\"+31612345678\"}},"
        "\"properties\":{\"order_id\":\"o-1\",\"currency\":\"EUR\",\"total\":19.9,\"products\":"
        "[{\"sku\":\"s-1\",\"quantity\":2,\"price\":9.95}]}},{\"type\":\"identify\",\"messageId\":"
        "\"m-2\",\"userId\":\"u-1\",\"timestamp\":\"2026-03-01T10:00:01Z\",\"traits\":{\"name\":"
        "\"Ana\",\"email\":\"ana@klant.example\"}},{\"type\":\"page\",\"messageId\":\"m-3\","
        "\"anonymousId\":\"a-1\",\"timestamp\":\"2026-03-01T10:00:02Z\",\"properties\":{\"url\":"
        "\"https://shop.example/\"}},{\"type\":\"alias\",\"messageId\":\"m-4\",\"userId\":\"u-1\","
        "\"previousId\":\"a-1\",\"timestamp\":\"2026-03-01T10:00:03Z\"}],\"sentAt\":"
        "\"2026-03-01T10:00:05Z\"}";
    const struct segment_request request = {.call = "batch",
                                            .source = "/shop",
                                            .channel = "web",
                                            .received_us = INT64_C(1772359205000000)};
    struct items items = {0};
    char key[SEGMENT_KEY_BYTES_MAX];
    const char *why = NULL;
    int r = segment_parse(&request, body, strlen(body), &items, key, &why);
    r = r != 0 ? r : tell_items(ret, &items);
    items_clear(&items);
    return r;
}

static int run_cloudevents(char *ret) {
    static const char body[] =
        "[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/"
        "s\",\"type\":\"order.placed\",\"time\":"
        "\"2026-03-01T10:00:00Z\",\"subject\":\"user_id=u-1&email=ana%40klant.example\",\"data\":"
        "{\"order_id\":\"o-1\",\"lines\":[1,2,{\"a\":null}]},\"ext\":\"e\"}]";
    const struct cloudevents_request request = {
        .content_type = "application/cloudevents-batch+json", .channel = "web"};
    struct items items = {0};
    const char *why = NULL;
    int r = cloudevents_http_parse(&request, body, strlen(body), &items, &why);
    r = r != 0 ? r : tell_items(ret, &items);
    items_clear(&items);
    return r;
}

static int run_inflate(char *ret) {
    static const uint8_t hello[] = {0x78, 0x9c, 0xcb, 0x48, 0xcd, 0xc9, 0xc9,
                                    0x07, 0x00, 0x06, 0x2c, 0x02, 0x15};
    _cleanup_free_ char *body = NULL;
    size_t size = 0;
    int r = http_inflate(HTTP_DEFLATE, hello, sizeof(hello), 1 << 16, &body, &size);
    if (r == 0) {
        tell(ret, body[0] == 'h' && size == 5 ? "hello" : "something else");
    }
    return r;
}

// What was synced is there at the next start, which has all the memory it needs.
static int run_spool(char *ret) {
    struct spool *spool = NULL;
    const void *bytes;
    size_t size, n_synced = 0, n_read = 0;
    uint64_t number;
    alloc_pause(true);
    folder_remove(spool_folder);
    FOLDER_REQUIRE(mkdir(spool_folder, 0700) == 0);
    alloc_pause(false);
    int r = spool_open(spool_folder, SPOOL_BYTES_MAX, &spool);
    for (size_t i = 0; r == 0 && i < 20; i++) {
        char record[2000];
        memset(record, 'a' + (int)i, sizeof(record));
        r = spool_append(spool, record, 100 * (i + 1), NULL);
        r = r != 0 ? r : spool_sync(spool);
        n_synced += r == 0;
    }
    while (r == 0 && (r = spool_next(spool, &bytes, &size, &number)) == 0) {
        spool_ack(spool, number);
        n_read++;
    }
    r = r == SPOOL_END ? 0 : r;
    spool_close(spool);
    alloc_pause(true);
    FOLDER_REQUIRE(spool_open(spool_folder, SPOOL_BYTES_MAX, &spool) == 0);
    FOLDER_REQUIRE(spool_torn(spool) == 0);
    while (spool_next(spool, &bytes, &size, &number) == 0) {
        FOLDER_REQUIRE(size == 100 * number && *(const char *)bytes == 'a' + (int)number - 1);
        spool_ack(spool, number);
        n_read += number > n_read;
    }
    spool_close(spool);
    FOLDER_REQUIRE(n_read == n_synced);
    alloc_pause(false);
    tell(ret, "whole");
    return r;
}

static const struct {
    const char *name;
    int (*run)(char *ret);
} paths[] = {{"client", run_codec},
             {"segment", run_segment},
             {"cloudevents", run_cloudevents},
             {"inflate", run_inflate},
             {"spool", run_spool}};

static bool campaign(const char *name, int (*run)(char *ret), bool for_good) {
    static char whole[TEXT_BYTES], now[TEXT_BYTES];
    whole[0] = '\0';
    int r = run(whole);
    if (r != 0) {
        printf("%s: with all memory: %d\n", name, r);
        return false;
    }
    unsigned n_refused = 0, n_same = 0;
    for (unsigned long nth = 1; nth < N_MAX; nth++) {
        now[0] = '\0';
        alloc_arm(nth, for_good);
        r = run(now);
        if (!alloc_disarm()) {
            printf("%-12s %-8s allocations=%lu refused=%u same=%u\n", name,
                   for_good ? "for good" : "once", nth - 1, n_refused, n_same);
            return true;
        }
        n_refused += r != 0;
        n_same += r == 0;
        if (r == 0 && strcmp(now, whole) != 0) {
            printf("%s: allocation %lu %s: something is left out:\n%s\n%s\n", name, nth,
                   for_good ? "and all behind it" : "alone", whole, now);
            return false;
        }
    }
    return false;
}

int main(void) {
    logging_init("faults", LOGGING_ERROR);
    folder_make(spool_folder, sizeof(spool_folder));
    bool well = true;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        well = campaign(paths[i].name, paths[i].run, false) && well;
        well = campaign(paths[i].name, paths[i].run, true) && well;
    }
    folder_remove(spool_folder);
    return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
