// SPDX-License-Identifier: Apache-2.0
// CloudEvents: nothing is lost either way, and what the spec rules out is refused.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/body.h"
#include "schemas/catalogue.h"
#include "schemas/cloudevents.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "tests/unit/schemas/cmocka_all.h"

static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_new(32 << 20);
    return arena == NULL;
}

static int tear_down(void **state) {
    (void)state;
    arena = arena_free(arena);
    return 0;
}

static json_t *load(const char *text) {
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    return json;
}

static Touchbus__Event *read_text(const char *text, bool stamped) {
    Touchbus__Event *event = NULL;
    const char *why = NULL;
    json_t *json = load(text);
    assert_int_equal(cloudevents_from_json(json, stamped, arena, &event, &why), 0);
    json_decref(json);
    return event;
}

#define REQUIRED "\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\""

static void test_json_comes_back_as_it_was(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{" REQUIRED ",\"type\":\"org.touchbus.order.placed.v1\"}",
        "{\"specversion\":\"1.0\",\"id\":\"A234-1234-1234\",\"source\":\"https://github.com/x\","
        "\"type\":\"com.github.pull_request.opened\",\"subject\":\"123\",\"time\":"
        "\"2018-04-05T17:31:00Z\",\"comexampleextension1\":\"value\",\"comexampleothervalue\":5,"
        "\"flag\":true,\"no\":false,\"datacontenttype\":\"text/xml\",\"data\":\"<much wow/>\"}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/mycontext\",\"type\":"
        "\"com.example.someevent\",\"datacontenttype\":\"application/vnd.apache.thrift.binary\","
        "\"data_base64\":\"Zm9vYmFy\"}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/mycontext\",\"type\":"
        "\"Microsoft.Storage.BlobCreated\",\"dataschema\":\"urn:schema:1\",\"data\":{\"a\":null,"
        "\"b\":[1,2.5,{\"c\":\"d\"}],\"n\":-9007199254740993}}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/mycontext\",\"type\":"
        "\"com.example.x\",\"data\":null}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/mycontext\",\"type\":"
        "\"com.example.x\",\"data_base64\":\"\"}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"urn:web\",\"type\":"
        "\"org.touchbus.order.placed.v1\",\"time\":\"2026-11-21T19:19:35.123456Z\",\"sequence\":"
        "\"17\",\"received\":\"2026-11-21T19:19:36Z\",\"customer\":\"c42\",\"channel\":\"web\","
        "\"direction\":\"in\",\"actor\":\"agent-7\",\"case\":\"case-1\",\"cause\":\"12\","
        "\"cost\":\"1.20 EUR\",\"traceparent\":"
        "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\",\"keys\":"
        "\"user_id=u-42&email=ana%40klant.example&phone!=%2B31612345678\",\"data\":{}}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *before = load(texts[i]);
        json_t *after = cloudevents_to_json(read_text(texts[i], true));
        assert_non_null(after);
        assert_true(json_equal(before, after));
        json_decref(before);
        json_decref(after);
    }
}

static void test_attributes_land_where_they_belong(void **state) {
    (void)state;
    Touchbus__Event *event = read_text(
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"urn:web\",\"type\":"
        "\"org.touchbus.order.placed.v1\",\"time\":\"1970-01-01T01:00:01+01:00\",\"direction\":"
        "\"out\",\"case\":\"k\",\"cause\":12,\"keys\":\"phone!=%2B31+6&user_id=u\",\"x\":-5}",
        false);
    assert_string_equal(event->type, "order.placed");
    assert_true(event->has_time);
    assert_int_equal(event->time_us, 1000000);
    assert_int_equal(event->direction, TOUCHBUS__DIRECTION__OUTBOUND);
    assert_string_equal(event->case_id, "k");
    assert_int_equal(event->cause, 12);
    assert_int_equal(event->n_identities, 2);
    assert_string_equal(event->identities[0]->kind, "phone");
    assert_string_equal(event->identities[0]->value, "+31 6");
    assert_true(event->identities[0]->verified);
    assert_false(event->identities[1]->verified);
    assert_int_equal(event->n_extensions, 1);
    assert_int_equal(event->extensions[0]->number, -5);
    assert_int_equal(event->data.len, 0);
}

