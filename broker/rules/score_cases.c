// SPDX-License-Identifier: Apache-2.0
// First-contact resolution: a resolved case counts where it was resolved, and is taken back there
// when the customer opens another of its kind within the policy's time.
#include <errno.h>
#include <string.h>

#include "broker/profile/profile.h"
#include "broker/rules/score_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

enum { CASES_MAX = 20 }; // of the customer's, the last changed ones, are looked at

int score_case_resolved(struct scoring *scoring) {
    const char *id = rules_text(scoring->judging, "case_id");
    ProtobufCBinaryData lookup;
    View__Kept *kept;
    int r = id == NULL ? 0 : score_kept(scoring, ITEM_CASE, id, &kept, &lookup);
    if (id == NULL || r != 0 || kept != NULL || lookup.len == 0) {
        return r; // it is resolved already
    }
    scoring->score->resolved = 1;
    scoring->changed = true;
    score_about(scoring->score, ITEM_CASE, lookup, false);
    return 0;
}

// Takes a resolution back that this case shows to have been none.
static int reopen(struct scoring *scoring, const char *case_id) {
    ProtobufCBinaryData lookup;
    View__Kept *kept;
    int r = score_kept(scoring, ITEM_CASE, case_id, &kept, &lookup);
    int64_t since_us = kept == NULL ? 0 : scoring->time_us - kept->time_us;
    if (r != 0 || kept == NULL || since_us < 0 ||
        (GUARD(score_resolved) && since_us > scoring->judging->policy->score.resolved_us)) {
        return r;
    }
    Touchbus__Score *score = score_add(scoring, kept->hour, kept->channel, kept->tier);
    if (score == NULL) {
        return -ENOMEM;
    }
    score->reopened = 1;
    score_about(score, ITEM_CASE, lookup, true);
    return score_put(scoring, score);
}

static int reopen_kind(struct scoring *scoring, const char *kind) {
    struct judging *judging = scoring->judging;
    _cleanup_(cleanup_arena) struct arena *arena = NULL;
    struct profile profile;
    View__Item **cases;
    size_t n = 0;
    int r = rules_profile(judging, judging->customer, &arena, &profile);
    r = r != 0 ? (r < 0 ? r : 0) : profile_items(&profile, ITEM_CASE, CASES_MAX, &cases, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *of = profile_member_text(&profile, cases[i], "kind");
        if (of != NULL && strcmp(of, kind) == 0) {
            r = reopen(scoring, cases[i]->id);
        }
    }
    return r;
}

int score_case_opened(struct scoring *scoring) {
    const char *kind = rules_text(scoring->judging, "kind");
    if (kind == NULL || scoring->judging->customer == 0 || scoring->event->created) {
        return 0;
    }
    return reopen_kind(scoring, kind);
}
