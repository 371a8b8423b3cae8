// SPDX-License-Identifier: Apache-2.0
// The loop: wait, receive, decide and fold, then log, show, ack. Under load a tick takes more, so
// the cost of one sync is shared, and the next one is decided while it is on its way (flight.c);
// idle, the thread sleeps in zmq_poll. It never waits inside a tick but for the disk.
#include "broker/tick/tick.h"
#include "broker/policy/holder.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/tick/tick_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { BESIDE_EVENTS_MIN = 64 }; // of fewer, waking a thread costs more than it saves

// ---- one tick

static int tick_open(struct tick *tick) {
    if (tick->open) {
        return 0;
    }
    int64_t now_us = clock_now_us();
    tick->now_us = !GUARD(clock_back) || now_us > tick->now_us ? now_us : tick->now_us;
    tick->quota_us = clock_monotonic_us();
    bool follows = tick->flight.is_open && tick->flight.n_records > 0;
    tick->first =
        follows ? tick->flight.first + tick->flight.n_records : log_next(tick->broker->log);
    tick->requests = NULL;
    tick->requests_end = &tick->requests;
    int r = log_begin(tick->broker->log, &tick->log);
    r = r != 0 ? r
               : view_begin_ahead(tick->broker->view, tick->changes,
                                  tick->flight.is_open ? tick->flight.changes : NULL, &tick->view);
    if (r == 0) {
        view_use_keys(tick->view, tick->view_keys);
    }
    tick->open = true;
    return r;
}

static bool tick_is_full(const struct tick *tick) {
    return tick->n_events >= TICK_EVENTS_MAX || tick->n_bytes >= TICK_BYTES_MAX ||
           !tick_has_room(tick);
}

static int receive_requests(struct tick *tick) {
    int begun = publish_begin(tick->publish, tick->arena);
    if (begun != 0) {
        return begun;
    }
    while (!tick_is_full(tick)) {
        struct request *request;
        int r = publish_receive(tick->publish, tick->arena, &request);
        if (r != 0) {
            return r < 0 ? r : 0;
        }
        r = tick_open(tick);
        r = r != 0 ? r : admit_request(tick, request);
        if (r != 0) {
            return r;
        }
        tick->n_events += request->message->n_events;
        tick->n_bytes += request->bytes;
        *tick->requests_end = request;
        tick->requests_end = &request->next;
    }
    return publish_drain(tick->publish, tick->arena);
}

static int receive_jobs(struct tick *tick) {
    struct job *job;
    while (tick->n_jobs < TICK_JOBS_MAX && tick_has_room(tick) &&
           (job = mailbox_take(tick->broker->to_tick)) != NULL) {
        int r = tick_open(tick);
        if (r != 0) {
            return r;
        }
        job->run(job, tick);
        if (tick->job_results[tick->n_jobs - 1] < 0) {
            return tick->job_results[tick->n_jobs - 1];
        }
    }
    return 0;
}

// What the broker itself has to say, and what is due.
static int take_own(struct tick *tick, bool with_requests) {
    bool due = timers_look(tick) && with_requests;
    bool has_own = tick->reload || tick->n_unsaid > 0 || tick->policy_before != NULL;
    if (has_own) {
        flight_settle(tick); // it may change what a tick on its way is written with
    }
    int r = has_own || due ? tick_open(tick) : 0;
    r = r == 0 && tick->policy_before != NULL ? policy_told_say(tick) : r;
    r = r == 0 && tick->reload ? reload_on_signal(tick) : r;
    tick->reload = false;
    r = r == 0 && tick->n_unsaid > 0 ? erase_go_on(tick) : r;
    return r == 0 && due ? timers_fire(tick) : r;
}

