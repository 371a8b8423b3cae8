// SPDX-License-Identifier: Apache-2.0
// The rules of the scorecard: what counts in which cell, what is taken back, and that the cells
// follow from what stands open.
#include "tests/unit/rules/stage.h"

#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/scores.h"
#include "broker/fold/spread.h"
#include "broker/rules/score.h"
#include "schemas/base/clock.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US (INT64_C(86400) * SECOND_US)

// ---- cells as they are read

struct sums {
    struct stage *stage;
    const char *channel, *tier; // NULL: all
    View__Cell cell;
    uint64_t waits, handlings, responses;
    int64_t waiting_us, handling_us, response_us;
    size_t n_cells;
};

static void add_spread(const View__Spread *spread, uint64_t *number, int64_t *sum_us) {
    *number += spread == NULL ? 0 : spread->number;
    *sum_us += spread == NULL ? 0 : spread->sum_us;
}

static int sum_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct sums *sums = user;
    uint32_t hour, channel, tier;
    const struct fold *fold = sums->stage->fold;
    if (!scores_cell_parse(key, key_size, &hour, &channel, &tier) ||
        (sums->channel != NULL && strcmp(sums->channel, fold_name(fold, channel)) != 0) ||
        (sums->tier != NULL && strcmp(sums->tier, fold_name(fold, tier)) != 0)) {
        return 0;
    }
    const View__Cell *cell = view__cell__unpack(arena_allocator(sums->stage->arena), size, value);
    assert_non_null(cell);
    sums->n_cells++;
    sums->cell.contacts += cell->contacts;
    sums->cell.handled += cell->handled;
    sums->cell.abandoned += cell->abandoned;
    sums->cell.cost_micro += cell->cost_micro;
    sums->cell.resolved += cell->resolved;
    sums->cell.reopened += cell->reopened;
    sums->cell.satisfactions += cell->satisfactions;
    sums->cell.satisfaction_micro += cell->satisfaction_micro;
    sums->cell.orders += cell->orders;
    sums->cell.revenue_micro += cell->revenue_micro;
    sums->cell.margin_micro += cell->margin_micro;
    sums->cell.unconverted += cell->unconverted;
    sums->cell.suppressed += cell->suppressed;
    add_spread(cell->waiting, &sums->waits, &sums->waiting_us);
    add_spread(cell->handling, &sums->handlings, &sums->handling_us);
    add_spread(cell->response, &sums->responses, &sums->response_us);
    return 0;
}

static struct sums sum(struct stage *stage, const char *channel, const char *tier) {
    struct sums sums = {.stage = stage, .channel = channel, .tier = tier};
    assert_int_equal(fold_flush(stage->fold, stage->fixture->txn), 0);
    assert_int_equal(view_scan(stage->fixture->txn, VIEW_SCORES, NULL, 0, false, sum_row, &sums),
                     0);
    return sums;
}

// ---- contacts and cost

static void test_a_contact_costs_what_it_says_else_what_its_channel_costs(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "message.received", "email", "u-1", "{\"from\": \"a\", \"ref\": \"r-1\"}");
    Touchbus__Event *event = stage_event(&stage, "message.received", "email", "u-1",
                                         "{\"from\": \"a\", \"ref\": \"r-2\"}");
    event->cost = arena_strdup(stage.arena, "1.25 EUR");
    stage_play(&stage, event);
    event = stage_event(&stage, "message.received", "email", "u-1",
                        "{\"from\": \"a\", \"ref\": \"r-3\"}");
    event->cost = arena_strdup(stage.arena, "7 USD");
    stage_play(&stage, event);
    struct sums sums = sum(&stage, "email", NULL);
    assert_int_equal(sums.cell.contacts, 3);
    assert_int_equal(sums.cell.cost_micro, 50000 + 1250000 + 50000);
    assert_int_equal(sums.cell.unconverted, 1);
    stage_close(&stage);
}

