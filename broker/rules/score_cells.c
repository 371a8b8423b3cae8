// SPDX-License-Identifier: Apache-2.0
// Scores on their way into the stamp, and what earlier ones kept.
#include <errno.h>
#include <string.h>

#include "broker/rules/score_internal.h"
#include "broker/stores/lookup.h"

// The names by which items are looked up are those of references, see schemas/catalogue.txt.
static const struct {
    uint32_t kind;
    const char *name;
} KINDS[] = {{ITEM_ORDER, "order"}, {ITEM_CASE, "case"}, {ITEM_MESSAGE, "message"}};

static const char *kind_name(uint32_t kind) {
    size_t i = 0;
    while (i + 1 < sizeof(KINDS) / sizeof(KINDS[0]) && KINDS[i].kind != kind) {
        i++;
    }
    return KINDS[i].name;
}

Touchbus__Score *score_add(struct scoring *scoring, uint32_t hour, const char *channel,
                           const char *tier) {
    struct arena *arena = scoring->judging->arena;
    Touchbus__Score *score = arena_alloc(arena, sizeof(*score));
    if (score == NULL) {
        return NULL;
    }
    touchbus__score__init(score);
    score->hour = hour;
    score->channel = arena_strdup(arena, channel);
    score->tier = arena_strdup(arena, tier);
    return score->channel == NULL || score->tier == NULL ? NULL : score;
}

int score_put(struct scoring *scoring, Touchbus__Score *score) {
    struct arena *arena = scoring->judging->arena;
    Touchbus__Stamp *stamp = rules_make_stamp(scoring->judging);
    if (stamp == NULL) {
        return -ENOMEM;
    }
    if (stamp->scores == NULL) {
        stamp->scores = arena_alloc(arena, STAMP_SCORES_MAX * sizeof(Touchbus__Score *));
        if (stamp->scores == NULL) {
            return -ENOMEM;
        }
    }
    if (stamp->n_scores < STAMP_SCORES_MAX) {
        stamp->scores[stamp->n_scores++] = score;
    }
    return 0;
}

int score_kept(const struct scoring *scoring, uint32_t item_kind, const char *id, View__Kept **ret,
               ProtobufCBinaryData *ret_lookup) {
    struct judging *judging = scoring->judging;
    uint8_t key[SCORES_KEPT_KEY_BYTES];
    const void *value;
    size_t size;
    *ret = NULL;
    uint8_t *lookup = arena_alloc(judging->arena, LOOKUP_BYTES);
    if (lookup == NULL) {
        return -ENOMEM;
    }
    *ret_lookup = (ProtobufCBinaryData){0};
    if (!lookup_reference(judging->secret, kind_name(item_kind), id, lookup)) {
        return 0;
    }
    *ret_lookup = (ProtobufCBinaryData){.data = lookup, .len = LOOKUP_BYTES};
    scores_kept_key(item_kind, lookup, key);
    int r = view_get(judging->txn, VIEW_SCORES, key, sizeof(key), &value, &size);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    *ret = view__kept__unpack(arena_allocator(judging->arena), size, value);
    return *ret == NULL ? -EBADMSG : 0;
}

void score_about(Touchbus__Score *score, uint32_t item_kind, ProtobufCBinaryData lookup,
                 bool settles) {
    score->about = lookup;
    score->about_kind = lookup.len == 0 ? 0 : item_kind;
    score->settles = settles && lookup.len != 0;
}
