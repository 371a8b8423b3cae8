// SPDX-License-Identifier: Apache-2.0
// The templates of source.h. Each kind of event is serialised once by libtouchbus; afterwards only
// the digits of its customer, its id and its order are written, in place.
#include "tests/bench/source.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/client/touchbus.h"
#include "schemas/base/cleanup.h"
#include "tools/bench/events.h"

enum {
    CUSTOMER_DIGITS = 6,
    ORDER_DIGITS = 12,
    ID_DIGITS = 16,
    N_CUSTOMER_MARKS = 2,
    SMALL_BELOW = 250, // bytes, what is smaller has one identity
    PAD_BYTES = 18,    // what a text more takes besides
    N_DRAWS = 1 << 22, // by Zipf's law: so many are drawn, then the same again
};
#define ID_MARK "0123456789abcdef"
#define ID_REST "-123456"
#define SOURCE_NAME "/bench-12345-12"
#define ORDERS_PER_SEED UINT64_C(1000000000)
#define SEEDS_MAX 1000

// Of the templates, in the order of tools/bench/events.c: page.viewed, product.viewed,
// need.selected.
static const uint8_t PLAIN[] = {0, 1, 3};
enum { N_PLAIN = sizeof(PLAIN) / sizeof(*PLAIN) };

struct template {
    uint8_t *bytes;
    size_t size;
    uint8_t *customer[N_CUSTOMER_MARKS], *id, *order; // but the first: NULL where there is none
};

struct source {
    struct source_options options;
    struct template templates[SOURCE_KINDS]; // the last one is the order
    uint64_t n_made, random;
    uint32_t *draws; // by Zipf's law
    size_t draw;
};

// ---- templates

static int find_marks(struct template *template, uint32_t customer) {
    char marks[N_CUSTOMER_MARKS][32];
    snprintf(marks[0], sizeof(marks[0]), "bench-%06" PRIu32, customer);
    snprintf(marks[1], sizeof(marks[1]), "customer.%06" PRIu32 "@", customer);
    for (int i = 0; i < N_CUSTOMER_MARKS; i++) {
        uint8_t *at = memmem(template->bytes, template->size, marks[i], strlen(marks[i]));
        if (at == NULL && i == 0) {
            return -1;
        }
        template->customer[i] = at == NULL ? NULL : at + strcspn(marks[i], "0123456789");
    }
    template->id = memmem(template->bytes, template->size, ID_MARK, ID_DIGITS);
    static const char ORDER[] = "order_id";
    uint8_t *order = memmem(template->bytes, template->size, ORDER, strlen(ORDER));
    if (order != NULL) { // behind it one byte, the head of the text
        template->order = order + strlen(ORDER) + 1;
        assert(template->order + ORDER_DIGITS <= template->bytes + template->size);
    }
    return 0;
}

// The same event with less: one identity, the shortest data of its type.
static int make_small(touchbus_event **event, uint32_t customer) {
    char user[SOURCE_KEY_BYTES];
    source_key(customer, user);
    touchbus_event_free(*event);
    *event = touchbus_event_new("page.viewed", NULL, NULL);
    if (*event == NULL || touchbus_event_set(*event, "channel", "web") != 0 ||
        touchbus_event_add_identity(*event, "user_id", user + strlen("user_id="), false) != 0) {
        return -1;
    }
    return touchbus_event_set_data_json(*event, "{\"url\":\"/\"}", strlen("{\"url\":\"/\"}"));
}

// Its data with one text more.
static int pad(touchbus_event *event, size_t n_bytes) {
    _cleanup_free_ char *json = touchbus_event_data_json(event);
    size_t size = json == NULL ? 0 : strlen(json), room = size + n_bytes + 32;
    _cleanup_free_ char *padded = json == NULL ? NULL : malloc(room);
    _cleanup_free_ char *text = malloc(n_bytes + 1);
    if (padded == NULL || text == NULL) {
        return -1;
    }
    memset(text, 'x', n_bytes);
    text[n_bytes] = '\0';
    int n = snprintf(padded, room, "%.*s,\"more\":\"%s\"}", (int)(size - 1), json, text);
    return touchbus_event_set_data_json(event, padded, (size_t)n);
}

// So that it has the size that is wanted, with the id and source a publisher gives it.
static int resize(const struct source_options *options, touchbus_event **event, uint32_t customer) {
    size_t wanted = options->n_bytes, size;
    _cleanup_free_ void *bytes = NULL;
    int r = wanted > 0 && wanted < SMALL_BELOW ? make_small(event, customer) : 0;
    if (wanted == 0 || r != 0) {
        return r;
    }
    r = touchbus_event_serialize(*event, &bytes, &size);
    size += strlen(ID_MARK ID_REST) + strlen(SOURCE_NAME) + PAD_BYTES;
    return r == 0 && wanted > size ? pad(*event, wanted - size) : r;
}

