// SPDX-License-Identifier: Apache-2.0
// Clients of a recorded broker, through libtouchbus as any connector would. Each line they write to
// standard output is what they have seen, with the size that the trace had then: offset, kind,
// NAME-NUMBER, sequence. A line is written before the event counts: a settlement without its line
// cannot happen.
//   load publish HOST:PORT NAME AT [N [BATCH]]   events in small batches (of one to BATCH), the
//                                       next when all are acked; N of them, else until SIGTERM
//   load collect HOST:PORT NAME AT      settles a named subscription until SIGTERM
//   load read HOST:PORT N               the log as it is, N events from its first on: sequence and
//                                       id, a line each
//   load again HOST:PORT NAME FROM N    publishes those numbers once more: kind, id, sequence
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "connectors/client/touchbus.h"

enum {
    CUSTOMERS = 150,
    MORE_CUSTOMERS = 40, // of whom record.py has some erased; their events go on coming
    NEW_EVERY = 11,
    WAIT_MS = 50,
    BATCH_MAX = 24,
    PAUSE_MS_MAX = 6,
    BODY_BYTES_MAX = 6000,
    QUARANTINED_EVERY = 23,
    ORDER_EVERY = 5,
    NOBODY_EVERY = 7,
    READ_MS_MAX = 30000,
};

static atomic_bool stopping;
static const _Atomic uint64_t *trace_size;

static void stop(int signal_number) {
    (void)signal_number;
    atomic_store(&stopping, true);
}

static void fail(const char *what, int r) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(r < 0 ? -r : r));
    exit(1);
}

static uint64_t offset(void) {
    return trace_size != NULL ? atomic_load(trace_size) : 0;
}

static void map_offset(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    void *memory = descriptor < 0
                       ? MAP_FAILED
                       : mmap(NULL, sizeof(*trace_size), PROT_READ, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED) {
        fail(path, errno);
    }
    close(descriptor);
    trace_size = memory;
}

// ---- publish

static void on_ack(const touchbus_ack *ack, void *user) {
    printf("%" PRIu64 "\t%s\t%s-%" PRIu64 "\t%" PRIu64 "\n", offset(), ack->reason,
           (const char *)user, (uint64_t)(uintptr_t)ack->tag, ack->sequence);
}

// The body names the id and has a length of its own.
static int body(const char *id, uint64_t number, char *ret, size_t room) {
    static char filling[BODY_BYTES_MAX + 1];
    memset(filling, 'a' + (int)(number % 26), BODY_BYTES_MAX);
    int length = (int)(number * 7919 % (number % 40 == 0 ? BODY_BYTES_MAX : 300));
    if (number % QUARANTINED_EVERY == 0) { // an order without its lines breaks its schema
        return snprintf(ret, room, "{\"order_id\":\"%s\",\"currency\":\"EUR\"}", id);
    }
    if (number % ORDER_EVERY == 0) {
        return snprintf(ret, room,
                        "{\"order_id\":\"%s\",\"currency\":\"EUR\",\"note\":\"%.*s\",\"lines\":"
                        "[{\"sku\":\"s-%" PRIu64 "\",\"quantity\":2,\"price\":\"19.90\"}]}",
                        id, length, filling, number % 9);
    }
    return snprintf(ret, room, "{\"url\":\"https://shop.example/%s/%.*s\"}", id, length, filling);
}

// Everything of it follows from name and number.
static touchbus_event *make(const char *name, uint64_t number) {
    char id[96], user[32], data[BODY_BYTES_MAX + 400];
    snprintf(id, sizeof(id), "%s-%" PRIu64, name, number);
    uint64_t customer = number % NEW_EVERY == 0 ? CUSTOMERS + number / NEW_EVERY % MORE_CUSTOMERS
                                                : number * 7919 % CUSTOMERS;
    if (number % QUARANTINED_EVERY == 0) {
        customer %= CUSTOMERS; // an erasure would take it out of the quarantine
    }
    snprintf(user, sizeof(user), "u-%" PRIu64, customer);
    bool order = number % QUARANTINED_EVERY == 0 || number % ORDER_EVERY == 0;
    int size = body(id, number, data, sizeof(data));
    touchbus_event *event = touchbus_event_new(order ? "order.placed" : "page.viewed", name, id);
    if (event == NULL || touchbus_event_set(event, "channel", "web") != 0 ||
        (number % NOBODY_EVERY != 0 &&
         touchbus_event_add_identity(event, "user_id", user, false) != 0) ||
        touchbus_event_set_data_json(event, data, (size_t)size) != 0) {
        fail("event", ENOMEM);
    }
    return event;
}

static void publish_one(touchbus_publisher *publisher, const char *name, uint64_t number) {
    touchbus_event *event = make(name, number);
    int r = touchbus_publisher_publish(publisher, event, (void *)(uintptr_t)number);
    touchbus_event_free(event);
    if (r != 0) {
        fail("publish", r);
    }
}

static void run_until_acked(touchbus_publisher *publisher) {
    while (touchbus_publisher_pending(publisher) > 0 && !atomic_load(&stopping)) {
        int r = touchbus_publisher_run(publisher, WAIT_MS);
        if (r < 0) {
            fail("run", r);
        }
    }
}

