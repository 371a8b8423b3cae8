// SPDX-License-Identifier: Apache-2.0
// Which items an event of a type changes: one row a (type, kind), in the order of types. A row says
// what names the item, and where each member comes from. Rules that are common to all rows:
//
// - A member that the event does not have is left as it was; where the row is `whole`, it becomes
//   nil, since what stood there belonged to an older whole.
// - What has revisions goes by revision, then by the source's rank. Everything else is the latest
//   news about a thing, so it goes by time alone, whoever tells it.
// - Where times are equal (a source without a clock, one tick), the row's stage decides: it stands
//   in front of the event's id, which is the next thing that register.h looks at. So a call that is
//   received and answered in one tick is answered, of a grant and a withdrawal of consent at one
//   time the withdrawal stands, and of a restriction and its lift the restriction.
//
// Types of nobody (prices, agents) change VIEW_SHARED, and only where the event has no customer:
// else a rebuild after the customer's erasure would read less than the live view did.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"

enum from {
    FROM_DATA,    // of the event's data, as it is
    FROM_FIXED,   // the same text each time; "" is nil
    FROM_CHANNEL, // the event's own
    FROM_TOTAL,   // the value of the lines under this name, in millionths
    FROM_TIME,    // the event's, microseconds since 1970 UTC
};

struct member {
    const char *name;
    const char *text; // the data's name, where it is another one; the fixed text
    enum from from;
    bool by_time; // also where the row has revisions
};

enum { ROW_MEMBERS_MAX = 10 };

struct item_row {
    const char *type;
    enum item_kind kind;
    // The item's id; NULL: the event changes none of this kind.
    const char *(*id)(struct fold_step *step, const char *name);
    const char *id_name;  // for it: the data's name
    const char *revision; // the data's name for it; "": zero; NULL: there are none
    bool whole;
    bool (*yields)(const char *state); // of equal times such a state gives way to any other
    const char *stage;                 // of equal times the greater one stands
    int (*before)(struct fold_step *step, const struct fold_item *item); // anything is set
    struct member members[ROW_MEMBERS_MAX];
};

// ---- ids

static const char *id_of_data(struct fold_step *step, const char *name) {
    return fold_data_text(step, name);
}

// Where the data has no id of its own it is the event's: a request that opens a case.
static const char *id_of_callback(struct fold_step *step, const char *name) {
    const char *id = fold_data_text(step, name);
    return id != NULL ? id : arena_printf(step->fold->scratch, "callback-%s", step->event->id);
}

static const char *text_or_empty(const struct fold_step *step, const char *name) {
    const char *text = fold_data_text(step, name);
    return text != NULL ? text : "";
}

static const char *id_of_consent(struct fold_step *step, const char *name) {
    struct body_value address;
    bool is_any =
        fold_data_find(step, name, &address) && address.kind == BODY_TEXT && address.text_size == 0;
    const char *text = is_any ? "" : fold_data_text(step, name);
    return text == NULL
               ? NULL
               : arena_printf(step->fold->scratch, "%s\x1f%s\x1f%s", text,
                              text_or_empty(step, "channel"), text_or_empty(step, "purpose"));
}

static const char *id_of_budget(struct fold_step *step, const char *name) {
    const char *channel = fold_data_text(step, name), *period = fold_data_text(step, "period");
    return channel == NULL || period == NULL
               ? NULL
               : arena_printf(step->fold->scratch, "%s\x1f%s", channel, period);
}

// Of supply that is no order's.
static const char *id_of_supply(struct fold_step *step, const char *name) {
    return fold_data_text(step, "order_id") == NULL ? fold_data_text(step, name) : NULL;
}

// An order counts once, however often and from where it is placed.
static int count_order(struct fold_step *step, const struct fold_item *item) {
    bool is_known = GUARD(order_counts_once) && fold_item_member(item, "placed") != NULL;
    step->customer->orders += !is_known;
    return 0;
}

static bool is_granted(const char *state) {
    return strcmp(state, "granted") == 0;
}

// ---- the rows