static int make_template(struct source *source, struct events *events, uint32_t i) {
    struct template *template = &source->templates[i];
    _cleanup_free_ void *bytes = NULL;
    void *whole = NULL;
    size_t size;
    touchbus_event *event = NULL;
    int r = touchbus_event_serialize(events_next(events, i % SOURCE_KINDS), &bytes, &size);
    r = r == 0 ? touchbus_event_parse(bytes, size, &event) : r;
    r = r == 0 ? resize(&source->options, &event, i) : r;
    if (r == 0 && source->options.with_id) {
        r = touchbus_event_set(event, "id", ID_MARK ID_REST);
        r = r == 0 ? touchbus_event_set(event, "source", SOURCE_NAME) : r;
    }
    r = r == 0 ? touchbus_event_serialize(event, &whole, &template->size) : r;
    template->bytes = whole;
    touchbus_event_free(event);
    return r == 0 ? find_marks(template, i) : r;
}

static int make_templates(struct source *source) {
    struct events *events = events_new(SOURCE_KINDS);
    int r = events == NULL ? -1 : 0;
    for (uint32_t i = 0; i < SOURCE_KINDS && r == 0; i++) {
        r = make_template(source, events, i);
    }
    events_free(events);
    return r;
}

// ---- customers

static uint64_t next_random(struct source *source) {
    source->random ^= source->random << 13;
    source->random ^= source->random >> 7;
    source->random ^= source->random << 17;
    return source->random;
}

// Rank r has the weight 1 / r^s; the ranks are spread over the numbers, for the most active
// customers are not the first ones.
static int draw_by_zipf(struct source *source) {
    uint32_t n = source->options.n_customers;
    _cleanup_free_ double *until = malloc(n * sizeof(*until));
    source->draws = malloc(N_DRAWS * sizeof(*source->draws));
    if (until == NULL || source->draws == NULL) {
        return -1;
    }
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += pow(i + 1, -source->options.zipf);
        until[i] = sum;
    }
    for (size_t i = 0; i < N_DRAWS; i++) {
        double x = (double)(next_random(source) >> 11) / (double)(UINT64_C(1) << 53) * sum;
        uint32_t low = 0, high = n - 1;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (until[middle] > x) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        source->draws[i] = (uint32_t)(low * UINT64_C(2654435761) % n);
    }
    return 0;
}

uint32_t source_customer(struct source *source) {
    if (source->draws != NULL) {
        source->draw = (source->draw + 1) % N_DRAWS;
        return source->draws[source->draw];
    }
    return (uint32_t)((next_random(source) >> 32) * source->options.n_customers >> 32);
}

// ---- events

static void write_digits(uint8_t *at, int n, uint64_t number) {
    while (n-- > 0) {
        at[n] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

static void write_hex(uint8_t *at, uint64_t number) {
    for (int i = ID_DIGITS; i-- > 0; number >>= 4) {
        at[i] = (uint8_t) "0123456789abcdef"[number & 15];
    }
}

const uint8_t *source_event(struct source *source, uint32_t customer, size_t *ret_size) {
    uint64_t n = source->n_made++;
    struct template *template = &source->templates[PLAIN[customer % N_PLAIN]];
    if (source->options.mix) {
        bool orders = source->n_made % SOURCE_KINDS == 0;
        template = &source->templates[orders ? SOURCE_KINDS - 1 : customer % (SOURCE_KINDS - 1)];
    }
    for (int i = 0; i < N_CUSTOMER_MARKS; i++) {
        if (template->customer[i] != NULL) {
            write_digits(template->customer[i], CUSTOMER_DIGITS, customer);
        }
    }
    if (template->id != NULL) {
        write_hex(template->id, source->options.seed << 40 | n);
    }
    if (template->order != NULL) {
        write_digits(template->order, ORDER_DIGITS,
                     source->options.seed * ORDERS_PER_SEED + n % ORDERS_PER_SEED);
    }
    *ret_size = template->size;
    return template->bytes;
}

void source_key(uint32_t customer, char key[static SOURCE_KEY_BYTES]) {
    events_key(customer, key, SOURCE_KEY_BYTES);
}

struct source *source_new(const struct source_options *options) {
    if (options->n_customers == 0 || options->n_customers > SOURCE_CUSTOMERS_MAX ||
        options->seed >= SEEDS_MAX) {
        return NULL;
    }
    struct source *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        return NULL;
    }
    source->options = *options;
    source->random = UINT64_C(0x9e3779b97f4a7c15) * (options->seed + 1);
    if (make_templates(source) != 0 || (options->zipf > 0 && draw_by_zipf(source) != 0)) {
        return source_free(source);
    }
    return source;
}

struct source *source_free(struct source *source) {
    if (source != NULL) {
        for (int i = 0; i < SOURCE_KINDS; i++) {
            free(source->templates[i].bytes);
        }
        free(source->draws);
        free(source);
    }
    return NULL;
}
