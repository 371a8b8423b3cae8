// SPDX-License-Identifier: Apache-2.0
// The two ends of the crash campaign. `work STATE SEED TICKS` opens a state folder as the broker
// does and works: ticks, restore points, trims; after each tick it writes the last sequence to
// standard output, which is the ack. `work --check STATE ACKED` opens what a power cut left: all
// that was acked is there, every event is its own, the view is the fold of base and log, and work
// goes on.
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/stores/ticks.h"
#include "broker/stores/rebuild.h"
#include "broker/stores/state.h"
#include "broker/stores/store.h"
#include "schemas/base/logging.h"

enum { MAP_BYTES = 1 << 28, GO_ON_TICKS = 4, EXIT_WRONG = 1, EXIT_REFUSED = 2 };

static uint64_t random_number(uint64_t *seed) { // xorshift64*
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545F4914F6CDD1D);
}

static struct broker *open_state(const char *state) {
    struct broker *broker = calloc(1, sizeof(*broker));
    if (broker == NULL) {
        abort();
    }
    broker->configuration.state = strdup(state);
    broker->configuration.log_map_bytes = MAP_BYTES;
    broker->configuration.view_map_bytes = MAP_BYTES;
    if (state_open(broker) < 0) {
        exit(EXIT_REFUSED);
    }
    return broker;
}

static void close_state(struct broker *broker) {
    state_close(broker, false);
    free(broker->configuration.state);
    free(broker);
}

static void ack(struct broker *broker) {
    char line[32];
    int n = snprintf(line, sizeof(line), "%" PRIu64 "\n", log_next(broker->log) - 1);
    if (n < 0 || write(STDOUT_FILENO, line, (size_t)n) != n) {
        abort();
    }
}

// Up to what a restore point holds, as retention does.
static void trim_some(struct broker *broker, uint64_t *seed) {
    uint64_t restorable = view_restorable(broker->view), first = log_first(broker->log);
    if (restorable > first + 40) {
        ticks_trim(broker, first + random_number(seed) % (restorable - first));
    }
}

static int work(const char *state, uint64_t seed, int n_ticks) {
    struct broker *broker = open_state(state);
    ack(broker); // a start answers duplicates with what it finds
    for (int i = 0; i < n_ticks; i++) {
        ticks_one(broker, 1 + (size_t)(random_number(&seed) % TICKS_EVENTS_MAX));
        ack(broker);
        if (random_number(&seed) % 6 == 0) {
            ticks_point(broker);
        }
        if (random_number(&seed) % 12 == 0) {
            trim_some(broker, &seed);
        }
    }
    close_state(broker);
    return 0;
}

// The view's hash and that of a scratch copy built from base and log.
static bool view_is_right(struct broker *broker) {
    char live[65], rebuilt[65], dir[4096];
    struct view *base = broker->view;
    struct rebuild *rebuild = NULL;
    uint64_t applied = 0;
    int r = 1;
    ticks_hash(base, live);
    snprintf(dir, sizeof(dir), "%s/scratch", broker->configuration.state);
    if (view_copy(broker->base, dir) < 0 ||
        view_open(dir, VIEW_SCRATCH, MAP_BYTES, false, &base) < 0 ||
        rebuild_new(broker->log, broker->keys, base, &rebuild) < 0) {
        return false;
    }
    while (r == 1) {
        r = rebuild_step(rebuild, log_next(broker->log) - 1, &applied);
    }
    rebuild_free(rebuild);
    ticks_hash(base, rebuilt);
    view_close(base);
    store_remove_folder(dir);
    return r == 0 && strcmp(live, rebuilt) == 0;
}

static const char *judge(struct broker *broker, uint64_t acked) {
    if (log_next(broker->log) - 1 < acked) {
        return "acked events are lost";
    }
    if (ticks_first_wrong(broker) != 0) {
        return "an event is not its own";
    }
    return view_is_right(broker) ? NULL : "the view is not the fold of base and log";
}

static int check(const char *state, uint64_t acked) {
    for (int life = 0; life < 2; life++) {
        struct broker *broker = open_state(state);
        const char *wrong = judge(broker, acked);
        if (wrong != NULL) {
            fprintf(stderr, "%s (acked %" PRIu64 ", log %" PRIu64 " to %" PRIu64 ")\n", wrong,
                    acked, log_first(broker->log), log_next(broker->log) - 1);
            return EXIT_WRONG;
        }
        for (int i = 0; i < GO_ON_TICKS; i++) {
            ticks_one(broker, 3);
            if (i == 1) {
                ticks_point(broker);
            }
        }
        acked = log_next(broker->log) - 1;
        close_state(broker);
    }
    return 0;
}

int main(int argc, char **argv) {
    logging_init("crash-work", LOGGING_ERROR);
    if (argc == 4 && strcmp(argv[1], "--check") == 0) {
        return check(argv[2], strtoull(argv[3], NULL, 10));
    }
    if (argc == 4) {
        return work(argv[1], strtoull(argv[2], NULL, 10) | 1, (int)strtol(argv[3], NULL, 10));
    }
    fprintf(stderr, "usage: work STATE SEED TICKS | work --check STATE ACKED\n");
    return 2;
}