// clang-format off
#define ID(name) id_of_data, name
#define STATE(text) {"state", text, FROM_FIXED, true}
#define DATA(name) {name, NULL, FROM_DATA, false}
#define LATEST(name) {name, NULL, FROM_DATA, true}
#define AS(name, data) {name, data, FROM_DATA, false}
#define CHANNEL(name) {name, NULL, FROM_CHANNEL, false}
static const struct item_row ROWS[] = {
    {"agent.state", ITEM_AGENT, ID("actor"),
     .members = {DATA("actor"), DATA("state"), DATA("skills"), {"since", NULL, FROM_TIME, false}}},
    {"answer.recorded", ITEM_ANSWER, ID("question"), .members = {DATA("answer")}},
    {"call.answered", ITEM_CALL, ID("call_id"), .stage = "2",
     .members = {STATE("answered"), DATA("actor")}},
    {"call.ended", ITEM_CALL, ID("call_id"), .stage = "3",
     .members = {STATE("ended"), DATA("duration_s"), DATA("outcome")}},
    {"call.placed", ITEM_CONTACT, ID("contact_id"), .members = {STATE("sent")}},
    {"call.placed", ITEM_CALL, ID("call_id"), .stage = "1",
     .members = {STATE("placed"), DATA("to"), DATA("purpose"), DATA("contact_id")}},
    {"call.received", ITEM_CALL, ID("call_id"), .stage = "1",
     .members = {STATE("received"), DATA("from"), DATA("to")}},
    {"callback.requested", ITEM_CASE, id_of_callback, "case_id", .stage = "1",
     .members = {STATE("open"), {"kind", "callback", FROM_FIXED, true}, DATA("number"),
                 DATA("when"), CHANNEL("channel")}},
    {"cart.changed", ITEM_CART, ID("cart_id"), .stage = "1",
     .members = {STATE("open"), DATA("lines"), DATA("currency")}},
    {"case.opened", ITEM_CASE, ID("case_id"), .stage = "1",
     .members = {STATE("open"), DATA("kind"), DATA("severity"), CHANNEL("channel")}},
    {"case.resolved", ITEM_CASE, ID("case_id"), .stage = "2",
     .members = {STATE("resolved"), DATA("outcome")}},
    {"chat.state", ITEM_CHAT, ID("conversation_id"),
     .members = {DATA("state"), CHANNEL("channel")}},
    {"checkout.abandoned", ITEM_CART, ID("cart_id"), .stage = "2", .members = {STATE("abandoned")}},
    {"consent.changed", ITEM_CONSENT, id_of_consent, "address", .whole = true, .yields = is_granted,
     .members = {DATA("state"), DATA("text_version"), DATA("expires"), DATA("address"),
                 DATA("channel"), DATA("purpose")}},
    {"contact.decided", ITEM_CONTACT, ID("contact_id"), .whole = true,
     .members = {DATA("verdict"), DATA("channel"), DATA("until"), DATA("reasons"),
                 DATA("decided_by")}},
    {"contact.requested", ITEM_CONTACT, ID("contact_id"),
     .members = {DATA("content_id"), DATA("purpose"), DATA("channels"), DATA("priority"),
                 DATA("not_after"), DATA("address")}},
    {"content.shown", ITEM_CONTENT, ID("content_id"), .members = {CHANNEL("shown")}},
    {"cost.recorded", ITEM_BUDGET, id_of_budget, "channel",
     .members = {DATA("channel"), DATA("period"), DATA("amount"), DATA("currency")}},
    {"credit.changed", ITEM_CREDIT, ID("application_id"),
     .members = {DATA("state"), DATA("amount"), DATA("currency")}},
    {"customer.grouped", ITEM_GROUP, ID("group_id"),
     .members = {DATA("kind"), DATA("name"), DATA("role"), DATA("state")}},
    {"delivery.completed", ITEM_ORDER, ID("order_id"), .members = {AS("delivery", "outcome")}},
    {"fieldservice.completed", ITEM_ASSET, ID("asset"),
     .members = {DATA("job_id"), DATA("outcome")}},
    {"lead.changed", ITEM_LEAD, ID("lead_id"),
     .members = {DATA("state"), DATA("source"), DATA("value")}},
    {"message.outcome", ITEM_CONTACT, ID("contact_id"), .members = {DATA("outcome")}},
    {"message.outcome", ITEM_MESSAGE, ID("ref"), .members = {DATA("outcome")}},
    {"message.received", ITEM_MESSAGE, ID("ref"), .stage = "1",
     .members = {STATE("received"), DATA("from"), DATA("subject"), CHANNEL("channel")}},
    {"message.sent", ITEM_CONTACT, ID("contact_id"), .members = {STATE("sent")}},
    {"message.sent", ITEM_MESSAGE, ID("in_reply_to"), .stage = "2", .members = {STATE("answered")}},
    {"message.sent", ITEM_MESSAGE, ID("ref"), .stage = "1",
     .members = {STATE("sent"), DATA("to"), DATA("in_reply_to"), DATA("contact_id"),
                 DATA("content_id"), CHANNEL("channel")}},
    {"offer.answered", ITEM_OFFER, ID("offer_id"), .members = {DATA("answer")}},
    {"opportunity.changed", ITEM_OPPORTUNITY, ID("opportunity_id"),
     .members = {DATA("state"), DATA("value")}},
    {"order.changed", ITEM_ORDER, ID("order_id"), "revision",
     .members = {DATA("revision"), DATA("status"), DATA("currency"), DATA("lines"),
                 {"total", "lines", FROM_TOTAL, false}}},
    {"order.placed", ITEM_CART, ID("cart_id"), .stage = "3", .members = {STATE("ordered")}},
    {"order.placed", ITEM_ORDER, ID("order_id"), "", .before = count_order,
     .members = {{"placed", NULL, FROM_TIME, true}, {"status", "placed", FROM_FIXED, false},
                 DATA("currency"), DATA("lines"), {"total", "lines", FROM_TOTAL, false},
                 LATEST("quote_id"), {"channel", NULL, FROM_CHANNEL, true}}},
    {"order.placed", ITEM_QUOTE, ID("quote_id"), .stage = "2",
     .members = {STATE("closed"), {"outcome", "ordered", FROM_FIXED, true}}},
    {"payment.changed", ITEM_INVOICE, ID("invoice_id"),
     .members = {DATA("state"), DATA("amount"), DATA("currency"), DATA("order_id")}},
    {"price.changed", ITEM_PRICE, ID("sku"),
     .members = {DATA("sku"), DATA("price"), DATA("currency"), DATA("valid_from")}},
    {"privacy.changed", ITEM_PRIVACY, ID("kind"), .yields = item_is_lifted,
     .members = {DATA("state")}},
    {"promise.made", ITEM_PROMISE, ID("promise_id"),
     .members = {STATE("open"), DATA("text"), DATA("due"), CHANNEL("channel")}},
    {"quote.closed", ITEM_QUOTE, ID("quote_id"), .stage = "2",
     .members = {STATE("closed"), DATA("outcome")}},
    {"quote.issued", ITEM_QUOTE, ID("quote_id"), "revision", .whole = true, .stage = "1",
     .members = {STATE("open"), {"outcome", "", FROM_FIXED, true}, DATA("revision"),
                 DATA("lines"), DATA("valid_until"), DATA("currency"), DATA("supersedes"),
                 CHANNEL("channel")}},
    {"return.requested", ITEM_ORDER, ID("order_id"), .members = {AS("return_reason", "reason")}},
    {"supply.changed", ITEM_ORDER, ID("order_id"), .members = {DATA("eta")}},
    {"supply.changed", ITEM_SUPPLY, id_of_supply, "sku",
     .members = {DATA("sku"), DATA("eta"), DATA("quantity")}},
};
// clang-format on

