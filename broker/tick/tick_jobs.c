// SPDX-License-Identifier: Apache-2.0
// What other threads may do inside a tick: their jobs' writes, events by the system, and events
// published by an operator.
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

#include "broker/rules/rules.h"
#include "broker/tick/tick_internal.h"
#include "schemas/envelope.h"
#include "schemas/reasons.h"

static void job_run(struct job *job, void *context) {
    struct tick *tick = context;
    struct tick_job *tick_job = (struct tick_job *)job;
    tick->jobs[tick->n_jobs] = tick_job;
    tick->job_results[tick->n_jobs] = tick_job->write(tick_job, tick);
    tick->n_jobs++;
}

void tick_job_init(struct tick_job *job, int (*write)(struct tick_job *, struct tick *),
                   void (*done)(struct tick_job *, int)) {
    *job = (struct tick_job){.job.run = job_run, .write = write, .done = done};
}

struct broker *tick_broker(struct tick *tick) {
    return tick->broker;
}

struct arena *tick_arena(struct tick *tick) {
    return tick->arena;
}

struct log_txn *tick_log(struct tick *tick) {
    flight_settle(tick); // who writes there asks what stands there
    tick->log_touched = true;
    return tick->log;
}

struct view_txn *tick_view(struct tick *tick) {
    return tick->view;
}

static char *own_id(struct arena *arena) {
    enum { ID_RANDOM_BYTES = 16 };
    uint8_t random[ID_RANDOM_BYTES];
    char *id = arena_alloc(arena, 2 * sizeof(random) + 1);
    randombytes_buf(random, sizeof(random));
    return id == NULL ? NULL : sodium_bin2hex(id, 2 * sizeof(random) + 1, random, sizeof(random));
}

int tick_append_own(struct tick *tick, const char *type, json_t *data, const char *actor,
                    uint64_t customer, bool erases, uint64_t *ret_sequence) {
    struct arena *arena = tick->arena;
    Touchbus__Event *event = arena_alloc(arena, sizeof(*event));
    if (event == NULL || !tick_has_room(tick)) {
        json_decref(data);
        return event == NULL ? -ENOMEM : REASON_BUSY;
    }
    touchbus__event__init(event);
    int r = rules_data(arena, data, &event->data);
    if (r == -E2BIG || r == -EBADMSG) {
        return REASON_TOO_LARGE;
    }
    event->id = own_id(arena);
    event->source = arena_strdup(arena, "/touchbus");
    event->type = arena_strdup(arena, type);
    event->actor = arena_strdup(arena, actor == NULL ? "" : actor);
    event->direction = TOUCHBUS__DIRECTION__DECIDED;
    if (r != 0 || event->id == NULL || event->source == NULL || event->type == NULL ||
        event->actor == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    const char *why;
    if (envelope_check_event(event, true, arena, &why) != 0) {
        return REASON_BAD_ARGUMENT; // once in the log, nobody could read it
    }
    event->customer = customer;
    event->erases = erases;
    const uint8_t *secret = keys_hash_secret(tick->broker->keys);
    uint8_t id_hash[BLOCK_ID_HASH_BYTES];
    uint64_t body_hash = 0;
    dedup_hash_id(secret, event, id_hash);
    r = dedup_hash_body(secret, event, arena, &body_hash);
    struct decide_place place = tick_place(tick);
    r = r != 0 ? r : decide_own(tick->decide, &place, event);
    r = r != 0 ? r : admit_append(tick, event, id_hash, body_hash);
    if (r == 0 && ret_sequence != NULL) {
        *ret_sequence = event->sequence;
    }
    return r;
}

int tick_append(struct tick *tick, const char *type, json_t *data, const char *actor,
                uint64_t customer, uint64_t *ret_sequence) {
    return tick_append_own(tick, type, data, actor, customer, false, ret_sequence);
}

int tick_publish(struct tick *tick, const Touchbus__Event *event, uint64_t *ret_sequence,
                 const char **ret_detail) {
    const uint8_t *bytes;
    size_t size;
    Touchbus__Event *own;
    *ret_detail = "";
    if (atomic_load(&tick->broker->disk_low) || !tick_has_room(tick)) {
        return REASON_BUSY;
    }
    if (envelope_pack(&event->base, tick->arena, &bytes, &size) != 0) {
        return REASON_TOO_LARGE;
    }
    int code = envelope_unpack_event(bytes, size, true, tick->arena, &own, ret_detail);
    if (code != 0) {
        return code;
    }
    struct outcome outcome;
    int r = admit_event(tick, own, NULL, &outcome);
    if (r != 0) {
        return r;
    }
    *ret_detail = outcome.detail;
    *ret_sequence = outcome.sequence;
    return (int)outcome.code;
}
