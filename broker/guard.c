// SPDX-License-Identifier: Apache-2.0
// Connections are known by their descriptor, from the sockets' monitors. A descriptor may be used
// again by another connection: its account then starts where both counts stand, so that an account
// can only err towards too little held, and a count that runs backwards ends it.
#include "broker/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/access.h"
#include "broker/stores/view.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum {
    DESCRIPTORS_MAX = 1 << 16,
    FRAME_SHORT_MAX = 255, // ZMTP: a frame has 2 bytes before it, a longer one 9
    CURVE_BYTES = 33,      // and CURVE puts so many around what was sent
    JUDGED_MAX = 64,       // connections in one look that are new to their key
    CUTS_TOLD = 4,         // one by one, a second
    // Given up at each look: more than heartbeats and greetings, which nobody takes, add up to.
    DRIFT_BYTES = 16,
    TRIM_LOOKS = 8, // ZeroMQ takes a while to free what a connection held
};

#define HANDSHAKES_FAILED                                                                          \
    (ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |                  \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

struct account {
    bool open;
    bool judged;    // its key had room for it
    int64_t offset; // received less taken, when it began
    int64_t held;   // at the last look
};

struct guard {
    struct broker *broker;
    void *monitors[GUARD_SOCKETS_MAX];
    size_t n_monitors;
    int stop;   // eventfd
    int memory; // /proc/self/statm
    size_t memory_max;
    int descriptor_max;
    unsigned n_trims; // looks at which free memory still goes back to the system, after a cut
    size_t n_open;
    uint64_t n_refused, n_refused_said; // connections beyond descriptor_max
    uint64_t n_failed, n_failed_said;   // handshakes
    unsigned n_cut;                     // since it was told
    size_t n_proofs;                    // of them those of access_prove, not to be counted
    int64_t told_us;
    int descriptor_end; // accounts at and behind it were never used
    struct account accounts[DESCRIPTORS_MAX];
    atomic_int_fast64_t taken[DESCRIPTORS_MAX];   // bytes, ever
    atomic_uint_fast64_t owners[DESCRIPTORS_MAX]; // a hash of the key that speaks; 0: nobody yet
};

struct guard *guard_new(struct broker *broker, size_t memory_max, int descriptor_max) {
    struct guard *guard = calloc(1, sizeof(*guard));
    if (guard == NULL) {
        return NULL;
    }
    guard->broker = broker;
    guard->memory_max = memory_max;
    guard->descriptor_max = descriptor_max;
    guard->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    guard->memory = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    return guard->stop < 0 || guard->memory < 0 ? guard_free(guard) : guard;
}

struct guard *guard_free(struct guard *guard) {
    if (guard == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < guard->n_monitors; i++) {
        zmq_close(guard->monitors[i]);
    }
    if (guard->stop >= 0) {
        close(guard->stop);
    }
    if (guard->memory >= 0) {
        close(guard->memory);
    }
    free(guard);
    return NULL;
}

int guard_watch(struct guard *guard, void *socket) {
    char endpoint[32];
    if (guard == NULL) {
        return 0;
    }
    if (guard->n_monitors == GUARD_SOCKETS_MAX) {
        return -ENOSPC;
    }
    snprintf(endpoint, sizeof(endpoint), "inproc://guard-%zu", guard->n_monitors);
    void *monitor = zmq_socket(guard->broker->zmq, ZMQ_PAIR);
    if (monitor == NULL) {
        return -errno;
    }
    if (zmq_socket_monitor(socket, endpoint, ZMQ_EVENT_ACCEPTED | HANDSHAKES_FAILED) != 0 ||
        zmq_connect(monitor, endpoint) != 0) {
        int error = errno;
        zmq_close(monitor);
        return -error;
    }
    guard->monitors[guard->n_monitors++] = monitor;
    guard->n_proofs += access_has_keys(guard->broker->access);
    return 0;
}

// FNV-1a over the key; never 0.
static uint64_t owner_of(zmq_msg_t *frame) {
    const char *user = zmq_msg_gets(frame, "User-Id");
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; user != NULL && *user != '\0'; user++) {
        hash = (hash ^ (uint8_t)*user) * UINT64_C(1099511628211);
    }
    return hash | 1;
}

void guard_taken(struct guard *guard, zmq_msg_t *frame) {
    int descriptor = guard == NULL ? -1 : zmq_msg_get(frame, ZMQ_SRCFD);
    if (descriptor >= 0 && descriptor < DESCRIPTORS_MAX) {
        size_t size = zmq_msg_size(frame);
        if (access_has_keys(guard->broker->access)) {
            size += CURVE_BYTES;
            atomic_store_explicit(&guard->owners[descriptor], owner_of(frame),
                                  memory_order_relaxed);
        }
        size_t bytes = size + (size > FRAME_SHORT_MAX ? 9 : 2);
        atomic_fetch_add_explicit(&guard->taken[descriptor], (int64_t)bytes, memory_order_relaxed);
    }
}