static void test_what_is_no_contact_and_costs_nothing_is_not_stamped(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    Touchbus__Event *event = stage_say(&stage, "page.viewed", "web", "u-1", "{\"url\": \"/\"}");
    assert_true(event->stamp == NULL || event->stamp->n_scores == 0);
    event = stage_event(&stage, "page.viewed", "web", "u-1", "{\"url\": \"/\"}");
    event->cost = arena_strdup(stage.arena, "0.002");
    stage_play(&stage, event);
    struct sums sums = sum(&stage, "web", NULL);
    assert_int_equal(sums.cell.contacts, 0);
    assert_int_equal(sums.cell.cost_micro, 2000);
    stage_close(&stage);
}

static void test_cells_are_of_hour_channel_and_the_tier_then(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "call.received", "phone", NULL,
              "{\"from\": \"x\", \"to\": \"1\", \"call_id\": \"c-0\"}");
    stage_say(&stage, "call.received", "phone", "u-1",
              "{\"from\": \"x\", \"to\": \"1\", \"call_id\": \"c-1\"}");
    Touchbus__Event *late = stage_event(&stage, "call.received", "phone", "u-1",
                                        "{\"from\": \"x\", \"to\": \"1\", \"call_id\": \"c-2\"}");
    late->time_us -= 3600 * SECOND_US;
    stage_play(&stage, late);
    Touchbus__Event *ahead = stage_event(&stage, "call.received", "phone", "u-1",
                                         "{\"from\": \"x\", \"to\": \"1\", \"call_id\": \"c-3\"}");
    ahead->time_us += 40 * DAY_US; // a clock that is wrong: counts as now
    stage_play(&stage, ahead);
    assert_int_equal(sum(&stage, "phone", "").cell.contacts, 1);
    struct sums sums = sum(&stage, "phone", "guest");
    assert_int_equal(sums.cell.contacts, 3);
    assert_int_equal(sums.n_cells, 2);
    stage_close(&stage);
}

// ---- orders

static const char order[] =
    "{\"order_id\": \"o-1\", \"currency\": \"EUR\", \"lines\": ["
    "{\"sku\": \"a\", \"quantity\": 3, \"price\": \"19.90\"},"
    "{\"sku\": \"b\", \"quantity\": 0.5, \"price\": \"10.00\", \"margin\": \"4.00\"}]}";

static void test_an_order_counts_for_the_last_touch_before_it(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "call.received", "phone", "u-1",
              "{\"from\": \"x\", \"to\": \"1\", \"call_id\": \"c-1\"}");
    stage.now_us += 60 * SECOND_US;
    stage_say(&stage, "message.sent", "email", "u-1", "{\"to\": \"x\"}");
    stage_say(&stage, "page.viewed", "web", "u-1", "{\"url\": \"/\"}");
    stage.now_us += 60 * SECOND_US;
    Touchbus__Event *late = stage_event(&stage, "visit.recorded", "shop", "u-1",
                                        "{\"kind\": \"x\", \"place\": \"y\", \"actor\": \"z\"}");
    late->time_us += 120 * SECOND_US; // happens after the order
    stage_play(&stage, late);
    stage_say(&stage, "order.placed", "web", "u-1", order);
    struct sums phone = sum(&stage, "phone", NULL);
    assert_int_equal(phone.cell.orders, 1);
    assert_int_equal(phone.cell.revenue_micro, 64700000);
    assert_int_equal(phone.cell.margin_micro, 17910000 + 2000000);
    assert_int_equal(sum(&stage, "web", NULL).cell.orders, 0);
    stage_close(&stage);
}

static void test_a_touch_is_known_behind_many_page_views(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "call.received", "phone", "u-1",
              "{\"from\": \"x\", \"to\": \"1\", \"call_id\": \"c-1\"}");
    for (int i = 0; i < 2 * TIMELINE_RECENT_MAX; i++) {
        stage.now_us += SECOND_US;
        stage_say(&stage, "page.viewed", "web", "u-1", "{\"url\": \"/\"}");
    }
    stage_say(&stage, "order.placed", "web", "u-1", order);
    assert_int_equal(sum(&stage, "phone", NULL).cell.orders, 1);
    stage_close(&stage);
}

