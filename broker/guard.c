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

#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum {
    DESCRIPTORS_MAX = 1 << 16,
    FRAME_SHORT_MAX = 255, // ZMTP: a frame has 2 bytes before it, a longer one 9
    // Given up at each look: more than heartbeats and greetings, which nobody takes, add up to.
    DRIFT_BYTES = 16,
    TRIM_LOOKS = 8, // ZeroMQ takes a while to free what a connection held
};

struct account {
    bool open;
    int64_t offset; // received less taken, when it began
    int64_t held;   // at the last look
};

struct guard {
    const struct broker *broker;
    void *monitors[GUARD_SOCKETS_MAX];
    size_t n_monitors;
    int stop;   // eventfd
    int memory; // /proc/self/statm
    size_t memory_max;
    int descriptor_max;
    unsigned n_trims; // looks at which free memory still goes back to the system, after a cut
    size_t n_open;
    uint64_t n_refused, n_refused_said; // connections beyond descriptor_max
    int descriptor_end;                 // accounts at and behind it were never used
    struct account accounts[DESCRIPTORS_MAX];
    atomic_int_fast64_t taken[DESCRIPTORS_MAX]; // bytes, ever
};

struct guard *guard_new(const struct broker *broker, size_t memory_max, int descriptor_max) {
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
    if (zmq_socket_monitor(socket, endpoint, ZMQ_EVENT_ACCEPTED) != 0 ||
        zmq_connect(monitor, endpoint) != 0) {
        int error = errno;
        zmq_close(monitor);
        return -error;
    }
    guard->monitors[guard->n_monitors++] = monitor;
    return 0;
}

void guard_taken(struct guard *guard, zmq_msg_t *frame) {
    int descriptor = guard == NULL ? -1 : zmq_msg_get(frame, ZMQ_SRCFD);
    if (descriptor >= 0 && descriptor < DESCRIPTORS_MAX) {
        size_t size = zmq_msg_size(frame);
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
    guard->accounts[descriptor] =
        (struct account){.open = true, .offset = balance(guard, descriptor)};
    guard->descriptor_end =
        descriptor >= guard->descriptor_end ? descriptor + 1 : guard->descriptor_end;
}

static void cut(struct guard *guard, int descriptor) {
    struct account *account = &guard->accounts[descriptor];
    logging_warning("event=connection-cut descriptor=%d held_bytes=%lld reason=\"a message without "
                    "end, or requests faster than they are taken\"",
                    descriptor, (long long)account->held);
    disconnect(descriptor);
    account->open = false;
    guard->n_open--;
    guard->n_trims = TRIM_LOOKS;
}

// Anonymous memory: what is resident and not a file's.
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
    return size > 0 && resident > shared &&
           (resident - shared) * (unsigned long long)sysconf(_SC_PAGESIZE) > guard->memory_max;
}

// ZeroMQ frees what a cut connection held when the socket's thread next comes by.
static void give_back(const struct guard *guard) {
    mailbox_wake(guard->broker->to_tick);
    mailbox_wake(guard->broker->to_delivery);
    mailbox_wake(guard->broker->to_query);
    malloc_trim(0);
}

// One look at every connection.
static void look(struct guard *guard) {
    if (guard->n_trims > 0) {
        give_back(guard);
        guard->n_trims--;
    }
    if (guard->n_refused != guard->n_refused_said) {
        logging_warning("event=connections-refused n=%llu reason=\"descriptors are used up\"",
                        (unsigned long long)guard->n_refused);
        guard->n_refused_said = guard->n_refused;
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
            cut(guard, i);
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
        cut(guard, most);
    }
}

// The events of a monitor: two frames, of which the first is the event (u16) and its value (i32).
static void read_monitor(struct guard *guard, void *monitor) {
    uint8_t head[6];
    char address[256];
    while (zmq_recv(monitor, head, sizeof(head), ZMQ_DONTWAIT) == (int)sizeof(head)) {
        int32_t descriptor;
        memcpy(&descriptor, head + 2, sizeof(descriptor));
        zmq_recv(monitor, address, sizeof(address), ZMQ_DONTWAIT);
        account_open(guard, descriptor);
    }
}

void *guard_run(void *object) {
    struct guard *guard = object;
    zmq_pollitem_t items[GUARD_SOCKETS_MAX + 1] = {{.fd = guard->stop, .events = ZMQ_POLLIN}};
    for (size_t i = 0; i < guard->n_monitors; i++) {
        items[i + 1] = (zmq_pollitem_t){.socket = guard->monitors[i], .events = ZMQ_POLLIN};
    }
    for (;;) {
        bool waits = guard->n_open == 0 && guard->n_trims == 0;
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
    }
}
