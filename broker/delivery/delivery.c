// SPDX-License-Identifier: Apache-2.0
// The delivery thread's loop: wait for peers, jobs or a new head; take what came; give every
// subscription its turn within one bounded slice of the log; write moved cursors; sleep.
#include "broker/delivery/delivery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/delivery/delivery_internal.h"
#include "schemas/base/arena.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

enum {
    DELIVERY_ARENA_BYTES_MAX = 16 << 20, // what one message of a peer can unpack to
    STOP_MS_MAX = 5000,                  // how long the last cursors may take at a stop
    STOP_LOOK_MS = 10,
};

static void publish_floor(struct delivery *delivery) {
    uint64_t floor = UINT64_MAX;
    for (const struct named *named = delivery->named; named; named = named->next)
        if (named->floor < floor)
            floor = named->floor;
    atomic_store(&delivery->floor, floor);
}

int delivery_new(struct broker *broker, struct delivery **ret) {
    struct delivery *delivery = calloc(1, sizeof *delivery);
    if (!delivery)
        return -ENOMEM;
    delivery->broker = broker;
    access_reader_init(&delivery->access, broker->access);
    delivery->budget.n_slots_max = SUBSCRIPTION_SLOTS_MAX;
    delivery->budget.n_parked_max = PARKED_ALL_MAX;
    delivery->now_us = clock_monotonic_us();
    delivery->erasures = UINT64_MAX;  // a start looks in any case
    atomic_init(&delivery->floor, 0); // until the first turn: everything is needed
    delivery->arena = arena_new(DELIVERY_ARENA_BYTES_MAX);
    int r = delivery->arena ? outlets_new(&delivery->outlets) : -ENOMEM;
    if (r == 0)
        r = feed_new(broker, &delivery->feed);
    if (r == 0)
        r = record_load(delivery);
    if (r == 0)
        publish_floor(delivery);
    if (r == 0)
        r = peer_open_socket(delivery);
    if (r < 0) {
        logging_error("event=delivery-failed error=\"%s\"", strerror(-r));
        delivery_free(delivery);
        return r;
    }
    *ret = delivery;
    return 0;
}

struct delivery *delivery_free(struct delivery *delivery) {
    if (!delivery)
        return NULL;
    for (struct peer *peer = delivery->peers; peer; peer = peer->next)
        if (!peer->gone)
            peer_leave(delivery, peer);
    peer_sweep(delivery);
    while (delivery->named)
        named_free(delivery, delivery->named);
    lane_table_clear(&delivery->peers_by_key);
    access_reader_clear(&delivery->access);
    if (delivery->socket)
        zmq_close(delivery->socket);
    feed_free(delivery->feed);
    outlets_leave(delivery->outlets);
    arena_free(delivery->arena);
    free(delivery);
    return NULL;
}

uint64_t delivery_floor(struct delivery *delivery) {
    return atomic_load(&delivery->floor);
}

static void run_jobs(struct delivery *delivery) {
    struct job *job;
    while ((job = mailbox_take(delivery->broker->to_delivery)))
        job->run(job, delivery);
}

static struct named *next_named(struct delivery *delivery) {
    struct named *named = delivery->named;
    if (named->next) {
        delivery->named = named->next;
        delivery->named->previous = NULL;
        delivery->named_last->next = named;
        named->previous = delivery->named_last;
        named->next = NULL;
        delivery->named_last = named;
    }
    return named;
}

static struct peer *next_peer(struct delivery *delivery) {
    struct peer *peer = delivery->peers;
    if (peer->next) {
        delivery->peers = peer->next;
        delivery->peers->previous = NULL;
        delivery->peers_last->next = peer;
        peer->previous = delivery->peers_last;
        peer->next = NULL;
        delivery->peers_last = peer;
    }
    return peer;
}