// While the tick before is on its way this one takes what comes, up to its bound; where nothing
// does, it gets ready what its own way will need.
static int receive_meanwhile(struct tick *tick) {
    zmq_pollitem_t items[] = {
        {.fd = flight_descriptor(tick), .events = ZMQ_POLLIN},
        {.socket = publish_socket(tick->publish), .events = ZMQ_POLLIN},
    };
    for (;;) {
        bool full = tick_is_full(tick), more = false;
        int r = full ? 0 : receive_requests(tick);
        if (r != 0 || !tick->flight.is_beside) {
            return r;
        }
        r = commit_ahead(tick, &more);
        full = tick_is_full(tick);
        if (r != 0 || (full && !more)) {
            return r;
        }
        r = zmq_poll(items, full ? 1 : 2, more ? 0 : -1);
        if (r < 0 && errno != EINTR) {
            return -errno;
        }
        if (r > 0 && items[0].revents != 0) {
            return 0;
        }
    }
}

// Jobs see both stores at rest: they come first where nothing is on its way, else when it is there.
static int take_all(struct tick *tick, bool with_requests) {
    int r = take_own(tick, with_requests);
    if (tick->jobs_wait) {
        flight_settle(tick);
    }
    bool jobs_first = !tick->flight.is_open;
    r = r == 0 && jobs_first ? receive_jobs(tick) : r;
    r = r != 0 || !with_requests ? r : receive_meanwhile(tick);
    flight_settle(tick);
    tick->jobs_wait = !jobs_first && !tick_has_room(tick);
    return r == 0 && !jobs_first ? receive_jobs(tick) : r;
}

// What waits now: decided while the tick before is on its way, then on its own.
static void tick_once(struct tick *tick, bool with_requests) {
    int r = take_all(tick, with_requests);
    if (tick->reading) {
        log_reader_end(tick->reader);
        tick->reading = false;
    }
    bool beside = with_requests && tick->n_records >= BESIDE_EVENTS_MIN;
    if (r == 0 && tick->open) {
        r = flight_send(tick, beside);
    } else {
        tick_close(tick);
    }
    if (r != 0) {
        broker_fatal("tick", r);
    }
}

// ---- the loop

static bool signalled(struct tick *tick) {
    struct signalfd_siginfo info;
    if (read(tick->signals, &info, sizeof(info)) != sizeof(info)) {
        return false;
    }
    if (info.ssi_signo == SIGHUP) {
        tick->reload = true;
        return false;
    }
    logging_info("event=stopping signal=%u", info.ssi_signo);
    return true;
}

// How long nothing may come before the loop looks by itself; -1: as long as it likes.
static int loop_wait_ms(struct tick *tick) {
    bool has_own = tick->n_unsaid > 0 || tick->policy_before != NULL;
    int requests_ms = has_own ? 0 : publish_wait_ms(tick->publish);
    int timers_ms = timers_wait_ms(tick);
    return requests_ms < 0 || (timers_ms >= 0 && timers_ms < requests_ms) ? timers_ms : requests_ms;
}

void tick_run(struct tick *tick) {
    zmq_pollitem_t items[] = {
        {.socket = publish_socket(tick->publish), .events = ZMQ_POLLIN},
        {.fd = mailbox_descriptor(tick->broker->to_tick), .events = ZMQ_POLLIN},
        {.fd = tick->signals, .events = ZMQ_POLLIN},
        {.fd = flight_descriptor(tick), .events = ZMQ_POLLIN},
    };
    while (!atomic_load(&tick->broker->stop)) {
        int wait_ms = loop_wait_ms(tick);
        bool waits = wait_ms >= 0;
        int r = zmq_poll(items, sizeof(items) / sizeof(items[0]), wait_ms);
        if (r < 0 && errno != EINTR) {
            broker_fatal("poll", -errno);
        }
        if (r <= 0 && !waits) {
            continue;
        }
        if ((items[2].revents & ZMQ_POLLIN) != 0 && signalled(tick)) {
            atomic_store(&tick->broker->stop, true);
        }
        tick_once(tick, true);
    }
    flight_settle(tick);
}

void tick_drain(struct tick *tick, int timeout_ms) {
    zmq_pollitem_t item = {.fd = mailbox_descriptor(tick->broker->to_tick), .events = ZMQ_POLLIN};
    zmq_poll(&item, 1, timeout_ms);
    tick_once(tick, false);
}

