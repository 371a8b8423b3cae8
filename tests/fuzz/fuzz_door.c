// SPDX-License-Identifier: Apache-2.0
// A frame at one of the broker's three doors (FUZZ_DOOR) through to its answer, with the real tick,
// delivery and query over a real state folder: only threads and sockets are not there
// (tests/faults/house.h). Every frame at the publish door is answered once, and what its answer
// calls accepted is in the log; a fatal error is a finding. The state goes on from input to input
// and starts anew now and then; it has to open again as it was left.
#include <string.h>
#include <unistd.h>

#include "broker/query/verbs.h"
#include "schemas/base/logging.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "tests/faults/house.h"
#include "tests/fuzz/fuzz.h"

enum { INPUTS_A_STATE = 400, INPUTS_A_START = 100, ARENA_BYTES_MAX = 16 << 20 };

static struct world {
    char state[64];
    struct house *house;
    struct arena *arena;
    unsigned n_inputs, n_heard;
    uint64_t last; // the highest sequence that was acked
} world;

// A commit that fails ends the process; here nothing makes one fail.
_Noreturn void __wrap_broker_fatal(const char *what, int error);
_Noreturn void __wrap_broker_fatal(const char *what, int error) {
    fprintf(stderr, "fatal: %s %d\n", what, error);
    abort();
}

static void hear_reply(const void *frame, size_t size) {
    Touchbus__PublishReply *reply = touchbus__publish_reply__unpack(NULL, size, frame);
    REQUIRE(reply != NULL);
    for (size_t i = 0; i < reply->n_sequences; i++) {
        world.last = reply->sequences[i] > world.last ? reply->sequences[i] : world.last;
    }
    touchbus__publish_reply__free_unpacked(reply, NULL);
}

static void hear(void *user, enum house_door door, const char *peer, const void *frame,
                 size_t size) {
    (void)user, (void)peer;
    world.n_heard += door == FUZZ_DOOR;
    if (door == HOUSE_PUBLISH) {
        hear_reply(frame, size);
    }
}

static void open_house(void) {
    REQUIRE(house_open(world.state, hear, NULL, &world.house) == 0);
    REQUIRE(log_next(house_broker(world.house)->log) > world.last);
}

static void remove_state(void) {
    house_close(world.house, false);
    world.house = NULL;
    house_remove(world.state);
}

static void say(enum house_door door, const char *peer, const ProtobufCMessage *message) {
    const uint8_t *bytes;
    size_t size;
    REQUIRE(envelope_pack(message, world.arena, &bytes, &size) == 0);
    REQUIRE(house_say(world.house, door, peer, bytes, size));
}

// Somebody is there already, and so is something to deliver and to ask about.
static void say_event(void) {
    Touchbus__PublishRequest request;
    Touchbus__Event event;
    Touchbus__Identity identity, *identities[] = {&identity};
    touchbus__publish_request__init(&request);
    touchbus__event__init(&event);
    touchbus__identity__init(&identity);
    identity.kind = arena_strdup(world.arena, "email");
    identity.value = arena_strdup(world.arena, "ana@klant.example");
    event.id = arena_printf(world.arena, "e-%u", world.n_inputs);
    event.source = arena_strdup(world.arena, "/fuzz");
    event.type = arena_strdup(world.arena, "acme.seen");
    event.channel = arena_strdup(world.arena, "web");
    event.identities = identities;
    event.n_identities = 1;
    const uint8_t *bytes;
    size_t size;
    REQUIRE(envelope_pack(&event.base, world.arena, &bytes, &size) == 0);
    ProtobufCBinaryData events[] = {
        {.len = size, .data = arena_copy(world.arena, bytes, size)},
    };
    request.version = WIRE_VERSION;
    request.events = events;
    request.n_events = 1;
    say(HOUSE_PUBLISH, "publisher", &request.base);
}

static void say_subscribe(void) {
    Touchbus__SubscriberMessage message;
    Touchbus__Subscribe subscribe;
    touchbus__subscriber_message__init(&message);
    touchbus__subscribe__init(&subscribe);
    subscribe.name = arena_strdup(world.arena, "crm");
    message.version = WIRE_VERSION;
    message.body_case = TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE;
    message.subscribe = &subscribe;
    say(HOUSE_SUBSCRIBE, "peer", &message.base);
}

// What starts processes, writes where it is told, or waits for a thread that is not here.
static bool is_out_of_reach(const uint8_t *data, size_t size) {
    const char *why;
    ProtobufCMessage *message;
    if (envelope_unpack(&touchbus__query__descriptor, data, size, world.arena, &message, &why) !=
        0) {
        return false;
    }
    const struct verb *verb = verbs_find(((const Touchbus__Query *)(const void *)message)->verb);
    return verb != NULL && verb->place > VERB_DELIVERY;
}

static void world_anew(void) {
    if (world.arena == NULL) {
        logging_init("fuzz", LOGGING_ERROR);
        world.arena = arena_new(ARENA_BYTES_MAX);
        REQUIRE(world.arena != NULL && atexit(remove_state) == 0);
    } else {
        remove_state();
    }
    snprintf(world.state, sizeof(world.state), "%s/touchbus-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    REQUIRE(mkdtemp(world.state) != NULL);
    world.last = 0;
    open_house();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (world.n_inputs % INPUTS_A_STATE == 0) {
        world_anew();
    } else if (world.n_inputs % INPUTS_A_START == 0) {
        house_close(world.house, world.n_inputs % 200 == 0);
        open_house();
    }
    world.n_inputs++;
    arena_reset(world.arena);
    if (FUZZ_DOOR == HOUSE_QUERY && is_out_of_reach(data, size)) {
        return 0;
    }
    if (FUZZ_DOOR != HOUSE_PUBLISH) {
        say_event();
    }
    if (FUZZ_DOOR == HOUSE_SUBSCRIBE) {
        say_subscribe();
    }
    world.n_heard = 0;
    REQUIRE(house_say(world.house, FUZZ_DOOR, "peer", data, size));
    house_run(world.house);
    REQUIRE(FUZZ_DOOR != HOUSE_PUBLISH || world.n_heard == 1);
    REQUIRE(log_next(house_broker(world.house)->log) > world.last);
    return 0;
}
