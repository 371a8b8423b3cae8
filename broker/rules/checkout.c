// SPDX-License-Identifier: Apache-2.0
// A cart that nobody touched for a while was left: each change of a cart with something in it moves
// its due time, an empty cart and an order of it take it out. Whether it was left is judged when it
// is due, by the cart as it is then: an order under another key of the customer counts. The cart's
// id stands in its sealed row alone, so nothing comes of an erased person's.
#include <string.h>

#include "broker/rules/rules_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/body.h"

static int set_due(struct judging *judging, int64_t due_us) {
    const char *cart = rules_reference(judging, "cart");
    uint8_t lookup[LOOKUP_BYTES];
    if (judging->customer == 0 || cart == NULL ||
        !lookup_reference(judging->secret, "cart", cart, lookup)) {
        return 0;
    }
    return rules_arm(judging->arena, judging->event, TIMER_CHECKOUT, lookup, due_us);
}

static bool has_lines(const void *data, size_t size) {
    struct body_value lines;
    return body_read(data, size, &lines) && lines.kind == BODY_LIST && lines.count > 0;
}

int checkout_stamp_cart(struct judging *judging) {
    const ProtobufCBinaryData *data = &judging->event->data;
    struct body_value lines;
    bool holds = data->len > 0 && body_find(data->data, data->len, "lines", &lines) &&
                 has_lines(lines.raw, lines.raw_size);
    return set_due(judging, holds ? judging->timer_us + judging->policy->standing.checkout_us : 0);
}

int checkout_stamp_order(struct judging *judging) {
    return set_due(judging, 0);
}

// Holding something that was not ordered since it was put there.
static bool is_left(const struct profile *profile, const View__Item *cart) {
    const View__Attribute *lines = profile_member(cart, "lines");
    const View__Attribute *state = profile_member(cart, "state");
    const char *text = profile_member_text(profile, cart, "state");
    if (lines == NULL || !has_lines(lines->value.data, lines->value.len)) {
        return false;
    }
    return text == NULL || strcmp(text, "ordered") != 0 || state->sequence < lines->sequence;
}

int checkout_due(struct judging *judging, const struct timer_due *due) {
    _cleanup_(cleanup_arena) struct arena *arena = NULL;
    struct profile profile;
    View__Item *cart = NULL;
    Touchbus__Event *event;
    int r = rules_profile(judging, due->customer, &arena, &profile);
    r = r != 0 ? r : profile_item_at(&profile, ITEM_CART, due->id, &cart);
    if (r != 0 || cart == NULL || !is_left(&profile, cart)) {
        return r < 0 ? r : 0;
    }
    r = rules_follow_up(judging, "checkout", "checkout.abandoned",
                        json_pack("{s:s}", "cart_id", cart->id), due->customer, &event);
    if (r == 0) {
        event->cause = profile_member(cart, "lines")->sequence;
    }
    return r;
}