// ---- start and end

// The receipt of the last event: what comes next is no earlier.
static int load_received(struct tick *tick) {
    struct block_head block;
    int r = log_reader_begin(tick->reader);
    if (r != 0) {
        return r;
    }
    uint64_t next = log_reader_next(tick->reader);
    r = next == log_reader_first(tick->reader) ? 1
                                               : log_reader_block(tick->reader, next - 1, &block);
    if (r == 0) {
        tick->now_us = block.received_last_us;
    }
    log_reader_end(tick->reader);
    return r < 0 ? r : 0;
}

static int load_ids(struct tick *tick) {
    const struct configuration *configuration = &tick->broker->configuration;
    tick->dedup = dedup_new((uint64_t)configuration->dedup_events);
    if (tick->dedup == NULL) {
        return -ENOMEM;
    }
    return dedup_load(tick->dedup, tick->reader, clock_now_us() - configuration->dedup_age_us);
}

static int load_fold(struct tick *tick) {
    struct view_txn *txn;
    int r = view_begin(tick->broker->view, false, &txn);
    if (r != 0) {
        return r;
    }
    r = fold_new(txn, &tick->fold);
    view_abort(txn);
    tick->customers_last = r == 0 ? fold_customers_last(tick->fold) : 0;
    return r;
}

static int open_signals(struct tick *tick) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    tick->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return tick->signals < 0 ? -errno : 0;
}

static int load(struct tick *tick) {
    struct broker *broker = tick->broker;
    int r = flight_new(tick);
    r = r != 0 ? r : open_signals(tick);
    r = r != 0 ? r : log_reader_new(broker->log, &tick->reader);
    r = r != 0 ? r : keys_reader_new(broker->keys, &tick->keys_reader);
    r = r != 0 ? r : keys_reader_new(broker->keys, &tick->view_keys);
    r = r != 0 ? r : keys_reader_keep_derived(tick->view_keys);
    r = r != 0 ? r : keys_ensure(broker->keys, 0);
    r = r != 0 ? r : load_received(tick);
    r = r != 0 ? r : producers_load(tick->reader, &tick->producers);
    r = r != 0 ? r : quarantine_load(tick);
    r = r != 0 ? r : load_ids(tick);
    r = r != 0 ? r : load_fold(tick);
    tick->policy = policy_take(broker->policy);
    r = r != 0 ? r
               : decide_new(&broker->configuration, tick->policy, broker->catalogue,
                            keys_hash_secret(broker->keys), broker->keys, &tick->decide);
    r = r != 0 ? r : policy_told_load(tick);
    r = r != 0 ? r : erase_load(tick);
    r = r != 0 ? r : timers_load(tick);
    return r;
}

int tick_new(struct broker *broker, struct tick **ret) {
    struct tick *tick = calloc(1, sizeof(*tick));
    if (tick == NULL) {
        return -ENOMEM;
    }
    tick->broker = broker;
    tick->signals = -1;
    int r = load(tick);
    if (r != 0) {
        logging_error("event=load-failed error=\"%s\"", strerror(-r));
    }
    r = r != 0 ? r : publish_new(broker, &tick->publish);
    if (r != 0) {
        tick_free(tick);
        return r;
    }
    *ret = tick;
    return 0;
}

struct tick *tick_free(struct tick *tick) {
    if (tick == NULL) {
        return NULL;
    }
    assert(!tick->open);
    flight_free(tick);
    publish_free(tick->publish);
    decide_free(tick->decide);
    policy_release(tick->broker->policy, tick->policy);
    fold_free(tick->fold);
    dedup_free(tick->dedup);
    producers_free(tick->producers);
    keys_reader_free(tick->keys_reader);
    keys_reader_free(tick->view_keys);
    log_reader_free(tick->reader);
    if (tick->signals >= 0) {
        close(tick->signals);
    }
    free(tick->policy_before);
    free(tick->unsaid);
    free(tick);
    return NULL;
}
