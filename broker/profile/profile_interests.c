// SPDX-License-Identifier: Apache-2.0
// Needs and products with decay. What is kept is how often on which day; the weight is made when it
// is read, so that no timer and no event is needed for it to fade.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "broker/profile/profile.h"

#define DAY_US (INT64_C(86400) * 1000000)

static void weigh(const View__Interest *interest, int64_t now_us, int64_t half_life_us,
                  struct profile_interest *add) {
    int64_t today = now_us / DAY_US;
    for (size_t i = 0; i < interest->n_day && i < interest->n_number; i++) {
        double age = (double)(today - (int64_t)interest->day[i]) * (double)DAY_US;
        age = age > 0 ? age : 0;
        add->number += interest->number[i];
        add->weight += (double)interest->number[i] * exp2(-age / (double)half_life_us);
        add->last_day = interest->day[i] > add->last_day ? interest->day[i] : add->last_day;
    }
}

static int compare_terms(const void *a, const void *b) {
    const struct profile_interest *left = a, *right = b;
    return left->kind != right->kind ? (left->kind < right->kind ? -1 : 1)
                                     : strcmp(left->term, right->term);
}

static int compare_weights(const void *a, const void *b) {
    const struct profile_interest *left = a, *right = b;
    return left->weight < right->weight   ? 1
           : left->weight > right->weight ? -1
                                          : compare_terms(a, b);
}

int profile_interests(const struct profile *profile, int64_t now_us, int64_t half_life_us,
                      struct profile_interest **ret, size_t *ret_n) {
    size_t n = 0, n_kept = 0;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        n += profile->leaves[i].person->n_interests;
    }
    struct profile_interest *all = arena_calloc(profile->arena, n + 1, sizeof(*all));
    if (all == NULL) {
        return -ENOMEM;
    }
    n = 0;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        const View__Person *person = profile->leaves[i].person;
        for (size_t j = 0; j < person->n_interests; j++) {
            all[n].kind = person->interests[j]->kind;
            all[n].term = person->interests[j]->term;
            weigh(person->interests[j], now_us, half_life_us, &all[n++]);
        }
    }
    qsort(all, n, sizeof(*all), compare_terms);
    for (size_t i = 0; i < n; i++) {
        if (n_kept == 0 || compare_terms(&all[n_kept - 1], &all[i]) != 0) {
            all[n_kept++] = all[i];
            continue;
        }
        struct profile_interest *kept = &all[n_kept - 1];
        kept->number += all[i].number;
        kept->weight += all[i].weight;
        kept->last_day = all[i].last_day > kept->last_day ? all[i].last_day : kept->last_day;
    }
    qsort(all, n_kept, sizeof(*all), compare_weights);
    *ret = all;
    *ret_n = n_kept;
    return 0;
}
