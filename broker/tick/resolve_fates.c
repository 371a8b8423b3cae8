// SPDX-License-Identifier: Apache-2.0
// What becomes of each key of an event whose customer is found: it attaches, within limits; it is
// held already; it links its owner with this customer; a device moves; or it stays whose it is. Of
// those that link, the weakest is dropped while the rest may not become one.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/tick/decide_internal.h"
#include "schemas/base/guards.h"

// ---- limits

// NULL: none.
static const struct policy_class *limit_of(const struct policy *policy, enum key_class class) {
    for (unsigned i = 0; i < policy->identity.n_limits; i++) {
        if (strcmp(policy->identity.limits[i].class, normalise_class_name(class)) == 0) {
            return &policy->identity.limits[i];
        }
    }
    return NULL;
}

// Keys that this event attaches already: of the candidate's kind, and all.
static unsigned count_here(const struct resolution *resolution, const struct candidate *candidate,
                           unsigned *ret_all) {
    unsigned n = 0;
    *ret_all = 0;
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        const struct candidate *other = &resolution->candidates[i];
        bool here = other < candidate && (other->fate == KEY_NEW || other->fate == KEY_TAKEN);
        *ret_all += here;
        n += here && strcmp(other->identity->kind, candidate->identity->kind) == 0;
    }
    return n;
}

// Whether the customer may have the key; customer NULL: one to be made. 1, 0 or a negative errno.
static int may_have(const struct resolve *resolve, const struct resolution *resolution,
                    const struct joined *customer, const struct candidate *candidate) {
    const struct policy_class *limit = limit_of(resolve->policy, candidate->class);
    unsigned held = 0;
    int r = customer == NULL || limit == NULL
                ? 0
                : resolve_count_keys(resolve, customer, candidate->identity->kind, limit->within_us,
                                     &held);
    if (r != 0) {
        return r;
    }
    unsigned all, here = count_here(resolution, candidate, &all);
    bool full = customer != NULL && customer->n_keys + all >= resolve->policy->identity.keys_max;
    return !full && (limit == NULL || held + here < limit->keys);
}

static int judge_new(const struct resolve *resolve, struct resolution *resolution,
                     const struct joined *customer) {
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        struct candidate *candidate = &resolution->candidates[i];
        if (candidate->fate != KEY_NEW) {
            continue;
        }
        int r = may_have(resolve, resolution, customer, candidate);
        if (r < 0) {
            return r;
        }
        if (GUARD(key_limits) && r == 0) {
            candidate->fate = KEY_OVER;
            candidate->reason = candidate->class == KEY_STRONG ? "strong-conflict" : "limit";
        }
    }
    return 0;
}

// ---- keys of others

static bool may_source_merge(const struct policy *policy, const char *source) {
    return policy_holds(policy->identity.merge_sources, policy->identity.n_merge_sources, source);
}

// The strongest class of the keys that are this customer's.
static enum key_class anchor(const struct resolution *resolution) {
    enum key_class best = KEY_SHARED;
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        const struct candidate *candidate = &resolution->candidates[i];
        if ((candidate->fate == KEY_HELD || candidate->fate == KEY_NEW) &&
            candidate->class < best) {
            best = candidate->class;
        }
    }
    return best;
}

// A device that was nobody's in particular brings its past along; one that is bound to somebody
// moves, where this customer said who it is.
static int judge_weak(const struct resolve *resolve, const struct resolution *resolution,
                      const struct joined *customer, struct candidate *candidate) {
    struct joined owner;
    enum key_class anchored = anchor(resolution);
    int r = resolve_joined(resolve, candidate->survivor, &owner);
    if (r != 0 || anchored > KEY_MEDIUM) {
        return r;
    }
    bool bound = owner.bound || !GUARD(shared_device);
    if (customer != NULL && (!bound || candidate->explicit)) {
        candidate->fate = KEY_LINKS;
        return 0;
    }
    r = anchored == KEY_STRONG ? may_have(resolve, resolution, customer, candidate) : 0;
    candidate->fate = r == 1 ? KEY_TAKEN : KEY_FOREIGN;
    return r < 0 ? r : 0;
}

static int judge_foreign(const struct resolve *resolve, const Touchbus__Event *event,
                         const struct resolution *resolution, const struct joined *customer,
                         struct candidate *candidate) {
    switch (candidate->class) {
    case KEY_STRONG:
        candidate->fate = KEY_LINKS;
        return 0;
    case KEY_MEDIUM:
        candidate->reason =
            candidate->reason != NULL                                   ? candidate->reason
            : GUARD(merge_unverified) && !candidate->identity->verified ? "unverified"
            : GUARD(merge_source) && !may_source_merge(resolve->policy, event->source) ? "source"
                                                                                       : NULL;
        candidate->fate = candidate->reason == NULL ? KEY_LINKS : KEY_FOREIGN;
        return 0;
    case KEY_WEAK:
        candidate->reason = NULL; // what becomes of devices is no news
        return judge_weak(resolve, resolution, customer, candidate);
    case KEY_PARTNER:
    case KEY_SHARED:
        candidate->reason = "partner";
        return 0;
    }
    return 0;
}

