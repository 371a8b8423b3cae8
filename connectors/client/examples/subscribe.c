// SPDX-License-Identifier: Apache-2.0
// Prints events of a named subscription as CloudEvents JSON and settles each. Started again, it
// goes on where it was. Usage: subscribe HOST:PORT NAME [COUNT]
#include <stdio.h>
#include <stdlib.h>
#include <touchbus.h>

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: subscribe HOST:PORT NAME [COUNT]\n");
        return 2;
    }
    long count = argc > 3 ? strtol(argv[3], NULL, 10) : 10;
    const char *const types[] = {"page.*", "order.*", NULL};
    touchbus_subscriber_options options = {
        .broker = argv[1],
        .name = argv[2],
        .types = types,
        .start = TOUCHBUS_START_BEGINNING, // the first time; later it goes on at its cursor
    };
    touchbus_subscriber *subscriber;
    if (touchbus_subscriber_new(&options, &subscriber) != 0) {
        fprintf(stderr, "subscribe: not an address or not a name\n");
        return 2;
    }
    int status = 0;
    while (count > 0 && status == 0) {
        touchbus_event *event;
        const char *reason, *detail, *hint;
        switch (touchbus_subscriber_next(subscriber, 10000, &event)) {
        case 1: {
            char *json = touchbus_event_to_json(event);
            printf("%s\n", json);
            free(json);
            // Only now: an event that is not settled comes again, to us or to another member.
            touchbus_subscriber_delivered(subscriber, event);
            touchbus_event_free(event);
            count--;
            break;
        }
        case 0:
            fprintf(stderr, "subscribe: nothing came for ten seconds\n");
            status = 3;
            break;
        default:
            touchbus_subscriber_refusal(subscriber, &reason, &detail, &hint);
            fprintf(stderr, "subscribe: %s: %s (%s)\n", reason, detail, hint);
            status = 1;
        }
    }
    touchbus_subscriber_free(subscriber);
    return status;
}
