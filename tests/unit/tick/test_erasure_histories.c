// SPDX-License-Identifier: Apache-2.0
// Whatever comes, and whoever is erased in between: the live view, one that was rebuilt, one that
// was restored from a copy and caught up, and one that advanced in steps as the base does, are the
// same bytes, also where keys were destroyed before their events were folded. Histories follow from
// seeds, which are printed.
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/fold/fold.h"
#include "broker/stores/log.h"
#include "broker/stores/rebuild.h"
#include "broker/tick/decide.h"
#include "schemas/base/cleanup.h"
#include "schemas/catalogue.h"
#include "schemas/envelope.h"

enum {
    HISTORIES = 8,
    TICKS = 40,
    EVENTS_MAX = 16, // of a tick; each may have a follow-up, and erasures come beside
    RECORDS_MAX = 12 * EVENTS_MAX,
    ERASURES_MAX = 2, // of a tick
    COPIES = 4,
    PERSONS = 12,
    ERASED_US = 1000, // when every erasure is
    MAP_BYTES = 64 << 20,
    DICE_HIGH = 33,
};

static const uint8_t run[BLOCK_RUN_BYTES] = {4, 2};

struct history {
    struct fixture *fixture;
    struct arena *arena; // of a tick
    uint64_t dice;
    struct catalogue *catalogue;
    struct configuration configuration;
    struct decide *decide;
    struct log *log;
    struct view *view, *base, *copies[COPIES];
    struct fold *fold;
    struct view_txn *txn;
    struct keys_reader *sealing;
    uint64_t customers_last, unsaid;
    bool erased[CUSTOMERS_MAX];
    unsigned n_erased, n_copies, n_merged, n_split;
    Touchbus__Event *events[RECORDS_MAX]; // of this tick
    size_t n_events;
};

static uint64_t throw_dice(struct history *history, uint64_t sides) {
    uint64_t z = (history->dice += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z >> DICE_HIGH) % sides;
}

// Hours pass between two events, so that limits of a day and of a month come and go.
static int64_t received_us(uint64_t sequence) {
    enum { HOURS = 3 };
    return (int64_t)sequence * HOURS * 3600 * 1000000;
}

// ---- one tick

static void append(struct history *history, Touchbus__Event *event) {
    assert_true(history->n_events < RECORDS_MAX);
    event->sequence = log_next(history->log) + history->n_events;
    event->received_us = received_us(event->sequence);
    assert_int_equal(fold_apply(history->fold, history->txn, event), 0);
    history->events[history->n_events++] = event;
}

static void identify(struct history *history, Touchbus__Event *event) {
    static const char *const kinds[] = {"user_id", "email", "cookie", "phone"};
    struct arena *arena = history->arena;
    unsigned person = (unsigned)throw_dice(history, PERSONS);
    for (uint64_t n = throw_dice(history, 4); n > 0; n--) {
        uint64_t kind = throw_dice(history, 4);
        // Now and then another person's: a shared address, a lent device.
        unsigned of = throw_dice(history, 6) == 0 ? (unsigned)throw_dice(history, PERSONS) : person;
        support_identify(arena, event, kinds[kind],
                         kind == 1   ? arena_printf(arena, "p%u@klant.example", of)
                         : kind == 3 ? arena_printf(arena, "+3161234567%u", of % 10)
                                     : arena_printf(arena, "%s-%u", kinds[kind], of));
        event->identities[event->n_identities - 1]->verified = throw_dice(history, 3) == 0;
    }
}

