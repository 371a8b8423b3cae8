// SPDX-License-Identifier: Apache-2.0
// One mutex hands the work over and back, so all that was written before is seen on the other side.
#include "broker/tick/beside.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "schemas/base/scheduling.h"

struct beside {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int (*work)(void *user); // NULL: nothing to do
    void *user;
    int result;
    bool begun, stop;
};

static void *run(void *object) {
    struct beside *beside = object;
    scheduling_patient(); // as the tick, which waits for it
    pthread_mutex_lock(&beside->lock);
    while (!beside->stop) {
        if (beside->work == NULL) {
            pthread_cond_wait(&beside->changed, &beside->lock);
            continue;
        }
        int (*work)(void *user) = beside->work;
        beside->begun = true;
        pthread_mutex_unlock(&beside->lock);
        int r = work(beside->user);
        pthread_mutex_lock(&beside->lock);
        beside->result = r;
        beside->work = NULL;
        beside->begun = false;
        pthread_cond_broadcast(&beside->changed);
    }
    pthread_mutex_unlock(&beside->lock);
    return NULL;
}

int beside_new(const char *name, struct beside **ret) {
    struct beside *beside = calloc(1, sizeof(*beside));
    int r = beside == NULL ? ENOMEM : pthread_mutex_init(&beside->lock, NULL);
    if (r != 0) {
        free(beside);
        return -r;
    }
    pthread_cond_init(&beside->changed, NULL);
    r = pthread_create(&beside->thread, NULL, run, beside);
    if (r != 0) {
        pthread_cond_destroy(&beside->changed);
        pthread_mutex_destroy(&beside->lock);
        free(beside);
        return -r;
    }
    pthread_setname_np(beside->thread, name);
    *ret = beside;
    return 0;
}

struct beside *beside_free(struct beside *beside) {
    if (beside != NULL) {
        pthread_mutex_lock(&beside->lock);
        assert(beside->work == NULL);
        beside->stop = true;
        pthread_cond_broadcast(&beside->changed);
        pthread_mutex_unlock(&beside->lock);
        pthread_join(beside->thread, NULL);
        pthread_cond_destroy(&beside->changed);
        pthread_mutex_destroy(&beside->lock);
        free(beside);
    }
    return NULL;
}

void beside_start(struct beside *beside, int (*work)(void *user), void *user) {
    pthread_mutex_lock(&beside->lock);
    assert(beside->work == NULL);
    beside->result = 0;
    beside->user = user;
    beside->work = work;
    pthread_cond_broadcast(&beside->changed);
    pthread_mutex_unlock(&beside->lock);
}

int beside_wait(struct beside *beside) {
    pthread_mutex_lock(&beside->lock);
    while (beside->work != NULL) {
        pthread_cond_wait(&beside->changed, &beside->lock);
    }
    int r = beside->result;
    beside->result = 0;
    pthread_mutex_unlock(&beside->lock);
    return r;
}

int beside_call_off(struct beside *beside) {
    pthread_mutex_lock(&beside->lock);
    if (!beside->begun) {
        beside->work = NULL;
    }
    pthread_mutex_unlock(&beside->lock);
    return beside_wait(beside);
}