static void test_without_a_touch_it_counts_for_its_own_channel(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "order.placed", "web", "u-1", order);
    assert_int_equal(sum(&stage, "web", "guest").cell.revenue_micro, 64700000);
    stage_close(&stage);
}

static void test_an_order_counts_once_and_is_taken_back_once(void **state) {
    static const char cancelled[] =
        "{\"order_id\": \"o-1\", \"status\": \"cancelled\", \"revision\": 2}";
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "order.placed", "web", "u-1", order);
    stage.now_us += DAY_US;
    stage_say(&stage, "order.placed", "erp", "u-1", order);
    assert_int_equal(sum(&stage, NULL, NULL).cell.orders, 1);
    stage_say(&stage, "order.changed", "erp", "u-1", cancelled);
    stage_say(&stage, "order.changed", "erp", "u-1", cancelled);
    stage_say(&stage, "order.placed", "web", "u-1", order);
    struct sums web = sum(&stage, "web", NULL);
    assert_int_equal(web.cell.orders, 0);
    assert_int_equal(web.cell.revenue_micro, 0);
    assert_int_equal(web.cell.margin_micro, 0);
    assert_int_equal(sum(&stage, NULL, NULL).cell.orders, 0);
    stage_close(&stage);
}

static void test_an_order_cancelled_before_it_came_never_counts(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "order.changed", "erp", "u-1",
              "{\"order_id\": \"o-1\", \"status\": \"cancelled\", \"revision\": 2}");
    stage_say(&stage, "order.placed", "web", "u-1", order);
    assert_int_equal(sum(&stage, NULL, NULL).cell.orders, 0);
    assert_int_equal(sum(&stage, NULL, NULL).cell.revenue_micro, 0);
    stage_close(&stage);
}

static void test_another_currency_is_counted_and_not_summed(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "order.placed", "web", "u-1",
              "{\"order_id\": \"o-2\", \"currency\": \"USD\", \"total\": \"9.00\", \"lines\": []}");
    struct sums sums = sum(&stage, "web", NULL);
    assert_int_equal(sums.cell.orders, 1);
    assert_int_equal(sums.cell.unconverted, 1);
    assert_int_equal(sums.cell.revenue_micro, 0);
    stage_close(&stage);
}

// ---- times

static void call(struct stage *stage, const char *type, const char *user, const char *id,
                 const char *rest) {
    const char *data = arena_printf(stage->arena,
                                    "{\"call_id\": \"%s\", \"from\": \"x\", \"to\": \"y\", "
                                    "\"actor\": \"ag-1\"%s}",
                                    id, rest);
    stage_say(stage, type, "phone", user, data);
}

static void test_a_call_waits_until_it_is_answered(void **state) {
    static const char *const users[] = {"u-1", NULL};
    for (size_t i = 0; i < 2; i++) { // nobody's calls count as well
        struct stage stage;
        stage_open(&stage, state, NULL);
        call(&stage, "call.received", users[i], "c-1", "");
        stage.now_us += 35 * SECOND_US;
        call(&stage, "call.answered", users[i], "c-1", "");
        call(&stage, "call.answered", users[i], "c-1", "");
        stage.now_us += 300 * SECOND_US;
        call(&stage, "call.ended", users[i], "c-1", ", \"duration_s\": 300, \"outcome\": \"done\"");
        call(&stage, "call.received", users[i], "c-2", "");
        call(&stage, "call.ended", users[i], "c-2",
             ", \"duration_s\": 20, \"outcome\": \"abandoned\"");
        struct sums sums = sum(&stage, "phone", i == 0 ? "guest" : "");
        assert_int_equal(sums.cell.contacts, 2);
        assert_int_equal(sums.cell.handled, 1);
        assert_int_equal(sums.cell.abandoned, 1);
        assert_int_equal(sums.waits, 1);
        assert_int_equal(sums.waiting_us, 35 * SECOND_US);
        assert_int_equal(sums.handlings, 1);
        assert_int_equal(sums.handling_us, 300 * SECOND_US);
        stage_close(&stage);
    }
}

