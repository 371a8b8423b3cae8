// SPDX-License-Identifier: Apache-2.0
// The publisher's window against a model of the broker on a line that loses requests and replies,
// breaks, and a broker that is busy, refuses, and forgets: whatever happens, every event is logged
// once, in order within what was taken, and acked once with the sequence it has.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/client/window.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum { N_EVENTS = 3000, QUEUE_MAX = 64, RUNS = 300, STEPS_MAX = 2000000 };

struct request {
    uint64_t request, epoch, number;
    size_t n;
    uint32_t ids[256];
};

struct reply {
    Touchbus__PublishReply message;
    uint64_t sequences[256];
    Touchbus__Outcome outcomes[256];
    Touchbus__Outcome *list[256];
};

struct model {
    uint64_t random;
    bool numbered;
    // the broker
    uint64_t epoch, expected, sequence;
    uint64_t first_sequence[N_EVENTS]; // by id: (source, id) protection
    uint32_t log[N_EVENTS + 1];        // id by sequence
    size_t n_logged;
    uint64_t number_sequence[N_EVENTS + 1]; // by number of this epoch
    // the line
    struct request requests[QUEUE_MAX];
    size_t n_requests;
    struct reply replies[QUEUE_MAX];
    size_t n_replies;
    // the caller
    uint64_t acked[N_EVENTS];
    size_t n_acked;
};

static uint64_t roll(struct model *model, uint64_t below) {
    model->random = model->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (model->random >> 33) % below;
}

static void on_settled(const struct window_settled *settled, void *user) {
    struct model *model = user;
    uintptr_t id = (uintptr_t)settled->tag;
    assert_int_equal(model->acked[id], 0);
    assert_int_equal(settled->code, REASON_OK);
    assert_int_equal(settled->sequence, model->first_sequence[id]);
    model->acked[id] = settled->sequence;
    model->n_acked++;
}

static uint64_t append(struct model *model, uint32_t id) {
    if (model->first_sequence[id] == 0) {
        model->first_sequence[id] = ++model->sequence;
        assert_true(model->n_logged < N_EVENTS);
        model->log[model->n_logged++] = id;
    }
    return model->first_sequence[id];
}

static uint32_t decide(struct model *model, const struct request *request, size_t index,
                       uint64_t *ret_sequence) {
    uint64_t number = request->number + index;
    if (!model->numbered) {
        bool known = model->first_sequence[request->ids[index]] != 0;
        if (!known && roll(model, 50) == 0) {
            return REASON_BUSY;
        }
        *ret_sequence = append(model, request->ids[index]);
        return known ? REASON_DUPLICATE : REASON_OK;
    }
    if (number < model->expected) {
        *ret_sequence = model->number_sequence[number];
        return REASON_DUPLICATE;
    }
    if (number > model->expected) {
        return REASON_NUMBER_GAP;
    }
    if (roll(model, 100) == 0) {
        return REASON_BUSY;
    }
    bool known = model->first_sequence[request->ids[index]] != 0;
    *ret_sequence = append(model, request->ids[index]);
    model->number_sequence[number] = *ret_sequence;
    model->expected++;
    return known ? REASON_DUPLICATE : REASON_OK;
}

static void serve(struct model *model, const struct request *request) {
    struct reply *reply = &model->replies[model->n_replies++];
    touchbus__publish_reply__init(&reply->message);
    reply->message.request = request->request;
    reply->message.number = request->number;
    reply->message.credit = 64;
    if (roll(model, 200) == 0) {
        reply->message.code = REASON_BUSY;
        reply->message.expected = model->expected;
        return;
    }
    if (request->epoch > model->epoch) {
        model->epoch = request->epoch;
        model->expected = 1;
    }
    for (size_t i = 0; i < request->n; i++) {
        reply->sequences[i] = 0;
        uint32_t code = decide(model, request, i, &reply->sequences[i]);
        if (code != REASON_OK) {
            size_t n = reply->message.n_outcomes++;
            touchbus__outcome__init(&reply->outcomes[n]);
            reply->outcomes[n].index = (uint32_t)i;
            reply->outcomes[n].code = code;
            reply->list[n] = &reply->outcomes[n];
        }
    }
    reply->message.n_sequences = request->n;
    reply->message.expected = model->numbered ? model->expected : 0;
}

