// SPDX-License-Identifier: Apache-2.0
// Questions to the broker from the server's threads: a bounded queue, and a few threads that ask
// one at a time each and wake the request. Nothing is kept for later: while the broker is away a
// question is answered so at once.
#pragma once

#include "connectors/client/touchbus.h"
#include "connectors/kit/kit.h"

enum {
    QUESTIONS_MAX = 256, // waiting; beyond: QUESTIONS_FULL
    QUESTION_THREADS = 4,
    QUESTION_MS_MAX = 2000,
    QUESTION_ARGUMENTS_MAX = 4,
};
#define QUESTIONS_FULL 1

struct question {
    struct question *next;
    const char *verb;
    touchbus_argument arguments[QUESTION_ARGUMENTS_MAX];
    size_t n_arguments;
    uint64_t min_sequence;
    // On one of the threads, once. Until then everything here has to stay.
    void (*done)(struct question *question);
    void *user;
    int result;              // as of touchbus_client_query
    touchbus_answer *answer; // result 0; the owner's to free
};

struct questions;

// 0 or a negative errno.
int questions_new(struct kit *kit, struct questions **ret);
// Answers what waits with -ESHUTDOWN and takes no more; every done was called when this returns.
// Takes NULL.
void questions_stop(struct questions *questions);
// Stops; nobody may ask any more. Takes NULL; returns NULL.
struct questions *questions_free(struct questions *questions);
// 0; QUESTIONS_FULL; -EAGAIN: the broker is away. done is called in the first case alone, possibly
// before this returns.
int questions_ask(struct questions *questions, struct question *question);
// The key files may have changed.
void questions_reload_keys(struct questions *questions);
