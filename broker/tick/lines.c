// SPDX-License-Identifier: Apache-2.0
// Lines in a ring. A line whose turn it is sends in requests while it has events to its credit;
// then it gets its quantum for the next turn and goes to the end of the ring.
#include "broker/tick/lines.h"

#include <assert.h>
#include <stdlib.h>

#include "schemas/base/guards.h"
#include "schemas/limits.h"

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
        lines->n_ring++;
    }
    waiting->next = NULL;
    *line->end = waiting;
    line->end = &waiting->next;
    line->n++;
    line->bytes += bytes;
    line->n_events += waiting->n_events;
    lines->n++;
    lines->bytes += bytes;
}

static struct waiting *take(struct lines *lines, struct line *line) {
    struct waiting *waiting = line->first;
    size_t bytes = zmq_msg_size(&waiting->body);
    line->first = waiting->next;
    line->n--;
    line->bytes -= bytes;
    line->n_events -= waiting->n_events;
    line->deficit -= waiting->n_events < line->deficit ? waiting->n_events : line->deficit;
    lines->n--;
    lines->bytes -= bytes;
    if (line->n == 0) { // out of the ring
        assert(lines->turn == line);
        lines->last->next = line->next;
        lines->turn = line->next == line ? NULL : line->next;
        lines->last = lines->turn == NULL ? NULL : lines->last;
        lines->n_ring--;
    }
    return waiting;
}

// ---- floods

static bool floods(const struct line *line, int64_t now_us) {
    return line->flooded_us != 0 && now_us - line->flooded_us < LINE_FLOOD_US;
}

static bool is_heavy(const struct line *line) {
    return line->n_events > LINE_HEAVY_EVENTS;
}

// Whether a flood has to wait for others to be served.
static bool is_over_allowance(const struct lines *lines, struct line *line, int64_t now_us) {
    if (!GUARD(flood_held_back) || now_us - line->served_us >= LINE_REST_US) {
        return false;
    }
    uint64_t more = (lines->others - line->others_seen) / LINE_FLOOD_FRACTION;
    line->others_seen += more * LINE_FLOOD_FRACTION;
    line->allowance += more < REQUEST_EVENTS_MAX ? (uint32_t)more : REQUEST_EVENTS_MAX;
    line->allowance = line->allowance < REQUEST_EVENTS_MAX ? line->allowance : REQUEST_EVENTS_MAX;
    return line->first->n_events > line->allowance;
}

// Whether the first in this line has to wait although it is its turn.
static bool is_held_back(struct lines *lines, struct line *line, int64_t now_us) {
    if (lines->others_us == 0 || now_us - lines->others_us >= LINE_FAIR_US) {
        return false; // nobody else is there
    }
    if (floods(line, now_us)) {
        return is_over_allowance(lines, line, now_us);
    }
    bool had_its_turn = GUARD(heavy_held_back) && is_heavy(line) && line->tick == lines->tick;
    lines->may_go_on = lines->may_go_on || had_its_turn;
    return had_its_turn;
}

void lines_begin(struct lines *lines) {
    lines->tick++;
    lines->may_go_on = false;
}

void lines_mark_flood(struct lines *lines, uint64_t owner, int64_t now_us) {
    struct line *line = line_of(lines, owner);
    if (!floods(line, now_us)) {
        line->others_seen = lines->others;
        line->allowance = 0;
    }
    line->flooded_us = lines->flooded_us = now_us;
}

bool lines_are_flooded(const struct lines *lines, int64_t now_us) {
    return lines->flooded_us != 0 && now_us - lines->flooded_us < LINE_FLOOD_US;
}

void lines_served(struct lines *lines, uint64_t owner, uint32_t n_events, int64_t now_us) {
    struct line *line = line_of(lines, owner);
    line->served_us = now_us;
    line->tick = lines->tick;
    if (floods(line, now_us)) {
        line->allowance -= n_events < line->allowance ? n_events : line->allowance;
    } else if (!is_heavy(line)) {
        lines->others += n_events;
        lines->others_us = now_us;
    }
}

// ---- turns

struct waiting *lines_take(struct lines *lines, int64_t now_us) {
    // Each round gives every line that may go a quantum, so that the first request to be paid for
    // is found after REQUEST_EVENTS_MAX / LINE_QUANTUM rounds at the latest.
    size_t n_held_back = 0;
    while (lines->turn != NULL && n_held_back < lines->n_ring) {
        struct line *line = lines->turn;
        if (is_held_back(lines, line, now_us)) {
            n_held_back++;
        } else if (lines->n_ring == 1 || line->first->n_events <= line->deficit) {
            return take(lines, line);
        } else {
            line->deficit += LINE_QUANTUM;
            n_held_back = 0;
        }
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