// ---- merging

// Those that link, strongest first.
struct links {
    struct candidate *all[EVENT_IDENTITIES_MAX];
    size_t n;
};

static int compare_links(const void *a, const void *b) {
    const struct candidate *left = *(struct candidate *const *)a;
    const struct candidate *right = *(struct candidate *const *)b;
    if (left->class != right->class) {
        return left->class < right->class ? -1 : 1;
    }
    if (left->owner != right->owner) {
        return left->owner < right->owner ? -1 : 1;
    }
    return left < right ? -1 : left > right;
}

// The customers that the first n keys link, the event's own one first. 0 or a negative errno.
static int link_customers(const struct resolve *resolve, const struct resolution *resolution,
                          const struct joined *customer, const struct links *links,
                          struct joined *ret, size_t *ret_n) {
    size_t n = 0;
    int r = 0;
    ret[n] = *customer;
    for (size_t i = 0; i < resolution->n_candidates; i++) { // with what it gets by this event
        const struct candidate *candidate = &resolution->candidates[i];
        unsigned class = resolve_class_bits(candidate->class);
        if (candidate->fate == KEY_NEW && class < ret[n].class) {
            ret[n].class = class;
        }
    }
    n++;
    for (size_t i = 0; r == 0 && i < links->n; i++) {
        size_t j = 0;
        while (j < n && ret[j].customer != links->all[i]->survivor) {
            j++;
        }
        if (j == n) {
            r = resolve_joined(resolve, links->all[i]->survivor, &ret[n++]);
        }
    }
    *ret_n = n;
    return r;
}

static const char *what_links(const struct links *links) {
    static const char *const reasons[] = {"strong key", "verified key", "same device"};
    const struct candidate *weakest = links->all[links->n - 1];
    return weakest->explicit ? "alias" : reasons[weakest->class];
}

// The weakest key is dropped until the rest may become one.
static int plan(const struct resolve *resolve, struct resolution *resolution,
                const struct joined *customer, struct links *links) {
    struct joined joined[1 + EVENT_IDENTITIES_MAX];
    assert(links->n == 0 || customer != NULL); // nothing links with somebody who is to be made
    while (links->n > 0) {
        size_t n = 0;
        const char *reason = NULL;
        int r = link_customers(resolve, resolution, customer, links, joined, &n);
        r = r != 0 ? r : resolve_may_merge(resolve, joined, n, resolution, &reason);
        if (r != 0) {
            return r;
        }
        if (reason == NULL) {
            resolve_plan(joined, n, what_links(links), &resolution->merge);
            return 0;
        }
        struct candidate *dropped = links->all[--links->n];
        dropped->fate = KEY_FOREIGN;
        dropped->reason = reason;
        if (dropped->class == KEY_WEAK && !dropped->explicit && anchor(resolution) == KEY_STRONG) {
            r = may_have(resolve, resolution, customer, dropped); // then at least it moves
            dropped->fate = r == 1 ? KEY_TAKEN : KEY_FOREIGN;
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int resolve_fates(const struct resolve *resolve, const Touchbus__Event *event,
                  struct resolution *resolution) {
    struct joined joined;
    struct joined *customer = NULL;
    struct links links = {.n = 0};
    bool all_held = true;
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        struct candidate *candidate = &resolution->candidates[i];
        if (candidate->fate == KEY_FOREIGN && candidate->survivor == resolution->survivor) {
            candidate->fate = KEY_HELD;
        }
        all_held = all_held && candidate->fate == KEY_HELD;
    }
    if (all_held) {
        return 0; // nearly always
    }
    int r = 0;
    if (resolution->customer != 0) {
        customer = &joined;
        r = resolve_joined(resolve, resolution->survivor, &joined);
    }
    r = r != 0 ? r : judge_new(resolve, resolution, customer);
    for (size_t i = 0; r == 0 && i < resolution->n_candidates; i++) {
        struct candidate *candidate = &resolution->candidates[i];
        if (candidate->fate == KEY_FOREIGN) {
            r = judge_foreign(resolve, event, resolution, customer, candidate);
        }
        if (candidate->fate == KEY_LINKS) {
            links.all[links.n++] = candidate;
        }
    }
    qsort(links.all, links.n, sizeof(links.all[0]), compare_links);
    return r != 0 ? r : plan(resolve, resolution, customer, &links);
}
