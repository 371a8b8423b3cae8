// SPDX-License-Identifier: Apache-2.0
// See house.h. A door has a queue of frames; what the broker sends is heard and forgotten. Sockets
// are told apart by the order in which the daemon opens them.
#include "tests/faults/house.h"

#include <assert.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "broker/delivery/delivery.h"
#include "broker/policy/holder.h"
#include "broker/query/query.h"
#include "broker/stores/state.h"
#include "broker/tick/tick.h"
#include "schemas/base/cleanup.h"

enum { PEER_BYTES = 32, TURNS_MAX = 10000 };

struct line {
    struct line *next;
    char peer[PEER_BYTES];
    size_t size;
    uint8_t bytes[];
};

struct door {
    struct line *first, **last;
    struct line *reading; // its peer was received, its frame not yet
    bool more;            // of what was received last
    char to[PEER_BYTES];  // the peer of the message being sent
};

enum thread { THREAD_TICK, THREAD_DELIVERY, THREAD_QUERY, THREADS };

struct house {
    struct broker broker;
    struct tick *tick;
    struct query *query;
    struct door doors[HOUSE_DOORS];
    unsigned n_opened;
    enum thread plays; // THREADS: none
    unsigned n_turns;
    house_hear *hear;
    void *user;
};

static struct house *the_house; // whose sockets these are: ZeroMQ's calls say no more

// ---- threads, in turn

static bool is_readable(struct mailbox *mailbox) {
    struct pollfd item = {.fd = mailbox_descriptor(mailbox), .events = POLLIN};
    return poll(&item, 1, 0) > 0;
}

static void play(struct house *house, enum thread thread) {
    bool stopped = atomic_exchange(&house->broker.stop, false);
    enum thread before = house->plays;
    house->plays = thread;
    if (thread == THREAD_TICK) {
        tick_run(house->tick);
    } else if (thread == THREAD_DELIVERY) {
        delivery_run(house->broker.delivery);
    } else {
        query_run(house->query);
    }
    house->plays = before;
    atomic_store(&house->broker.stop, stopped);
}

// Whether one of the others had something to do. Query waits for delivery and the tick, delivery
// for the tick, the tick for nobody.
static bool let_others(struct house *house) {
    struct broker *broker = &house->broker;
    struct mailbox *mailboxes[] = {broker->to_tick, broker->to_delivery, broker->to_query};
    for (enum thread thread = THREAD_TICK; thread < house->plays && thread < THREADS; thread++) {
        bool open = thread == THREAD_TICK       ? house->tick != NULL
                    : thread == THREAD_DELIVERY ? broker->delivery != NULL
                                                : house->query != NULL;
        if (open && (house->doors[thread].first != NULL || is_readable(mailboxes[thread]))) {
            play(house, thread);
            return true;
        }
    }
    return false;
}

// ---- ZeroMQ's calls

#define WRAPPED(type, name, ...)                                                                   \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

WRAPPED(void *, zmq_socket, void *context, int type) {
    (void)context, (void)type;
    assert(the_house->n_opened < HOUSE_DOORS);
    return &the_house->doors[the_house->n_opened++];
}

WRAPPED(int, zmq_close, void *socket) {
    (void)socket;
    return 0;
}

WRAPPED(int, zmq_setsockopt, void *socket, int option, const void *value, size_t size) {
    (void)socket, (void)option, (void)value, (void)size;
    return 0;
}

WRAPPED(int, zmq_bind, void *socket, const char *address) {
    (void)socket, (void)address;
    return 0;
}

WRAPPED(int, zmq_getsockopt, void *socket, int option, void *value, size_t *size) {
    const struct door *door = socket;
    if (option != ZMQ_RCVMORE) {
        errno = EINVAL;
        return -1;
    }
    assert(*size == sizeof(int));
    memcpy(value, &(int){door->more}, sizeof(int));
    return 0;
}

// The peer's frame, then the message's. NULL where none waits.
static struct line *receive(struct door *door, const void **ret, size_t *ret_size) {
    struct line *line = door->reading;
    if (line != NULL) { // the second frame
        door->reading = NULL;
        door->more = false;
        *ret = line->bytes;
        *ret_size = line->size;
        return line;
    }
    line = door->first;
    if (line == NULL) {
        errno = EAGAIN;
        return NULL;
    }
    door->first = line->next;
    door->last = door->first == NULL ? &door->first : door->last;
    door->reading = line;
    door->more = true;
    *ret = line->peer;
    *ret_size = strlen(line->peer);
    return line;
}

WRAPPED(int, zmq_recv, void *socket, void *buffer, size_t size, int flags) {
    const void *bytes;
    size_t n;
    (void)flags;
    struct line *line = receive(socket, &bytes, &n);
    if (line == NULL) {
        return -1;
    }
    assert(n <= size && ((struct door *)socket)->more);
    memcpy(buffer, bytes, n);
    return (int)n;
}

