// SPDX-License-Identifier: Apache-2.0
// Requests and events on their way into the tick: quota, number, envelope, duplicate, decide, fold.
// An event either gets a sequence here or an outcome that says why not. A refusal that will not
// change with time settles its number, one that may does not: what follows is then a gap.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/tick/ahead.h"
#include "broker/tick/tick_internal.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/base/scheduling.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

// ---- what is known of an event that was logged

struct known {
    const uint8_t *id_hash;
    uint64_t body_hash, customer;
    int64_t received_us;
};

static int read_begin(struct tick *tick) {
    if (tick->reading) {
        return 0;
    }
    int r = log_reader_begin(tick->reader);
    tick->reading = r == 0;
    tick->block.n_events = 0;
    return r;
}

// The block that holds the sequence. A client that sends again asks for many of one block in turn,
// whose checksum is over all of it: the last one is kept while it is read.
static int read_block(struct tick *tick, uint64_t sequence) {
    struct block_head *block = &tick->block;
    if (sequence - block->first < block->n_events) {
        return 0;
    }
    int r = log_reader_block(tick->reader, sequence, block);
    block->n_events = r == 0 ? block->n_events : 0;
    return r;
}

// 0; 1: the log does not have it any more; -EBADMSG: damaged.
static int look_up(struct tick *tick, uint64_t sequence, struct known *ret) {
    const struct flight *flight = &tick->flight;
    // The tick before may be in the log by now, but the reader's snapshot may be older.
    bool is_before = GUARD(known_on_its_way) && sequence - flight->first < flight->n_records;
    if (sequence >= tick->first || is_before) {
        const struct record *record = is_before ? &flight->records[sequence - flight->first]
                                                : &tick->records[sequence - tick->first];
        const Touchbus__Event *event = record->event;
        *ret = (struct known){record->id_hash, record->body_hash,
                              event->survivor != 0 ? event->survivor : event->customer,
                              event->received_us};
        return 0;
    }
    struct block_entry entry;
    int r = read_begin(tick);
    r = r != 0 ? r : read_block(tick, sequence);
    if (r != 0 || tick->block.first > sequence) {
        return r < 0 ? r : 1;
    }
    r = block_entry_get(&tick->block, (uint32_t)(sequence - tick->block.first), &entry);
    // Its lane is the customer that it was answered with; of an event of nobody it is no number.
    *ret = (struct known){entry.id_hash, entry.body_hash, entry.customer != 0 ? entry.lane : 0,
                          entry.received_us};
    return r;
}

// Whether (source, id) was logged within the window. *ret->code: 0 no, DUPLICATE or CONFLICT. In a
// block that is trimmed or damaged, the id alone decides.
static int find_duplicate(struct tick *tick, const uint8_t *id_hash, uint64_t body_hash,
                          struct outcome *ret) {
    uint64_t sequence;
    struct known known;
    if (!dedup_find(tick->dedup, id_hash, &sequence)) {
        return 0;
    }
    int r = look_up(tick, sequence, &known);
    if (r < 0 && r != -EBADMSG) {
        return r;
    }
    if (r == 0 && (memcmp(known.id_hash, id_hash, BLOCK_ID_HASH_BYTES) != 0 ||
                   known.received_us < tick->now_us - tick->broker->configuration.dedup_age_us)) {
        return 0;
    }
    if (GUARD(dedup_conflict) && r == 0 && known.body_hash != body_hash) {
        ret->code = REASON_CONFLICT;
        return 0;
    }
    ret->code = REASON_DUPLICATE;
    ret->sequence = sequence;
    ret->customer = r == 0 ? known.customer : 0;
    atomic_fetch_add(&tick->broker->counters.duplicates, 1);
    return 0;
}

// ---- one event

struct decide_place tick_place(const struct tick *tick) {
    return (struct decide_place){.fold = tick->fold,
                                 .txn = tick->view,
                                 .arena = tick->arena,
                                 .now_us = tick->now_us,
                                 .timer_us = tick->timers.now_us};
}

bool tick_has_room_for(const struct tick *tick, size_t n) {
    enum { RECORD_BYTES_MAX = 1 << 20, OWN_BYTES_MAX = 64 << 10 }; // of those after the first
    size_t more = n - 1;
    return tick->n_records + n + FOLLOW_UPS_MAX <= TICK_RECORDS_MAX &&
           fold_record_bytes(tick->fold) + more * RECORD_BYTES_MAX < FOLD_RECORD_BYTES_MAX &&
           pending_bytes(tick->changes) < VIEW_CHANGES_BYTES_MAX / 4 &&
           arena_used(tick->arena) + more * OWN_BYTES_MAX <=
               TICK_ARENA_BYTES_MAX / 4 * 3 - 8 * EVENT_BYTES_MAX;
}

