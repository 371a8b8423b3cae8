// SPDX-License-Identifier: Apache-2.0
// See moment.h. Each kind is a row of ways to choose, taken in turn.
#include "moment.h"

#include <string.h>

#include "chance.h"

enum { WINDOW_OPS = 40, START_OPS = 80, START_WIDTHS = 5, CHOOSERS_MAX = 10 };

static const char log_journal[] = "log/journal", view_folder[] = "view";

static size_t anywhere(const struct history *history, uint64_t *seed) {
    return 1 + (size_t)chance_below(seed, history->trace->n_ops);
}

// Right behind what let somebody see something.
static size_t at_an_ack(const struct history *history, uint64_t *seed) {
    if (history->account->n_lines == 0) {
        return anywhere(history, seed);
    }
    size_t i = (size_t)chance_below(seed, history->account->n_lines);
    return trace_ops_before(history->trace, history->account->lines[i].offset);
}

// The first a life answered: what a start has found it must have kept.
static size_t at_a_first_ack(const struct history *history, uint64_t *seed) {
    uint64_t began =
        history->n_lives > 0 ? history->lives[chance_below(seed, history->n_lives)] : 0;
    for (size_t i = 0; i < history->account->n_lines; i++) {
        if (history->account->lines[i].offset > began) {
            return trace_ops_before(history->trace, history->account->lines[i].offset);
        }
    }
    return at_an_ack(history, seed);
}

// Shortly behind an operation on a path that starts with one of these.
static size_t near_a_path(const struct history *history, uint64_t *seed, const char *prefix) {
    size_t from = (size_t)chance_below(seed, history->trace->n_ops);
    for (size_t i = 0; i < history->trace->n_ops; i++) {
        size_t at = (from + i) % history->trace->n_ops;
        const struct trace_op *op = &history->trace->ops[at];
        if (strncmp(history->trace->paths[op->path], prefix, strlen(prefix)) == 0) {
            size_t behind = at + (size_t)chance_below(seed, WINDOW_OPS);
            return behind < history->trace->n_ops ? behind : history->trace->n_ops;
        }
    }
    return anywhere(history, seed);
}

// Around where a point of the log is synced: the journal's only syncs that are not its writes.
static size_t near_a_log_point(const struct history *history, uint64_t *seed) {
    size_t from = (size_t)chance_below(seed, history->trace->n_ops);
    for (size_t i = 0; i < history->trace->n_ops; i++) {
        size_t at = (from + i) % history->trace->n_ops;
        const struct trace_op *op = &history->trace->ops[at];
        if (op->kind == 's' &&
            strncmp(history->trace->paths[op->path], log_journal, strlen(log_journal)) == 0) {
            size_t place = at + 1 + (size_t)chance_below(seed, WINDOW_OPS);
            place = place > WINDOW_OPS / 2 ? place - WINDOW_OPS / 2 : 1;
            return place < history->trace->n_ops ? place : history->trace->n_ops;
        }
    }
    return anywhere(history, seed);
}

// Its first operations, or as many as a start takes that has a journal to read.
static size_t in_a_start(const struct history *history, uint64_t *seed) {
    uint64_t began =
        history->n_lives > 0 ? history->lives[chance_below(seed, history->n_lives)] : 0;
    uint64_t width = (uint64_t)START_OPS << chance_below(seed, START_WIDTHS);
    size_t at = trace_ops_before(history->trace, began) + (size_t)chance_below(seed, width);
    return at < history->trace->n_ops ? at : history->trace->n_ops;
}

// In a life that began with a restore point's name that may not be on disk, before it is.
static size_t before_the_point_is_named(const struct history *history, uint64_t *seed) {
    const struct trace *trace = history->trace;
    uint64_t began =
        history->n_lives > 0 ? history->lives[chance_below(seed, history->n_lives)] : 0;
    size_t first = trace_ops_before(trace, began), at = first;
    while (at < trace->n_ops && (trace->ops[at].kind != 'D' ||
                                 strcmp(trace->paths[trace->ops[at].path], view_folder) != 0)) {
        at++;
    }
    size_t behind = first + 1 + (size_t)chance_below(seed, at - first + 1);
    return behind < trace->n_ops ? behind : trace->n_ops;
}

static size_t near_keys(const struct history *history, uint64_t *seed) {
    return near_a_path(history, seed, "keys");
}

static size_t near_a_point(const struct history *history, uint64_t *seed) {
    return near_a_path(history, seed, "view/restore-point");
}

static size_t near_the_base(const struct history *history, uint64_t *seed) {
    return near_a_path(history, seed, "base/");
}

typedef size_t (*chooser)(const struct history *history, uint64_t *seed);
static const struct {
    const char *name;
    chooser choosers[CHOOSERS_MAX];
    size_t n_choosers;
    bool with_view;
} kinds[N_KINDS] = {
    [KIND_LOG] = {"log",
                  {anywhere, at_an_ack, at_a_first_ack, at_an_ack, in_a_start, anywhere, at_an_ack,
                   near_keys, near_a_log_point, near_a_log_point},
                  10,
                  false},
    [KIND_RECOVERY] = {"recovery",
                       {near_a_point, near_the_base, in_a_start, near_a_point, anywhere, at_an_ack,
                        near_a_log_point, before_the_point_is_named},
                       8,
                       true},
    // Of a control each, whose window is small.
    [KIND_FIRST] = {"first", {at_a_first_ack}, 1, false},
    [KIND_NAMED] = {"named", {before_the_point_is_named}, 1, true},
};

struct moment moment_choose(const struct history *history, enum kind kind, uint64_t campaign,
                            size_t state) {
    uint64_t seed = campaign * 1000003 + state * N_KINDS + kind;
    chance(&seed);
    size_t way = state % kinds[kind].n_choosers;
    struct moment moment = {.state = state};
    moment.n_ops = kinds[kind].choosers[way](history, &seed);
    // What a record begins with was there before.
    size_t first = history->n_lives > 0 ? trace_ops_before(history->trace, history->lives[0]) : 0;
    moment.n_ops = moment.n_ops > first ? moment.n_ops : first;
    moment.seed = chance(&seed);
    return moment;
}

int moment_compare(const void *a, const void *b) {
    const struct moment *one = a, *other = b;
    return one->n_ops != other->n_ops ? (one->n_ops > other->n_ops ? 1 : -1)
                                      : (one->state > other->state) - (one->state < other->state);
}

bool moment_parse_kind(const char *name, enum kind *ret) {
    for (int i = 0; i < N_KINDS; i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            *ret = (enum kind)i;
            return true;
        }
    }
    return false;
}

const char *moment_kind_name(enum kind kind) {
    return kinds[kind].name;
}

bool moment_with_view(enum kind kind) {
    return kinds[kind].with_view;
}