static Touchbus__Event *new_event(struct history *history) {
    static const struct {
        const char *type, *data;
    } shapes[] = {
        {"page.viewed", "{\"url\": \"/\"}"},
        {"page.viewed", "{\"url\": \"/\"}"},
        {"acme.thing", "{}"},
        {"customer.identified", "{\"traits\": {\"n%u\": %u}}"},
        {"customer.registered", "{\"user_id\": \"u-%u\", \"incentive\": \"%u\"}"},
        {"customer.changed", "{\"fields\": {\"n%u\": \"v%u\"}}"},
        {"order.placed", "{\"order_id\": \"o-%u\", \"currency\": \"EUR\", \"lines\": [{\"sku\": "
                         "\"s\", \"quantity\": %u, \"price\": \"1.00\"}]}"},
        {"order.changed", "{\"order_id\": \"o-%u\", \"status\": \"packed\", \"revision\": %u}"},
        {"quote.issued", "{\"quote_id\": \"q-%u\", \"revision\": %u, \"lines\": [], "
                         "\"valid_until\": \"2030-01-01\", \"currency\": \"EUR\"}"},
        {"quote.closed", "{\"quote_id\": \"q-%u\", \"outcome\": \"x%u\"}"},
        {"consent.changed", "{\"address\": \"p%u@klant.example\", \"purpose\": \"p%u\", "
                            "\"state\": \"granted\", \"text_version\": \"1\"}"},
        {"need.selected", "{\"term\": \"t%u\", \"n\": %u}"},
        {"case.opened", "{\"case_id\": \"c-%u\", \"kind\": \"k\", \"severity\": %u}"},
        {"feedback.given", "{\"score\": %u, \"scale\": %u}"},
        {"merge.requested", "{\"customers\": [\"c%u\", \"c%u\"], \"reason\": \"said\"}"},
        {"merge.requested", "{\"customers\": [\"c%u\", \"c%u\"], \"reason\": \"said\"}"},
        {"split.requested", "{\"customers\": [\"c%u\"], \"reason\": \"%u\"}"},
        {"customer.aliased", "{\"previous_id\": \"p-%u\", \"user_id\": \"user_id-%u\"}"},
        // Of nobody, but for those that a person's key came with.
        {"agent.state", "{\"actor\": \"a-%u\", \"state\": \"s%u\", \"skills\": []}"},
        {"supply.changed", "{\"sku\": \"s-%u\", \"quantity\": %u}"},
    };
    uint64_t shape = throw_dice(history, sizeof(shapes) / sizeof(shapes[0]));
    char data[256], id[32];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(data, sizeof(data), shapes[shape].data, (unsigned)throw_dice(history, 9),
             1 + (unsigned)throw_dice(history, 5));
#pragma GCC diagnostic pop
    snprintf(id, sizeof(id), "e-%zu-%zu", (size_t)log_next(history->log), history->n_events);
    Touchbus__Event *event = support_event(history->arena, shapes[shape].type, id, data);
    identify(history, event);
    // After every erasure, or before: who was erased may come back as someone new.
    event->has_time = true;
    event->time_us = ERASED_US - 1 + (int64_t)throw_dice(history, 3);
    if (throw_dice(history, 5) == 0) {
        event->case_id = arena_printf(history->arena, "c-%u", (unsigned)throw_dice(history, 9));
    }
    return event;
}

static void publish(struct history *history) {
    Touchbus__Event *event = new_event(history);
    struct decision decision;
    uint64_t sequence = log_next(history->log) + history->n_events;
    struct decide_place place = {history->fold, history->txn, history->arena, received_us(sequence),
                                 received_us(sequence)};
    assert_int_equal(decide_event(history->decide, &place, event, NULL, sequence,
                                  &history->customers_last, &decision),
                     0);
    if (decision.findings.code != 0) {
        return; // put aside, or refused
    }
    append(history, event);
    assert_int_equal(decide_follow(history->decide, &place, event, &decision), 0);
    for (size_t i = 0; i < decision.findings.n_follow_ups; i++) {
        Touchbus__Event *own = decision.findings.follow_ups[i];
        append(history, own);
        history->n_merged += own->stamp != NULL && own->stamp->merge_from != 0;
        history->n_split += own->stamp != NULL && own->stamp->split != 0;
        assert_int_equal(decide_follow(history->decide, &place, own, &decision), 0);
    }
}

static void erase_event(struct history *history, uint64_t customer) {
    uint64_t *lane = arena_copy(history->arena, &customer, sizeof(customer));
    Touchbus__Event *event = support_event(history->arena, "privacy.changed", "erased",
                                           "{\"kind\": \"erasure\", \"state\": \"done\"}");
    event->customer = customer;
    event->erases = true;
    event->lanes = lane;
    event->n_lanes = 1;
    append(history, event);
}

static void destroy(struct history *history, uint64_t customer) {
    if (!history->erased[customer]) {
        history->erased[customer] = true;
        history->n_erased++;
        assert_int_equal(keys_destroy(history->fixture->keys, customer, ERASED_US), 0);
    }
}