static void test_stamps_count_only_where_told(void **state) {
    (void)state;
    static const char text[] = "{" REQUIRED ",\"sequence\":\"17\",\"customer\":\"c42\","
                               "\"received\":\"2026-11-21T19:19:36Z\"}";
    Touchbus__Event *event = read_text(text, false);
    assert_true(event->sequence == 0 && event->customer == 0 && event->received_us == 0);
    event = read_text(text, true);
    assert_true(event->sequence == 17 && event->customer == 42 && event->received_us > 0);
}

static void test_a_subject_stands_for_keys(void **state) {
    (void)state;
    static const struct {
        const char *subject, *kind, *value;
    } rows[] = {
        {"email:ana@klant.example", "email", "ana@klant.example"},
        {"u-42", "user_id", "u-42"},
        {"urn:uuid:7", "urn", "uuid:7"},
        {"odd kind:x", "user_id", "odd kind:x"},
        {"trailing:", "user_id", "trailing:"},
    };
    char text[256];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(text, sizeof(text), "{" REQUIRED ",\"subject\":\"%s\"}", rows[i].subject);
        Touchbus__Event *event = read_text(text, false);
        assert_int_equal(event->n_identities, 1);
        assert_string_equal(event->identities[0]->kind, rows[i].kind);
        assert_string_equal(event->identities[0]->value, rows[i].value);
        assert_false(event->identities[0]->verified);
    }
    Touchbus__Event *event = read_text("{" REQUIRED ",\"subject\":\"u\",\"keys\":\"\"}", false);
    assert_int_equal(event->n_identities, 0);
    event = read_text("{" REQUIRED ",\"subject\":\"u\",\"keys\":\"email=x\"}", false);
    assert_string_equal(event->identities[0]->kind, "email");
}

static void test_what_the_spec_rules_out_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"[]", "not a JSON object"},
        {"{}", "specversion is missing"},
        {"{\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}", "specversion is missing"},
        {"{" REQUIRED ",\"specversion\":\"0.3\"}", "specversion is not \"1.0\""},
        {"{\"specversion\":\"1.0\",\"source\":\"s\",\"type\":\"t\"}",
         "id is missing or holds control characters"},
        {"{" REQUIRED ",\"id\":\"\"}", "id is not text, or empty"},
        {"{" REQUIRED ",\"id\":5}", "id is not text, or empty"},
        {"{" REQUIRED ",\"id\":\"a\\u0000b\"}", "id is not text, or empty"},
        {"{" REQUIRED ",\"source\":null}", "source is missing or holds control characters"},
        {"{" REQUIRED ",\"type\":\"\"}", "type is not text, or empty"},
        {"{" REQUIRED ",\"time\":\"yesterday\"}", "time is not RFC 3339"},
        {"{" REQUIRED ",\"Upper\":\"x\"}", "an attribute's name is not of [a-z0-9]"},
        {"{" REQUIRED ",\"with_line\":\"x\"}", "an attribute's name is not of [a-z0-9]"},
        {"{" REQUIRED ",\"\":\"x\"}", "an attribute's name is not of [a-z0-9]"},
        {"{" REQUIRED ",\"x\":1.5}",
         "an extension attribute is neither text, a 32-bit integer nor a boolean"},
        {"{" REQUIRED ",\"x\":2147483648}",
         "an extension attribute is neither text, a 32-bit integer nor a boolean"},
        {"{" REQUIRED ",\"x\":[]}",
         "an extension attribute is neither text, a 32-bit integer nor a boolean"},
        {"{" REQUIRED ",\"data\":1,\"data_base64\":\"Zg==\"}",
         "data and data_base64 exclude each other"},
        {"{" REQUIRED ",\"data_base64\":\"%\"}", "data_base64 is not base64"},
        {"{" REQUIRED ",\"data_base64\":5}", "data_base64 is not base64"},
        {"{" REQUIRED ",\"data\":\"a\\u0000\"}",
         "data is over a limit of bodies, or its text holds a NUL"},
        {"{" REQUIRED ",\"direction\":\"up\"}", "direction is not in, out or decided"},
        {"{" REQUIRED ",\"cause\":\"0\"}", "cause is not a number above 0"},
        {"{" REQUIRED ",\"cause\":\"-1\"}", "cause is not a number above 0"},
        {"{" REQUIRED ",\"cause\":\"18446744073709551616\"}", "cause is not a number above 0"},
        {"{" REQUIRED ",\"keys\":\"user_id\"}",
         "keys are not form-encoded kind=value pairs, or too many"},
        {"{" REQUIRED ",\"channel\":\"W E B\"}", "channel is not of [a-z0-9_.-]"},
        {"{" REQUIRED ",\"subject\":\"a\\nb\"}", "subject holds control characters"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Touchbus__Event *event = NULL;
        const char *why = NULL;
        json_t *json = load(rows[i].text);
        assert_int_equal(cloudevents_from_json(json, false, arena, &event, &why), 1);
        assert_string_equal(why, rows[i].why);
        assert_null(event);
        json_decref(json);
    }
}

