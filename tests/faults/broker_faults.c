// SPDX-License-Identifier: Apache-2.0
// The nth allocation fails, for every n until a run passes without: at the broker's start, in a
// tick (request to commit and ack), in delivery, in a query. Each run is a process of its own on
// the state folder that the one before it left, so that each start is also a recovery. The outcome
// is a clean error or the exit of a fatal one; what was acked before is there, under its sequence;
// in the end the view equals a rebuild.
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/bounds.h"
#include "broker/stores/verify.h"
#include "schemas/base/logging.h"
#include "schemas/body.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "tests/faults/alloc.h"
#include "tests/faults/house.h"

enum { EVENTS = 4, RUNS_MAX = 4000, RUNS_CHECKED = 3, RUN_SECONDS = 60 };
enum { STATUS_WHOLE = 0, STATUS_FAILED = 3, STATUS_WRONG = 99 };

// What runs tell the next ones: shared memory.
struct told {
    unsigned n_runs;
    uint64_t sequences[RUNS_MAX][EVENTS]; // acked; 0: not
    unsigned n_deliveries, n_answers;
};

static struct told *told;
static char state[64];

#define REQUIRE(claim)                                                                             \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);             \
            _exit(STATUS_WRONG);                                                                   \
        }                                                                                          \
    } while (0)

// ---- what is said

static ProtobufCBinaryData pack(struct arena *arena, const ProtobufCMessage *message) {
    const uint8_t *bytes;
    size_t size;
    REQUIRE(envelope_pack(message, arena, &bytes, &size) == 0);
    return (ProtobufCBinaryData){.len = size, .data = arena_copy(arena, bytes, size)};
}

static ProtobufCBinaryData make_event(struct arena *arena, unsigned run, unsigned index) {
    static const struct {
        const char *type, *data;
    } rows[EVENTS] = {
        {"page.viewed", "{\"url\": \"https://shop.example/\"}"},
        {"order.placed", "{\"order_id\": \"o-%u\", \"lines\": [{\"sku\": \"s-1\", \"quantity\": 1, "
                         "\"price\": \"10.00\"}], \"currency\": \"EUR\"}"},
        {"order.placed", "{\"order_id\": 7}"}, // put aside
        {"customer.attributes.changed", "{\"attributes\": {\"name\": \"N %u\"}}"},
    };
    Touchbus__Event event;
    Touchbus__Identity identity, *identities[] = {&identity};
    char data[256];
    touchbus__event__init(&event);
    touchbus__identity__init(&identity);
    identity.kind = arena_strdup(arena, "user_id");
    identity.value = arena_printf(arena, "u-%u", run);
    event.id = arena_printf(arena, "e-%u-%u", run, index);
    event.source = arena_strdup(arena, "/faults");
    event.type = arena_strdup(arena, rows[index].type);
    event.channel = arena_strdup(arena, "web");
    event.identities = identities;
    event.n_identities = 1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(data, sizeof(data), rows[index].data, run);
#pragma GCC diagnostic pop
    json_t *json = json_loads(data, 0, NULL);
    void *bytes = NULL;
    size_t size = 0;
    REQUIRE(json != NULL && body_from_json(json, &bytes, &size) == 0);
    event.data = (ProtobufCBinaryData){.len = size, .data = arena_copy(arena, bytes, size)};
    free(bytes);
    json_decref(json);
    return pack(arena, &event.base);
}

// The request number is the run.
static void say_events(struct house *house, unsigned run) {
    struct arena *arena = arena_new(1 << 20);
    ProtobufCBinaryData events[EVENTS];
    Touchbus__PublishRequest request;
    touchbus__publish_request__init(&request);
    for (unsigned i = 0; i < EVENTS; i++) {
        events[i] = make_event(arena, run, i);
    }
    request.version = WIRE_VERSION;
    request.request = run + 1;
    request.events = events;
    request.n_events = EVENTS;
    ProtobufCBinaryData frame = pack(arena, &request.base);
    REQUIRE(house_say(house, HOUSE_PUBLISH, "publisher", frame.data, frame.len));
    arena_free(arena);
}