static void test_a_chat_is_one_contact_from_its_beginning_to_its_end(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "chat.state", "chat", "u-1",
              "{\"conversation_id\": \"v-1\", \"state\": \"waiting\"}");
    Touchbus__Event *event = stage_event(&stage, "chat.message", "chat", "u-1",
                                         "{\"conversation_id\": \"v-1\", \"text\": \"hi\"}");
    event->direction = TOUCHBUS__DIRECTION__INBOUND;
    stage_play(&stage, event);
    stage.now_us += 10 * SECOND_US;
    stage_say(&stage, "chat.state", "chat", "u-1",
              "{\"conversation_id\": \"v-1\", \"state\": \"started\"}");
    event = stage_event(&stage, "chat.message", "chat", "u-1",
                        "{\"conversation_id\": \"v-1\", \"text\": \"hello\"}");
    event->direction = TOUCHBUS__DIRECTION__OUTBOUND;
    stage_play(&stage, event);
    stage.now_us += 100 * SECOND_US;
    stage_say(&stage, "chat.state", "chat", "u-1",
              "{\"conversation_id\": \"v-1\", \"state\": \"ended\"}");
    struct sums sums = sum(&stage, "chat", NULL);
    assert_int_equal(sums.cell.contacts, 1);
    assert_int_equal(sums.cell.cost_micro, 2500000);
    assert_int_equal(sums.cell.handled, 1);
    assert_int_equal(sums.waiting_us, 10 * SECOND_US);
    assert_int_equal(sums.response_us, 10 * SECOND_US);
    assert_int_equal(sums.handling_us, 100 * SECOND_US);
    stage_close(&stage);
}

static void test_a_reply_ends_a_messages_wait_once(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "message.received", "email", NULL, "{\"from\": \"a\", \"ref\": \"r-1\"}");
    stage.now_us += 600 * SECOND_US;
    stage_say(&stage, "message.sent", "email", NULL, "{\"to\": \"a\", \"in_reply_to\": \"r-1\"}");
    stage_say(&stage, "message.sent", "email", NULL, "{\"to\": \"a\", \"in_reply_to\": \"r-1\"}");
    stage_say(&stage, "message.sent", "email", NULL, "{\"to\": \"a\", \"in_reply_to\": \"r-9\"}");
    struct sums sums = sum(&stage, "email", "");
    assert_int_equal(sums.cell.handled, 1);
    assert_int_equal(sums.responses, 1);
    assert_int_equal(sums.response_us, 600 * SECOND_US);
    stage_close(&stage);
}

// ---- cases, satisfaction, suppressed contacts

static void open_case(struct stage *stage, const char *id, const char *kind) {
    stage_say(stage, "case.opened", "web", "u-1",
              arena_printf(stage->arena, "{\"case_id\": \"%s\", \"kind\": \"%s\", \"severity\": 1}",
                           id, kind));
}

static void resolve_case(struct stage *stage, const char *id) {
    stage_say(stage, "case.resolved", "phone", "u-1",
              arena_printf(stage->arena, "{\"case_id\": \"%s\", \"outcome\": \"done\"}", id));
}

static void test_another_case_of_the_kind_takes_the_resolution_back(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    open_case(&stage, "k-1", "repair");
    resolve_case(&stage, "k-1");
    resolve_case(&stage, "k-1");
    assert_int_equal(sum(&stage, "phone", NULL).cell.resolved, 1);
    stage.now_us += 2 * DAY_US;
    open_case(&stage, "k-2", "invoice");
    assert_int_equal(sum(&stage, "phone", NULL).cell.reopened, 0);
    open_case(&stage, "k-3", "repair");
    open_case(&stage, "k-4", "repair");
    struct sums sums = sum(&stage, "phone", NULL);
    assert_int_equal(sums.cell.reopened, 1);
    assert_int_equal(sums.n_cells, 1); // of the earlier resolution
    stage_close(&stage);
}