bool tick_has_room(const struct tick *tick) {
    return tick_has_room_for(tick, 1);
}

static int append(struct tick *tick, Touchbus__Event *event, const struct body_members *members,
                  const uint8_t id_hash[static BLOCK_ID_HASH_BYTES], uint64_t body_hash) {
    assert(tick->n_records < TICK_RECORDS_MAX);
    struct record *record = &tick->records[tick->n_records];
    event->sequence = tick->first + tick->n_records;
    event->received_us = tick->now_us;
    *record = (struct record){.event = event, .body_hash = body_hash};
    memcpy(record->id_hash, id_hash, BLOCK_ID_HASH_BYTES);
    int r = fold_apply_read(tick->fold, tick->view, event, members);
    if (r == 0) {
        tick->n_records++;
        dedup_add(tick->dedup, id_hash, event->sequence);
        atomic_fetch_add(&tick->broker->counters.events, 1);
        atomic_fetch_add(&tick->broker->counters.nobody, event->customer == 0);
        atomic_fetch_add(&tick->broker->counters.redacted, event->redacted);
    }
    return r;
}

int admit_append(struct tick *tick, Touchbus__Event *event,
                 const uint8_t id_hash[static BLOCK_ID_HASH_BYTES], uint64_t body_hash) {
    return append(tick, event, NULL, id_hash, body_hash);
}

int admit_caused(struct tick *tick, const struct decide_place *place, struct decision *decision) {
    const uint8_t *secret = keys_hash_secret(tick->broker->keys);
    int r = 0;
    for (size_t i = 0; r == 0 && i < decision->findings.n_follow_ups; i++) {
        Touchbus__Event *own = decision->findings.follow_ups[i];
        uint8_t id_hash[BLOCK_ID_HASH_BYTES];
        uint64_t body_hash = 0;
        dedup_hash_id(secret, own, id_hash);
        r = dedup_hash_body(secret, own, tick->arena, &body_hash);
        r = r != 0 ? r : admit_append(tick, own, id_hash, body_hash);
        r = r != 0 ? r : decide_follow(tick->decide, place, own, decision);
    }
    return r;
}

static int put_aside(struct tick *tick, const uint8_t *id_hash, uint64_t owner,
                     const Touchbus__Event *event, const struct request *request,
                     struct outcome *ret) {
    const uint8_t *bytes;
    size_t size;
    int r = envelope_pack(&event->base, tick->arena, &bytes, &size);
    r = r != 0 ? r : quarantine_put(tick, id_hash, owner, bytes, size, event, request, ret->detail);
    if (r > 0) {
        *ret = (struct outcome){.code = (uint32_t)r, .detail = "the quarantine is full"};
    } else if (r == 0) {
        atomic_fetch_add(&tick->broker->counters.quarantined, 1);
    }
    return r < 0 ? r : 0;
}

static int admit(struct tick *tick, const struct foreseen *foreseen, const struct request *request,
                 struct outcome *ret) {
    const uint8_t *id_hash = foreseen->id_hash;
    Touchbus__Event *event = foreseen->event;
    int r = find_duplicate(tick, id_hash, foreseen->body_hash, ret);
    if (r != 0 || ret->code != 0) {
        return r;
    }
    struct decision decision;
    struct body_members members;
    struct event_reading reading = {.keys = &foreseen->keys, .members = &members};
    struct decide_place place = tick_place(tick);
    body_members_read(event->data.data, event->data.len, &members);
    r = decide_event(tick->decide, &place, event, &reading, tick->first + tick->n_records,
                     &tick->customers_last, &decision);
    ret->code = decision.findings.code;
    ret->detail = decision.findings.detail;
    ret->verdict = decision.findings.verdict;
    if (r != 0) {
        return r;
    }
    if (ret->code == REASON_QUARANTINED) {
        return request == NULL ? 0 : put_aside(tick, id_hash, decision.owner, event, request, ret);
    }
    if (ret->code != 0) {
        return 0;
    }
    r = append(tick, event, &members, id_hash, foreseen->body_hash);
    r = r != 0 ? r : decide_follow(tick->decide, &place, event, &decision);
    r = r != 0 ? r : admit_caused(tick, &place, &decision);
    ret->sequence = event->sequence;
    ret->customer = event->survivor != 0 ? event->survivor : event->customer;
    ret->verdict = decision.findings.verdict;
    return r;
}

int admit_event(struct tick *tick, Touchbus__Event *event, const struct request *request,
                struct outcome *ret) {
    struct foreseen foreseen;
    *ret = (struct outcome){.detail = ""};
    int r = ahead_look_at(tick, event, &foreseen);
    return r != 0 ? r : admit(tick, &foreseen, request, ret);
}

// ---- one request