enum { N_ROWS = sizeof(ROWS) / sizeof(ROWS[0]) };

// ---- where values come from

static bool copy_data(struct fold_step *step, const char *name, ProtobufCBinaryData *ret) {
    static const size_t lines_max = FOLD_LINES_BYTES_MAX;
    bool is_large = strcmp(name, "lines") == 0;
    return fold_data_raw(step, name, is_large ? lines_max : ITEM_VALUE_BYTES_MAX, ret);
}

// False: the event has no such value.
static bool value_of(struct fold_step *step, const struct member *member,
                     ProtobufCBinaryData *ret) {
    const char *text = member->text != NULL ? member->text : member->name;
    switch (member->from) {
    case FROM_DATA:
        return copy_data(step, text, ret);
    case FROM_FIXED:
        return fold_pack_text(step, text, ret);
    case FROM_CHANNEL:
        return fold_pack_text(step, step->event->channel, ret);
    case FROM_TOTAL:
        return fold_pack_total(step, text, ret);
    case FROM_TIME:
        return fold_pack_integer(step, step->time_us, ret);
    }
    return false;
}

// ---- applying a row

static const char *stage_of(const struct fold_step *step, const struct item_row *row) {
    if (GUARD(refusal_wins_a_tie) && row->yields != NULL) {
        const char *state = fold_data_text(step, "state");
        return state != NULL && row->yields(state) ? "1" : "2";
    }
    return row->stage;
}

