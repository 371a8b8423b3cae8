// SPDX-License-Identifier: Apache-2.0
// Each customer lives through a few scenes of the day, drawn by chance: browsing, ordering,
// calling, chatting, writing, visiting. A scene is a row of the table at the end, with how likely
// it is and the hours it happens in; its function adds its events in order.

#include "tools/sample/story.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"

#define DAY_START_US (INT64_C(1772438400) * CLOCK_US_PER_S) // 2026-03-02 08:00 UTC
#define MINUTE_US (60 * CLOCK_US_PER_S)

struct person {
    size_t number;
    char user_id[16], anonymous_id[16], email[48], phone[20], name[40];
    const char *language;
    bool registered;
    bool ordered;
    char order_id[16];
};

struct teller {
    struct story *story;
    uint64_t random;
    int64_t now_us;
    size_t n_ids;
    int error;
};

static const char *const FIRST_NAMES[] = {"Ana",   "Bram",  "Chiara", "Dilek", "Emil",
                                          "Fatou", "Grete", "Hugo",   "Ines",  "Jan"};
static const char *const LAST_NAMES[] = {"Visser", "Okafor", "Rossi", "Yilmaz",
                                         "Novak",  "Diallo", "Berg",  "Moreau"};
static const char *const LANGUAGES[] = {"en", "nl", "de", "it", "fr"};

