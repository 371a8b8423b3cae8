// SPDX-License-Identifier: Apache-2.0
// What to say to a customer: the policy's offers and greetings that fit, see conditions.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/profile/conditions.h"
#include "schemas/base/guards.h"

// ---- offers

// The heaviest need that the offer is for. False: it is for needs that were never shown.
static bool fits_needs(const struct policy_offer *offer, const struct profile_interest *interests,
                       size_t n, double *ret_weight) {
    *ret_weight = 0;
    for (size_t i = 0; i < n; i++) { // the heaviest first
        if (offer->n_needs > 0 && interests[i].kind == INTEREST_NEED &&
            policy_holds(offer->needs, offer->n_needs, interests[i].term)) {
            *ret_weight = interests[i].weight;
            return true;
        }
    }
    return offer->n_needs == 0;
}

// In one of the offer's segments. 1, 0 or a negative errno.
static int fits_segments(const struct facts *facts, const struct policy_offer *offer) {
    int r = offer->n_segments == 0;
    for (unsigned i = 0; r == 0 && i < offer->n_segments; i++) {
        r = conditions_segment(facts, offer->segments[i]);
    }
    return r;
}

static bool fits_moment(const struct facts *facts, const struct policy_offer *offer,
                        const char *channel) {
    return (offer->from_us == 0 || facts->now_us >= offer->from_us) &&
           (offer->until_us == 0 || facts->now_us < offer->until_us) &&
           policy_holds(offer->tiers, offer->n_tiers, facts->standing->tier) &&
           policy_holds(offer->phases, offer->n_phases, facts->standing->phase) &&
           (channel == NULL || policy_holds(offer->channels, offer->n_channels, channel));
}

// Whether it was shown, on any channel, or answered. 1, 0 or a negative errno.
static int is_done(const struct facts *facts, const struct policy_offer *offer) {
    static const enum item_kind kinds[] = {ITEM_CONTENT, ITEM_OFFER};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        View__Item *item;
        int r = profile_item(facts->profile, kinds[i], offer->id, &item);
        if (r != 0 || (GUARD(offer_seen) && item != NULL)) {
            return r != 0 ? r : 1;
        }
    }
    return 0;
}

// 1: it fits; 0; a negative errno.
static int fits(const struct facts *facts, const struct policy_offer *offer, const char *channel) {
    if (!fits_moment(facts, offer, channel)) {
        return 0;
    }
    int r = fits_segments(facts, offer);
    if (r <= 0) {
        return r;
    }
    r = is_done(facts, offer);
    return r < 0 ? r : r == 0;
}

static int compare_offers(const void *a, const void *b) {
    const struct profile_offer *left = a, *right = b;
    if (left->offer->priority != right->offer->priority) {
        return left->offer->priority > right->offer->priority ? -1 : 1;
    }
    return left->weight > right->weight   ? -1
           : left->weight < right->weight ? 1
                                          : strcmp(left->offer->id, right->offer->id);
}

int profile_offers(const struct facts *facts, const char *channel, size_t max,
                   struct profile_offer **ret, size_t *ret_n) {
    const struct policy *policy = facts->policy;
    struct profile_interest *interests;
    size_t n_interests, n = 0;
    struct profile_offer *offers =
        arena_calloc(facts->profile->arena, policy->n_offers + 1, sizeof(*offers));
    int r = offers == NULL ? -ENOMEM
                           : profile_interests(facts->profile, facts->now_us, INTEREST_HALF_LIFE_US,
                                               &interests, &n_interests);
    const char *language = profile_language(facts->profile);
    for (unsigned i = 0; r == 0 && i < policy->n_offers; i++) {
        const struct policy_offer *offer = &policy->offers[i];
        if (!fits_needs(offer, interests, n_interests, &offers[n].weight)) {
            continue;
        }
        r = fits(facts, offer, channel);
        if (r > 0) {
            offers[n].offer = offer;
            offers[n++].text =
                policy_text(offer->texts, offer->n_texts, language != NULL ? language : "");
            r = 0;
        }
    }
    if (r == 0) {
        qsort(offers, n, sizeof(*offers), compare_offers);
        *ret = offers;
        *ret_n = n < max ? n : max;
    }
    return r;
}

// ---- greetings

static const char placeholder[] = "{name}";

// The text with the name, or without its place: "Welcome back, {name}." -> "Welcome back."
static const char *fill(struct arena *arena, const char *text, const char *name) {
    const char *at = strstr(text, placeholder);
    if (at == NULL) {
        return text;
    }
    const char *rest = at + strlen(placeholder);
    if (name != NULL) {
        return arena_printf(arena, "%.*s%s%s", (int)(at - text), text, name, rest);
    }
    while (at > text && (at[-1] == ' ' || at[-1] == ',')) {
        at--;
    }
    return arena_printf(arena, "%.*s%s", (int)(at - text), text, rest);
}

int profile_greeting(const struct facts *facts, bool is_named, const char **ret_variant,
                     const char **ret_text) {
    const char *name = is_named ? profile_name(facts->profile) : NULL;
    const char *language = profile_language(facts->profile);
    *ret_variant = *ret_text = NULL;
    for (unsigned i = 0; i < facts->policy->n_greetings; i++) {
        const struct policy_greeting *greeting = &facts->policy->greetings[i];
        const char *text =
            policy_text(greeting->texts, greeting->n_texts, language != NULL ? language : "");
        if (text != NULL &&
            policy_holds(greeting->tiers, greeting->n_tiers, facts->standing->tier)) {
            *ret_variant = greeting->variant;
            *ret_text = fill(facts->profile->arena, text, name);
            return *ret_text != NULL ? 0 : -ENOMEM;
        }
    }
    return 0;
}
