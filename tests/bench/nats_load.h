// SPDX-License-Identifier: Apache-2.0
// What the modes of bench-nats share: a connection with its JetStream context, and the names of the
// stream and of the bucket with the customers' records.
#pragma once

#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/bench/job.h"

#define STREAM "EVENTS"
#define SUBJECT "events"
#define BUCKET "customers"

struct link {
    struct job *job;
    struct source *source;
    natsConnection *connection;
    jsCtx *js;
    kvStore *records;
    pthread_t thread;
    bool only_events; // no records
    uint64_t n_sent;
    atomic_ullong n_failed;
};

// max_pending: publishes that wait for their answer; the next one waits for room.
natsStatus link_open(struct link *link, struct job *job, int64_t max_pending);
void link_close(struct link *link);
int nats_complain(const struct job *job, natsStatus status); // a line on stderr; -EIO

// nats_out.c
int nats_subscribe(struct job *job);
int nats_replay(struct job *job);
int nats_look_up(struct job *job);