void guard_stop(struct guard *guard) {
    uint64_t one = 1;
    ssize_t written = write(guard->stop, &one, sizeof(one));
    (void)written; // full: it is readable already
}

// What the kernel has received on it; -1 where it is no tcp connection (any more).
static int64_t received(int descriptor) {
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    return getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0
               ? (int64_t)info.tcpi_bytes_received
               : -1;
}

static int64_t balance(struct guard *guard, int descriptor) {
    int64_t bytes = received(descriptor);
    return bytes < 0
               ? -1
               : bytes - atomic_load_explicit(&guard->taken[descriptor], memory_order_relaxed);
}

// At once, with a reset: a shutdown would go on taking in what the peer sends. ipc knows no reset.
static void disconnect(int descriptor) {
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    if (connect(descriptor, &nowhere, sizeof(nowhere)) != 0) {
        shutdown(descriptor, SHUT_RDWR);
    }
}

static void account_open(struct guard *guard, int descriptor) {
    if (GUARD(descriptors) && descriptor >= guard->descriptor_max) {
        guard->n_refused++;
        disconnect(descriptor);
        return;
    }
    if (descriptor < 0 || descriptor >= DESCRIPTORS_MAX || received(descriptor) < 0) {
        return;
    }
    guard->n_open += !guard->accounts[descriptor].open;
    atomic_store_explicit(&guard->owners[descriptor], 0, memory_order_relaxed);
    guard->accounts[descriptor] =
        (struct account){.open = true, .offset = balance(guard, descriptor)};
    guard->descriptor_end =
        descriptor >= guard->descriptor_end ? descriptor + 1 : guard->descriptor_end;
}

static const char too_much[] = "a message without end, or requests faster than they are taken";

static void cut(struct guard *guard, int descriptor, const char *why) {
    struct account *account = &guard->accounts[descriptor];
    guard->n_cut++;
    if (guard->n_cut <= CUTS_TOLD) {
        logging_warning("event=connection-cut descriptor=%d held_bytes=%lld reason=\"%s\"",
                        descriptor, (long long)account->held, why);
    }
    disconnect(descriptor);
    account->open = false;
    guard->n_open--;
    guard->n_trims = TRIM_LOOKS;
}

// Anonymous memory: what is resident and not a file's. What the view waits with is no connection's.
static bool memory_is_over(struct guard *guard) {
    char text[128];
    ssize_t n = pread(guard->memory, text, sizeof(text) - 1, 0);
    unsigned long long size;
    unsigned long long resident;
    unsigned long long shared;
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    char *at = text;
    size = strtoull(at, &at, 10);
    resident = strtoull(at, &at, 10);
    shared = strtoull(at, &at, 10);
    const struct view *view = guard->broker->view;
    size_t memory_max = guard->memory_max + (view != NULL ? view_unwritten_bytes(view) : 0);
    return size > 0 && resident > shared &&
           (resident - shared) * (unsigned long long)sysconf(_SC_PAGESIZE) > memory_max;
}

// ZeroMQ frees what a cut connection held when the socket's thread next comes by.
static void give_back(const struct guard *guard) {
    mailbox_wake(guard->broker->to_tick);
    mailbox_wake(guard->broker->to_delivery);
    mailbox_wake(guard->broker->to_query);
    malloc_trim(0);
}

// ---- connections of one key

static uint64_t owner_at(const struct guard *guard, int descriptor) {
    return atomic_load_explicit(&guard->owners[descriptor], memory_order_relaxed);
}

// How many connections of its key have been judged, this one not.
static size_t beside(const struct guard *guard, int descriptor) {
    uint64_t owner = owner_at(guard, descriptor);
    size_t n = 0;
    for (int i = 0; i < guard->descriptor_end; i++) {
        n += guard->accounts[i].open && guard->accounts[i].judged && owner_at(guard, i) == owner;
    }
    return n;
}

// Those that have spoken for the first time are held against their key's bound; of those that have
// not, the ones beyond theirs go.
static void look_at_owners(struct guard *guard) {
    unsigned n_judged = 0;
    size_t n_silent = 0;
    for (int i = 0; i < guard->descriptor_end && n_judged < JUDGED_MAX; i++) {
        struct account *account = &guard->accounts[i];
        if (!account->open || account->judged) {
            continue;
        }
        if (owner_at(guard, i) == 0) {
            n_silent++;
            if (n_silent > GUARD_SILENT_MAX) {
                cut(guard, i, "too many connections that say nothing");
            }
            continue;
        }
        n_judged++;
        account->judged = !GUARD(key_connections) || beside(guard, i) < GUARD_KEY_CONNECTIONS_MAX;
        if (!account->judged) {
            cut(guard, i, "too many connections of one key");
        }
    }
}