WRAPPED(int, zmq_msg_recv, zmq_msg_t *message, void *socket, int flags) {
    const void *bytes;
    size_t n;
    (void)flags;
    struct line *line = receive(socket, &bytes, &n);
    if (line == NULL) {
        return -1;
    }
    zmq_msg_close(message);
    if (zmq_msg_init_size(message, n) != 0) {
        zmq_msg_init(message); // ZeroMQ would have ended the process: as if it was lost on the way
        n = 0;
    }
    if (n > 0) {
        memcpy(zmq_msg_data(message), bytes, n);
    }
    if (!((struct door *)socket)->more) {
        free(line);
    }
    return (int)n;
}

WRAPPED(int, zmq_msg_more, const zmq_msg_t *message) {
    (void)message; // looked at right behind its receipt, which only query does
    return the_house->doors[HOUSE_QUERY].more;
}

WRAPPED(const char *, zmq_msg_gets, const zmq_msg_t *message, const char *property) {
    (void)message, (void)property;
    errno = EINVAL;
    return NULL;
}

// The first frame names the peer; it is heard what comes behind.
static void send_frame(struct door *door, const void *bytes, size_t size, int flags) {
    if ((flags & ZMQ_SNDMORE) != 0) {
        size_t n = size < PEER_BYTES ? size : PEER_BYTES - 1;
        memcpy(door->to, bytes, n);
        door->to[n] = '\0';
    } else if (the_house->hear != NULL) {
        the_house->hear(the_house->user, (enum house_door)(door - the_house->doors), door->to,
                        bytes, size);
    }
}

WRAPPED(int, zmq_send, void *socket, const void *bytes, size_t size, int flags) {
    send_frame(socket, bytes, size, flags);
    return (int)size;
}

WRAPPED(int, zmq_msg_send, zmq_msg_t *message, void *socket, int flags) {
    size_t size = zmq_msg_size(message);
    send_frame(socket, zmq_msg_data(message), size, flags);
    zmq_msg_close(message);
    zmq_msg_init(message);
    return (int)size;
}

static int look(zmq_pollitem_t *items, int n) {
    int n_ready = 0;
    for (int i = 0; i < n; i++) {
        struct pollfd item = {.fd = items[i].fd, .events = POLLIN};
        bool ready = items[i].socket != NULL ? ((struct door *)items[i].socket)->first != NULL
                                             : poll(&item, 1, 0) > 0;
        items[i].revents = ready ? ZMQ_POLLIN : 0;
        n_ready += ready;
    }
    return n_ready;
}

WRAPPED(int, zmq_poll, zmq_pollitem_t *items, int n, long timeout_ms) {
    struct house *house = the_house;
    int n_ready = look(items, n);
    if (n_ready == 0 && let_others(house)) {
        n_ready = look(items, n);
    } else if (n_ready == 0 && (timeout_ms != 0 || ++house->n_turns > TURNS_MAX)) {
        atomic_store(&house->broker.stop, true); // nobody has anything to do
    }
    return n_ready;
}

// Delivery waits in it for the tick: what is slept has passed.
static int64_t slept_us;

WRAPPED(int, usleep, unsigned us) {
    if (!let_others(the_house)) {
        slept_us += us;
    }
    return 0;
}

int64_t __real_clock_monotonic_us(void);
WRAPPED(int64_t, clock_monotonic_us, void) {
    return __real_clock_monotonic_us() + slept_us;
}

static int64_t told_us; // 0: the wall clock goes by itself
int64_t __real_clock_now_us(void);
WRAPPED(int64_t, clock_now_us, void) {
    return told_us != 0 ? told_us : __real_clock_now_us();
}

// It stands still with the wall clock.
int64_t __real_clock_boot_us(void);
WRAPPED(int64_t, clock_boot_us, void) {
    return slept_us + (told_us != 0 ? 0 : __real_clock_boot_us());
}

void house_time(int64_t now_us) {
    slept_us += told_us != 0 && now_us > told_us ? now_us - told_us : 0;
    told_us = now_us;
}

void house_jump(int64_t now_us) {
    told_us = now_us;
}

// ---- life

static const char *const own_words[] = {"touchbusd", "--dedup-events", "1000", "--log-map",
                                        "64M",       "--view-map",     "64M",  "--disk-reserve",
                                        "0",         "--state"};
static const char *const *more_words;
static size_t n_more_words;

void house_words(const char *const *words, size_t n) {
    assert(n <= HOUSE_WORDS_MAX);
    more_words = words;
    n_more_words = n;
}

static int add_word(struct broker *broker, const char *word) {
    broker->argv[broker->argc] = strdup(word);
    return broker->argv[broker->argc++] == NULL ? -ENOMEM : 0;
}

