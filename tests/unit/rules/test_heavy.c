// SPDX-License-Identifier: Apache-2.0
// What an event costs does not grow with what its customer did before: for each type that changes
// or reads things with an id, the rows of the view that 32 events touch, of somebody who had 50 of
// them and of somebody who had 700. Rows, not time, so that it holds on any machine.
#include "scene.h"

#include <stdio.h>
#include <string.h>

enum { FEW = 50, MANY = 700, MEASURED = 32, AT_ONCE = 4 };

// Who asks, and one round of what such a customer does: the first is measured, and what follows it
// brings it to its end, so that the same number is open however many there were.
struct habit {
    const char *name;
    const char *events[AT_ONCE][2]; // type, and data with # for what is new each time
    bool is_merged;                 // with somebody who has some of these
};

#define LINES "\"lines\":[{\"sku\":\"chair\",\"quantity\":1,\"price\":\"10\"}],\"currency\":\"EUR\""

static const struct habit HABITS[] = {
    {.name = "page", .events = {{"page.viewed", "{\"url\":\"/#\"}"}}},
    {.name = "quote",
     .events =
         {{"quote.issued",
           "{\"quote_id\":\"q-#\",\"revision\":1,\"valid_until\":\"2030-01-01T00:00:00Z\"," LINES
           "}"},
          {"quote.closed", "{\"quote_id\":\"q-#\",\"outcome\":\"rejected\"}"}}},
    {.name = "lapsed quote",
     .events =
         {{"quote.issued",
           "{\"quote_id\":\"l-#\",\"revision\":1,\"valid_until\":\"2023-11-01T00:00:00Z\"," LINES
           "}"}}},
    {.name = "case",
     .events = {{"case.opened", "{\"case_id\":\"c-#\",\"kind\":\"question\",\"severity\":1}"},
                {"case.resolved", "{\"case_id\":\"c-#\",\"outcome\":\"done\"}"}}},
    {.name = "resolution",
     .events = {{"case.resolved", "{\"case_id\":\"r-#\",\"outcome\":\"done\"}"},
                {"case.opened", "{\"case_id\":\"r-#\",\"kind\":\"question\",\"severity\":1}"}}},
    {.name = "call",
     .events = {{"call.received", "{\"call_id\":\"t-#\",\"from\":\"+49301\",\"to\":\"+49302\"}"},
                {"call.ended", "{\"call_id\":\"t-#\",\"duration_s\":9,\"outcome\":\"resolved\"}"},
                {"case.opened", "{\"case_id\":\"t-#\",\"kind\":\"question\",\"severity\":1}"}}},
    {.name = "chat",
     .events = {{"chat.state", "{\"conversation_id\":\"t-#\",\"state\":\"requested\"}"},
                {"chat.state", "{\"conversation_id\":\"t-#\",\"state\":\"ended\"}"}}},
    {.name = "cart",
     .events = {{"cart.changed", "{\"cart_id\":\"w-#\"," LINES "}"},
                {"order.placed", "{\"order_id\":\"w-#\",\"cart_id\":\"w-#\"," LINES "}"}}},
    {.name = "order", .events = {{"order.placed", "{\"order_id\":\"o-#\"," LINES "}"}}},
    {.name = "order of a merged customer",
     .events = {{"order.placed", "{\"order_id\":\"m-#\"," LINES "}"}},
     .is_merged = true},
    {.name = "case of a merged customer",
     .events = {{"case.opened", "{\"case_id\":\"m-#\",\"kind\":\"question\",\"severity\":1}"},
                {"case.resolved", "{\"case_id\":\"m-#\",\"outcome\":\"done\"}"}},
     .is_merged = true},
    {.name = "consent",
     .events = {{"consent.changed",
                 "{\"address\":\"a@klant.example\",\"channel\":\"email\",\"purpose\":"
                 "\"p-#\",\"state\":\"granted\",\"text_version\":\"1\"}"}}},
    {.name = "contact",
     .events = {{"contact.requested", "{\"contact_id\":\"k-#\",\"content_id\":\"k-#\",\"purpose\":"
                                      "\"marketing\",\"channels\":[\"email\",\"phone\"]}"},
                {"consent.changed",
                 "{\"address\":\"a@klant.example\",\"channel\":\"email\",\"purpose\":"
                 "\"p-#\",\"state\":\"granted\",\"text_version\":\"1\"}"},
                {"case.opened", "{\"case_id\":\"k-#\",\"kind\":\"question\",\"severity\":1}"},
                {"case.resolved", "{\"case_id\":\"k-#\",\"outcome\":\"done\"}"}}},
    {.name = "promise",
     .events = {{"promise.made",
                 "{\"promise_id\":\"p-#\",\"text\":\"t\",\"due\":\"2030-01-01T00:00:00Z\"}"}}},
    {.name = "answer",
     .events = {{"answer.recorded", "{\"question\":\"a-#\",\"answer\":\"yes\"}"}}},
};

