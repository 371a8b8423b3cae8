// SPDX-License-Identifier: Apache-2.0
// A list of the policies that somebody holds, the one in force first. There are as many as reloads
// within the longest question, which is one or two.
#include "broker/policy/holder.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct version {
    struct version *older;
    struct policy *policy;
    size_t n_held; // the one in force is held once by the holder
};

struct policy_holder {
    pthread_mutex_t mutex;
    struct version *first;
};

static struct version *version_new(struct policy *policy) {
    struct version *version = calloc(1, sizeof(*version));
    if (version == NULL) {
        policy_free(policy);
        return NULL;
    }
    *version = (struct version){.policy = policy, .n_held = 1};
    return version;
}

int policy_holder_new(struct policy *policy, struct policy_holder **ret) {
    struct version *version = version_new(policy);
    struct policy_holder *holder = version == NULL ? NULL : calloc(1, sizeof(*holder));
    if (holder == NULL) {
        if (version != NULL) {
            policy_free(version->policy);
            free(version);
        }
        return -ENOMEM;
    }
    pthread_mutex_init(&holder->mutex, NULL);
    holder->first = version;
    *ret = holder;
    return 0;
}

struct policy_holder *policy_holder_free(struct policy_holder *holder) {
    if (holder != NULL) {
        assert(holder->first->older == NULL && holder->first->n_held == 1);
        policy_free(holder->first->policy);
        free(holder->first);
        pthread_mutex_destroy(&holder->mutex);
        free(holder);
    }
    return NULL;
}

const struct policy *policy_take(struct policy_holder *holder) {
    pthread_mutex_lock(&holder->mutex);
    holder->first->n_held++;
    const struct policy *policy = holder->first->policy;
    pthread_mutex_unlock(&holder->mutex);
    return policy;
}

// Under the mutex: one holder less. Returns the version to free, unlinked, or NULL.
static struct version *drop(struct policy_holder *holder, const struct policy *policy) {
    struct version **at = &holder->first;
    while ((*at)->policy != policy) {
        at = &(*at)->older;
        assert(*at != NULL);
    }
    struct version *version = *at;
    if (--version->n_held > 0) {
        return NULL;
    }
    *at = version->older;
    return version;
}

void policy_release(struct policy_holder *holder, const struct policy *policy) {
    if (policy == NULL) {
        return;
    }
    pthread_mutex_lock(&holder->mutex);
    struct version *last = drop(holder, policy);
    pthread_mutex_unlock(&holder->mutex);
    if (last != NULL) {
        policy_free(last->policy);
        free(last);
    }
}

int policy_replace(struct policy_holder *holder, struct policy *policy) {
    struct version *version = version_new(policy);
    if (version == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_lock(&holder->mutex);
    const struct policy *before = holder->first->policy;
    version->older = holder->first;
    holder->first = version;
    pthread_mutex_unlock(&holder->mutex);
    policy_release(holder, before);
    return 0;
}