// Somebody who has a key still; 0 where the dice chose nobody.
static uint64_t choose_someone(struct history *history) {
    uint64_t customer =
        history->customers_last == 0 ? 0 : 1 + throw_dice(history, history->customers_last);
    return customer == 0 || history->erased[customer] ? 0 : customer;
}

// A merged customer goes with all its leaves, the surviving one last. The keys first: events of the
// same tick are sealed after they are gone.
static void erase_all(struct history *history, uint64_t customer) {
    uint64_t survivor = 0, leaves[STAMP_LEAVES_MAX];
    const View__Customer *record;
    assert_int_equal(fold_survivor(history->fold, history->txn, customer, &survivor), 0);
    assert_int_equal(fold_customer(history->fold, history->txn, survivor, &record), 0);
    size_t n = record->n_leaves;
    assert_true(n < STAMP_LEAVES_MAX);
    if (n > 0) {
        memcpy(leaves, record->leaves, n * sizeof(leaves[0]));
    }
    leaves[n++] = survivor;
    for (size_t i = 0; i < n; i++) {
        destroy(history, leaves[i]);
    }
    for (size_t i = 0; i < n; i++) {
        erase_event(history, leaves[i]);
    }
}

static void erase_someone(struct history *history) {
    uint64_t customer = choose_someone(history);
    if (customer != 0) {
        erase_all(history, customer);
    }
}

static void seal(struct history *history, const Touchbus__Event *event, struct block_record *ret) {
    const uint8_t *plain;
    size_t size;
    *ret = (struct block_record){.customer = event->customer,
                                 .lane = event->lanes[0],
                                 .received_us = event->received_us,
                                 .flags = event->erases ? ENTRY_ERASES : 0,
                                 .type = event->type,
                                 .channel = event->channel};
    const uint8_t *open;
    assert_int_equal(envelope_pack_open(event, history->arena, &open, &ret->open_size), 0);
    assert_int_equal(envelope_pack_sealed(event, history->arena, &plain, &size), 0);
    ret->open = open;
    uint8_t *sealed = arena_alloc(history->arena, size + KEYS_SEAL_OVERHEAD);
    int r = keys_seal(history->sealing, event->erases ? 0 : event->customer, run, event->sequence,
                      plain, size, sealed);
    assert_true(r >= 0);
    ret->sealed = sealed;
    ret->sealed_size = r == 0 ? size + KEYS_SEAL_OVERHEAD : 0;
}

static void commit(struct history *history) {
    struct block_record records[RECORDS_MAX];
    struct log_txn *txn = NULL;
    void *block = NULL;
    size_t size = 0;
    uint64_t first = log_next(history->log);
    assert_int_equal(fold_flush(history->fold, history->txn), 0);
    if (history->n_events > 0) {
        assert_int_equal(keys_reader_begin(history->sealing), 0);
        for (size_t i = 0; i < history->n_events; i++) {
            seal(history, history->events[i], &records[i]);
        }
        keys_reader_end(history->sealing);
        assert_int_equal(block_build(first, run, records, history->n_events, &block, &size), 0);
        assert_int_equal(log_begin(history->log, &txn), 0);
        assert_int_equal(log_append(txn, first, block, size), 0);
        assert_int_equal(log_commit(txn), 0);
        free(block);
        assert_int_equal(view_set_applied(history->txn, first + history->n_events - 1), 0);
    }
    assert_int_equal(view_commit(STEAL(history->txn)), 0);
}

static void tick(struct history *history) {
    arena_reset(history->arena);
    history->n_events = 0;
    support_begin(history->fixture, history->view, &history->txn);
    uint64_t n = throw_dice(history, EVENTS_MAX), erasures = 0;
    if (history->unsaid != 0) {
        erase_all(history, history->unsaid); // as a start does
    }
    for (uint64_t i = 0; i < n; i++) {
        publish(history);
        if (throw_dice(history, 40) == 0 && ++erasures <= ERASURES_MAX) {
            erase_someone(history);
        }
    }
    commit(history);
    // Now and then the broker dies between the key and the event that says so.
    history->unsaid = throw_dice(history, 12) == 0 ? choose_someone(history) : 0;
    if (history->unsaid != 0) {
        destroy(history, history->unsaid);
    }
}

// ---- other ways to the same view