static void say_subscribe(struct house *house, unsigned run) {
    struct arena *arena = arena_new(1 << 20);
    Touchbus__SubscriberMessage message;
    Touchbus__Subscribe subscribe;
    Touchbus__Start start;
    touchbus__subscriber_message__init(&message);
    touchbus__subscribe__init(&subscribe);
    touchbus__start__init(&start);
    start.from_case = TOUCHBUS__START__FROM_BEGINNING;
    start.beginning = true;
    subscribe.name = arena_strdup(arena, run % 2 == 0 ? "crm" : "");
    subscribe.member = arena_printf(arena, "m-%u", run);
    subscribe.start = &start;
    message.version = WIRE_VERSION;
    message.body_case = TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE;
    message.subscribe = &subscribe;
    ProtobufCBinaryData frame = pack(arena, &message.base);
    REQUIRE(house_say(house, HOUSE_SUBSCRIBE, "subscriber", frame.data, frame.len));
    arena_free(arena);
}

static void say_query(struct house *house, unsigned run) {
    static const struct {
        const char *verb, *name, *value;
    } rows[] = {{"customer.show", "key", "user_id=u-0"},
                {"log.get", "sequence", "1"},
                {"customer.export", "key", "user_id=u-0"},
                {"status", NULL, NULL},
                {"subscription.ls", NULL, NULL}};
    struct arena *arena = arena_new(1 << 20);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Touchbus__Query query;
        Touchbus__Argument argument, *arguments[] = {&argument};
        touchbus__query__init(&query);
        touchbus__argument__init(&argument);
        query.version = WIRE_VERSION;
        query.request = run + 1;
        query.verb = arena_strdup(arena, rows[i].verb);
        if (rows[i].name != NULL) {
            argument.name = arena_strdup(arena, rows[i].name);
            argument.value = arena_strdup(arena, rows[i].value);
            query.arguments = arguments;
            query.n_arguments = 1;
        }
        ProtobufCBinaryData frame = pack(arena, &query.base);
        REQUIRE(house_say(house, HOUSE_QUERY, "asker", frame.data, frame.len));
    }
    arena_free(arena);
}

// ---- what is heard

static void hear_reply(const void *frame, size_t size) {
    Touchbus__PublishReply *reply = touchbus__publish_reply__unpack(NULL, size, frame);
    REQUIRE(reply != NULL && reply->request <= RUNS_MAX && (reply->request > 0 || reply->code > 0));
    uint64_t *sequences = told->sequences[reply->request > 0 ? reply->request - 1 : 0];
    for (size_t i = 0; i < reply->n_sequences && i < EVENTS; i++) {
        // What was acked once is a duplicate under its sequence for ever.
        REQUIRE(sequences[i] == 0 || sequences[i] == reply->sequences[i]);
        sequences[i] = reply->sequences[i];
    }
    touchbus__publish_reply__free_unpacked(reply, NULL);
}

static void hear(void *user, enum house_door door, const char *peer, const void *frame,
                 size_t size) {
    (void)user, (void)peer;
    alloc_pause(true); // the listener has memory of its own
    if (door == HOUSE_PUBLISH) {
        hear_reply(frame, size);
    }
    told->n_deliveries += door == HOUSE_SUBSCRIBE;
    told->n_answers += door == HOUSE_QUERY;
    alloc_pause(false);
}

// ---- one run

struct path {
    const char *name;
    void (*say)(struct house *house, unsigned run);
    bool at_start;      // memory ends while the broker starts
    unsigned step_most; // up to which n steps on, where not every n is wanted
};

static void check_acked(struct house *house, unsigned run) {
    for (unsigned back = 1; back <= RUNS_CHECKED && back <= run; back++) {
        say_events(house, run - back); // hear_reply compares
    }
    house_run(house);
}

