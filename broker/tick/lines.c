// SPDX-License-Identifier: Apache-2.0
// Lines in a ring. A line whose turn it is sends in requests while it has events to its credit;
// then it gets its quantum for the next turn and goes to the end of the ring.
#include "broker/tick/lines.h"

#include <assert.h>
#include <stdlib.h>

#include "schemas/base/guards.h"

static struct line *line_of(struct lines *lines, uint64_t owner) {
    return &lines->lines[(owner ^ (owner >> 32)) % LINES_MAX];
}

struct waiting *waiting_free(struct waiting *waiting) {
    if (waiting != NULL) {
        zmq_msg_close(&waiting->body);
        free(waiting);
    }
    return NULL;
}

void lines_put(struct lines *lines, struct waiting *waiting) {
    struct line *line = line_of(lines, GUARD(fair_share) ? waiting->owner : 0);
    size_t bytes = zmq_msg_size(&waiting->body);
    if (line->n == 0) {
        line->end = &line->first;
        line->deficit = 0;
        line->next = lines->turn != NULL ? lines->turn : line;
        if (lines->turn == NULL) {
            lines->turn = line;
        } else {
            lines->last->next = line;
        }
        lines->last = line;
    }
    waiting->next = NULL;
    *line->end = waiting;
    line->end = &waiting->next;
    line->n++;
    line->bytes += bytes;
    lines->n++;
    lines->bytes += bytes;
}

static struct waiting *take(struct lines *lines, struct line *line) {
    struct waiting *waiting = line->first;
    size_t bytes = zmq_msg_size(&waiting->body);
    line->first = waiting->next;
    line->n--;
    line->bytes -= bytes;
    line->deficit -= waiting->n_events < line->deficit ? waiting->n_events : line->deficit;
    lines->n--;
    lines->bytes -= bytes;
    if (line->n == 0) { // out of the ring
        assert(lines->turn == line);
        lines->last->next = line->next;
        lines->turn = line->next == line ? NULL : line->next;
        lines->last = lines->turn == NULL ? NULL : lines->last;
    }
    return waiting;
}

static uint32_t quantum(const struct line *line, int64_t now_us) {
    bool floods = line->flooded_us != 0 && now_us - line->flooded_us < LINE_FLOOD_US;
    return floods ? LINE_QUANTUM_FLOOD : LINE_QUANTUM;
}

struct waiting *lines_take(struct lines *lines, int64_t now_us) {
    // Each round gives every line a quantum, so that the first request to be paid for is found
    // after REQUEST_EVENTS_MAX / LINE_QUANTUM_FLOOD rounds at the latest. Alone, nobody has to pay.
    while (lines->turn != NULL) {
        struct line *line = lines->turn;
        if (line->next == line || line->first->n_events <= line->deficit) {
            return take(lines, line);
        }
        line->deficit += quantum(line, now_us);
        lines->last = line;
        lines->turn = line->next;
    }
    return NULL;
}

bool lines_are_full(const struct lines *lines) {
    return lines->n >= WAITING_MAX || lines->bytes >= WAITING_BYTES_MAX;
}

bool lines_owner_is_full(const struct lines *lines, uint64_t owner) {
    const struct line *line = &lines->lines[(owner ^ (owner >> 32)) % LINES_MAX];
    return line->n >= WAITING_OWNER_MAX || line->bytes >= WAITING_OWNER_BYTES_MAX;
}

void lines_mark_flood(struct lines *lines, uint64_t owner, int64_t now_us) {
    line_of(lines, owner)->flooded_us = now_us;
}