static void fill_in(char *data, size_t size, const char *text, const char *id) {
    size_t n = 0;
    for (; *text != '\0'; text++) {
        bool is_place = *text == '#';
        n += (size_t)snprintf(data + n, size - n, "%.*s", is_place ? (int)strlen(id) : 1,
                              is_place ? id : text);
        assert_true(n < size);
    }
}

// Rounds of the habit; the rows that the first event of each touched.
static uint64_t play(struct scene *scene, const struct habit *habit, const char *who,
                     unsigned first, unsigned n) {
    struct view_txn *txn = scene->fixture->txn;
    uint64_t touched = 0;
    for (unsigned i = first; i < first + n; i++) {
        for (unsigned k = 0; k < AT_ONCE && habit->events[k][0] != NULL; k++) {
            char data[512], id[16];
            // Nobody else has this id.
            snprintf(id, sizeof(id), "%u%s", i, strchr(who, '=') + 1);
            fill_in(data, sizeof(data), habit->events[k][1], id);
            uint64_t before = view_rows_touched(txn);
            scene->now_us += SCENE_SECOND;
            assert_int_not_equal(scene_play(scene, who, habit->events[k][0], data), 0);
            assert_int_equal(fold_flush(scene->fold, txn), 0);
            touched += k == 0 ? view_rows_touched(txn) - before : 0;
            scene_forget(scene);
        }
    }
    return touched;
}

static void merge(struct scene *scene, const struct habit *habit, const char *who,
                  const char *other) {
    Touchbus__Event *both =
        support_event(scene->arena, "customer.identified",
                      arena_printf(scene->arena, "both-%s", who), "{\"traits\":{}}");
    play(scene, habit, other, 0, FEW / 2);
    support_identify(scene->arena, both, "user_id", strchr(who, '=') + 1);
    support_identify(scene->arena, both, "crm_id", strchr(other, '=') + 1);
    assert_int_not_equal(scene_play_event(scene, both), 0);
    assert_int_equal(scene_said(scene, "identity.changed"), 1);
    scene_forget(scene);
}

static void test_many_earlier_ones_cost_no_more_than_few(void **state) {
    for (size_t i = 0; i < sizeof(HABITS) / sizeof(HABITS[0]); i++) {
        struct scene scene;
        scene_open(state, NULL, &scene);
        play(&scene, &HABITS[i], "user_id=few", 0, FEW);
        play(&scene, &HABITS[i], "user_id=many", 0, MANY);
        if (HABITS[i].is_merged) {
            merge(&scene, &HABITS[i], "user_id=few", "crm_id=little");
            merge(&scene, &HABITS[i], "user_id=many", "crm_id=less");
        }
        uint64_t few = play(&scene, &HABITS[i], "user_id=few", FEW, MEASURED);
        uint64_t many = play(&scene, &HABITS[i], "user_id=many", MANY, MEASURED);
        print_message("%s: %llu rows for %u events, %llu after many\n", HABITS[i].name,
                      (unsigned long long)few, MEASURED, (unsigned long long)many);
        assert_true(few > 0);
        // A run of the timeline more or less.
        assert_in_range(many, 0, few + MEASURED / 4);
        scene_close(&scene);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_earlier_ones_cost_no_more_than_few, support_setup,
                                        support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