static void advance(struct history *history, struct view *view, uint64_t last) {
    struct rebuild *rebuild = NULL;
    uint64_t applied = 0;
    assert_int_equal(rebuild_new(history->log, history->fixture->keys, view, &rebuild), 0);
    assert_int_equal(rebuild_step(rebuild, last, &applied), 0);
    rebuild_free(rebuild);
}

static void take_copy(struct history *history) {
    char path[96];
    if (history->n_copies == COPIES) {
        return;
    }
    snprintf(path, sizeof(path), "%s/copy-%u", history->fixture->dir, history->n_copies);
    assert_int_equal(view_copy(history->view, path), 0);
    assert_int_equal(
        view_open(path, VIEW_SCRATCH, MAP_BYTES, false, &history->copies[history->n_copies++]), 0);
}

static void check(struct history *history, struct view *view, const char *what, uint64_t seed) {
    char live[65], other[65];
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(history->view, false, &txn), 0);
    assert_int_equal(view_hash(txn, live), 0);
    view_abort(txn);
    advance(history, view, log_next(history->log) - 1);
    assert_int_equal(view_begin(view, false, &txn), 0);
    assert_int_equal(view_hash(txn, other), 0);
    view_abort(txn);
    if (strcmp(live, other) != 0) {
        fail_msg("seed %llu: %s is another view", (unsigned long long)seed, what);
    }
}

// ---- a history

static void open_history(struct history *history, struct fixture *fixture, uint64_t seed) {
    char path[96], *error = NULL;
    *history = (struct history){.fixture = fixture, .dice = seed};
    history->arena = arena_new(MAP_BYTES);
    snprintf(path, sizeof(path), "%s/log", fixture->dir);
    assert_int_equal(log_open(path, MAP_BYTES, false, &history->log), 0);
    assert_int_equal(catalogue_load(NULL, &history->catalogue, &error), 0);
    assert_int_equal(decide_new(&history->configuration, support_policy(), history->catalogue,
                                keys_hash_secret(fixture->keys), fixture->keys, &history->decide),
                     0);
    assert_int_equal(keys_reader_new(fixture->keys, &history->sealing), 0);
    history->view = support_view(fixture, "live");
    history->base = support_view(fixture, "base");
    support_begin(fixture, history->view, &history->txn);
    assert_int_equal(fold_new(history->txn, &history->fold), 0);
    view_abort(STEAL(history->txn));
}

static void close_history(struct history *history) {
    for (unsigned i = 0; i < history->n_copies; i++) {
        view_close(history->copies[i]);
    }
    fold_free(history->fold);
    view_close(history->view);
    view_close(history->base);
    keys_reader_free(history->sealing);
    decide_free(history->decide);
    catalogue_free(history->catalogue);
    log_close(history->log);
    arena_free(history->arena);
}

static void test_every_way_leads_to_the_same_view(void **state) {
    (void)state;
    unsigned n_erased = 0, n_merged = 0, n_split = 0;
    const char *seed_text = getenv("TOUCHBUS_SEED");
    uint64_t first = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + HISTORIES; seed++) {
        void *scene = NULL;
        struct history history;
        assert_int_equal(support_setup(&scene), 0);
        struct fixture *fixture = scene;
        open_history(&history, fixture, seed);
        for (int i = 0; i < TICKS; i++) {
            tick(&history);
            if (throw_dice(&history, 8) == 0) {
                take_copy(&history);
            }
            if (throw_dice(&history, 8) == 0) { // retention
                advance(&history, history.base, log_next(history.log) - 1);
            }
        }
        while (history.unsaid != 0) {
            tick(&history);
        }
        struct view *anew = support_view(fixture, "anew");
        check(&history, anew, "the rebuilt one", seed);
        check(&history, history.base, "the base", seed);
        for (unsigned i = 0; i < history.n_copies; i++) {
            check(&history, history.copies[i], "a restored one", seed);
        }
        print_message("seed %llu: %llu events, %u merged, %u split, %u erased\n",
                      (unsigned long long)seed, (unsigned long long)log_next(history.log) - 1,
                      history.n_merged, history.n_split, history.n_erased);
        n_merged += history.n_merged;
        n_split += history.n_split;
        n_erased += history.n_erased;
        view_close(anew);
        close_history(&history);
        assert_int_equal(support_teardown(&scene), 0);
    }
    assert_true(n_erased > HISTORIES && n_merged > HISTORIES && n_split > 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_way_leads_to_the_same_view)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
