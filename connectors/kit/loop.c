// SPDX-License-Identifier: Apache-2.0
// The one thread that everything of a connector runs on: it waits for the publisher, the
// subscriber, the connector's own descriptor, other threads and signals, and gives each its turn.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

#include "connectors/kit/private.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

enum { WAIT_WAKE, WAIT_SIGNAL, WAIT_FIXED, WAIT_MAX = WAIT_FIXED + 3 };

struct loop {
    struct kit *kit;
    int64_t collect_us; // when collect is due
    int64_t collect_fail_ms;
    bool watched; // the connector's descriptor was readable
    bool stop;
};

static void reload(struct kit *kit) {
    if (settings_reload(kit->connector, &kit->settings) != 0) {
        logging_error("reload=refused configuration=kept");
        return;
    }
    refusal_reload_keys(kit);
    if (kit->connector->reload != NULL) {
        kit->connector->reload(kit->state, kit->settings.connector);
    }
    logging_info("reload=done");
}

static void take_signals(struct loop *loop) {
    struct signalfd_siginfo info;
    while (read(loop->kit->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            reload(loop->kit);
        } else {
            loop->stop = true;
        }
    }
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void collect(struct loop *loop, int64_t now_us) {
    const struct kit_connector *connector = loop->kit->connector;
    if (connector->collect == NULL || !loop->kit->is_source ||
        (!loop->watched && now_us < loop->collect_us)) {
        return;
    }
    loop->watched = false;
    int64_t wait_ms = connector->collect_every_ms > 0 ? connector->collect_every_ms : COLLECT_MS;
    int r = connector->collect(loop->kit->state);
    if (r < 0) {
        int64_t doubled = loop->collect_fail_ms == 0 ? wait_ms : 2 * loop->collect_fail_ms;
        loop->collect_fail_ms = earlier(doubled, COLLECT_FAIL_MS_MAX);
        wait_ms = loop->collect_fail_ms;
        metric_add(&loop->kit->metrics, METRIC_COLLECT_FAILURES, 1);
        logging_warning("collect=failed error=%s retry_ms=%lld", strerror(-r), (long long)wait_ms);
    } else {
        loop->collect_fail_ms = 0;
    }
    loop->collect_us = now_us + wait_ms * CLOCK_US_PER_MS;
}

static void show_state(struct kit *kit, bool stopping) {
    // Either: while a sink works long only its subscriber is heard of (kit_beat).
    bool connected = (kit->publishing != NULL && publishing_connected(kit->publishing)) ||
                     (kit->delivering != NULL && delivering_connected(kit->delivering));
    bool outage = kit->delivering != NULL && delivering_outage(kit->delivering);
    enum kit_state state = stopping             ? STATE_STOPPING
                           : refusal_watch(kit) ? STATE_REFUSED
                           : !connected         ? STATE_AWAY
                           : outage             ? STATE_OUTAGE
                                                : STATE_UP;
    if (state == STATE_AWAY && atomic_load(&kit->metrics.state) == STATE_STARTING) {
        state = STATE_STARTING;
    }
    enum kit_state before = (enum kit_state)atomic_exchange(&kit->metrics.state, state);
    metric_set(&kit->metrics, METRIC_CONNECTED, connected);
    if (before != state && !stopping) {
        logging_info("state=%s", state_name(state));
    }
}

// One round of everything; when the next one is due.
static int64_t turn(struct loop *loop, bool stopping) {
    struct kit *kit = loop->kit;
    int64_t now_us = clock_monotonic_us();
    int64_t due_us = now_us + LOOP_MS * CLOCK_US_PER_MS;
    if (!stopping) {
        collect(loop, now_us);
        if (kit->is_source && kit->connector->collect != NULL && loop->collect_fail_ms == 0) {
            due_us = earlier(due_us, loop->collect_us);
        }
        if (kit->delivering != NULL) {
            due_us = earlier(due_us, delivering_run(kit->delivering, now_us));
        }
    }
    if (kit->publishing != NULL) {
        due_us = earlier(due_us, publishing_run(kit->publishing, now_us));
    }
    show_state(kit, stopping);
    return due_us;
}

static void await(struct loop *loop, int64_t due_us, bool stopping) {
    struct kit *kit = loop->kit;
    zmq_pollitem_t items[WAIT_MAX] = {
        [WAIT_WAKE] = {.fd = kit->wake_fd, .events = ZMQ_POLLIN},
        [WAIT_SIGNAL] = {.fd = kit->signal_fd, .events = ZMQ_POLLIN},
    };
    int n = WAIT_FIXED, watch = -1;
    void *publisher = kit->publishing == NULL ? NULL : publishing_socket(kit->publishing);
    void *subscriber =
        kit->delivering == NULL || stopping ? NULL : delivering_socket(kit->delivering);
    if (publisher != NULL) {
        items[n++] = (zmq_pollitem_t){.socket = publisher, .events = ZMQ_POLLIN};
    }
    if (subscriber != NULL) {
        items[n++] = (zmq_pollitem_t){.socket = subscriber, .events = ZMQ_POLLIN};
    }
    if (kit->watch_fd >= 0 && loop->collect_fail_ms == 0 && !stopping) {
        watch = n;
        items[n++] = (zmq_pollitem_t){.fd = kit->watch_fd, .events = ZMQ_POLLIN};
    }
    int64_t left_us = due_us - clock_monotonic_us();
    long wait_ms = left_us <= 0 ? 0 : (long)((left_us + 999) / CLOCK_US_PER_MS);
    if (zmq_poll(items, n, wait_ms) < 0) {
        return; // a socket went in between: the next round has the new one
    }
    if (items[WAIT_WAKE].revents != 0) {
        eventfd_t ignored;
        eventfd_read(kit->wake_fd, &ignored);
    }
    if (items[WAIT_SIGNAL].revents != 0) {
        take_signals(loop);
    }
    loop->watched = loop->watched || (watch >= 0 && items[watch].revents != 0);
}

// Settles what it can within a bound; what it cannot is in the spool or will be repeated.
static void drain(struct loop *loop) {
    struct kit *kit = loop->kit;
    int64_t end_us = clock_monotonic_us() + DRAIN_MS * CLOCK_US_PER_MS;
    if (kit->connector->drain != NULL) {
        kit->connector->drain(kit->state);
    }
    while (kit->publishing != NULL && !publishing_idle(kit->publishing) &&
           !publishing_fenced(kit->publishing) && clock_monotonic_us() < end_us) {
        await(loop, earlier(turn(loop, true), end_us), true);
    }
    if (kit->publishing != NULL) {
        publishing_finish(kit->publishing);
    }
}

int loop_run(struct kit *kit) {
    struct loop loop = {.kit = kit};
    bool fenced = false;
    while (!loop.stop && !fenced) {
        int64_t due_us = turn(&loop, false);
        await(&loop, due_us, false);
        fenced = kit->publishing != NULL && publishing_fenced(kit->publishing);
    }
    if (fenced) {
        logging_error("stopped=fenced producer=%s reason=\"another process publishes under this "
                      "name: its folder was copied\"",
                      kit->folder.producer);
    } else {
        logging_info("state=stopping");
    }
    atomic_store(&kit->metrics.state, STATE_STOPPING);
    drain(&loop);
    return fenced ? -EBUSY : 0;
}