// The words stay: a reload reads them again.
static int configure(struct broker *broker, const char *state) {
    enum { OWN = sizeof(own_words) / sizeof(own_words[0]) };
    broker->argv = calloc(OWN + 2 + n_more_words, sizeof(*broker->argv));
    int r = broker->argv == NULL ? -ENOMEM : 0;
    for (size_t i = 0; r == 0 && i < OWN; i++) {
        r = add_word(broker, own_words[i]);
    }
    r = r != 0 ? r : add_word(broker, state);
    for (size_t i = 0; r == 0 && i < n_more_words; i++) {
        r = add_word(broker, more_words[i]);
    }
    return r != 0 ? r
                  : options_parse(&configuration_page, &broker->configuration, broker->argc,
                                  broker->argv, NULL);
}

static void forget_words(struct broker *broker) {
    for (int i = 0; i < broker->argc; i++) {
        free(broker->argv[i]);
    }
    free(broker->argv);
}

// Reading YAML is ten thousand allocations, the same at every start: where memory ends one by one,
// not in them.
void alloc_pause(bool pause) __attribute__((weak));

static int open_policy(struct broker *broker) {
    struct policy *policy;
    char *error = NULL;
    if (alloc_pause != NULL) {
        alloc_pause(true);
    }
    int r = policy_load(broker->configuration.policy, &policy, &error);
    if (alloc_pause != NULL) {
        alloc_pause(false);
    }
    if (error != NULL) {
        fprintf(stderr, "%s\n", error);
    }
    free(error);
    return r != 0 ? r : policy_holder_new(policy, &broker->policy);
}

static int open_all(struct house *house) {
    struct broker *broker = &house->broker;
    char *error = NULL;
    broker->to_tick = mailbox_new();
    broker->to_delivery = mailbox_new();
    broker->to_query = mailbox_new();
    broker->to_upkeep = mailbox_new();
    int r = broker->to_tick == NULL || broker->to_delivery == NULL || broker->to_query == NULL ||
                    broker->to_upkeep == NULL
                ? -ENOMEM
                : 0;
    r = r != 0 ? r : catalogue_load(NULL, &broker->catalogue, &error);
    if (error != NULL) {
        fprintf(stderr, "%s\n", error);
    }
    free(error);
    r = r != 0 ? r : open_policy(broker);
    r = r != 0 ? r : state_open(broker);
    r = r != 0 ? r : tick_new(broker, &house->tick);
    r = r != 0 ? r : delivery_new(broker, &broker->delivery);
    return r != 0 ? r : query_new(broker, &house->query);
}

int house_open(const char *state, house_hear *hear, void *user, struct house **ret) {
    struct house *house = calloc(1, sizeof(*house));
    if (house == NULL) {
        return -ENOMEM;
    }
    the_house = house;
    house->plays = THREADS;
    house->hear = hear;
    house->user = user;
    house->broker.lock = -1;
    for (size_t i = 0; i < HOUSE_DOORS; i++) {
        house->doors[i].last = &house->doors[i].first;
    }
    int r = configure(&house->broker, state);
    r = r != 0 ? r : open_all(house);
    if (r != 0) {
        house_close(house, false);
        return r;
    }
    *ret = house;
    return 0;
}

static struct mailbox *drop(struct mailbox *mailbox) {
    while (mailbox != NULL && mailbox_take(mailbox) != NULL) {
    }
    return mailbox_free(mailbox);
}

void house_close(struct house *house, bool clean) {
    if (house == NULL) {
        return;
    }
    struct broker *broker = &house->broker;
    house->tick = tick_free(house->tick);
    house->query = query_free(house->query);
    broker->delivery = delivery_free(broker->delivery);
    state_close(broker, clean);
    drop(broker->to_tick);
    drop(broker->to_delivery);
    drop(broker->to_query);
    drop(broker->to_upkeep);
    broker->policy = policy_holder_free(broker->policy);
    catalogue_free(broker->catalogue);
    options_clear(&configuration_page, &broker->configuration);
    forget_words(broker);
    for (size_t i = 0; i < HOUSE_DOORS; i++) {
        struct door *door = &house->doors[i];
        free(door->reading);
        while (door->first != NULL) {
            struct line *line = door->first;
            door->first = line->next;
            free(line);
        }
    }
    free(house);
    the_house = NULL;
}

struct broker *house_broker(struct house *house) {
    return &house->broker;
}

bool house_say(struct house *house, enum house_door door, const char *peer, const void *frame,
               size_t size) {
    struct line *line = calloc(1, sizeof(*line) + size);
    if (line == NULL) {
        return false;
    }
    snprintf(line->peer, sizeof(line->peer), "%s", peer);
    if (size > 0) {
        memcpy(line->bytes, frame, size);
    }
    line->size = size;
    *house->doors[door].last = line;
    house->doors[door].last = &line->next;
    return true;
}

void house_run(struct house *house) {
    the_house = house;
    house->n_turns = 0;
    while (let_others(house)) {
    }
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

void house_remove(const char *state) {
    nftw(state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
