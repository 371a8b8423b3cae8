// SPDX-License-Identifier: Apache-2.0
// The broker as a program over JSON lines: state, tick, delivery and query as they are, without
// threads and sockets (tests/faults/house.h), in a time that is told. One command a line in, one
// answer a line out; README.md beside this file has the list. With --rebuild it is another process
// that only reads state folders, and says the hash which their view has to have.
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/stores/rebuild.h"
#include "broker/stores/rehash.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"
#include "schemas/body.h"
#include "schemas/cloudevents.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"
#include "tests/faults/house.h"

enum { ARENA_BYTES_MAX = 64 << 20, TRIM_BLOCKS_MAX = 100000, PATH_BYTES = 512 };

static struct driver {
    struct house *house;
    struct arena *arena;
    char state[PATH_BYTES];
    char *words[HOUSE_WORDS_MAX];
    size_t n_words;
    json_t *answer; // of the command under way
} driver;

#define REQUIRE(claim)                                                                             \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static void put(const char *name, json_t *value) {
    REQUIRE(value != NULL && json_object_set_new(driver.answer, name, value) == 0);
}

static const char *text_of(const json_t *command, const char *name) {
    const char *text = json_string_value(json_object_get(command, name));
    return text == NULL ? "" : text;
}

static int64_t number_of(const json_t *command, const char *name) {
    return json_integer_value(json_object_get(command, name));
}

static json_t *body_json(ProtobufCBinaryData body) {
    json_t *json = NULL;
    REQUIRE(body_to_json(body.data, body.len, &json) == 0);
    return json;
}

// ---- what the broker says

static void hear_reply(const void *frame, size_t size) {
    Touchbus__PublishReply *reply = touchbus__publish_reply__unpack(NULL, size, frame);
    json_t *sequences = json_array(), *customers = json_array(), *outcomes = json_array();
    REQUIRE(reply != NULL);
    for (size_t i = 0; i < reply->n_sequences; i++) {
        json_array_append_new(sequences, json_integer((json_int_t)reply->sequences[i]));
        json_array_append_new(customers, json_integer((json_int_t)reply->customers[i]));
    }
    for (size_t i = 0; i < reply->n_outcomes; i++) {
        const Touchbus__Outcome *row = reply->outcomes[i];
        json_t *outcome = json_pack("{s:I, s:s, s:s}", "index", (json_int_t)row->index, "reason",
                                    reason_find(row->code)->name, "detail", row->detail);
        if (row->verdict.len > 0) {
            json_object_set_new(outcome, "verdict", body_json(row->verdict));
        }
        json_array_append_new(outcomes, outcome);
    }
    put("sequences", sequences);
    put("customers", customers);
    put("outcomes", outcomes);
    put("reason", json_string(reason_find(reply->code)->name));
    touchbus__publish_reply__free_unpacked(reply, NULL);
}

static void hear_answer(const void *frame, size_t size) {
    Touchbus__Answer *answer = touchbus__answer__unpack(NULL, size, frame);
    REQUIRE(answer != NULL);
    json_t *parts = json_object_get(driver.answer, "parts");
    if (parts == NULL) {
        put("parts", parts = json_array());
    }
    if (answer->body.len > 0) {
        json_array_append_new(parts, body_json(answer->body));
    }
    put("reason", json_string(reason_find(answer->code)->name));
    put("detail", json_string(answer->detail));
    put("as_of", json_integer((json_int_t)answer->as_of));
    touchbus__answer__free_unpacked(answer, NULL);
}

static void hear(void *user, enum house_door door, const char *peer, const void *frame,
                 size_t size) {
    (void)user, (void)peer;
    if (door == HOUSE_PUBLISH) {
        hear_reply(frame, size);
    } else if (door == HOUSE_QUERY) {
        hear_answer(frame, size);
    }
}

// Processor time, which no other process lengthens.
static int64_t cpu_us(void) {
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (int64_t)spent.tv_sec * CLOCK_US_PER_S + spent.tv_nsec / 1000;
}

static void say(enum house_door door, const ProtobufCMessage *message) {
    const uint8_t *bytes;
    size_t size;
    REQUIRE(envelope_pack(message, driver.arena, &bytes, &size) == 0);
    REQUIRE(house_say(driver.house, door, "driver", bytes, size));
    int64_t began_us = cpu_us();
    house_run(driver.house);
    put("took_us", json_integer(cpu_us() - began_us));
}

