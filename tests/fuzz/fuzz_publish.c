// SPDX-License-Identifier: Apache-2.0
// A frame at the publish endpoint all the way to the view, without socket and log: read, decided,
// stamped, folded. Whatever gets through folds, and its two halves fold to the same.
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/fold/fold.h"
#include "broker/stores/keys.h"
#include "broker/tick/decide.h"
#include "broker/tick/dedup.h"
#include "broker/tick/publish_read.h"
#include "schemas/envelope.h"
#include "tests/fuzz/fuzz.h"

enum { ARENA_BYTES_MAX = 16 << 20, INPUTS_A_VIEW = 500 };

static const uint8_t *secret; // of the world's keys
static struct configuration configuration;

// One for the life of the process; the view starts anew now and then.
static struct world {
    struct catalogue *catalogue;
    struct policy *policy;
    struct decide *decide;
    struct arena *arena;
    struct keys *keys;
    struct keys_reader *secrets;
    struct view *view;
    struct view_txn *txn;
    struct fold *fold;
    uint64_t sequence, customers_last;
    unsigned n_inputs;
} world;

static void remove_file(const char *dir, const char *name) {
    char path[96];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    REQUIRE(unlink(path) == 0);
}

static void world_open(void) {
    char *error = NULL;
    char dir[] = "/tmp/touchbus-fuzz-XXXXXX";
    char path[64];
    REQUIRE(catalogue_load(NULL, &world.catalogue, &error) == 0);
    world.arena = arena_new(ARENA_BYTES_MAX);
    REQUIRE(world.arena != NULL && mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/view", dir);
    REQUIRE(view_open(path, VIEW_SCRATCH, 64 << 20, false, &world.view) == 0);
    remove_file(path, "data.mdb"); // open files keep their bytes; nothing is left behind
    remove_file(path, "lock.mdb");
    REQUIRE(rmdir(path) == 0);
    snprintf(path, sizeof(path), "%s/keys", dir);
    REQUIRE(keys_open(path, false, &world.keys) == 0 && keys_ensure(world.keys, 0) == 0);
    REQUIRE(keys_reader_new(world.keys, &world.secrets) == 0);
    remove_file(path, "data.mdb");
    remove_file(path, "lock.mdb");
    REQUIRE(rmdir(path) == 0 && rmdir(dir) == 0);
    secret = keys_hash_secret(world.keys);
    REQUIRE(policy_load(NULL, &world.policy, &error) == 0);
    REQUIRE(decide_new(&configuration, world.policy, world.catalogue, secret, NULL,
                       &world.decide) == 0);
}

static void view_anew(void) {
    fold_free(world.fold);
    view_abort(world.txn);
    REQUIRE(view_begin(world.view, true, &world.txn) == 0);
    view_use_keys(world.txn, world.secrets);
    REQUIRE(fold_new(world.txn, &world.fold) == 0);
    world.sequence = world.customers_last = world.n_inputs = 0;
}

static void take_event(Touchbus__Event *event) {
    uint8_t id_hash[BLOCK_ID_HASH_BYTES];
    uint64_t body_hash;
    dedup_hash_id(secret, event, id_hash);
    REQUIRE(dedup_hash_body(secret, event, world.arena, &body_hash) == 0);
    struct decision decision;
    uint64_t customers = world.customers_last;
    struct findings *findings = &decision.findings;
    struct decide_place place = {world.fold, world.txn, world.arena, 1, 1};
    REQUIRE(decide_event(world.decide, &place, event, NULL, world.sequence + 1,
                         &world.customers_last, &decision) == 0);
    REQUIRE(findings->code == 0 || world.customers_last == customers);
    if (findings->code != 0) {
        return;
    }
    event->sequence = ++world.sequence;
    event->received_us = 1;
    REQUIRE(event->n_lanes == 1 && event->created == (world.customers_last > customers));
    const uint8_t *open, *sealed;
    size_t open_size, sealed_size;
    REQUIRE(envelope_pack_open(event, world.arena, &open, &open_size) == 0);
    REQUIRE(envelope_pack_sealed(event, world.arena, &sealed, &sealed_size) == 0);
    REQUIRE(open_size + sealed_size <= STORED_EVENT_BYTES_MAX);
    REQUIRE(fold_apply(world.fold, world.txn, event) == 0);
    REQUIRE(decide_follow(world.decide, &place, event, &decision) == 0);
    for (size_t i = 0; i < findings->n_follow_ups; i++) {
        findings->follow_ups[i]->sequence = ++world.sequence;
        REQUIRE(fold_apply(world.fold, world.txn, findings->follow_ups[i]) == 0);
        REQUIRE(decide_follow(world.decide, &place, findings->follow_ups[i], &decision) == 0);
    }
}

static void take_request(const Touchbus__PublishRequest *message) {
    for (size_t i = 0; i < message->n_events; i++) {
        Touchbus__Event *event;
        const char *why = NULL;
        if (envelope_unpack_event(message->events[i].data, message->events[i].len, true,
                                  world.arena, &event, &why) == 0) {
            take_event(event);
        } else {
            REQUIRE(why != NULL && *why != '\0');
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (world.view == NULL) {
        world_open();
    }
    if (world.txn == NULL || world.n_inputs++ == INPUTS_A_VIEW) {
        view_anew();
    }
    struct request request = {0};
    zmq_msg_t frame;
    REQUIRE(zmq_msg_init_size(&frame, size) == 0);
    if (size > 0) {
        memcpy(zmq_msg_data(&frame), data, size);
    }
    publish_peek(data, size);
    uint32_t n_events = publish_count(data, size);
    int code = publish_read(&request, &frame, 1, world.arena);
    zmq_msg_close(&frame);
    REQUIRE(code >= 0);
    if (code == 0) {
        REQUIRE(n_events == request.message->n_events);
        take_request(request.message);
        REQUIRE(fold_flush(world.fold, world.txn) == 0);
    } else {
        REQUIRE(request.reply.code == (uint32_t)code && *request.reply.detail != '\0');
    }
    arena_reset(world.arena);
    return 0;
}