static void test_after_the_policys_time_it_is_a_new_matter(void **state) {
    struct stage stage;
    stage_open(&stage, state, "score:\n  resolved: 3d\n");
    open_case(&stage, "k-1", "repair");
    resolve_case(&stage, "k-1");
    stage.now_us += 3 * DAY_US + SECOND_US;
    open_case(&stage, "k-2", "repair");
    assert_int_equal(sum(&stage, "phone", NULL).cell.reopened, 0);
    stage_close(&stage);
}

static void test_satisfaction_is_a_part_of_its_scale(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    stage_say(&stage, "feedback.given", "web", "u-1", "{\"score\": 4, \"scale\": 5}");
    stage_say(&stage, "feedback.given", "web", "u-1", "{\"score\": 3, \"scale\": \"1-5\"}");
    stage_say(&stage, "feedback.given", "web", "u-1", "{\"score\": 2, \"scale\": 3}");
    stage_say(&stage, "feedback.given", "web", "u-1", "{\"score\": 9, \"scale\": 5}");
    struct sums sums = sum(&stage, "web", NULL);
    assert_int_equal(sums.cell.satisfactions, 3);
    assert_int_equal(sums.cell.satisfaction_micro, 800000 + 500000 + 666667);
    stage_close(&stage);
}

static void test_a_suppressed_contact_counts_with_its_reasons(void **state) {
    struct stage stage;
    stage_open(&stage, state, NULL);
    Touchbus__Event *event =
        stage_say(&stage, "contact.decided", "crm", "u-1",
                  "{\"contact_id\": \"t-1\", \"verdict\": \"suppressed\", \"channel\": \"email\","
                  " \"reasons\": [\"cap-day\", \"quiet-hours\"]}");
    stage_say(&stage, "contact.decided", "crm", "u-1",
              "{\"contact_id\": \"t-2\", \"verdict\": \"approved\", \"channel\": \"email\","
              " \"reasons\": []}");
    assert_int_equal(event->stamp->scores[0]->n_reasons, 2);
    assert_int_equal(sum(&stage, "email", NULL).cell.suppressed, 1);
    stage_close(&stage);
}

// ---- budgets

static const char budget[] = "channels:\n"
                             "  - {name: phone, cost: \"4.00\", live: true, budget: \"10.00\"}\n";

static int64_t month_cost(struct stage *stage, const char *channel, const char *time) {
    int64_t time_us, micro = -1;
    assert_int_equal(clock_parse_rfc3339(time, &time_us), 0);
    assert_int_equal(fold_flush(stage->fold, stage->fixture->txn), 0);
    assert_int_equal(score_month_cost(stage->fixture->txn, channel, score_month(time_us), &micro),
                     0);
    return micro;
}

static void test_a_months_cost_is_the_channels_with_what_was_recorded(void **state) {
    struct stage stage;
    stage_open(&stage, state, budget);
    call(&stage, "call.received", "u-1", "c-1", "");
    stage_say(&stage, "cost.recorded", "", NULL,
              "{\"channel\": \"phone\", \"period\": \"2026-11\", \"amount\": \"3.30\"}");
    stage_say(&stage, "cost.recorded", "", NULL,
              "{\"channel\": \"phone\", \"period\": \"2026-10-31\", \"amount\": \"2.00\"}");
    assert_int_equal(month_cost(&stage, "phone", "2026-11-30T23:59:59Z"), 7300000);
    assert_int_equal(month_cost(&stage, "phone", "2026-10-01T00:00:00Z"), 2000000);
    assert_int_equal(month_cost(&stage, "web", "2026-11-01T00:00:00Z"), 0);
    stage_close(&stage);
}

