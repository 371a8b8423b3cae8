// SPDX-License-Identifier: Apache-2.0
// merge.requested and split.requested: what a person at a desk knows that no key says. Limits and
// vetoes hold for them as for everybody. A split cuts one leaf, with what was merged into it, and
// keeps the two sides apart from then on: each has what it had before, and what came since by its
// own keys. Whatever may not be is refused to its caller, before anything is logged.
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/rules/rules_internal.h"
#include "broker/tick/decide_internal.h"
#include "schemas/base/guards.h"
#include "schemas/envelope.h"
#include "schemas/reasons.h"

static struct resolve resolve_of(const struct judging *judging) {
    return (struct resolve){.policy = judging->policy,
                            .secret = judging->secret,
                            .keys = judging->keys,
                            .fold = judging->fold,
                            .txn = judging->txn,
                            .arena = judging->arena,
                            .now_us = judging->now_us};
}

static int refuse(struct judging *judging, uint32_t code, const char *detail) {
    judging->findings->code = code;
    judging->findings->detail = detail;
    return 0;
}

// The index-th customer that the event names; false past the end. *ret 0: there is no such one.
static bool named(const struct judging *judging, size_t index, uint64_t *ret) {
    for (size_t i = 0; i < judging->event->n_references; i++) {
        const Touchbus__Reference *reference = judging->event->references[i];
        if (strcmp(reference->kind, "customer") == 0 && index-- == 0) {
            if (envelope_parse_customer(reference->id, ret) != 0 ||
                *ret > fold_customers_last(judging->fold)) {
                *ret = 0;
            }
            return true;
        }
    }
    return false;
}

// ---- merge

struct request {
    struct joined joined[EVENT_REFERENCES_MAX];
    size_t n;
    const char *detail; // why not; NULL: they may be merged
};

// Everyone named, each once.
static int collect(const struct resolve *resolve, const struct judging *judging,
                   struct request *ret) {
    uint64_t leaf;
    int r = 0;
    ret->n = 0;
    ret->detail = NULL;
    for (size_t i = 0; r == 0 && named(judging, i, &leaf); i++) {
        uint64_t survivor = 0;
        bool there = false;
        if (leaf == 0) {
            ret->detail = "customers: not the number of one";
            return 0;
        }
        r = fold_survivor(judging->fold, judging->txn, leaf, &survivor);
        for (size_t j = 0; j < ret->n; j++) {
            there = there || ret->joined[j].customer == survivor;
        }
        if (r == 0 && !there) {
            r = resolve_joined(resolve, survivor, &ret->joined[ret->n++]);
        }
    }
    if (r == 0 && ret->n == 0) {
        ret->detail = "customers: none is named";
    }
    return r;
}

static int judge_merge(struct judging *judging, struct request *ret) {
    struct resolve resolve = resolve_of(judging);
    const char *reason = NULL;
    int r = collect(&resolve, judging, ret);
    if (r != 0 || ret->detail != NULL || ret->n < 2) {
        return r;
    }
    r = resolve_may_merge(&resolve, ret->joined, ret->n, NULL, &reason);
    if (r == 0 && reason != NULL) {
        ret->detail = arena_printf(judging->arena, "they may not be one: %s", reason);
        r = ret->detail == NULL ? -ENOMEM : 0;
    }
    return r;
}

int identity_refuse_merge(struct judging *judging) {
    struct request request;
    int r = judge_merge(judging, &request);
    return r != 0 || request.detail == NULL ? r
                                            : refuse(judging, REASON_MERGE_REFUSED, request.detail);
}

int identity_follow_merge(struct judging *judging) {
    struct resolve resolve = resolve_of(judging);
    struct request request;
    struct merge_plan plan;
    int r = judge_merge(judging, &request);
    if (r != 0 || request.detail != NULL || request.n < 2) {
        return r; // one already: nothing changes
    }
    resolve_plan(request.joined, request.n, "requested", &plan);
    return resolve_merged(&resolve, &plan, judging->event, judging->sequence,
                          judging->findings->follow_ups, &judging->findings->n_follow_ups);
}

// ---- split