// The event's id, behind the stage.
static char *staged_id(struct fold_step *step, const char *stage) {
    if (stage == NULL) {
        return step->event->id;
    }
    size_t size = strlen(step->event->id) + 1;
    char *id = arena_alloc(step->fold->scratch, size + 2);
    if (id != NULL) {
        id[0] = stage[0];
        id[1] = ' ';
        memcpy(id + 2, step->event->id, size);
    }
    return id;
}

static int set_members(struct fold_step *step, const struct item_row *row, struct fold_item *item,
                       uint64_t revision) {
    static uint8_t nil[] = {0xc0};
    const char *stage = stage_of(step, row);
    View__Attribute written;
    view__attribute__init(&written);
    written.sequence = step->event->sequence;
    written.time_us = step->time_us;
    written.id = staged_id(step, stage);
    int r = written.id == NULL ? -ENOMEM : 0;
    for (size_t i = 0; r == 0 && i < ROW_MEMBERS_MAX && row->members[i].name != NULL; i++) {
        const struct member *member = &row->members[i];
        bool is_revised = row->revision != NULL && !member->by_time;
        written.name = arena_strdup(step->fold->scratch, member->name);
        written.revision = is_revised ? revision : 0;
        written.rank = is_revised ? step->event->rank : 0;
        if (value_of(step, member, &written.value)) {
            r = fold_item_set(step, item, &written);
        } else if (row->whole) {
            written.value = (ProtobufCBinaryData){.data = nil, .len = sizeof(nil)};
            r = fold_item_set(step, item, &written);
        }
    }
    return r;
}

static int apply_row(struct fold_step *step, const struct item_row *row) {
    uint64_t revision = 0;
    const char *id = row->id(step, row->id_name);
    struct fold_item item;
    if (id == NULL || (row->revision != NULL && *row->revision != '\0' &&
                       !fold_data_unsigned(step, row->revision, &revision))) {
        return 0;
    }
    int r = fold_item_get(step, row->kind, id, &item);
    if (r == 0 && row->before != NULL) {
        r = row->before(step, &item);
    }
    r = r == 0 ? set_members(step, row, &item, revision) : r;
    if (r == 0 && row->kind == ITEM_ORDER && item.changed) {
        r = fold_worth(step, item.item);
    }
    r = r == 0 ? fold_item_put(step, &item) : r;
    return r < 0 ? r : 0;
}

struct fold_span fold_items_of(const char *type) {
    return fold_rows_of(ROWS, N_ROWS, sizeof(ROWS[0]), type);
}

int fold_items(struct fold_step *step, struct fold_span rows) {
    bool of_nobody = step->event->customer == 0;
    int r = 0;
    for (size_t i = rows.first; r == 0 && i < (size_t)rows.first + rows.n; i++) {
        bool fits = (ROWS[i].kind >= ITEM_PRICE) == of_nobody || !GUARD(shared_is_of_nobody);
        bool applies = fits && !fold_left_out(step);
        r = applies ? apply_row(step, &ROWS[i]) : 0;
    }
    return r;
}