// In a process of its own. Ends it.
static void run_once(const struct path *path, unsigned run, unsigned long nth, bool for_good) {
    struct house *house = NULL;
    if (path->at_start) {
        alloc_arm(nth, for_good);
        int r = house_open(state, hear, NULL, &house);
        bool failed = alloc_disarm();
        REQUIRE(failed || r == 0);
        if (r != 0 && r != -ENOMEM) {
            fprintf(stderr, "start: allocation %lu: \"%s\"\n", nth, strerror(-r));
        }
        house_close(house, false);
        exit(failed ? STATUS_FAILED : STATUS_WHOLE);
    }
    REQUIRE(house_open(state, hear, NULL, &house) == 0);
    path->say(house, run);
    alloc_arm(nth, for_good);
    house_run(house);
    bool failed = alloc_disarm();
    say_events(house, run); // it goes on
    house_run(house);
    check_acked(house, run);
    REQUIRE(told->sequences[run][0] != 0 && told->sequences[run][3] != 0);
    house_close(house, true);
    exit(failed ? STATUS_FAILED : STATUS_WHOLE);
}

static int in_a_process(const struct path *path, unsigned run, unsigned long nth, bool for_good) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(RUN_SECONDS);
        run_once(path, run, nth, for_good);
    }
    int status = -1;
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

// Whether every n ended well.
static bool campaign(const struct path *path, bool for_good, unsigned *seed) {
    unsigned n_fatal = 0, n_failed = 0, n_runs = 0;
    unsigned step_most = getenv("TOUCHBUS_SLOW") != NULL ? 1 : path->step_most;
    for (unsigned long nth = 1; told->n_runs < RUNS_MAX;
         nth += 1 + (unsigned)rand_r(seed) % step_most) {
        n_runs++;
        int status = in_a_process(path, told->n_runs++, nth, for_good);
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        n_fatal += code == EXIT_FATAL;
        n_failed += code == STATUS_FAILED;
        if (code == STATUS_WHOLE) {
            printf("%-9s %-8s allocations=%lu runs=%u fatal=%u survived=%u\n", path->name,
                   for_good ? "for good" : "once", nth - 1, n_runs, n_fatal, n_failed);
            return true;
        }
        if (code != EXIT_FATAL && code != STATUS_FAILED) {
            fprintf(stderr, "%s: allocation %lu %s: ended with %s %d\n", path->name, nth,
                    for_good ? "and all behind it" : "alone",
                    WIFSIGNALED(status) ? "signal" : "status",
                    WIFSIGNALED(status) ? WTERMSIG(status) : code);
            return false;
        }
    }
    return false;
}

// Beside a broker, which verify wants; it starts again for that.
static bool view_is_right(void) {
    int ready[2];
    char byte = 0;
    fflush(NULL);
    REQUIRE(pipe(ready) == 0);
    pid_t broker = fork();
    if (broker == 0) {
        struct house *house = NULL;
        REQUIRE(house_open(state, hear, NULL, &house) == 0 && write(ready[1], &byte, 1) == 1);
        alarm(RUN_SECONDS);
        pause();
    }
    REQUIRE(broker > 0 && close(ready[1]) == 0);
    bool right = read(ready[0], &byte, 1) == 1;
    pid_t child = right ? fork() : -1;
    if (child == 0) {
        exit(verify_run(state, stdout));
    }
    int status = -1;
    right = child > 0 && waitpid(child, &status, 0) == child && status == 0;
    kill(broker, SIGKILL);
    waitpid(broker, NULL, 0);
    close(ready[0]);
    return right;
}

int main(int argc, char **argv) {
    static const struct path paths[] = {
        {"tick", say_events, false, 1},
        {"delivery", say_subscribe, false, 4},
        {"query", say_query, false, 8},
        {"start", NULL, true, 8},
    };
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)time(NULL);
    printf("%s %u\n", argv[0], seed);
    signal(SIGPIPE, SIG_IGN);
    logging_init("faults", LOGGING_ERROR);
    told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(state, sizeof(state), "%s/touchbus-faults-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    REQUIRE(told != MAP_FAILED && mkdtemp(state) != NULL);
    bool well = true;
    for (size_t i = 0; well && i < sizeof(paths) / sizeof(paths[0]); i++) {
        well = campaign(&paths[i], false, &seed) && campaign(&paths[i], true, &seed);
    }
    bool equal = well && view_is_right();
    printf("runs=%u deliveries=%u answers=%u view=%s\n", told->n_runs, told->n_deliveries,
           told->n_answers, equal ? "equal" : "unknown");
    REQUIRE(!well || (told->n_deliveries > 0 && told->n_answers > 0));
    house_remove(state);
    return equal ? EXIT_SUCCESS : EXIT_FAILURE;
}
