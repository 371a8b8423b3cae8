// SPDX-License-Identifier: Apache-2.0
// Segment calls -> events: what each becomes, whose it is, when it was, and what is told apart.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connectors/dialect/json_walk.h"
#include "connectors/dialect/segment.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"

static struct items items;
static char write_key[SEGMENT_KEY_BYTES_MAX];
static const char *why;

static int64_t at(const char *time) {
    int64_t us;
    assert_int_equal(clock_parse_rfc3339(time, &us), 0);
    return us;
}

static int parse_at(const char *call, const char *body, const char *received) {
    struct segment_request request = {
        .call = call, .source = "/web", .channel = "web", .received_us = at(received)};
    items_clear(&items);
    return segment_parse(&request, body, strlen(body), &items, write_key, &why);
}

static int parse(const char *call, const char *body) {
    return parse_at(call, body, "2026-03-02T08:00:00Z");
}

// The only event of a call.
static const touchbus_event *event_of(const char *call, const char *body) {
    assert_int_equal(parse(call, body), 0);
    assert_int_equal(items.n, 1);
    if (items.list[0].why != NULL) {
        print_error("%s\n", items.list[0].why);
    }
    assert_null(items.list[0].why);
    return items.list[0].event;
}

static int teardown(void **state) {
    (void)state;
    items_clear(&items);
    return 0;
}

#define assert_attribute(event, name, value)                                                       \
    assert_string_equal(touchbus_event_get(event, name), value)

static void assert_data(const touchbus_event *event, const char *expected) {
    _cleanup_free_ char *text = touchbus_event_data_json(event);
    json_t *is = json_loads(text, 0, NULL), *should = json_loads(expected, 0, NULL);
    assert_non_null(should);
    if (!json_equal(is, should)) {
        fail_msg("data is %s, expected %s", text, expected);
    }
    json_decref(is);
    json_decref(should);
}

static void assert_identity(const touchbus_event *event, size_t index, const char *kind,
                            const char *value) {
    const char *is_kind, *is_value;
    bool verified;
    assert_true(touchbus_event_identity(event, index, &is_kind, &is_value, &verified));
    assert_string_equal(is_kind, kind);
    assert_string_equal(is_value, value);
    assert_false(verified); // a browser may say anything
}