// ---- commands

static void open_house(void) {
    int r = house_open(driver.state, hear, NULL, &driver.house);
    if (r != 0) {
        fprintf(stderr, "driver: %s does not open: %s\n", driver.state, strerror(-r));
        exit(1);
    }
    REQUIRE(view_write_behind(house_broker(driver.house)->view) == 0); // as touchbusd does
}

static void do_open(const json_t *command) {
    size_t index;
    json_t *word;
    REQUIRE(driver.house == NULL);
    snprintf(driver.state, sizeof(driver.state), "%s", text_of(command, "state"));
    while (driver.n_words > 0) {
        free(driver.words[--driver.n_words]);
    }
    json_array_foreach(json_object_get(command, "words"), index, word) {
        REQUIRE(driver.n_words < HOUSE_WORDS_MAX);
        driver.words[driver.n_words++] = strdup(json_string_value(word));
    }
    house_words((const char *const *)driver.words, driver.n_words);
    open_house();
}

static void do_close(const json_t *command) {
    house_close(driver.house, json_is_true(json_object_get(command, "clean")));
    driver.house = NULL;
    if (json_is_true(json_object_get(command, "remove"))) {
        house_remove(driver.state);
    }
}

static void do_restart(const json_t *command) {
    do_close(command);
    open_house();
}

static void do_clock(const json_t *command) {
    house_time(number_of(command, "at_us"));
}

static void do_jump(const json_t *command) {
    house_jump(number_of(command, "at_us"));
}

// Events of one request, which one tick takes in together. What does not read as CloudEvents is the
// caller's mistake. No events: a hello, which also gives the tick its turn.
static void do_publish(const json_t *command) {
    Touchbus__PublishRequest request;
    const json_t *events = json_object_get(command, "events");
    size_t n = json_array_size(events);
    touchbus__publish_request__init(&request);
    request.version = WIRE_VERSION;
    request.request = 1;
    request.n_events = n;
    request.events = arena_calloc(driver.arena, n + 1, sizeof(*request.events));
    for (size_t i = 0; i < n; i++) {
        Touchbus__Event *event;
        const char *why = "";
        const uint8_t *bytes;
        if (cloudevents_from_json(json_array_get(events, i), false, driver.arena, &event, &why) !=
            0) {
            fprintf(stderr, "driver: event %zu: %s\n", i, why);
            exit(1);
        }
        REQUIRE(envelope_pack(&event->base, driver.arena, &bytes, &request.events[i].len) == 0);
        request.events[i].data = arena_copy(driver.arena, bytes, request.events[i].len);
    }
    say(HOUSE_PUBLISH, &request.base);
}

static void do_query(const json_t *command) {
    Touchbus__Query query;
    Touchbus__Argument rows[QUERY_ARGUMENTS_MAX], *arguments[QUERY_ARGUMENTS_MAX];
    _cleanup_free_ void *body = NULL;
    const char *name;
    json_t *value;
    touchbus__query__init(&query);
    query.version = WIRE_VERSION;
    query.request = 1;
    query.verb = arena_strdup(driver.arena, text_of(command, "verb"));
    query.arguments = arguments;
    json_object_foreach(json_object_get(command, "arguments"), name, value) {
        Touchbus__Argument *row = &rows[query.n_arguments];
        touchbus__argument__init(row);
        row->name = arena_strdup(driver.arena, name);
        row->value = arena_strdup(driver.arena, json_string_value(value));
        arguments[query.n_arguments++] = row;
    }
    if (json_object_get(command, "body") != NULL) {
        REQUIRE(body_from_json(json_object_get(command, "body"), &body, &query.body.len) == 0);
        query.body.data = body;
    }
    say(HOUSE_QUERY, &query.base);
}

// SIGHUP, as the daemon takes it; the tick looks when it has something to do.
static void do_reload(const json_t *command) {
    raise(SIGHUP);
    do_publish(command);
}

static void do_hash(const json_t *command) {
    (void)command;
    struct view_txn *txn = NULL;
    char hash[65];
    REQUIRE(view_begin(house_broker(driver.house)->view, false, &txn) == 0);
    REQUIRE(view_hash(txn, hash) == 0);
    put("applied", json_integer((json_int_t)view_applied(txn)));
    put("hash", json_string(hash));
    view_abort(txn);
}