static void test_null_attributes_are_not_there(void **state) {
    (void)state;
    Touchbus__Event *event = read_text("{" REQUIRED ",\"time\":null,\"subject\":null,\"x\":null,"
                                       "\"keys\":null,\"data_base64\":null}",
                                       false);
    assert_false(event->has_time);
    assert_int_equal(event->n_extensions, 0);
    assert_int_equal(event->data.len, 0);
}

static void test_keys_are_form_encoded(void **state) {
    (void)state;
    static const char *const wrong[] = {"a",     "=x",  "!=x",  "a=%4", "a=%zz",    "a=%00",
                                        "a=%ff", "A=x", "a=x&", "&a=x", "a=x&&b=y", "a b=x"};
    Touchbus__Identity **list = NULL;
    size_t n = 99;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(cloudevents_parse_keys(wrong[i], arena, &list, &n), 1);
        assert_int_equal(n, 99);
    }
    assert_int_equal(cloudevents_parse_keys("", arena, &list, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(cloudevents_parse_keys("a==%26&b!=", arena, &list, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(list[0]->value, "=&");
    assert_string_equal(list[1]->value, "");
    assert_true(list[1]->verified);
    assert_string_equal(cloudevents_format_keys(list, n, arena), "a=%3D%26&b!=");

    char many[8 * (EVENT_IDENTITIES_MAX + 1)] = "k=v";
    for (int i = 1; i < EVENT_IDENTITIES_MAX; i++) {
        strncat(many, "&k=v", 5);
    }
    assert_int_equal(cloudevents_parse_keys(many, arena, &list, &n), 0);
    strncat(many, "&k=v", 5);
    assert_int_equal(cloudevents_parse_keys(many, arena, &list, &n), 1);
}

static void test_types_have_one_form_inside_and_one_outside(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"order.placed", "org.touchbus.order.placed.v1"},
        {"track.wish-list_added", "org.touchbus.track.wish-list_added.v1"},
        {"single", "org.touchbus.single.v1"},
        {"com.github.pull_request.opened", "com.github.pull_request.opened"},
        {"nl.klant.loyalty.joined", "nl.klant.loyalty.joined"},
        {"Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobCreated"},
        {"a type with spaces", "a type with spaces"},
        {"org.touchbus.order.placed.v2", "org.touchbus.order.placed.v2"},
        {"org.touchbus..v1", "org.touchbus..v1"},
        {"org.touchbus.com.github.x.v1", "org.touchbus.com.github.x.v1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(cloudevents_type_outside(rows[i][0], arena), rows[i][1]);
        assert_string_equal(cloudevents_type_inside(rows[i][1], arena), rows[i][0]);
    }
    struct catalogue *catalogue = NULL;
    char *error = NULL;
    size_t n;
    assert_int_equal(catalogue_load(NULL, &catalogue, &error), 0);
    const struct catalogue_type *types = catalogue_rows(catalogue, &n);
    for (size_t i = 0; i < n; i++) {
        const char *outside = cloudevents_type_outside(types[i].name, arena);
        assert_ptr_equal(strstr(outside, "org.touchbus."), outside);
        assert_string_equal(cloudevents_type_inside(outside, arena), types[i].name);
    }
    catalogue_free(catalogue);
}

// ---- the round trip, from seeds

static uint64_t seed;

static uint32_t any(uint32_t n) {
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (uint32_t)(seed >> 33) % n;
}

// Text of the alphabet, of up to length_max characters; never empty.
static char *any_text(const char *const *alphabet, uint32_t n_alphabet, uint32_t length_max) {
    char text[512] = "";
    uint32_t length = 1 + any(length_max);
    for (uint32_t i = 0; i < length; i++) {
        strncat(text, alphabet[any(n_alphabet)], sizeof(text) - strlen(text) - 1);
    }
    return arena_strdup(arena, text);
}

static const char *const wide[] = {"a",
                                   "Z",
                                   "0",
                                   " ",
                                   "\"",
                                   "\\",
                                   "/",
                                   "%",
                                   "&",
                                   "=",
                                   "!",
                                   "+",
                                   ":",
                                   "\xc3\xa9",
                                   "\xe2\x82\xac",
                                   "\xf0\x9f\x98\x80"};
static const char *const narrow[] = {"a", "b", "c", "1", "2"};

static char *any_wide(uint32_t length_max) {
    return any_text(wide, sizeof(wide) / sizeof(wide[0]), length_max);
}

static char *any_narrow(uint32_t length_max) {
    return any_text(narrow, sizeof(narrow) / sizeof(narrow[0]), length_max);
}

static json_t *any_scalar(void) {
    switch (any(6)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(any(2));
    case 2:
        return json_integer((json_int_t)(seed ^ (seed << 17)));
    case 3:
        return json_real((double)any(1000000) / 64);
    default:
        return json_string(any_wide(20));
    }
}

static json_t *any_body(void) {
    json_t *outer = json_object();
    for (uint32_t i = any(6); i > 0; i--) {
        json_t *inner = any(2) ? json_object() : json_array();
        for (uint32_t k = any(4); k > 0; k--) {
            if (json_is_object(inner)) {
                json_object_set_new(inner, any_wide(8), any_scalar());
            } else {
                json_array_append_new(inner, any_scalar());
            }
        }
        json_object_set_new(outer, any_wide(8), inner);
        json_object_set_new(outer, any_wide(8), any_scalar());
    }
    return outer;
}

static void any_data(Touchbus__Event *event) {
    void *bytes = NULL;
    size_t size = 0;
    switch (any(4)) {
    case 0:
        return;
    case 1: {
        const char *text = any_wide(30);
        assert_int_equal(body_from_bytes(text, strlen(text), &bytes, &size), 0);
        break;
    }
    default: {
        json_t *json = any(4) == 0 ? any_scalar() : any_body();
        assert_int_equal(body_from_json(json, &bytes, &size), 0);
        json_decref(json);
    }
    }
    event->data.data = arena_copy(arena, bytes, size);
    event->data.len = size;
    free(bytes);
}

static void any_lists(Touchbus__Event *event) {
    event->n_identities = any(4);
    event->identities = arena_alloc(arena, 4 * sizeof(*event->identities));
    for (size_t i = 0; i < event->n_identities; i++) {
        event->identities[i] = arena_alloc(arena, sizeof(Touchbus__Identity));
        touchbus__identity__init(event->identities[i]);
        event->identities[i]->kind = any_narrow(10);
        event->identities[i]->value = any_wide(20);
        event->identities[i]->verified = any(2);
    }
    event->n_extensions = any(4);
    event->extensions = arena_alloc(arena, 4 * sizeof(*event->extensions));
    for (size_t i = 0; i < event->n_extensions; i++) {
        Touchbus__Extension *extension = arena_alloc(arena, sizeof(*extension));
        touchbus__extension__init(extension);
        extension->name = arena_printf(arena, "x%s%zu", any_narrow(5), i);
        extension->value_case = TOUCHBUS__EXTENSION__VALUE_TEXT + any(3);
        if (extension->value_case == TOUCHBUS__EXTENSION__VALUE_TEXT) {
            extension->text = any(8) ? any_wide(20) : arena_strdup(arena, "");
        } else if (extension->value_case == TOUCHBUS__EXTENSION__VALUE_NUMBER) {
            extension->number = (int32_t)any(UINT32_MAX);
        } else {
            extension->flag = any(2);
        }
        event->extensions[i] = extension;
    }
}

static Touchbus__Event *any_event(void) {
    Touchbus__Event *event = arena_alloc(arena, sizeof(*event));
    touchbus__event__init(event);
    event->id = any_wide(20);
    event->source = any_wide(20);
    event->type = any(2) ? any_wide(20) : arena_printf(arena, "%s.x%s", any_narrow(3), "y");
    char **texts[] = {&event->subject,    &event->dataschema,      &event->actor,
                      &event->case_id,    &event->datacontenttype, &event->cost,
                      &event->traceparent};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (any(2)) {
            *texts[i] = any_wide(15);
        }
    }
    if (any(2)) {
        event->channel = any_narrow(8);
    }
    event->has_time = any(2);
    if (event->has_time) {
        event->time_us = (int64_t)(seed >> 12) - (int64_t)(UINT64_C(1) << 50);
    }
    event->direction = (Touchbus__Direction)any(4);
    event->cause = any(2) ? seed : 0;
    event->sequence = any(2) ? 1 + any(1000) : 0;
    event->customer = any(2) ? 1 + any(1000) : 0;
    event->received_us = any(2) ? 1 + any(1000000) : 0;
    any_lists(event);
    any_data(event);
    return event;
}

static void test_any_event_survives_the_round_trip(void **state) {
    (void)state;
    for (uint64_t round = 0; round < 3000; round++) {
        arena_reset(arena);
        seed = round;
        any(2);
        Touchbus__Event *before = any_event();
        const char *why = NULL;
        assert_int_equal(envelope_check_event(before, false, arena, &why), 0);
        json_t *json = cloudevents_to_json(before);
        assert_non_null(json);
        // through text, as it travels
        char *text = json_dumps(json, JSON_COMPACT);
        json_decref(json);
        Touchbus__Event *after = read_text(text, true);
        free(text);
        const uint8_t *bytes[2];
        size_t sizes[2];
        assert_int_equal(envelope_pack(&before->base, arena, &bytes[0], &sizes[0]), 0);
        assert_int_equal(envelope_pack(&after->base, arena, &bytes[1], &sizes[1]), 0);
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    }
}

// ---- memory that ends at every point there is

static const char rich[] =
    "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"org.touchbus.a.b.v1\","
    "\"time\":\"2026-11-21T19:19:35Z\",\"subject\":\"u\",\"keys\":\"email=x&phone!=%2B1\",\"x\":"
    "\"y\",\"n\":5,\"data\":{\"a\":[1,2.5,{\"b\":\"c\"}],\"d\":{\"$binary\":\"Zm9v\"}}}";

static void test_an_arena_that_ends_anywhere_is_a_refusal(void **state) {
    (void)state;
    json_t *json = load(rich);
    size_t n_refused = 0;
    Touchbus__Event *event = NULL;
    for (size_t bytes = 0; event == NULL; bytes += 16) {
        struct arena *small = arena_new(bytes);
        const char *why = NULL;
        int r = cloudevents_from_json(json, false, small, &event, &why);
        assert_true((r == 0) == (event != NULL) && (r == 0) == (why == NULL));
        n_refused += r != 0;
        arena_free(small);
    }
    assert_true(n_refused > 20);
    json_decref(json);
}

static size_t allocations_left;

static void *failing_malloc(size_t size) {
    if (allocations_left == 0) {
        return NULL;
    }
    allocations_left--;
    return malloc(size);
}

static void test_json_that_cannot_be_allocated_is_none(void **state) {
    (void)state;
    Touchbus__Event *event = read_text(rich, false);
    json_t *expected = cloudevents_to_json(event);
    size_t n_refused = 0;
    for (bool done = false; !done; n_refused++) {
        allocations_left = n_refused;
        json_set_alloc_funcs(failing_malloc, free);
        json_t *json = cloudevents_to_json(event);
        json_set_alloc_funcs(malloc, free);
        done = json != NULL;
        assert_true(json == NULL || json_equal(json, expected));
        json_decref(json);
    }
    assert_true(n_refused > 20);
    json_decref(expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_json_comes_back_as_it_was),
        TEST(test_attributes_land_where_they_belong),
        TEST(test_stamps_count_only_where_told),
        TEST(test_a_subject_stands_for_keys),
        TEST(test_what_the_spec_rules_out_is_refused),
        TEST(test_null_attributes_are_not_there),
        TEST(test_keys_are_form_encoded),
        TEST(test_types_have_one_form_inside_and_one_outside),
        TEST(test_any_event_survives_the_round_trip),
        TEST(test_an_arena_that_ends_anywhere_is_a_refusal),
        TEST(test_json_that_cannot_be_allocated_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