struct cut {
    uint64_t leaf, survivor;                                 // what is cut, and from whom
    uint64_t gone[STAMP_LEAVES_MAX], rest[STAMP_LEAVES_MAX]; // the leaves of each side
    size_t n_gone, n_rest;
    const char *detail; // why not; NULL: it may be cut
};

// Of a customer that names others, the one that was merged straight into it: which of several is
// meant has to be said.
static int only_child(const struct judging *judging, uint64_t customer, struct cut *ret) {
    const View__Customer *record, *below;
    unsigned n = 0;
    int r = fold_customer(judging->fold, judging->txn, customer, &record);
    for (size_t i = 0; r == 0 && i < record->n_leaves; i++) {
        r = fold_customer(judging->fold, judging->txn, record->leaves[i], &below);
        if (r == 0 && below->into == customer) {
            ret->leaf = record->leaves[i];
            n++;
        }
    }
    ret->detail = n == 0   ? "it is no part of a merged customer"
                  : n == 1 ? NULL
                           : "several were merged into it: name the leaf to cut off";
    return r;
}

static int divide(const struct resolve *resolve, struct cut *cut) {
    struct joined all;
    const View__Customer *record;
    int r = fold_survivor(resolve->fold, resolve->txn, cut->leaf, &cut->survivor);
    r = r != 0 ? r : resolve_joined(resolve, cut->survivor, &all);
    r = r != 0 ? r : fold_customer(resolve->fold, resolve->txn, cut->leaf, &record);
    if (r != 0) {
        return r;
    }
    cut->gone[cut->n_gone++] = cut->leaf;
    for (size_t i = 0; i < record->n_leaves && cut->n_gone < STAMP_LEAVES_MAX; i++) {
        cut->gone[cut->n_gone++] = record->leaves[i];
    }
    for (size_t i = 0; i < all.n_leaves; i++) {
        bool goes = false;
        for (size_t j = 0; j < cut->n_gone; j++) {
            goes = goes || cut->gone[j] == all.leaves[i];
        }
        if (!goes) {
            cut->rest[cut->n_rest++] = all.leaves[i];
        }
    }
    cut->detail = all.erased ? "it was erased" : NULL;
    return 0;
}

static int judge_split(const struct judging *judging, struct cut *ret) {
    struct resolve resolve = resolve_of(judging);
    const View__Customer *record;
    uint64_t second;
    *ret = (struct cut){.detail = "customers: name one"};
    if (!named(judging, 0, &ret->leaf) || named(judging, 1, &second)) {
        return 0;
    }
    ret->detail = "customers: not the number of one";
    if (ret->leaf == 0) {
        return 0;
    }
    ret->detail = NULL;
    int r = fold_customer(judging->fold, judging->txn, ret->leaf, &record);
    if (r == 0 && record->into == 0) {
        r = only_child(judging, ret->leaf, ret);
    }
    return r != 0 || ret->detail != NULL ? r : divide(&resolve, ret);
}

int identity_refuse_split(struct judging *judging) {
    struct cut cut;
    int r = judge_split(judging, &cut);
    return r != 0 || cut.detail == NULL ? r : refuse(judging, REASON_SPLIT_REFUSED, cut.detail);
}

int identity_follow_split(struct judging *judging) {
    struct findings *findings = judging->findings;
    struct cut cut;
    int r = judge_split(judging, &cut);
    if (r != 0 || cut.detail != NULL || findings->n_follow_ups >= FOLLOW_UPS_MAX) {
        return r;
    }
    struct identity_change change = {.kind = "split",
                                     .from = &cut.leaf,
                                     .n_from = 1,
                                     .to = cut.survivor,
                                     .reason = "requested",
                                     .leaf = cut.survivor};
    Touchbus__Event *event = NULL;
    r = resolve_changed(judging->arena, &change, judging->event, judging->sequence, 0, &event);
    Touchbus__Stamp *stamp = r == 0 ? resolve_make_stamp(judging->arena, event) : NULL;
    if (stamp == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    stamp->split = cut.leaf;
    stamp->n_vetoes = cut.n_rest;
    stamp->vetoes = arena_copy(judging->arena, cut.rest, cut.n_rest * sizeof(cut.rest[0]));
    findings->follow_ups[findings->n_follow_ups++] = event;
    return stamp->vetoes == NULL ? -ENOMEM : 0;
}
