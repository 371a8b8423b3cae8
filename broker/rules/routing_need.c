// SPDX-License-Identifier: Apache-2.0
// Which queue an interaction needs. What was said now (an IVR or quick-find choice, the member
// `need`) decides before the need shown last, and that before the open cases; the first queue that
// takes it gets it, else the first that takes anything.
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/rules/routing_internal.h"
#include "broker/rules/rules_internal.h"
#include "schemas/base/cleanup.h"

enum { NEEDS_MAX = 12, CASES_MAX = 8 };
#define DAY_US (INT64_C(24) * 3600 * 1000000)
#define MINUTE_US 6e7

struct needs {
    const char *words[NEEDS_MAX]; // the one that counts most first
    size_t n;
};

static void add(struct needs *needs, const char *word) {
    if (word != NULL && *word != '\0' && needs->n < NEEDS_MAX) {
        needs->words[needs->n++] = word;
    }
}

// The need that was shown on the last day with any.
static int add_latest(const struct judging *judging, const struct profile *profile,
                      struct needs *needs) {
    struct profile_interest *interests;
    const struct profile_interest *latest = NULL;
    size_t n;
    int r = profile_interests(profile, judging->now_us, DAY_US, &interests, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        int64_t age_days = judging->now_us / DAY_US - interests[i].last_day;
        if (interests[i].kind == INTEREST_NEED && age_days <= ROUTING_NEED_DAYS &&
            (latest == NULL || interests[i].last_day > latest->last_day)) {
            latest = &interests[i];
        }
    }
    if (r == 0 && latest != NULL) {
        add(needs, latest->term);
    }
    return r;
}

static int add_cases(const struct profile *profile, struct needs *needs) {
    View__Item **cases;
    size_t n;
    int r = profile_open(profile, ITEM_CASE, 0, CASES_MAX, &cases, &n);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        add(needs, profile_member_text(profile, cases[i], "kind"));
    }
    return r < 0 ? r : 0;
}

// ---- skills

static void add_skill(struct interaction *interaction, const char *skill) {
    for (size_t i = 0; i < interaction->n_skills; i++) {
        if (strcmp(interaction->skills[i], skill) == 0) {
            return;
        }
    }
    if (interaction->n_skills < ROUTING_SKILLS_MAX && strlen(skill) <= NAME_BYTES_MAX) {
        interaction->skills[interaction->n_skills++] = skill;
    }
}

// A language is a skill by its main part: de for de-AT. It is given up last.
static int add_language(struct interaction *interaction, const char *language) {
    if (language == NULL || *language == '\0') {
        return 0;
    }
    char *skill = arena_strdup(interaction->judging->arena, language);
    if (skill == NULL) {
        return -ENOMEM;
    }
    skill[strcspn(skill, "-_")] = '\0';
    for (char *at = skill; *at != '\0'; at++) {
        *at = (char)tolower((unsigned char)*at);
    }
    add_skill(interaction, skill);
    return 0;
}

// ---- the queue

static bool takes(const struct policy_queue *queue, const char *channel, const char *need) {
    return policy_holds(queue->channels, queue->n_channels, channel) &&
           (need == NULL ? queue->n_needs == 0
                         : queue->n_needs > 0 && policy_holds(queue->needs, queue->n_needs, need));
}

static const struct policy_queue *find_queue(const struct policy_routing *routing,
                                             const char *channel, const struct needs *needs) {
    for (size_t i = 0; i <= needs->n; i++) {
        const char *need = i < needs->n ? needs->words[i] : NULL;
        for (size_t k = 0; k < routing->n_queues; k++) {
            if (takes(&routing->queues[k], channel, need)) {
                return &routing->queues[k];
            }
        }
    }
    return NULL;
}

static int64_t bonus_us(const struct policy_routing *routing, const char *tier) {
    const struct {
        const char *tier;
        double minutes;
    } rows[] = {
        {"guest", routing->bonus_guest},
        {"registered", routing->bonus_registered},
        {"client", routing->bonus_client},
        {"mvc", routing->bonus_mvc},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].tier, tier) == 0) {
            return (int64_t)(rows[i].minutes * MINUTE_US);
        }
    }
    return 0;
}

// A text that outlives the profile.
static const char *copy(struct judging *judging, const char *text) {
    return text == NULL || *text == '\0' ? NULL : arena_strdup(judging->arena, text);
}

static int by_profile(struct interaction *interaction, struct needs *needs, const char **language) {
    struct judging *judging = interaction->judging;
    _cleanup_(cleanup_arena) struct arena *arena = NULL;
    struct profile profile;
    int r = rules_profile(judging, interaction->row->customer, &arena, &profile);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    interaction->owner = copy(judging, profile_text(&profile, "owner"));
    const char *preferred = profile_text(&profile, "preference.language");
    preferred = preferred != NULL ? preferred : profile_text(&profile, "language");
    *language = *language != NULL ? *language : copy(judging, preferred);
    size_t said = needs->n;
    r = add_latest(judging, &profile, needs);
    r = r != 0 ? r : add_cases(&profile, needs);
    for (size_t i = said; i < needs->n; i++) {
        needs->words[i] = copy(judging, needs->words[i]);
        r = needs->words[i] == NULL ? -ENOMEM : r;
    }
    return r;
}

int routing_need(struct interaction *interaction) {
    struct judging *judging = interaction->judging;
    const struct policy_routing *routing = &judging->policy->routing;
    const char *language = rules_text(judging, "language");
    struct needs needs = {.n = 0};
    add(&needs, rules_text(judging, "need"));
    add(&needs, rules_text(judging, "choice"));
    int r = interaction->row->customer == 0 ? 0 : by_profile(interaction, &needs, &language);
    if (r != 0) {
        return r;
    }
    const struct policy_queue *queue = find_queue(routing, interaction->row->channel, &needs);
    if (queue == NULL) {
        return 1;
    }
    interaction->queue = queue->name;
    interaction->bonus_us = bonus_us(routing, interaction->row->tier);
    interaction->has_owner =
        interaction->owner != NULL &&
        lookup_reference(judging->secret, "agent", interaction->owner, interaction->owner_lookup);
    r = add_language(interaction, language);
    for (size_t i = 0; r == 0 && i < queue->n_skills; i++) {
        add_skill(interaction, queue->skills[i]);
    }
    return r;
}
