// SPDX-License-Identifier: Apache-2.0
// Each thread has a client of its own, which is not for sharing.
#include "connectors/web/questions.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "schemas/base/logging.h"

struct asker {
    struct questions *questions;
    touchbus_client *client;
    pthread_t thread;
    bool running;
    unsigned keys; // generation of the key files it goes by
};

struct questions {
    struct kit *kit;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct question *first, **last;
    size_t n;
    unsigned keys;
    bool stop;
    struct asker askers[QUESTION_THREADS];
};

// Waits. NULL: it ends.
static struct question *take(struct questions *questions, bool *ret_new_keys, unsigned *keys) {
    pthread_mutex_lock(&questions->mutex);
    while (questions->first == NULL && !questions->stop) {
        pthread_cond_wait(&questions->wake, &questions->mutex);
    }
    struct question *question = questions->first;
    if (question != NULL) {
        questions->first = question->next;
        questions->last = questions->first == NULL ? &questions->first : questions->last;
        questions->n--;
        question->result = questions->stop ? -ESHUTDOWN : 0;
    }
    *ret_new_keys = *keys != questions->keys;
    *keys = questions->keys;
    pthread_mutex_unlock(&questions->mutex);
    return question;
}

static void *run(void *data) {
    struct asker *asker = data;
    struct question *question;
    bool new_keys;
    while ((question = take(asker->questions, &new_keys, &asker->keys)) != NULL) {
        if (new_keys && touchbus_client_reload_keys(asker->client) < 0) {
            logging_warning("event=keys-not-reloaded what=questions");
        }
        if (question->result == 0) {
            question->result = touchbus_client_query(
                asker->client, question->verb, question->arguments, question->n_arguments, NULL,
                question->min_sequence, QUESTION_MS_MAX, NULL, NULL, &question->answer);
        }
        question->done(question);
    }
    return NULL;
}

static int start(struct questions *questions, struct asker *asker) {
    touchbus_client_options options = {.broker = kit_broker(questions->kit),
                                       .key = kit_key(questions->kit),
                                       .broker_key = kit_broker_key(questions->kit)};
    asker->questions = questions;
    int r = touchbus_client_new(&options, &asker->client);
    r = r != 0 ? r : -pthread_create(&asker->thread, NULL, run, asker);
    asker->running = r == 0;
    return r;
}

int questions_new(struct kit *kit, struct questions **ret) {
    struct questions *questions = calloc(1, sizeof(*questions));
    if (questions == NULL) {
        return -ENOMEM;
    }
    questions->kit = kit;
    questions->last = &questions->first;
    pthread_mutex_init(&questions->mutex, NULL);
    pthread_cond_init(&questions->wake, NULL);
    int r = 0;
    for (size_t i = 0; r == 0 && i < QUESTION_THREADS; i++) {
        r = start(questions, &questions->askers[i]);
    }
    if (r != 0) {
        questions_free(questions);
        return r;
    }
    *ret = questions;
    return 0;
}

void questions_stop(struct questions *questions) {
    if (questions == NULL) {
        return;
    }
    pthread_mutex_lock(&questions->mutex);
    questions->stop = true;
    pthread_cond_broadcast(&questions->wake);
    pthread_mutex_unlock(&questions->mutex);
    for (size_t i = 0; i < QUESTION_THREADS; i++) {
        if (questions->askers[i].running) {
            pthread_join(questions->askers[i].thread, NULL);
            questions->askers[i].running = false;
        }
    }
}

struct questions *questions_free(struct questions *questions) {
    if (questions == NULL) {
        return NULL;
    }
    questions_stop(questions);
    for (size_t i = 0; i < QUESTION_THREADS; i++) {
        touchbus_client_free(questions->askers[i].client);
    }
    pthread_cond_destroy(&questions->wake);
    pthread_mutex_destroy(&questions->mutex);
    free(questions);
    return NULL;
}

int questions_ask(struct questions *questions, struct question *question) {
    int r = 0;
    if (!kit_connected(questions->kit)) {
        return -EAGAIN;
    }
    pthread_mutex_lock(&questions->mutex);
    if (questions->stop || questions->n >= QUESTIONS_MAX) {
        r = QUESTIONS_FULL;
    } else {
        question->next = NULL;
        *questions->last = question;
        questions->last = &question->next;
        questions->n++;
        pthread_cond_signal(&questions->wake);
    }
    pthread_mutex_unlock(&questions->mutex);
    return r;
}

void questions_reload_keys(struct questions *questions) {
    pthread_mutex_lock(&questions->mutex);
    questions->keys++;
    pthread_mutex_unlock(&questions->mutex);
}