static void test_a_budget_line_is_said_once_at_each_of_its_marks(void **state) {
    struct stage stage;
    stage_open(&stage, state, budget);
    call(&stage, "call.received", "u-1", "c-1", "");
    assert_null(stage_caused(&stage, "budget.reached"));
    call(&stage, "call.received", "u-1", "c-2", "");
    Touchbus__Event *event = stage_caused(&stage, "budget.reached");
    assert_non_null(event);
    assert_string_equal(stage_data(&stage, event, "state"), "\"warns\"");
    assert_string_equal(stage_data(&stage, event, "spent"), "\"8.00\"");
    assert_int_equal(event->customer, 0);
    call(&stage, "call.received", "u-1", "c-3", "");
    event = stage_caused(&stage, "budget.reached");
    assert_string_equal(stage_data(&stage, event, "state"), "\"over\"");
    call(&stage, "call.received", "u-1", "c-4", "");
    assert_null(stage_caused(&stage, "budget.reached"));
    stage_close(&stage);
}

// ---- what the cells follow from

static int list_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    json_t *rows = user;
    json_t *row =
        json_pack("[o, o]", json_integer((json_int_t)key_size), json_integer((json_int_t)size));
    const uint8_t *bytes[] = {key, value};
    const size_t sizes[] = {key_size, size};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizes[i]; k++) {
            json_array_append_new(row, json_integer(bytes[i][k]));
        }
    }
    json_array_append_new(rows, row);
    return 0;
}

static char *dump(struct view_txn *txn) {
    json_t *rows = json_array();
    assert_int_equal(view_scan(txn, VIEW_SCORES, NULL, 0, false, list_row, rows), 0);
    assert_int_equal(view_scan(txn, VIEW_WAITING, NULL, 0, false, list_row, rows), 0);
    char *text = json_dumps(rows, JSON_COMPACT);
    json_decref(rows);
    return text;
}

static void test_the_cells_follow_from_what_stands_open(void **state) {
    struct stage stage;
    stage_open(&stage, state, budget);
    Touchbus__Event *events[16];
    size_t n = 0;
    events[n++] = stage_say(&stage, "call.received", "phone", "u-1",
                            "{\"from\": \"x\", \"to\": \"1\", \"call_id\": \"c-1\"}");
    events[n++] = stage_caused(&stage, "interaction.routed");
    stage.now_us += 9 * SECOND_US;
    events[n++] = stage_say(&stage, "call.answered", "phone", "u-1",
                            "{\"actor\": \"x\", \"call_id\": \"c-1\"}");
    events[n++] = stage_say(&stage, "order.placed", "web", "u-1", order);
    events[n++] = stage_caused(&stage, "standing.changed");
    events[n++] = stage_say(&stage, "message.received", "email", "u-1",
                            "{\"from\": \"a\", \"ref\": \"r-1\"}");
    events[n++] = stage_say(&stage, "feedback.given", "web", "u-1", "{\"score\": 4, \"scale\": 5}");
    assert_int_equal(fold_flush(stage.fold, stage.fixture->txn), 0);
    char *live = dump(stage.fixture->txn);

    // The same events with nothing of what is sealed, flushed after each.
    struct view *view = support_view(stage.fixture, "again");
    struct view_txn *txn;
    struct fold *fold;
    support_begin(stage.fixture, view, &txn);
    assert_int_equal(fold_new(txn, &fold), 0);
    for (size_t i = 0; i < n; i++) {
        if (events[i] == NULL) {
            continue;
        }
        events[i]->data = (ProtobufCBinaryData){0};
        events[i]->n_keys = events[i]->n_identities = events[i]->n_references = 0;
        events[i]->redacted = true;
        assert_int_equal(fold_apply(fold, txn, events[i]), 0);
        assert_int_equal(fold_flush(fold, txn), 0);
    }
    char *again = dump(txn);
    assert_string_equal(live, again);
    free(live);
    free(again);
    fold_free(fold);
    view_abort(txn);
    view_close(view);
    stage_close(&stage);
}