static void step_broker(struct model *model) {
    if (model->n_requests > 0 && model->n_replies < QUEUE_MAX) {
        struct request request = model->requests[0];
        memmove(model->requests, model->requests + 1, --model->n_requests * sizeof(request));
        serve(model, &request);
    }
}

static void step_reply(struct model *model, struct window *window, int64_t now_us) {
    if (model->n_replies == 0) {
        return;
    }
    struct reply reply = model->replies[0];
    memmove(model->replies, model->replies + 1, --model->n_replies * sizeof(reply));
    reply.message.sequences = reply.sequences;
    reply.message.outcomes = reply.list;
    for (size_t i = 0; i < reply.message.n_outcomes; i++) {
        reply.list[i] = &reply.outcomes[i];
    }
    if (roll(model, 300) != 0) { // else lost
        window_reply(window, &reply.message, now_us, on_settled, model);
    }
}

static void step_client(struct model *model, struct window *window, int64_t now_us) {
    struct window_request due;
    while (model->n_requests < QUEUE_MAX && window_next(window, now_us, &due)) {
        struct request *request = &model->requests[model->n_requests];
        *request = (struct request){
            .request = due.request, .epoch = due.epoch, .number = due.number, .n = due.n_events};
        assert_true(due.n_events <= 256);
        for (size_t i = 0; i < due.n_events; i++) {
            memcpy(&request->ids[i], due.events[i].data, sizeof(request->ids[i]));
        }
        window_sent(window, &due, now_us);
        model->n_requests += roll(model, 300) != 0; // else lost
    }
}

static void run(struct model *model, uint64_t seed, bool numbered) {
    memset(model, 0, sizeof(*model));
    model->random = seed;
    model->numbered = numbered;
    model->epoch = 5;
    model->expected = 1;
    struct window *window = window_new(128, numbered, 5);
    assert_non_null(window);
    uint32_t n_pushed = 0;
    int64_t now_us = 0;
    for (int step = 0; model->n_acked < N_EVENTS; step++) {
        assert_true(step < STEPS_MAX);
        now_us += (int64_t)roll(model, 20000);
        while (n_pushed < N_EVENTS && window_has_room(window, 4) && roll(model, 8) != 0) {
            uint8_t *bytes = malloc(4);
            assert_non_null(bytes);
            memcpy(bytes, &n_pushed, 4);
            window_push(window, bytes, 4, (void *)(uintptr_t)n_pushed++);
        }
        step_client(model, window, now_us);
        for (uint64_t n = roll(model, 3); n > 0; n--) {
            step_broker(model);
        }
        for (uint64_t n = roll(model, 3); n > 0; n--) {
            step_reply(model, window, now_us);
        }
        if (roll(model, 500) == 0) { // the line breaks, with what is on it
            model->n_requests = model->n_replies = 0;
            if (roll(model, 2) == 0) {
                window_lost(window);
            }
        }
        if (numbered && roll(model, 20000) == 0) { // restored: knows no numbers, only the ids
            model->expected = 1;
            memset(model->number_sequence, 0, sizeof(model->number_sequence));
        }
    }
    assert_int_equal(model->n_logged, N_EVENTS);
    for (uint32_t i = 0; numbered && i < N_EVENTS; i++) {
        assert_int_equal(model->log[i], i);
    }
    assert_int_equal(window_pending(window), 0);
    window_free(window);
}

static void test_numbered_events_are_logged_once_in_order(void **state) {
    struct model *model = *state;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        run(model, seed, true);
    }
}

static void test_unnumbered_events_are_logged_once(void **state) {
    struct model *model = *state;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        run(model, seed, false);
    }
}

static int make_model(void **state) {
    *state = malloc(sizeof(struct model));
    return *state == NULL;
}

static int free_model(void **state) {
    free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbered_events_are_logged_once_in_order),
        cmocka_unit_test(test_unnumbered_events_are_logged_once),
    };
    return cmocka_run_group_tests(tests, make_model, free_model);
}