static bool has_to_tell(const struct guard *guard) {
    return guard->n_refused != guard->n_refused_said || guard->n_failed != guard->n_failed_said ||
           guard->n_cut > 0;
}

// At most once a second: how often is a stranger's choice.
static void tell(struct guard *guard) {
    if (guard->n_refused != guard->n_refused_said) {
        logging_warning("event=connections-refused n=%llu reason=\"descriptors are used up\"",
                        (unsigned long long)guard->n_refused);
        guard->n_refused_said = guard->n_refused;
    }
    if (guard->n_cut > CUTS_TOLD) {
        logging_warning("event=connections-cut more=%u", guard->n_cut - CUTS_TOLD);
    }
    guard->n_cut = 0;
    if (guard->n_failed != guard->n_failed_said) {
        logging_warning("event=handshakes-failed n=%llu",
                        (unsigned long long)(guard->n_failed - guard->n_failed_said));
        guard->n_failed_said = guard->n_failed;
    }
}

// One look at every connection.
static void look(struct guard *guard) {
    if (guard->n_trims > 0) {
        give_back(guard);
        guard->n_trims--;
    }
    if (access_has_keys(guard->broker->access)) {
        look_at_owners(guard);
    }
    int64_t sum = 0;
    int most = -1;
    for (int i = 0; i < guard->descriptor_end; i++) {
        struct account *account = &guard->accounts[i];
        if (!account->open) {
            continue;
        }
        int64_t bytes = received(i);
        account->held = balance(guard, i) - account->offset;
        if (bytes < 0) { // gone
            account->open = false;
            guard->n_open--;
        } else if (account->held > GUARD_CONNECTION_BYTES_MAX) {
            cut(guard, i, too_much);
        } else if (account->held > 0) {
            account->offset += DRIFT_BYTES;
            sum += account->held;
            most = most < 0 || account->held > guard->accounts[most].held ? i : most;
        }
    }
    if (most < 0 || !guard->accounts[most].open) {
        return;
    }
    if (sum > GUARD_ALL_BYTES_MAX ||
        (GUARD(memory_bound) && guard->accounts[most].held > GUARD_HOLDS_MUCH_BYTES &&
         memory_is_over(guard))) {
        cut(guard, most, too_much);
    }
}

// The events of a monitor: two frames, of which the first is the event (u16) and its value (i32).
static void read_monitor(struct guard *guard, void *monitor) {
    uint8_t head[6];
    char address[256];
    while (zmq_recv(monitor, head, sizeof(head), ZMQ_DONTWAIT) == (int)sizeof(head)) {
        uint16_t event;
        int32_t descriptor;
        memcpy(&event, head, sizeof(event));
        memcpy(&descriptor, head + sizeof(event), sizeof(descriptor));
        zmq_recv(monitor, address, sizeof(address), ZMQ_DONTWAIT);
        if (event == ZMQ_EVENT_ACCEPTED) {
            account_open(guard, descriptor);
        } else if (guard->n_proofs > 0) {
            guard->n_proofs--;
        } else {
            guard->n_failed++;
            atomic_fetch_add(&guard->broker->counters.handshakes_failed, 1);
        }
    }
}

void *guard_run(void *object) {
    struct guard *guard = object;
    zmq_pollitem_t items[GUARD_SOCKETS_MAX + 1] = {{.fd = guard->stop, .events = ZMQ_POLLIN}};
    for (size_t i = 0; i < guard->n_monitors; i++) {
        items[i + 1] = (zmq_pollitem_t){.socket = guard->monitors[i], .events = ZMQ_POLLIN};
    }
    for (;;) {
        bool waits = guard->n_open == 0 && guard->n_trims == 0 && !has_to_tell(guard);
        int r = zmq_poll(items, (int)guard->n_monitors + 1, waits ? -1 : GUARD_INTERVAL_MS);
        if (r < 0 && errno != EINTR) {
            logging_error("event=guard-ended error=\"%s\"", zmq_strerror(errno));
            return NULL;
        }
        if (r > 0 && (items[0].revents & ZMQ_POLLIN) != 0) {
            return NULL;
        }
        for (size_t i = 0; r > 0 && i < guard->n_monitors; i++) {
            read_monitor(guard, guard->monitors[i]);
        }
        look(guard);
        if (clock_monotonic_us() - guard->told_us >= CLOCK_US_PER_S) {
            tell(guard);
            guard->told_us = clock_monotonic_us();
        }
    }
}