// ---- the scale of times, months

static void test_every_time_is_in_the_bucket_that_ends_behind_it(void **state) {
    (void)state;
    static const int64_t times_ms[] = {0,  1,   15,   16,    17,      31,       32,
                                       33, 999, 1000, 60000, 3600000, 86400000, INT64_C(1) << 40};
    assert_int_equal(spread_bucket(-1), 0);
    for (uint32_t bucket = 0; bucket + 1 < 600; bucket++) {
        assert_true(spread_end_ms(bucket) < spread_end_ms(bucket + 1));
    }
    for (size_t i = 0; i < sizeof(times_ms) / sizeof(times_ms[0]); i++) {
        uint32_t bucket = spread_bucket(times_ms[i] * 1000);
        assert_true(bucket < SPREAD_BUCKETS_MAX);
        assert_true(spread_end_ms(bucket) > (uint64_t)times_ms[i]);
        assert_true(bucket == 0 || spread_end_ms(bucket - 1) <= (uint64_t)times_ms[i]);
    }
    assert_true(spread_bucket(INT64_MAX) < SPREAD_BUCKETS_MAX);
}

static void test_months_are_those_of_the_calendar(void **state) {
    (void)state;
    static const struct {
        const char *time;
        uint32_t month;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 1970 * 12},      {"1999-12-31T23:00:00Z", 1999 * 12 + 11},
        {"2000-02-29T12:00:00Z", 2000 * 12 + 1},  {"2000-03-01T00:00:00Z", 2000 * 12 + 2},
        {"2026-11-22T10:00:00Z", 2026 * 12 + 10}, {"2100-02-28T23:59:59Z", 2100 * 12 + 1},
        {"2100-03-01T00:00:00Z", 2100 * 12 + 2},  {"2027-01-01T00:00:00Z", 2027 * 12},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t time_us;
        assert_int_equal(clock_parse_rfc3339(rows[i].time, &time_us), 0);
        assert_int_equal(scores_month(scores_hour(time_us)), rows[i].month);
        uint32_t begins = scores_month_begins(rows[i].month);
        assert_int_equal(scores_month(begins), rows[i].month);
        assert_true(begins == 0 || scores_month(begins - 1) == rows[i].month - 1);
    }
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, support_setup, support_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        STAGED(test_a_contact_costs_what_it_says_else_what_its_channel_costs),
        STAGED(test_what_is_no_contact_and_costs_nothing_is_not_stamped),
        STAGED(test_cells_are_of_hour_channel_and_the_tier_then),
        STAGED(test_an_order_counts_for_the_last_touch_before_it),
        STAGED(test_a_touch_is_known_behind_many_page_views),
        STAGED(test_without_a_touch_it_counts_for_its_own_channel),
        STAGED(test_an_order_counts_once_and_is_taken_back_once),
        STAGED(test_an_order_cancelled_before_it_came_never_counts),
        STAGED(test_another_currency_is_counted_and_not_summed),
        STAGED(test_a_call_waits_until_it_is_answered),
        STAGED(test_a_chat_is_one_contact_from_its_beginning_to_its_end),
        STAGED(test_a_reply_ends_a_messages_wait_once),
        STAGED(test_another_case_of_the_kind_takes_the_resolution_back),
        STAGED(test_after_the_policys_time_it_is_a_new_matter),
        STAGED(test_satisfaction_is_a_part_of_its_scale),
        STAGED(test_a_suppressed_contact_counts_with_its_reasons),
        STAGED(test_a_months_cost_is_the_channels_with_what_was_recorded),
        STAGED(test_a_budget_line_is_said_once_at_each_of_its_marks),
        STAGED(test_the_cells_follow_from_what_stands_open),
        cmocka_unit_test(test_every_time_is_in_the_bucket_that_ends_behind_it),
        cmocka_unit_test(test_months_are_those_of_the_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
