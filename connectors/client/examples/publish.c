// SPDX-License-Identifier: Apache-2.0
// Publishes a few page views of one customer and waits until each is on disk and in the customer
// view. Usage: publish HOST:PORT [COUNT]
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <touchbus.h>

static void on_ack(const touchbus_ack *ack, void *user) {
    int *n_refused = user;
    if (ack->code == 0 || ack->duplicate) {
        printf("event %s: sequence %" PRIu64 ", customer c%" PRIu64 "\n", (const char *)ack->tag,
               ack->sequence, ack->customer);
    } else {
        fprintf(stderr, "event %s: %s: %s (%s)\n", (const char *)ack->tag, ack->reason, ack->detail,
                ack->hint);
        ++*n_refused;
    }
}

static int publish_one(touchbus_publisher *publisher, int number) {
    static char tags[1000][8];
    char data[64];
    int size = snprintf(data, sizeof(data), "{\"url\":\"https://shop.example/%d\"}", number);
    touchbus_event *event = touchbus_event_new("page.viewed", NULL, NULL);
    if (event == NULL || touchbus_event_set(event, "channel", "web") != 0 ||
        touchbus_event_add_identity(event, "email", "ana@klant.example", false) != 0 ||
        touchbus_event_set_data_json(event, data, (size_t)size) != 0) {
        touchbus_event_free(event);
        return -1;
    }
    snprintf(tags[number], sizeof(tags[number]), "#%d", number);
    int r;
    while ((r = touchbus_publisher_publish(publisher, event, tags[number])) == TOUCHBUS_FULL) {
        touchbus_publisher_run(publisher, 1000); // until something is acked
    }
    touchbus_event_free(event); // the publisher has its own copy
    return r;
}

int main(int argc, char **argv) {
    int count = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 3;
    int n_refused = 0;
    touchbus_publisher_options options = {
        .broker = argc > 1 ? argv[1] : NULL, // NULL: TOUCHBUS_BROKER, else 127.0.0.1:7400
        .producer = "example-publish",
        .on_ack = on_ack,
        .user = &n_refused,
    };
    touchbus_publisher *publisher;
    if (touchbus_publisher_new(&options, &publisher) != 0) {
        fprintf(stderr, "publish: not an address: %s\n", options.broker);
        return 2;
    }
    for (int i = 0; i < count && i < 1000; i++) {
        if (publish_one(publisher, i) < 0) {
            fprintf(stderr, "publish: event %d cannot be made\n", i);
            n_refused++;
        }
    }
    int r = touchbus_publisher_flush(publisher, 10000);
    touchbus_publisher_free(publisher);
    if (r != 0) {
        fprintf(stderr, "publish: the broker is not there\n");
        return 3;
    }
    return n_refused > 0;
}