struct product {
    const char *sku, *name, *price, *category;
};
static const struct product PRODUCTS[] = {
    {"LAMP-01", "Desk lamp", "39.90", "lighting"},
    {"LAMP-07", "Floor lamp", "89.00", "lighting"},
    {"CHAIR-02", "Office chair", "219.00", "seats"},
    {"DESK-03", "Standing desk", "549.50", "desks"},
    {"PAPER-A4", "Paper, 500 sheets", "4.95", "paper"},
    {"INK-11", "Ink, black", "24.99", "paper"},
    {"BOARD-05", "Whiteboard", "129.00", "rooms"},
    {"PLANT-09", "Office plant", "18.50", "rooms"},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// splitmix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
static uint64_t draw(struct teller *t, uint64_t below) {
    uint64_t z = (t->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static void later(struct teller *t, uint64_t minutes_max) {
    t->now_us +=
        (int64_t)(1 + draw(t, minutes_max)) * MINUTE_US + (int64_t)draw(t, 60) * CLOCK_US_PER_S;
}

static void add(struct teller *t, enum story_endpoint endpoint, json_t *json) {
    struct story *story = t->story;
    if (!json)
        t->error = -ENOMEM;
    if (t->error) {
        json_decref(json);
        return;
    }
    if (story->n_events == story->n_allocated) {
        size_t n = story->n_allocated ? story->n_allocated * 2 : 1024;
        struct story_event *events = realloc(story->events, n * sizeof(*events));
        if (!events) {
            json_decref(json);
            t->error = -ENOMEM;
            return;
        }
        story->events = events;
        story->n_allocated = n;
    }
    story->events[story->n_events] = (struct story_event){.time_us = t->now_us,
                                                          .order = (uint32_t)story->n_events,
                                                          .endpoint = endpoint,
                                                          .json = json};
    story->n_events++;
}

// A Segment call; takes `members` (traits or properties among them).
static void segment(struct teller *t, const struct person *p, const char *type, json_t *members) {
    char time[CLOCK_TEXT_BYTES];
    json_t *call = json_pack("{s:s, s:o, s:s, s:s}", "type", type, "messageId",
                             json_sprintf("day-%zu", ++t->n_ids), "timestamp",
                             clock_format_rfc3339(t->now_us, time), "anonymousId", p->anonymous_id);
    if (p->registered)
        json_object_set_new(call, "userId", json_string(p->user_id));
    json_object_update(call, members);
    json_decref(members);
    add(t, STORY_SEGMENT, call);
}

static void track(struct teller *t, const struct person *p, const char *event, json_t *properties) {
    segment(t, p, "track", json_pack("{s:s, s:o}", "event", event, "properties", properties));
}

// A CloudEvent known by one key of the person (NULL: none); takes `data`.
static void cloud(struct teller *t, const char *source, const char *type, const char *channel,
                  const char *keys, json_t *data) {
    char time[CLOCK_TEXT_BYTES];
    json_t *event =
        json_pack("{s:s, s:o, s:s, s:o, s:s, s:s, s:o}", "specversion", "1.0", "id",
                  json_sprintf("day-%zu", ++t->n_ids), "source", source, "type",
                  json_sprintf("org.touchbus.%s.v1", type), "time",
                  clock_format_rfc3339(t->now_us, time), "channel", channel, "data", data);
    if (keys)
        json_object_set_new(event, "keys", json_string(keys));
    add(t, STORY_CLOUDEVENTS, event);
}

static const struct product *some_product(struct teller *t) {
    return &PRODUCTS[draw(t, COUNT(PRODUCTS))];
}

static json_t *lines(struct teller *t) {
    json_t *list = json_array();
    for (uint64_t n = 1 + draw(t, 3); n > 0; n--) {
        const struct product *product = some_product(t);
        json_array_append_new(list, json_pack("{s:s, s:I, s:s, s:s}", "sku", product->sku,
                                              "quantity", (json_int_t)draw(t, 4) + 1, "price",
                                              product->price, "name", product->name));
    }
    return list;
}

static void keys_of_phone(const struct person *p, char *ret, size_t size) {
    snprintf(ret, size, "phone!=%%2B%s", p->phone + 1);
}

static void keys_of_user(const struct person *p, char *ret, size_t size) {
    snprintf(ret, size, "user_id=%s", p->user_id);
}

// ---- scenes

static void scene_browse(struct teller *t, struct person *p) {
    for (uint64_t n = 1 + draw(t, 2); n > 0; n--, later(t, 4))
        segment(t, p, "page",
                json_pack("{s:s, s:{s:s}}", "name", "Shop", "properties", "url",
                          "https://shop.example/lighting"));
    track(t, p, "Products Searched", json_pack("{s:s}", "query", some_product(t)->category));
    later(t, 3);
    const struct product *product = some_product(t);
    track(t, p, "Product Viewed",
          json_pack("{s:s, s:s, s:s}", "sku", product->sku, "name", product->name, "price",
                    product->price));
}

static void scene_register(struct teller *t, struct person *p) {
    p->registered = true;
    segment(t, p, "identify",
            json_pack("{s:{s:s, s:s, s:s, s:s}}", "traits", "name", p->name, "email", p->email,
                      "phone", p->phone, "language", p->language));
}

static void scene_cart(struct teller *t, struct person *p) {
    const struct product *product = some_product(t);
    track(t, p, "Product Added",
          json_pack("{s:o, s:s, s:s, s:s, s:i}", "cart_id", json_sprintf("k-%zu", p->number), "sku",
                    product->sku, "name", product->name, "price", product->price, "quantity", 1));
    later(t, 5);
    track(t, p, "Store Locator Used", json_pack("{s:s}", "city", "Utrecht"));
}

static void scene_web_order(struct teller *t, struct person *p) {
    snprintf(p->order_id, sizeof(p->order_id), "o-%05zu", ++t->story->n_orders);
    p->ordered = true;
    track(t, p, "Order Completed",
          json_pack("{s:s, s:s, s:o}", "order_id", p->order_id, "currency", "EUR", "products",
                    lines(t)));
}

static void scene_phone_order(struct teller *t, struct person *p) {
    if (p->ordered)
        return;
    char keys[64];
    keys_of_phone(p, keys, sizeof(keys));
    snprintf(p->order_id, sizeof(p->order_id), "o-%05zu", ++t->story->n_orders);
    p->ordered = true;
    cloud(t, "/callcentre", "order.placed", "callcentre", keys,
          json_pack("{s:s, s:s, s:o}", "order_id", p->order_id, "currency", "EUR", "lines",
                    lines(t)));
}

static void scene_call(struct teller *t, struct person *p) {
    char keys[64], call_id[24];
    keys_of_phone(p, keys, sizeof(keys));
    snprintf(call_id, sizeof(call_id), "call-%zu", p->number);
    cloud(t, "/callcentre", "call.received", "phone", keys,
          json_pack("{s:s, s:s, s:s}", "from", p->phone, "to", "+31201234567", "call_id", call_id));
    later(t, 2);
    cloud(t, "/callcentre", "call.answered", "phone", keys,
          json_pack("{s:s, s:s}", "call_id", call_id, "actor", "agent-7"));
    later(t, 9);
    cloud(t, "/callcentre", "call.ended", "phone", keys,
          json_pack("{s:s, s:i, s:s}", "call_id", call_id, "duration_s", (int)(30 + draw(t, 600)),
                    "outcome", "answered"));
}

static void scene_promise(struct teller *t, struct person *p) {
    char keys[64];
    keys_of_user(p, keys, sizeof(keys));
    cloud(t, "/agentdesk", "promise.made", "agentdesk", keys,
          json_pack("{s:o, s:s, s:s}", "promise_id", json_sprintf("p-%zu", p->number), "text",
                    "call back about delivery", "due", "2026-03-03T10:00:00Z"));
    later(t, 3);
    cloud(t, "/agentdesk", "answer.recorded", "agentdesk", keys,
          json_pack("{s:s, s:s}", "question", "how many work here", "answer", "12"));
}

static void scene_chat(struct teller *t, struct person *p) {
    char keys[64], conversation[24];
    keys_of_user(p, keys, sizeof(keys));
    snprintf(conversation, sizeof(conversation), "chat-%zu", p->number);
    cloud(t, "/chat", "chat.state", "chat", keys,
          json_pack("{s:s, s:s}", "conversation_id", conversation, "state", "open"));
    for (uint64_t n = 2 + draw(t, 2); n > 0; n--) {
        later(t, 1);
        cloud(t, "/chat", "chat.message", "chat", keys,
              json_pack("{s:s, s:s}", "conversation_id", conversation, "text",
                        "when does it arrive?"));
    }
}

static void scene_mail(struct teller *t, struct person *p) {
    char keys[96];
    snprintf(keys, sizeof(keys), "email=%s", p->email);
    cloud(t, "/mail", "message.received", "email", keys,
          json_pack("{s:s, s:o, s:s}", "from", p->email, "ref", json_sprintf("m-%zu", p->number),
                    "subject", "my order"));
    later(t, 40);
    cloud(t, "/mail", "message.sent", "email", keys,
          json_pack("{s:s, s:o}", "to", p->email, "in_reply_to", json_sprintf("m-%zu", p->number)));
}

static void scene_quote(struct teller *t, struct person *p) {
    char keys[64], quote_id[16];
    keys_of_user(p, keys, sizeof(keys));
    snprintf(quote_id, sizeof(quote_id), "q-%zu", p->number);
    cloud(t, "/sales", "quote.issued", "salesvisit", keys,
          json_pack("{s:s, s:i, s:o, s:s, s:s}", "quote_id", quote_id, "revision", 1, "lines",
                    lines(t), "valid_until", "2026-04-01T00:00:00Z", "currency", "EUR"));
    later(t, 90);
    if (draw(t, 10) < 6)
        cloud(t, "/sales", "quote.closed", "salesvisit", keys,
              json_pack("{s:s, s:s}", "quote_id", quote_id, "outcome", "accepted"));
}

// What follows an order carries no key of the customer: the order's id leads to her.
static void scene_fulfil(struct teller *t, struct person *p) {
    if (!p->ordered)
        return;
    cloud(
        t, "/warehouse", "order.changed", "erp", NULL,
        json_pack("{s:s, s:s, s:i}", "order_id", p->order_id, "status", "shipped", "revision", 1));
    later(t, 60);
    cloud(t, "/carrier", "delivery.completed", "delivery", NULL,
          json_pack("{s:s, s:s}", "order_id", p->order_id, "outcome", "delivered"));
    if (draw(t, 12) == 0)
        cloud(t, "/shop", "return.requested", "shop", NULL,
              json_pack("{s:s, s:s}", "order_id", p->order_id, "reason", "too large"));
}

static void scene_case(struct teller *t, struct person *p) {
    char keys[64], case_id[16];
    keys_of_user(p, keys, sizeof(keys));
    snprintf(case_id, sizeof(case_id), "case-%zu", p->number);
    cloud(t, "/desk", "case.opened", "callcentre", keys,
          json_pack("{s:s, s:s, s:s}", "case_id", case_id, "kind", "complaint", "severity",
                    "normal"));
    later(t, 120);
    cloud(t, "/desk", "case.resolved", "callcentre", keys,
          json_pack("{s:s, s:s}", "case_id", case_id, "outcome", "refunded"));
    later(t, 5);
    cloud(t, "/desk", "feedback.given", "callcentre", keys,
          json_pack("{s:i, s:i}", "score", (int)(1 + draw(t, 5)), "scale", 5));
}

static void scene_shop(struct teller *t, struct person *p) {
    char keys[64];
    keys_of_user(p, keys, sizeof(keys));
    cloud(t, "/shop", "visit.recorded", "shop", keys,
          json_pack("{s:s, s:s, s:s}", "kind", "shop", "place", "Utrecht", "actor", "agent-3"));
    later(t, 10);
    cloud(t, "/kiosk/4", "kiosk.session.ended", "kiosk", keys,
          json_pack("{s:s, s:s}", "device", "kiosk-4", "outcome", "brochure"));
}

static void scene_consent(struct teller *t, struct person *p) {
    char keys[64];
    keys_of_user(p, keys, sizeof(keys));
    cloud(t, "/web", "consent.changed", "web", keys,
          json_pack("{s:s, s:s, s:s, s:s}", "purpose", "marketing", "address", p->email, "state",
                    draw(t, 3) ? "granted" : "denied", "text_version", "2026-01"));
    later(t, 2);
    cloud(t, "/web", "preference.set", "web", keys,
          json_pack("{s:s, s:s}", "channel", "email", "language", p->language));
}

static const struct scene {
    void (*play)(struct teller *t, struct person *p);
    unsigned percent;     // of the customers
    unsigned from_minute; // of the day, at the earliest
    unsigned within_minutes;
} SCENES[] = {
    {scene_browse, 95, 0, 60},        {scene_register, 100, 70, 30}, {scene_cart, 60, 110, 60},
    {scene_web_order, 40, 180, 60},   {scene_consent, 30, 245, 60},  {scene_call, 25, 310, 60},
    {scene_phone_order, 10, 390, 30}, {scene_promise, 10, 430, 30},  {scene_chat, 15, 470, 40},
    {scene_mail, 20, 520, 30},        {scene_quote, 12, 600, 40},    {scene_fulfil, 90, 560, 60},
    {scene_case, 8, 640, 30},         {scene_shop, 10, 700, 60},
};

static void play_person(struct teller *t, size_t number) {
    struct person p = {.number = number, .language = LANGUAGES[draw(t, COUNT(LANGUAGES))]};
    const char *first = FIRST_NAMES[draw(t, COUNT(FIRST_NAMES))];
    const char *last = LAST_NAMES[draw(t, COUNT(LAST_NAMES))];
    snprintf(p.user_id, sizeof(p.user_id), "u-%zu", number);
    snprintf(p.anonymous_id, sizeof(p.anonymous_id), "a-%zu", number);
    snprintf(p.name, sizeof(p.name), "%s %s", first, last);
    snprintf(p.email, sizeof(p.email), "%s.%s.%zu@klant.example", first, last, number);
    snprintf(p.phone, sizeof(p.phone), "+3161%07zu", number);
    for (size_t i = 0; i < COUNT(SCENES); i++) {
        if (draw(t, 100) >= SCENES[i].percent)
            continue;
        t->now_us =
            DAY_START_US +
            (int64_t)(SCENES[i].from_minute + draw(t, SCENES[i].within_minutes)) * MINUTE_US;
        SCENES[i].play(t, &p);
    }
}

static int by_time(const void *a, const void *b) {
    const struct story_event *x = a, *y = b;
    if (x->time_us != y->time_us)
        return x->time_us < y->time_us ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

int story_make(uint64_t seed, size_t n_customers, struct story *ret) {
    *ret = (struct story){.n_customers = n_customers};
    struct teller t = {.story = ret, .random = seed};
    for (size_t i = 1; i <= n_customers && !t.error; i++)
        play_person(&t, i);
    if (ret->n_events)
        qsort(ret->events, ret->n_events, sizeof(*ret->events), by_time);
    return t.error;
}

void story_free(struct story *story) {
    for (size_t i = 0; i < story->n_events; i++)
        json_decref(story->events[i].json);
    free(story->events);
    *story = (struct story){0};
}
