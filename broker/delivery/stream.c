// SPDX-License-Identifier: Apache-2.0
// An unnamed subscription: a live tail or a replay, the same path. No lanes, no acks: credit alone
// paces it. Filtered by a customer it finds that customer's events by the view's index and reads
// only the blocks they lie in; when the index is exhausted it goes on reading the log.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/delivery/delivery_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

struct stream *stream_free(struct stream *stream) {
    if (!stream)
        return NULL;
    filter_clear(&stream->filter);
    filter_names_clear(&stream->names);
    free(stream->sequences);
    free(stream);
    return NULL;
}

static void tell_progress(struct delivery *delivery, struct peer *peer, uint64_t lost_first,
                          uint64_t lost_last) {
    struct stream *stream = peer->stream;
    Touchbus__Progress progress;
    touchbus__progress__init(&progress);
    Touchbus__BrokerMessage message;
    touchbus__broker_message__init(&message);
    progress.position = stream->position;
    progress.head = feed_visible(delivery->feed);
    progress.blocks_read = stream->blocks_read;
    progress.ended = stream->ended;
    progress.lost_first = lost_first;
    progress.lost_last = lost_last;
    message.body_case = TOUCHBUS__BROKER_MESSAGE__BODY_PROGRESS;
    message.progress = &progress;
    stream->told = stream->position;
    stream->told_head = progress.head;
    stream->told_us = delivery->now_us;
    peer_say(delivery, peer, &message);
}

static void stop_at_damage(struct delivery *delivery, struct peer *peer, uint64_t sequence) {
    snprintf(delivery->detail, sizeof delivery->detail, "the log is damaged at %" PRIu64, sequence);
    peer_flush(delivery, peer);
    if (!peer->gone)
        peer_refuse(delivery, peer, REASON_DAMAGED, 0, delivery->detail);
}

// What comes after this event is not wanted.
static bool is_behind(const struct stream *stream, uint64_t sequence, int64_t received_us) {
    return (stream->until_sequence && sequence > stream->until_sequence) ||
           (stream->until_us && received_us >= stream->until_us);
}

// False: the peer takes no more now.
static bool put(struct delivery *delivery, struct peer *peer, const struct block_head *block,
                const struct block_entry *entry) {
    struct stream *stream = peer->stream;
    int r = feed_write(delivery->feed, block, entry, 1, &peer->frame);
    if (r < 0) {
        stop_at_damage(delivery, peer, entry->sequence);
        return false;
    }
    stream->position = entry->sequence;
    stream->credit--;
    return !frame_is_full(&peer->frame) || peer_flush(delivery, peer);
}

// One block. False: nothing more to do now.
static bool read_block(struct delivery *delivery, struct peer *peer) {
    struct stream *stream = peer->stream;
    const struct block_head *block;
    bool was_read = false;
    int r = feed_block(delivery->feed, stream->position + 1, &block, &was_read);
    stream->blocks_read += was_read;
    if (r == -EBADMSG)
        stop_at_damage(delivery, peer, stream->position + 1);
    if (r != 0 || filter_judge(&stream->filter, block, &stream->names) < 0)
        return false;
    uint32_t i =
        stream->position >= block->first ? (uint32_t)(stream->position - block->first) + 1 : 0;
    for (; i < block->n_events; i++) {
        struct block_entry entry;
        if (block_entry_get(block, i, &entry) < 0) {
            stop_at_damage(delivery, peer, block->first + i);
            return false;
        }
        if (is_behind(stream, entry.sequence, entry.received_us)) {
            stream->position = entry.sequence - 1;
            stream->ended = true;
            return false;
        }
        if (!filter_passes(&stream->filter, &stream->names, &entry)) {
            stream->position = entry.sequence;
            continue;
        }
        if (stream->credit == 0 || !put(delivery, peer, block, &entry))
            return false;
    }
    return true;
}

// ---- by the customer's index