static void test_each_call_becomes_its_type(void **state) {
    (void)state;
    static const struct {
        const char *call, *body, *type, *data;
    } rows[] = {
        {"identify", "{'traits':{'name':'Ana'}}", "customer.identified",
         "{'traits':{'name':'Ana'}}"},
        {"identify", "{}", "customer.identified", "{'traits':{}}"},
        {"alias", "{'previousId':'a','userId':'u'}", "customer.aliased",
         "{'previous_id':'a','user_id':'u'}"},
        {"group", "{'groupId':7}", "customer.grouped", "{'group_id':'7','traits':{}}"},
        {"page", "{'properties':{'url':'http://x/'}}", "page.viewed", "{'url':'http://x/'}"},
        {"page", "{'context':{'page':{'url':'http://y/'}}}", "page.viewed",
         "{'url':'http://y/','context':{'page':{'url':'http://y/'}}}"},
        {"screen", "{'name':'Start'}", "page.viewed", "{'url':'Start','name':'Start'}"},
        {"track", "{'event':'Product Viewed','properties':{'product_id':3}}", "product.viewed",
         "{'product_id':3,'sku':'3'}"},
        {"track",
         "{'event':'Product Added','properties':{'cart_id':'c','sku':'s','price':1.1,"
         "'quantity':'2'}}",
         "cart.changed",
         "{'cart_id':'c','sku':'s','price':1.1,'quantity':'2','change':'added',"
         "'lines':[{'sku':'s','price':'1.1','quantity':2}]}"},
        {"track", "{'event':'Cart Viewed','anonymousId':'a','properties':{'products':[]}}",
         "cart.changed", "{'products':[],'cart_id':'a','lines':[],'change':'viewed'}"},
        {"track", "{'event':'Products Searched','properties':{'query':'lamp'}}", "need.selected",
         "{'query':'lamp','term':'lamp'}"},
        {"track",
         "{'event':'Order Completed','properties':{'order_id':9007199254740993,'currency':'EUR',"
         "'revenue':25.5,'products':[{'product_id':'s','price':0.1,'name':'Lamp'}]}}",
         "order.placed",
         "{'order_id':'9007199254740993','currency':'EUR','revenue':'25.5',"
         "'products':[{'product_id':'s','price':0.1,'name':'Lamp'}],"
         "'lines':[{'product_id':'s','sku':'s','price':'0.1','name':'Lamp','quantity':1}]}"},
        {"track", "{'event':'order cancelled','properties':{'order_id':'o','revision':4}}",
         "order.changed", "{'order_id':'o','revision':4,'status':'cancelled'}"},
        {"track",
         "{'event':'Order Updated','timestamp':'1970-01-01T00:00:02.5Z','properties':{'order_id':"
         "'o','status':'paid'}}",
         "order.changed", "{'order_id':'o','revision':2500,'status':'paid'}"},
        {"track",
         "{'event':'Order Refunded','properties':{'order_id':'o','total':30,'currency':'EUR'}}",
         "payment.changed",
         "{'order_id':'o','total':30,'currency':'EUR','invoice_id':'o','state':'refunded',"
         "'amount':'30'}"},
        {"track",
         "{'event':'Live Chat Message Sent','properties':{'conversation_id':'c','text':'x'}}",
         "chat.message", "{'conversation_id':'c','text':'x'}"},
        {"track", "{'event':'Email Bounced','properties':{'email_id':'e'}}", "message.outcome",
         "{'email_id':'e','ref':'e','outcome':'bounced'}"},
        {"track", "{'event':'Unsubscribed','properties':{'email':'a@b.c'}}", "consent.changed",
         "{'email':'a@b.c','address':'a@b.c','purpose':'marketing','state':'withdrawn',"
         "'text_version':'unsubscribed'}"},
        {"track", "{'event':'Product Reviewed','properties':{'rating':'4','product_id':'p'}}",
         "feedback.given", "{'rating':'4','product_id':'p','score':4,'scale':5,'ref':'p'}"},
        {"track", "{'event':'Store  Locator: Used!','properties':{'city':'Ede'}}",
         "track.store_locator_used", "{'city':'Ede','event':'Store  Locator: Used!'}"},
        {"track", "{'event':'\\u00e9\\u00e9'}", "track.unnamed", "{'event':'\\u00e9\\u00e9'}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[1024], data[1024];
        snprintf(body, sizeof(body), "%s", rows[i].body);
        snprintf(data, sizeof(data), "%s", rows[i].data);
        for (char *c = body; (c = strchr(c, '\'')) != NULL;) {
            *c = '"';
        }
        for (char *c = data; (c = strchr(c, '\'')) != NULL;) {
            *c = '"';
        }
        const touchbus_event *event = event_of(rows[i].call, body);
        assert_attribute(event, "type", rows[i].type);
        assert_attribute(event, "source", "/web");
        assert_data(event, data);
    }
}

static void test_channel_and_direction_follow_the_type(void **state) {
    (void)state;
    const touchbus_event *event =
        event_of("track", "{\"event\":\"Live Chat Message Received\",\"properties\":{}}");
    assert_attribute(event, "channel", "chat");
    assert_attribute(event, "direction", "out");
    event = event_of("track", "{\"event\":\"Email Opened\",\"properties\":{}}");
    assert_attribute(event, "channel", "email");
    event = event_of("page", "{}");
    assert_attribute(event, "channel", "web");
}

static void test_identities_come_from_ids_and_traits(void **state) {
    (void)state;
    const touchbus_event *event =
        event_of("identify", "{\"userId\":42,\"anonymousId\":\"a-1\",\"traits\":{\"email\":"
                             "\"a@b.c\"},\"context\":{\"traits\":{\"phone\":\"+31\"}}}");
    assert_identity(event, 0, "user_id", "42");
    assert_identity(event, 1, "anonymous_id", "a-1");
    assert_identity(event, 2, "email", "a@b.c");
    assert_identity(event, 3, "phone", "+31");
    assert_false(touchbus_event_identity(event, 4, NULL, NULL, NULL));
    event = event_of("alias", "{\"userId\":\"u\",\"previousId\":\"a\"}");
    assert_identity(event, 0, "user_id", "u");
    assert_identity(event, 1, "anonymous_id", "a");
}

static void assert_time(const char *body, const char *received, const char *expected) {
    int64_t time_us;
    assert_int_equal(parse_at("batch", body, received), 0);
    assert_int_equal(items.n, 1);
    assert_null(items.list[0].why);
    bool has = touchbus_event_time(items.list[0].event, &time_us);
    if (expected == NULL) {
        assert_false(has);
        return;
    }
    assert_true(has);
    assert_int_equal(time_us, at(expected));
}

static void test_time_is_moved_only_when_clocks_differ(void **state) {
    (void)state;
    // Within a minute: as it was said.
    assert_time("{\"batch\":[{\"type\":\"page\",\"timestamp\":\"2026-03-02T08:00:00.25Z\"}],"
                "\"sentAt\":\"2026-03-02T08:00:10Z\"}",
                "2026-03-02T08:01:09Z", "2026-03-02T08:00:00.25Z");
    // Beyond: received - (sentAt - originalTimestamp), to the second.
    assert_time(
        "{\"batch\":[{\"type\":\"page\",\"originalTimestamp\":\"2026-03-02T08:00:00.25Z\"}],"
        "\"sentAt\":\"2026-03-02T08:00:10Z\"}",
        "2026-03-02T09:00:10.4Z", "2026-03-02T09:00:00.25Z");
    assert_time("{\"batch\":[{\"type\":\"page\",\"originalTimestamp\":\"2026-03-02T08:00:00Z\","
                "\"sentAt\":\"2026-03-02T08:00:10Z\"}],\"sentAt\":\"2026-03-02T06:00:00Z\"}",
                "2026-03-02T06:00:10Z", "2026-03-02T06:00:00Z");
    assert_time("{\"batch\":[{\"type\":\"page\",\"timestamp\":\"2026-03-02T08:00:00Z\"}]}",
                "2026-05-02T06:00:10Z", "2026-03-02T08:00:00Z");
    assert_time("{\"batch\":[{\"type\":\"page\",\"timestamp\":\"yesterday\"}]}",
                "2026-03-02T06:00:10Z", NULL);
    assert_time("{\"batch\":[{\"type\":\"page\",\"timestamp\":17}]}", "2026-03-02T06:00:10Z", NULL);
}

static void test_a_repeat_is_the_same_event(void **state) {
    (void)state;
    static const char body[] = "{\"batch\":[{\"type\":\"page\",\"timestamp\":"
                               "\"2026-03-02T08:00:00Z\"}],\"sentAt\":\"2026-03-02T08:00:10Z\"}";
    _cleanup_free_ void *first = NULL, *second = NULL;
    size_t n_first, n_second;
    assert_int_equal(parse_at("batch", body, "2026-03-02T10:00:10.1Z"), 0);
    assert_int_equal(touchbus_event_serialize(items.list[0].event, &first, &n_first), 0);
    assert_int_equal(parse_at("batch", body, "2026-03-02T10:00:10.4Z"), 0);
    assert_int_equal(touchbus_event_serialize(items.list[0].event, &second, &n_second), 0);
    assert_int_equal(n_first, n_second);
    assert_memory_equal(first, second, n_first);
}

static void test_ids_are_kept_made_or_refused(void **state) {
    (void)state;
    char body[600];
    assert_attribute(event_of("page", "{\"messageId\":\"m-1\"}"), "id", "m-1");
    assert_attribute(event_of("page", "{\"messageId\":17}"), "id", "17");
    assert_string_equal(items.list[0].id, "17");
    char made[64];
    snprintf(made, sizeof(made), "%s", touchbus_event_get(event_of("page", "{}"), "id"));
    assert_string_not_equal(touchbus_event_get(event_of("page", "{}"), "id"), made);
    snprintf(body, sizeof(body), "{\"batch\":[{\"type\":\"page\",\"messageId\":\"%0300d\"}]}", 7);
    assert_int_equal(parse("batch", body), 0);
    assert_non_null(items.list[0].why);
}

static void test_a_bad_item_is_told_from_the_others(void **state) {
    (void)state;
    static const char body[] =
        "{\"sentAt\":\"2026-03-02T08:00:00Z\",\"batch\":[{\"type\":\"page\"},1,{\"type\":\"x\"},"
        "{\"type\":\"track\"},{\"type\":\"page\",\"type\":\"page\"},{\"type\":\"page\",\"a\":tru},"
        "{\"type\":\"page\",\"userId\":[]},{\"type\":\"page\",\"userId\":\"a\\nb\"},"
        "{\"type\":\"page\"}]}";
    assert_int_equal(parse("batch", body), 0);
    assert_int_equal(items.n, 9);
    for (size_t i = 0; i < items.n; i++) {
        bool good = i == 0 || i == 8;
        assert_int_equal(items.list[i].event != NULL, good);
        assert_int_equal(items.list[i].why == NULL, good);
    }
    assert_memory_equal(items.list[1].raw, "1", 1);
}

static void test_a_body_that_cannot_be_read_is_refused(void **state) {
    (void)state;
    static const char *const batches[] = {"",
                                          "{",
                                          "[]",
                                          "{}",
                                          "17",
                                          "{\"batch\":{}}",
                                          "{\"batch\":[]",
                                          "{\"batch\":[]}}",
                                          "{\"batch\":[],\"batch\":[]}",
                                          "{\"batch\":[1 2]}",
                                          "{\"batch\" []}",
                                          "{batch:[]}"};
    static const char *const singles[] = {"",
                                          "[]",
                                          "17",
                                          "{\"a\":1,\"a\":2}",
                                          "{\"a\":1}x",
                                          "{\"a\":\"\\u0000\"}",
                                          "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
        assert_int_equal(parse("batch", batches[i]), -EBADMSG);
        assert_non_null(why);
    }
    for (size_t i = 0; i < sizeof(singles) / sizeof(singles[0]); i++) {
        assert_int_equal(parse("page", singles[i]), -EBADMSG);
        assert_non_null(why);
    }
}

static void test_depth_is_bounded(void **state) {
    (void)state;
    enum { DEPTH = 100000 };
    char *body = malloc(2 * DEPTH + 64);
    assert_non_null(body);
    int n = snprintf(body, 64, "{\"event\":\"E\",\"properties\":");
    memset(body + n, '[', DEPTH);
    memset(body + n + DEPTH, ']', DEPTH);
    memcpy(body + (size_t)n + (size_t)2 * DEPTH, "}", 2);
    assert_int_equal(parse("track", body), -EBADMSG);
    assert_string_equal(why, "nested too deep");
    free(body);
}

static void test_write_key_is_read(void **state) {
    (void)state;
    assert_int_equal(parse("batch", "{\"batch\":[],\"writeKey\":\"k-1\"}"), 0);
    assert_string_equal(write_key, "k-1");
    assert_int_equal(parse("page", "{\"writeKey\":\"k-2\"}"), 0);
    assert_string_equal(write_key, "k-2");
    assert_int_equal(parse("page", "{}"), 0);
    assert_string_equal(write_key, "");
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_call_becomes_its_type),
        TEST(test_channel_and_direction_follow_the_type),
        TEST(test_identities_come_from_ids_and_traits),
        TEST(test_time_is_moved_only_when_clocks_differ),
        TEST(test_a_repeat_is_the_same_event),
        TEST(test_ids_are_kept_made_or_refused),
        TEST(test_a_bad_item_is_told_from_the_others),
        TEST(test_a_body_that_cannot_be_read_is_refused),
        TEST(test_depth_is_bounded),
        TEST(test_write_key_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