// Takes an event off the key's quota where it is not.
static bool is_busy(struct tick *tick, const struct request *request, const char **ret_why) {
    bool disk_low = GUARD(disk_low) && atomic_load(&tick->broker->disk_low);
    *ret_why = disk_low               ? "the disk is nearly full"
               : !tick_has_room(tick) ? "the tick is full"
                                      : NULL;
    if (*ret_why == NULL && !grant_take_quota(request->grant, tick->quota_us)) {
        *ret_why = "over the quota of the key's role";
        publish_mark_flood(tick->publish, request);
    }
    return *ret_why != NULL;
}

// What the key may not do with this event; 0 or REASON_FORBIDDEN with a text.
static int judge_right(const struct grant *grant, const Touchbus__Event *event,
                       const char **ret_why) {
    *ret_why = !grant_may_publish(grant, event->type)        ? "publish: not this type"
               : !grant_may_use_source(grant, event->source) ? "source: not this one"
                                                             : NULL;
    if (*ret_why == NULL) {
        return 0;
    }
    grant_count_forbidden(grant);
    return REASON_FORBIDDEN;
}

// The event of a request as bytes. *ret->code says what became of it.
static int admit_bytes(struct tick *tick, const struct request *request, struct ahead *ahead,
                       size_t index, struct outcome *ret) {
    const struct foreseen *foreseen;
    *ret = (struct outcome){.detail = ""};
    int r = ahead_take(ahead, index, &foreseen);
    if (r != 0) {
        return r;
    }
    const char *why = foreseen->why;
    int code =
        foreseen->code != 0 ? foreseen->code : judge_right(request->grant, foreseen->event, &why);
    if (code != 0) {
        *ret = (struct outcome){.code = (uint32_t)code, .detail = why};
        return 0;
    }
    if (request->grant->account != NULL) {
        atomic_fetch_add(&request->grant->account->events, 1);
    }
    return admit(tick, foreseen, request, ret);
}

// A number that was taken before: its sequence is in the producer's ranges or found by the id. What
// got none then (refused, put aside) is judged once more, which gives the same answer; nothing new
// is logged under an old number.
static int admit_old(struct tick *tick, const struct producer *producer, uint64_t number,
                     const struct request *request, size_t index, struct outcome *ret) {
    const ProtobufCBinaryData *bytes = &request->message->events[index];
    struct known known;
    *ret = (struct outcome){.code = REASON_DUPLICATE, .detail = ""};
    ret->sequence = producer_sequence(producer, number);
    if (ret->sequence != 0) {
        int r = look_up(tick, ret->sequence, &known);
        ret->customer = r == 0 ? known.customer : 0;
        atomic_fetch_add(&tick->broker->counters.duplicates, 1);
        return r < 0 && r != -EBADMSG ? r : 0;
    }
    const uint8_t *secret = keys_hash_secret(tick->broker->keys);
    Touchbus__Event *event;
    const char *why = "";
    int code = envelope_unpack_event(bytes->data, bytes->len, true, tick->arena, &event, &why);
    code = code != 0 ? code : judge_right(request->grant, event, &why);
    if (code != 0) {
        *ret = (struct outcome){.code = (uint32_t)code, .detail = why};
        return 0;
    }
    uint8_t id_hash[BLOCK_ID_HASH_BYTES];
    uint64_t body_hash = 0;
    dedup_hash_id(secret, event, id_hash);
    int r = dedup_hash_body(secret, event, tick->arena, &body_hash);
    ret->code = 0;
    r = r != 0 ? r : find_duplicate(tick, id_hash, body_hash, ret);
    if (r != 0 || ret->code != 0) {
        return r;
    }
    r = decide_check(tick->decide, tick->arena, event, &ret->detail);
    ret->code = r > 0 ? (uint32_t)r : REASON_DUPLICATE;
    return r < 0 ? r : 0;
}

static int admit_numbered(struct tick *tick, struct request *request, struct producer *producer,
                          struct ahead *ahead, size_t index, struct outcome *ret) {
    const Touchbus__PublishRequest *message = request->message;
    uint64_t number = message->number + index;
    switch (producer_check(producer, message->epoch, number)) {
    case NUMBER_OLD:
        return admit_old(tick, producer, number, request, index, ret);
    case NUMBER_FENCED: // the whole request was refused before
    case NUMBER_GAP:
        *ret = (struct outcome){.code = REASON_NUMBER_GAP, .detail = ""};
        return 0;
    case NUMBER_NEXT:
        break;
    }
    const char *why;
    if (is_busy(tick, request, &why)) {
        *ret = (struct outcome){.code = REASON_BUSY, .detail = why};
        return 0;
    }
    int r = admit_bytes(tick, request, ahead, index, ret);
    if (r == 0 && !reason_find(ret->code)->retryable) {
        uint64_t sequence = ret->code == 0 || ret->code == REASON_DUPLICATE ? ret->sequence : 0;
        producer_take(tick->producers, producer, message->epoch, sequence, tick->now_us);
        tick->log_touched = true;
    }
    return r;
}