static touchbus_publisher *publisher_of(const char *broker, const char *name, char *label) {
    touchbus_publisher *publisher = NULL;
    int r = touchbus_publisher_new(&(touchbus_publisher_options){.broker = broker,
                                                                 .producer = name,
                                                                 .source = name,
                                                                 .window = 2000,
                                                                 .on_ack = on_ack,
                                                                 .user = label},
                                   &publisher);
    if (r < 0) {
        fail("publisher", r);
    }
    return publisher;
}

static int publish(int argc, char **argv) {
    uint64_t last = argc > 5 ? strtoull(argv[5], NULL, 10) : UINT64_MAX;
    int batch_max = argc > 6 ? (int)strtol(argv[6], NULL, 10) : BATCH_MAX;
    unsigned seed = (unsigned)argv[3][strlen(argv[3]) - 1];
    map_offset(argv[4]);
    touchbus_publisher *publisher = publisher_of(argv[2], argv[3], argv[3]);
    for (uint64_t number = 1; number <= last && !atomic_load(&stopping);) {
        int n = 1 + rand_r(&seed) % batch_max;
        for (int i = 0; i < n && number <= last; i++) {
            publish_one(publisher, argv[3], number++);
        }
        run_until_acked(publisher);
        long pause_ms = rand_r(&seed) % (PAUSE_MS_MAX + 1);
        nanosleep(&(struct timespec){.tv_nsec = pause_ms * 1000 * 1000}, NULL);
    }
    touchbus_publisher_free(publisher);
    return 0;
}

static int again(int argc, char **argv) {
    if (argc < 6) {
        return 2;
    }
    uint64_t from = strtoull(argv[4], NULL, 10), n = strtoull(argv[5], NULL, 10);
    touchbus_publisher *publisher = publisher_of(argv[2], argv[3], argv[3]);
    for (uint64_t i = 0; i < n; i++) {
        publish_one(publisher, argv[3], from + i);
    }
    int r = touchbus_publisher_flush(publisher, READ_MS_MAX);
    touchbus_publisher_free(publisher);
    return r < 0;
}

// ---- subscribe

static void check_refusal(touchbus_subscriber *subscriber, int r) {
    if (r == TOUCHBUS_REFUSED) {
        const char *reason = "", *detail = "", *hint = "";
        touchbus_subscriber_refusal(subscriber, &reason, &detail, &hint);
        fprintf(stderr, "load: refused: %s: %s\n", reason, detail);
        exit(1);
    }
    if (r < 0) {
        fail("next", r);
    }
}

static int collect(int argc, char **argv) {
    touchbus_subscriber *subscriber = NULL;
    (void)argc;
    map_offset(argv[4]);
    int r = touchbus_subscriber_new(
        &(touchbus_subscriber_options){
            .broker = argv[2], .name = argv[3], .start = TOUCHBUS_START_BEGINNING},
        &subscriber);
    if (r < 0) {
        fail("subscriber", r);
    }
    for (bool joined = false; !atomic_load(&stopping);) {
        touchbus_event *event = NULL;
        r = touchbus_subscriber_next(subscriber, WAIT_MS, &event);
        check_refusal(subscriber, r);
        if (r != 1) {
            continue;
        }
        if (!joined) {
            printf("%" PRIu64 "\tjoined\t%s-0\t0\n", offset(), argv[3]);
            joined = true;
        }
        printf("%" PRIu64 "\treceived\t%s-0\t%" PRIu64 "\n", offset(), argv[3],
               touchbus_event_sequence(event));
        r = touchbus_subscriber_delivered(subscriber, event);
        if (r < 0) {
            fail("delivered", r);
        }
        touchbus_event_free(event);
    }
    touchbus_subscriber_free(subscriber);
    return 0;
}

static int read_log(int argc, char **argv) {
    touchbus_subscriber *subscriber = NULL;
    uint64_t left = strtoull(argv[3], NULL, 10);
    (void)argc;
    int r = touchbus_subscriber_new(
        &(touchbus_subscriber_options){.broker = argv[2], .start = TOUCHBUS_START_BEGINNING},
        &subscriber);
    if (r < 0) {
        fail("subscriber", r);
    }
    for (; left > 0; left--) {
        touchbus_event *event = NULL;
        r = touchbus_subscriber_next(subscriber, READ_MS_MAX, &event);
        check_refusal(subscriber, r);
        if (r != 1) {
            fail("the log ends early", ETIMEDOUT);
        }
        printf("%" PRIu64 "\t%s\n", touchbus_event_sequence(event),
               touchbus_event_get(event, "id"));
        touchbus_event_free(event);
    }
    touchbus_subscriber_free(subscriber);
    return 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
        int arguments_min;
    } roles[] = {{"publish", publish, 5},
                 {"collect", collect, 5},
                 {"read", read_log, 4},
                 {"again", again, 6}};
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; argc > 1 && i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(argv[1], roles[i].name) == 0 && argc >= roles[i].arguments_min) {
            return roles[i].run(argc, argv);
        }
    }
    fprintf(stderr,
            "usage: load publish|collect HOST:PORT NAME AT [N [BATCH]] | read HOST:PORT N | "
            "again HOST:PORT NAME FROM N\n");
    return 2;
}