// Each gets a turn, in a circle: whom the slice did not reach is first in the next one.
static void pump_all(struct delivery *delivery) {
    if (feed_begin(delivery->feed) < 0)
        broker_fatal("delivery-read", -EIO);
    feed_share(delivery->feed, delivery->n_peers > 1, delivery->now_us);
    const int64_t turn_us = PUMP_MS_MAX * CLOCK_US_PER_MS;
    int64_t now_us = clock_monotonic_us(), end_us = now_us + SLICE_MS_MAX * CLOCK_US_PER_MS;
    size_t n_named = delivery->n_named, n_peers = delivery->n_peers;
    while ((n_named > 0 || n_peers > 0) && now_us < end_us) {
        int64_t until_us = now_us + turn_us < end_us ? now_us + turn_us : end_us;
        if (n_named > 0) {
            struct named *named = next_named(delivery);
            n_named--;
            if (!named->peers)
                continue;
            named_pump(delivery, named, until_us);
        } else {
            struct peer *peer = next_peer(delivery);
            n_peers--;
            if (peer->gone || !peer->stream)
                continue;
            stream_pump(delivery, peer, until_us);
        }
        now_us = clock_monotonic_us();
    }
    delivery->more |= n_named > 0 || n_peers > 0;
    feed_end(delivery->feed);
}

static bool somebody_is_full(const struct delivery *delivery) {
    for (const struct peer *peer = delivery->peers; peer; peer = peer->next)
        if (outlet_is_full(peer->outlet))
            return true;
    return false;
}

static long wait_ms(struct delivery *delivery) {
    if (delivery->more)
        return 0;
    int64_t due_us = peer_due(delivery);
    for (const struct named *named = delivery->named; named; named = named->next) {
        int64_t named_us = named_due(delivery, named);
        due_us = named_us < due_us ? named_us : due_us;
    }
    if (due_us == INT64_MAX)
        return -1;
    int64_t now_us = clock_monotonic_us();
    return due_us <= now_us ? 0 : (long)((due_us - now_us) / CLOCK_US_PER_MS) + 1;
}

static int wait_for_work(struct delivery *delivery) {
    zmq_pollitem_t items[] = {
        {.socket = delivery->socket, .events = ZMQ_POLLIN},
        {.fd = mailbox_descriptor(delivery->broker->to_delivery), .events = ZMQ_POLLIN},
        {.fd = outlets_descriptor(delivery->outlets), .events = ZMQ_POLLIN},
    };
    long timeout_ms = wait_ms(delivery);
    if (somebody_is_full(delivery)) {
        outlets_wait(delivery->outlets);
        if (!somebody_is_full(delivery)) // it was let go of in between
            timeout_ms = 0;
    }
    int r = zmq_poll(items, sizeof items / sizeof items[0], timeout_ms);
    if (r < 0 && errno != EINTR)
        return -errno;
    if (items[2].revents & ZMQ_POLLIN)
        outlets_rest(delivery->outlets);
    return 0;
}

static int turn(struct delivery *delivery) {
    int r = wait_for_work(delivery);
    delivery->more = false;
    delivery->now_us = clock_monotonic_us();
    if (access_refresh(&delivery->access))
        join_judge_anew(delivery);
    if (r == 0)
        r = peer_receive(delivery);
    if (r < 0)
        return r;
    run_jobs(delivery); // drains the descriptor before visible is read
    erased_tend(delivery);
    peer_tend(delivery);
    pump_all(delivery);
    for (struct named *named = delivery->named; named; named = named->next)
        record_tend(delivery, named, false);
    publish_floor(delivery);
    peer_sweep(delivery);
    return 0;
}

// The tick drains jobs until this thread has ended: what moved is written once more.
static void stop(struct delivery *delivery) {
    for (struct peer *peer = delivery->peers; peer; peer = peer->next)
        if (!peer->gone)
            peer_leave(delivery, peer);
    peer_sweep(delivery);
    int64_t end_us = clock_monotonic_us() + STOP_MS_MAX * CLOCK_US_PER_MS;
    bool settled = false;
    while (!settled && clock_monotonic_us() < end_us) {
        settled = true;
        for (struct named *named = delivery->named; named; named = named->next) {
            record_tend(delivery, named, true);
            settled &= record_settled(named);
        }
        run_jobs(delivery);
        if (!settled)
            usleep(STOP_LOOK_MS * CLOCK_US_PER_MS);
    }
    if (!settled)
        logging_warning("event=stopped cursors=behind");
}

void *delivery_run(void *data) {
    struct delivery *delivery = data;
    while (!atomic_load(&delivery->broker->stop)) {
        int r = turn(delivery);
        if (r < 0)
            broker_fatal("delivery", r);
    }
    stop(delivery);
    return NULL;
}