static int admit_unnumbered(struct tick *tick, struct request *request, struct ahead *ahead,
                            size_t index, struct outcome *ret) {
    const char *why;
    if (is_busy(tick, request, &why)) {
        *ret = (struct outcome){.code = REASON_BUSY, .detail = why};
        return 0;
    }
    return admit_bytes(tick, request, ahead, index, ret);
}

static int outcome_add(struct arena *arena, Touchbus__PublishReply *reply, size_t index,
                       const struct outcome *outcome) {
    reply->sequences[index] = outcome->sequence;
    reply->customers[index] = outcome->customer;
    if (outcome->code == 0 && outcome->verdict.len == 0) {
        return 0;
    }
    if (reply->outcomes == NULL) {
        reply->outcomes = arena_alloc(arena, reply->n_sequences * sizeof(*reply->outcomes));
    }
    Touchbus__Outcome *row = arena_alloc(arena, sizeof(*row));
    if (reply->outcomes == NULL || row == NULL) {
        return -ENOMEM;
    }
    touchbus__outcome__init(row);
    row->index = (uint32_t)index;
    row->code = outcome->code;
    row->verdict = outcome->verdict;
    row->detail = arena_strdup(arena, outcome->detail);
    reply->outcomes[reply->n_outcomes++] = row;
    return row->detail == NULL ? -ENOMEM : 0;
}

// Whether the request as a whole is refused, and the producer it names. *ret NULL: unnumbered, or
// the name is new and needs none yet.
static uint32_t check_producer(struct tick *tick, const struct request *request,
                               uint64_t *ret_expected, struct producer **ret) {
    const Touchbus__PublishRequest *message = request->message;
    *ret = NULL;
    *ret_expected = 0;
    if (*message->producer == '\0') {
        return 0;
    }
    if (!grant_owns(request->grant, message->producer)) {
        grant_count_forbidden(request->grant);
        return REASON_FORBIDDEN;
    }
    struct producer *producer = producers_find(tick->producers, message->producer);
    *ret_expected = producer == NULL ? 1 : producer_expected(producer, message->epoch);
    if (producer != NULL &&
        producer_check(producer, message->epoch, *ret_expected) == NUMBER_FENCED) {
        *ret_expected = 0;
        return REASON_FENCED;
    }
    if (message->n_events > 0 && message->number > *ret_expected) {
        return REASON_NUMBER_GAP;
    }
    if (producer == NULL && message->n_events > 0) {
        producer = producers_may_add(tick->producers, request->grant, tick->now_us)
                       ? producers_get(tick->producers, message->producer, tick->now_us)
                       : NULL;
        if (producer == NULL) {
            return REASON_TOO_MANY;
        }
    }
    *ret = producer;
    return 0;
}

static int admit_events(struct tick *tick, struct request *request, struct producer *producer) {
    struct ahead ahead;
    int r = 0;
    ahead_begin(&ahead, tick, request);
    for (size_t i = 0; r == 0 && i < request->message->n_events; i++) {
        struct outcome outcome;
        scheduling_yield_point();
        r = producer != NULL ? admit_numbered(tick, request, producer, &ahead, i, &outcome)
                             : admit_unnumbered(tick, request, &ahead, i, &outcome);
        r = r != 0 ? r : outcome_add(tick->arena, &request->reply, i, &outcome);
        atomic_fetch_add(&tick->broker->counters.refused, r == 0 && outcome.code >= 100);
    }
    ahead_end(&ahead);
    return r;
}

int admit_request(struct tick *tick, struct request *request) {
    const Touchbus__PublishRequest *message = request->message;
    Touchbus__PublishReply *reply = &request->reply;
    struct producer *producer;
    reply->code = check_producer(tick, request, &reply->expected, &producer);
    if (reply->code == REASON_FORBIDDEN) {
        reply->detail = arena_strdup(tick->arena, "the producer's name is not the key's");
    }
    if (reply->detail == NULL) {
        return -ENOMEM;
    }
    if (reply->code != 0 || message->n_events == 0) {
        atomic_fetch_add(&tick->broker->counters.refused, reply->code != 0);
        return 0;
    }
    reply->sequences = arena_calloc(tick->arena, message->n_events, sizeof(uint64_t));
    reply->customers = arena_calloc(tick->arena, message->n_events, sizeof(uint64_t));
    if (reply->sequences == NULL || reply->customers == NULL) {
        return -ENOMEM;
    }
    reply->n_sequences = reply->n_customers = message->n_events;
    int r = admit_events(tick, request, producer);
    if (r != 0) {
        return r;
    }
    if (producer != NULL) {
        reply->expected = producer_expected(producer, message->epoch);
    }
    return 0;
}
