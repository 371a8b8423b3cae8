// SPDX-License-Identifier: Apache-2.0
// The two ends of the kill campaign, through libtouchbus as any connector would: `load publish`
// publishes numbered events until SIGTERM (200, then a pause) and writes a line for each ack; `load
// collect` settles a named subscription and writes a line for each event. A line is written before
// the event counts: an ack without its line, or a settlement without it, cannot happen.

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "connectors/client/touchbus.h"

enum { FLUSH_MS_MAX = 60000, IDLE_MS = 100 };

static atomic_bool stopping;
static long pause_ms = 5, customers = 500;

static void stop(int signal_number) {
    (void)signal_number;
    atomic_store(&stopping, true);
}

static void fail(const char *what, int r) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(r < 0 ? -r : r));
    exit(1);
}

static void on_ack(const touchbus_ack *ack, void *user) {
    const char *name = user;
    uint64_t number = (uint64_t)(uintptr_t)ack->tag;
    printf("%s\t%s-%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\n", name, name, number, number,
           ack->sequence, ack->reason);
}

// One event whose body follows from its number, so that the collector's line tells whether it is
// the same body.
static touchbus_event *make(const char *name, uint64_t number) {
    char id[96], user[32], data[96];
    snprintf(id, sizeof(id), "%s-%" PRIu64, name, number);
    snprintf(user, sizeof(user), "u-%" PRIu64, (number * 7919) % (uint64_t)customers);
    int size =
        snprintf(data, sizeof(data), "{\"url\":\"https://shop.example/%" PRIu64 "\"}", number);
    touchbus_event *event = touchbus_event_new("page.viewed", name, id);
    if (!event || touchbus_event_set(event, "channel", "web") ||
        touchbus_event_add_identity(event, "user_id", user, false) ||
        touchbus_event_set_data_json(event, data, (size_t)size))
        fail("event", ENOMEM);
    return event;
}

static int publish(const char *broker, const char *name) {
    touchbus_publisher *publisher = NULL;
    char label[80];
    snprintf(label, sizeof(label), "%s", name);
    int r = touchbus_publisher_new(&(touchbus_publisher_options){.broker = broker,
                                                                 .producer = name,
                                                                 .source = name,
                                                                 .window = 2000,
                                                                 .on_ack = on_ack,
                                                                 .user = label},
                                   &publisher);
    if (r < 0)
        fail("publisher", r);
    for (uint64_t number = 1; !atomic_load(&stopping); number++) {
        touchbus_event *event = make(name, number);
        while ((r = touchbus_publisher_publish(publisher, event, (void *)(uintptr_t)number)) ==
                   TOUCHBUS_FULL &&
               !atomic_load(&stopping))
            if ((r = touchbus_publisher_run(publisher, IDLE_MS)) < 0)
                fail("run", r);
        touchbus_event_free(event);
        if (r < 0)
            fail("publish", r);
        if (number % 200 == 0) {
            touchbus_publisher_run(publisher, 0);
            nanosleep(&(struct timespec){.tv_nsec = pause_ms * 1000 * 1000}, NULL);
        }
    }
    r = touchbus_publisher_flush(publisher, FLUSH_MS_MAX);
    if (r < 0)
        fail("flush", r);
    touchbus_publisher_free(publisher);
    return 0;
}

static int collect(const char *broker, const char *name) {
    touchbus_subscriber *subscriber = NULL;
    int r = touchbus_subscriber_new(
        &(touchbus_subscriber_options){
            .broker = broker, .name = name, .start = TOUCHBUS_START_BEGINNING},
        &subscriber);
    if (r < 0)
        fail("subscriber", r);
    while (!atomic_load(&stopping)) {
        touchbus_event *event = NULL;
        r = touchbus_subscriber_next(subscriber, IDLE_MS, &event);
        if (r < 0)
            fail("next", r);
        if (r == TOUCHBUS_REFUSED) {
            const char *reason = "", *detail = "", *hint = "";
            touchbus_subscriber_refusal(subscriber, &reason, &detail, &hint);
            fprintf(stderr, "load: refused: %s: %s\n", reason, detail);
            return 1;
        }
        if (r != 1)
            continue;
        char *data = touchbus_event_data_json(event);
        const char *last = data ? strrchr(data, '/') : NULL;
        printf("%s\t%s\t%" PRIu64 "\t%" PRIu64 "\tok\n", touchbus_event_get(event, "source"),
               touchbus_event_get(event, "id"), last ? (uint64_t)strtoull(last + 1, NULL, 10) : 0,
               touchbus_event_sequence(event));
        fflush(stdout);
        free(data);
        r = touchbus_subscriber_delivered(subscriber, event);
        if (r < 0)
            fail("delivered", r);
        touchbus_event_free(event);
    }
    touchbus_subscriber_free(subscriber);
    return 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(const char *broker, const char *name);
    } ROLES[] = {{"publish", publish}, {"collect", collect}};
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 4)
        pause_ms = strtol(argv[4], NULL, 10) % 1000;
    if (argc > 5)
        customers = strtol(argv[5], NULL, 10);
    for (size_t i = 0; argc >= 4 && customers > 0 && i < sizeof(ROLES) / sizeof(ROLES[0]); i++)
        if (strcmp(argv[1], ROLES[i].name) == 0)
            return ROLES[i].run(argv[2], argv[3]);
    fprintf(stderr, "usage: load publish|collect HOST:PORT NAME [PAUSE-MS [CUSTOMERS]]\n");
    return 2;
}