static bool look_up(struct delivery *delivery, struct peer *peer) {
    struct stream *stream = peer->stream;
    if (!stream->sequences &&
        !(stream->sequences = calloc(FEED_CUSTOMER_BATCH, sizeof *stream->sequences)))
        return false;
    stream->next_sequence = stream->n_sequences = 0;
    int r =
        feed_customer(delivery->feed, stream->filter.customer, stream->position, stream->sequences,
                      FEED_CUSTOMER_BATCH, &stream->n_sequences, &stream->sequences_upto);
    if (r < 0) {
        logging_error("event=index-unreadable member=%s", peer->label);
        stream->by_index = false; // the log itself says the same, slower
    }
    return true;
}

static void end_of_index(struct stream *stream) {
    if (stream->sequences_upto > stream->position)
        stream->position = stream->sequences_upto;
    stream->by_index = false;
    free(stream->sequences);
    stream->sequences = NULL;
    stream->n_sequences = stream->next_sequence = 0;
}

// The next event of the batch. False: nothing more to do now.
static bool read_indexed(struct delivery *delivery, struct peer *peer) {
    struct stream *stream = peer->stream;
    if (stream->next_sequence == stream->n_sequences) {
        if (!look_up(delivery, peer))
            return false;
        if (!stream->by_index || stream->n_sequences > 0)
            return true;
        end_of_index(stream);
        return true;
    }
    uint64_t sequence = stream->sequences[stream->next_sequence];
    const struct block_head *block;
    struct block_entry entry;
    bool was_read = false;
    if (stream->until_sequence && sequence > stream->until_sequence) {
        stream->position = stream->until_sequence;
        stream->ended = true;
        return false;
    }
    int r = feed_entry(delivery->feed, sequence, &block, &entry, &was_read);
    stream->blocks_read += was_read;
    if (r == -EBADMSG)
        stop_at_damage(delivery, peer, sequence);
    if (r < 0)
        return false;
    if (r == 0 && is_behind(stream, sequence, entry.received_us)) {
        stream->position = sequence - 1;
        stream->ended = true;
        return false;
    }
    if (r == 0 && filter_judge(&stream->filter, block, &stream->names) < 0)
        return false;
    if (r == 0 && filter_passes_names(&stream->names, &entry)) {
        if (stream->credit == 0)
            return false;
        stream->next_sequence++;
        return put(delivery, peer, block, &entry);
    }
    stream->next_sequence++;
    stream->position = sequence;
    return true;
}

static void look_at_floor(struct delivery *delivery, struct peer *peer) {
    uint64_t first = feed_first(delivery->feed), position = peer->stream->position;
    if (position + 1 >= first)
        return;
    peer->stream->position = first - 1;
    tell_progress(delivery, peer, position + 1, first - 1);
}

static bool reached_until(const struct stream *stream) {
    return stream->until_sequence && stream->position >= stream->until_sequence;
}

// Says so, once the last frame is on its way, and lets go of the peer.
static void end(struct delivery *delivery, struct peer *peer) {
    if (peer->has_unsent)
        return;
    tell_progress(delivery, peer, 0, 0);
    if (!peer->gone && !peer->has_unsent)
        peer_leave(delivery, peer);
}

void stream_pump(struct delivery *delivery, struct peer *peer, int64_t until_us) {
    struct stream *stream = peer->stream;
    if (!peer_can_take(peer))
        return;
    look_at_floor(delivery, peer);
    bool more = !peer->gone;
    while (more && !stream->ended && stream->credit > 0) {
        for (unsigned n = 0; more && stream->by_index && n < PUMP_EVENTS; n++)
            more = read_indexed(delivery, peer);
        if (peer->gone)
            return;
        stream->ended |= reached_until(stream);
        if (more && !stream->by_index && !stream->ended)
            more = read_block(delivery, peer);
        if (more && clock_monotonic_us() >= until_us) {
            delivery->more = true;
            break;
        }
    }
    if (peer->gone)
        return;
    stream->ended |= reached_until(stream);
    peer_flush(delivery, peer);
    if (peer->gone)
        return;
    if (stream->ended)
        end(delivery, peer);
    else if (stream->position != stream->told &&
             delivery->now_us - stream->told_us >= PROGRESS_MS * CLOCK_US_PER_MS)
        tell_progress(delivery, peer, 0, 0);
}