// What upkeep does, in its order: a restore point, the fold of what goes into the base, the trim.
static void do_trim(const json_t *command) {
    struct broker *broker = house_broker(driver.house);
    struct view_snapshot *snapshot = NULL;
    struct rebuild *rebuild = NULL;
    struct log_txn *txn = NULL;
    uint64_t before = (uint64_t)number_of(command, "before"), applied = 0;
    unsigned n = 0;
    int r = 1;
    REQUIRE(before >= 1 && before <= log_next(broker->log));
    REQUIRE(view_snapshot_begin(broker->view, &snapshot) == 0);
    REQUIRE(view_snapshot_finish(broker->view, snapshot) == 0);
    REQUIRE(rebuild_new(broker->log, broker->keys, broker->base, &rebuild) == 0);
    while (r == 1) {
        r = rebuild_step(rebuild, before - 1, &applied);
    }
    REQUIRE(r == 0);
    rebuild_free(rebuild);
    REQUIRE(log_begin(broker->log, &txn) == 0);
    REQUIRE(log_trim(txn, before, TRIM_BLOCKS_MAX, &n) == 0);
    REQUIRE(log_commit(txn) == 0);
    put("blocks", json_integer(n));
    put("first", json_integer((json_int_t)log_first(broker->log)));
}

// ---- another process

static void do_rebuild(const json_t *command) {
    char log_path[PATH_BYTES + 8], keys_path[PATH_BYTES + 8], base[PATH_BYTES + 8], hash[65];
    const char *state = text_of(command, "state");
    struct log *log = NULL;
    struct keys *keys = NULL;
    snprintf(log_path, sizeof(log_path), "%s/log", state);
    snprintf(keys_path, sizeof(keys_path), "%s/keys", state);
    snprintf(base, sizeof(base), "%s/base", state);
    REQUIRE(log_open(log_path, 0, true, &log) == 0);
    REQUIRE(keys_open(keys_path, true, &keys) == 0);
    struct rehash what = {.log = log,
                          .keys = keys,
                          .base = base,
                          .scratch = text_of(command, "scratch"),
                          .last = (uint64_t)number_of(command, "applied")};
    int r = rehash(&what, hash);
    put("hash", json_string(r == 0 ? hash : strerror(-r)));
    keys_close(keys);
    log_close(log);
}

// ----

static const struct command {
    const char *name;
    void (*run)(const json_t *command);
    bool reads_only; // may be asked of --rebuild
} COMMANDS[] = {
    {"open", do_open, false},   {"close", do_close, false},    {"restart", do_restart, false},
    {"clock", do_clock, false}, {"jump", do_jump, false},      {"publish", do_publish, false},
    {"query", do_query, false}, {"reload", do_reload, false},  {"hash", do_hash, false},
    {"trim", do_trim, false},   {"rebuild", do_rebuild, true},
};

static void run_line(const char *line, bool rebuilds) {
    json_t *command = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    const char *name = text_of(command, "do");
    for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++) {
        if (strcmp(COMMANDS[i].name, name) == 0 && COMMANDS[i].reads_only == rebuilds) {
            driver.answer = json_object();
            COMMANDS[i].run(command);
            json_dumpf(driver.answer, stdout, JSON_COMPACT | JSON_SORT_KEYS);
            printf("\n");
            fflush(stdout);
            json_decref(driver.answer);
            json_decref(command);
            arena_reset(driver.arena);
            return;
        }
    }
    fprintf(stderr, "driver: no such command: %s\n", line);
    exit(2);
}

int main(int argc, char **argv) {
    bool rebuilds = argc > 1 && strcmp(argv[1], "--rebuild") == 0;
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    logging_init("driver", getenv("TOUCHBUS_DRIVER_LOG") != NULL ? LOGGING_INFO : LOGGING_ERROR);
    driver.arena = arena_new(ARENA_BYTES_MAX);
    REQUIRE(driver.arena != NULL);
    while (getline(&line, &size, stdin) > 0) {
        run_line(line, rebuilds);
    }
    house_close(driver.house, true);
    arena_free(driver.arena);
    return 0;
}
