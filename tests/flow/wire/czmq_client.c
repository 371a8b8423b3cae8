// SPDX-License-Identifier: Apache-2.0
// A CZMQ application that speaks the wire with nothing of ours but the generated messages:
// publishes events and replays them. What it says on stdout is judged by czmq_client.py.
#include <czmq.h>

#include "touchbus.pb-c.h"

enum { WAIT_MS = 20000, N_EVENTS = 3, VERSION = 1, FRAME_BYTES_MAX = 4096, ROUNDS_MAX = 100 };

static void fail(const char *what) {
    fprintf(stderr, "czmq_client: %s\n", what);
    exit(1);
}

static zsock_t *connect_to(int port) {
    zsock_t *socket = zsock_new(ZMQ_DEALER);
    if (socket == NULL || zsock_connect(socket, "tcp://127.0.0.1:%d", port) != 0) {
        fail("cannot connect");
    }
    zsock_set_rcvtimeo(socket, WAIT_MS);
    zsock_set_linger(socket, 0);
    return socket;
}

static void send_message(zsock_t *socket, const ProtobufCMessage *message) {
    uint8_t bytes[FRAME_BYTES_MAX];
    if (protobuf_c_message_get_packed_size(message) > sizeof(bytes)) {
        fail("message too large");
    }
    zframe_t *frame = zframe_new(bytes, protobuf_c_message_pack(message, bytes));
    if (zframe_send(&frame, socket, 0) != 0) {
        fail("send");
    }
}

static ProtobufCMessage *receive(zsock_t *socket, const ProtobufCMessageDescriptor *type) {
    zframe_t *frame = zframe_recv(socket);
    if (frame == NULL || zframe_more(frame)) {
        fail("no answer of one frame");
    }
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, NULL, zframe_size(frame), zframe_data(frame));
    zframe_destroy(&frame);
    return message;
}

// {"url": "x"} in msgpack
static uint8_t body[] = {0x81, 0xa3, 'u', 'r', 'l', 0xa1, 'x'};

static uint64_t publish(zsock_t *socket, unsigned number) {
    char id[32], source[] = "/czmq", type[] = "page.viewed", channel[] = "web", kind[] = "user_id",
                 value[] = "u-czmq";
    uint8_t bytes[FRAME_BYTES_MAX];
    snprintf(id, sizeof(id), "czmq-%u", number);
    Touchbus__Identity identity;
    touchbus__identity__init(&identity);
    identity.kind = kind;
    identity.value = value;
    Touchbus__Identity *identities[] = {&identity};
    Touchbus__Event event;
    touchbus__event__init(&event);
    event.id = id;
    event.source = source;
    event.type = type;
    event.channel = channel;
    event.n_identities = 1;
    event.identities = identities;
    event.data = (ProtobufCBinaryData){.data = body, .len = sizeof(body)};
    ProtobufCBinaryData events[] = {
        {.data = bytes, .len = protobuf_c_message_pack(&event.base, bytes)}};
    Touchbus__PublishRequest request;
    touchbus__publish_request__init(&request);
    request.version = VERSION;
    request.request = number;
    request.n_events = 1;
    request.events = events;
    send_message(socket, &request.base);
    Touchbus__PublishReply *reply =
        (Touchbus__PublishReply *)receive(socket, &touchbus__publish_reply__descriptor);
    if (reply == NULL || reply->code != 0 || reply->request != number || reply->n_sequences != 1 ||
        reply->n_outcomes != 0) {
        fail("the event was not accepted");
    }
    uint64_t sequence = reply->sequences[0];
    touchbus__publish_reply__free_unpacked(reply, NULL);
    printf("acked %s %" PRIu64 "\n", id, sequence);
    return sequence;
}

static void print_delivery(const Touchbus__Delivery *delivery) {
    for (size_t i = 0; i < delivery->n_events; i++) {
        Touchbus__Event *event =
            touchbus__event__unpack(NULL, delivery->events[i].len, delivery->events[i].data);
        if (event == NULL || event->data.len != sizeof(body)) {
            fail("a delivered event cannot be read");
        }
        printf("event %s %" PRIu64 " %s\n", event->id, event->sequence,
               event->identities[0]->value);
        touchbus__event__free_unpacked(event, NULL);
    }
}

static void replay(zsock_t *socket, uint64_t until) {
    Touchbus__Start start;
    touchbus__start__init(&start);
    start.from_case = TOUCHBUS__START__FROM_BEGINNING;
    start.beginning = 1;
    Touchbus__Subscribe subscribe;
    touchbus__subscribe__init(&subscribe);
    subscribe.start = &start;
    subscribe.credit = N_EVENTS;
    subscribe.until_sequence = until;
    Touchbus__SubscriberMessage message;
    touchbus__subscriber_message__init(&message);
    message.version = VERSION;
    message.body_case = TOUCHBUS__SUBSCRIBER_MESSAGE__BODY_SUBSCRIBE;
    message.subscribe = &subscribe;
    send_message(socket, &message.base);
    bool ended = false;
    for (int round = 0; round < ROUNDS_MAX && !ended; round++) {
        Touchbus__BrokerMessage *said =
            (Touchbus__BrokerMessage *)receive(socket, &touchbus__broker_message__descriptor);
        if (said == NULL || said->body_case == TOUCHBUS__BROKER_MESSAGE__BODY_REFUSED) {
            fail("the subscription was refused");
        }
        if (said->body_case == TOUCHBUS__BROKER_MESSAGE__BODY_DELIVERY) {
            print_delivery(said->delivery);
        }
        ended = said->body_case == TOUCHBUS__BROKER_MESSAGE__BODY_PROGRESS && said->progress->ended;
        touchbus__broker_message__free_unpacked(said, NULL);
    }
    if (!ended) {
        fail("the replay did not end");
    }
}

int main(int argc, char **argv) {
    int port = argc == 2 ? (int)strtol(argv[1], NULL, 10) : 0;
    if (port <= 0) {
        fail("usage: czmq_client PORT");
    }
    zsock_t *publisher = connect_to(port), *subscriber = connect_to(port + 1);
    uint64_t last = 0;
    for (unsigned number = 1; number <= N_EVENTS; number++) {
        last = publish(publisher, number);
    }
    replay(subscriber, last);
    zsock_destroy(&publisher);
    zsock_destroy(&subscriber);
    return 0;
}
