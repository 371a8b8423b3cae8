// SPDX-License-Identifier: Apache-2.0
// To map another event: one row below. A required field that the sender did not give stays missing:
// the broker then puts the event into quarantine, where it can be repaired, instead of us inventing
// it.
#include "connectors/dialect/segment_types.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PROPERTY(name) "properties." name
#define CART                                                                                       \
    { "cart_id", VALUE_TEXT, PROPERTY("cart_id") "|anonymousId|userId", NULL }

static const struct segment_type rows[] = {
    {"identify",
     NULL,
     "customer.identified",
     NULL,
     NULL,
     NULL,
     {{"traits", VALUE_MAP, "traits|context.traits", NULL}}},
    {"alias",
     NULL,
     "customer.aliased",
     NULL,
     NULL,
     NULL,
     {{"previous_id", VALUE_TEXT, "previousId|anonymousId", NULL},
      {"user_id", VALUE_TEXT, "userId", NULL}}},
    {"group",
     NULL,
     "customer.grouped",
     NULL,
     NULL,
     NULL,
     {{"group_id", VALUE_TEXT, "groupId", NULL}, {"traits", VALUE_MAP, "traits", NULL}}},
    {"page",
     NULL,
     "page.viewed",
     NULL,
     NULL,
     "properties",
     {{"url", VALUE_TEXT,
       PROPERTY("url") "|context.page.url|" PROPERTY("path") "|context.page.path|name", NULL},
      {"name", VALUE_TEXT, "name|" PROPERTY("name"), NULL}}},
    {"screen",
     NULL,
     "page.viewed",
     NULL,
     NULL,
     "properties",
     {{"url", VALUE_TEXT, PROPERTY("url") "|name|" PROPERTY("name"), NULL},
      {"name", VALUE_TEXT, "name|" PROPERTY("name"), NULL}}},

    {"track",
     "Product Viewed",
     "product.viewed",
     NULL,
     NULL,
     "properties",
     {{"sku", VALUE_TEXT, PROPERTY("sku") "|" PROPERTY("product_id"), NULL}}},
    {"track",
     "Product Added",
     "cart.changed",
     NULL,
     NULL,
     "properties",
     {CART, {"lines", VALUE_LINE, "properties", NULL}, {"change", VALUE_TEXT, "-", "added"}}},
    {"track",
     "Product Removed",
     "cart.changed",
     NULL,
     NULL,
     "properties",
     {CART, {"lines", VALUE_LINE, "properties", NULL}, {"change", VALUE_TEXT, "-", "removed"}}},
    {"track",
     "Cart Viewed",
     "cart.changed",
     NULL,
     NULL,
     "properties",
     {CART,
      {"lines", VALUE_LINES, PROPERTY("products") "|" PROPERTY("lines"), NULL},
      {"change", VALUE_TEXT, "-", "viewed"}}},
    {"track",
     "Products Searched",
     "need.selected",
     NULL,
     NULL,
     "properties",
     {{"term", VALUE_TEXT, PROPERTY("query") "|" PROPERTY("term"), NULL}}},
    {"track",
     "Order Completed",
     "order.placed",
     NULL,
     NULL,
     "properties",
     {{"order_id", VALUE_TEXT, PROPERTY("order_id"), NULL},
      {"currency", VALUE_TEXT, PROPERTY("currency"), NULL},
      {"lines", VALUE_LINES, PROPERTY("products") "|" PROPERTY("lines"), NULL},
      {"total", VALUE_DECIMAL, PROPERTY("total"), NULL},
      {"revenue", VALUE_DECIMAL, PROPERTY("revenue"), NULL}}},
    {"track",
     "Order Updated",
     "order.changed",
     NULL,
     NULL,
     "properties",
     {{"order_id", VALUE_TEXT, PROPERTY("order_id"), NULL},
      {"status", VALUE_TEXT, PROPERTY("status"), "updated"},
      {"revision", VALUE_REVISION, PROPERTY("revision"), NULL},
      {"lines", VALUE_LINES, PROPERTY("products") "|" PROPERTY("lines"), NULL}}},
    {"track",
     "Order Cancelled",
     "order.changed",
     NULL,
     NULL,
     "properties",
     {{"order_id", VALUE_TEXT, PROPERTY("order_id"), NULL},
      {"status", VALUE_TEXT, "-", "cancelled"},
      {"revision", VALUE_REVISION, PROPERTY("revision"), NULL},
      {"lines", VALUE_LINES, PROPERTY("products") "|" PROPERTY("lines"), NULL}}},
    {"track",
     "Order Refunded",
     "payment.changed",
     NULL,
     NULL,
     "properties",
     {{"invoice_id", VALUE_TEXT, PROPERTY("invoice_id") "|" PROPERTY("order_id"), NULL},
      {"state", VALUE_TEXT, "-", "refunded"},
      {"amount", VALUE_DECIMAL,
       PROPERTY("total") "|" PROPERTY("revenue") "|" PROPERTY("amount") "|" PROPERTY("value"),
       NULL},
      {"currency", VALUE_TEXT, PROPERTY("currency"), NULL}}},
    {"track",
     "Live Chat Conversation Started",
     "chat.state",
     "chat",
     NULL,
     "properties",
     {{"conversation_id", VALUE_TEXT, PROPERTY("conversation_id"), NULL},
      {"state", VALUE_TEXT, "-", "started"}}},
    {"track",
     "Live Chat Conversation Ended",
     "chat.state",
     "chat",
     NULL,
     "properties",
     {{"conversation_id", VALUE_TEXT, PROPERTY("conversation_id"), NULL},
      {"state", VALUE_TEXT, "-", "ended"}}},
    {"track",
     "Live Chat Message Sent",
     "chat.message",
     "chat",
     "in",
     "properties",
     {{"conversation_id", VALUE_TEXT, PROPERTY("conversation_id"), NULL},
      {"text", VALUE_TEXT, PROPERTY("message_body") "|" PROPERTY("text"), NULL}}},
    {"track",
     "Live Chat Message Received",
     "chat.message",
     "chat",
     "out",
     "properties",
     {{"conversation_id", VALUE_TEXT, PROPERTY("conversation_id"), NULL},
      {"text", VALUE_TEXT, PROPERTY("message_body") "|" PROPERTY("text"), NULL}}},
#define EMAIL_OUTCOME(event, outcome)                                                              \
    {                                                                                              \
        "track", event, "message.outcome", "email", NULL, "properties", {                          \
            {"outcome", VALUE_TEXT, "-", outcome},                                                 \
                {"contact_id", VALUE_TEXT, PROPERTY("contact_id"), NULL}, {                        \
                "ref", VALUE_TEXT,                                                                 \
                    PROPERTY("ref") "|" PROPERTY("email_id") "|" PROPERTY("message_id"), NULL      \
            }                                                                                      \
        }                                                                                          \
    }
    EMAIL_OUTCOME("Email Delivered", "delivered"),
    EMAIL_OUTCOME("Email Opened", "opened"),
    EMAIL_OUTCOME("Email Link Clicked", "clicked"),
    EMAIL_OUTCOME("Email Bounced", "bounced"),
    EMAIL_OUTCOME("Email Marked as Spam", "spam"),
    {"track",
     "Unsubscribed",
     "consent.changed",
     "email",
     NULL,
     "properties",
     {{"purpose", VALUE_TEXT, PROPERTY("purpose") "|" PROPERTY("list_name"), "marketing"},
      {"address", VALUE_TEXT,
       PROPERTY("address") "|" PROPERTY("email") "|traits.email|context.traits.email", NULL},
      {"state", VALUE_TEXT, "-", "withdrawn"},
      {"text_version", VALUE_TEXT, PROPERTY("text_version"), "unsubscribed"}}},
    {"track",
     "Product Reviewed",
     "feedback.given",
     NULL,
     NULL,
     "properties",
     {{"score", VALUE_NUMBER, PROPERTY("rating"), NULL},
      {"scale", VALUE_NUMBER, PROPERTY("scale"), "5"},
      {"ref", VALUE_TEXT, PROPERTY("review_id") "|" PROPERTY("product_id"), NULL}}},
    {"track", NULL, NULL, NULL, NULL, "properties", {{"event", VALUE_TEXT, "event", NULL}}},
};

const struct segment_type *segment_type_find(const char *call, const char *event) {
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].call, call) == 0 &&
            (rows[i].event == NULL || (event != NULL && strcasecmp(rows[i].event, event) == 0))) {
            return &rows[i];
        }
    }
    return NULL;
}

void segment_type_name(const char *event, char ret[static SEGMENT_TYPE_BYTES_MAX]) {
    int n = snprintf(ret, SEGMENT_TYPE_BYTES_MAX, "track.");
    char *start = ret + n, *at = start, *end = ret + SEGMENT_TYPE_BYTES_MAX - 1;
    for (; *event != '\0' && at < end; event++) {
        unsigned char c = (unsigned char)*event;
        if (c < 0x80 && isalnum(c)) {
            *at++ = (char)tolower(c);
        } else if (at > start && at[-1] != '_') {
            *at++ = '_';
        }
    }
    if (at > start && at[-1] == '_') {
        at--;
    }
    *at = '\0';
    if (at == start) {
        snprintf(start, (size_t)(end - start), "unnamed");
    }
}
