// SPDX-License-Identifier: Apache-2.0
#include "broker/fold/item_index.h"

#include <endian.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/body.h"
#include "schemas/limits.h"

enum { TIME_TEXT_BYTES = 64 };

static bool member_text(const View__Item *item, const char *name, struct body_value *ret) {
    for (size_t i = 0; i < item->n_members; i++) {
        const ProtobufCBinaryData *value = &item->members[i]->value;
        if (strcmp(item->members[i]->name, name) == 0) {
            return body_read(value->data, value->len, ret) && ret->kind == BODY_TEXT;
        }
    }
    return false;
}

static bool is_open(const View__Item *item) {
    struct body_value state;
    return member_text(item, "state", &state) && state.text_size == strlen("open") &&
           memcmp(state.text, "open", state.text_size) == 0;
}

uint64_t item_index_until(int64_t time_us) {
    return time_us == INT64_MAX ? UINT64_MAX : time_us < 0 ? 0 : (uint64_t)time_us;
}

// What names no time that can be read holds for ever.
static int64_t until_us(const View__Item *item) {
    struct body_value text;
    char terminated[TIME_TEXT_BYTES];
    int64_t time_us;
    if (!member_text(item, "valid_until", &text) || text.text_size >= sizeof(terminated) ||
        memchr(text.text, '\0', text.text_size) != NULL) {
        return INT64_MAX;
    }
    memcpy(terminated, text.text, text.text_size);
    terminated[text.text_size] = '\0';
    return clock_parse_rfc3339(terminated, &time_us) == 0 ? time_us : INT64_MAX;
}

uint64_t item_index_consent(const uint8_t secret[static 16], const char *channel,
                            const char *purpose) {
    uint8_t of_channel[LOOKUP_BYTES], of_purpose[LOOKUP_BYTES];
    uint64_t one = 0, other = 0;
    if (lookup_reference(secret, "consent-channel", channel, of_channel) &&
        lookup_reference(secret, "consent-purpose", purpose, of_purpose)) {
        memcpy(&one, of_channel, sizeof(one));
        memcpy(&other, of_purpose, sizeof(other));
    }
    return be64toh(one ^ other);
}

// "ADDRESS US CHANNEL US PURPOSE". Neither may be longer than the fold takes a text.
static bool consent_order(const uint8_t secret[static 16], const char *id, uint64_t *ret) {
    char channel[ID_BYTES_MAX + 1];
    const char *of_channel = strchr(id, '\x1f');
    const char *of_purpose = of_channel == NULL ? NULL : strchr(of_channel + 1, '\x1f');
    if (of_purpose == NULL || of_purpose - of_channel > ID_BYTES_MAX) {
        return false;
    }
    size_t size = (size_t)(of_purpose - of_channel - 1);
    memcpy(channel, of_channel + 1, size);
    channel[size] = '\0';
    *ret = item_index_consent(secret, channel, of_purpose + 1);
    return true;
}

struct item_place item_index_place(const uint8_t secret[static 16], const View__Item *item) {
    struct item_place place = {.is_kept = false};
    if (item->kind == ITEM_CONSENT) {
        place.is_kept = consent_order(secret, item->id, &place.order);
        place.part = INDEX_CONSENTS;
    } else if (item->kind == ITEM_QUOTE || item->kind == ITEM_CASE) {
        place.is_kept = true;
        place.part = is_open(item) ? INDEX_OPEN : INDEX_CLOSED;
        place.order =
            item->kind == ITEM_CASE ? item->changed_sequence : item_index_until(until_us(item));
    }
    return place;
}

bool item_index_is_same(const struct item_place *one, const struct item_place *other) {
    return one->is_kept == other->is_kept &&
           (!one->is_kept || (one->part == other->part && one->order == other->order));
}

void item_index_part_key(uint64_t customer, enum item_kind kind, enum item_index_part part,
                         uint8_t ret[static ITEM_INDEX_PART_BYTES]) {
    customer = htobe64(customer);
    memcpy(ret, &customer, sizeof(customer));
    ret[sizeof(customer)] = (uint8_t)kind;
    ret[sizeof(customer) + 1] = (uint8_t)part;
}

void item_index_key(const uint8_t item_key[static ITEM_KEY_BYTES], const struct item_place *place,
                    uint8_t ret[static ITEM_INDEX_KEY_BYTES]) {
    enum { KIND_BYTES = ITEM_KEY_BYTES - LOOKUP_BYTES }; // customer and kind
    uint64_t order = htobe64(place->order);
    memcpy(ret, item_key, KIND_BYTES);
    ret[KIND_BYTES] = (uint8_t)place->part;
    memcpy(ret + ITEM_INDEX_PART_BYTES, &order, sizeof(order));
    memcpy(ret + ITEM_INDEX_PART_BYTES + sizeof(order), item_key + KIND_BYTES, LOOKUP_BYTES);
}

uint64_t item_index_order(const uint8_t key[static ITEM_INDEX_KEY_BYTES]) {
    uint64_t order;
    memcpy(&order, key + ITEM_INDEX_PART_BYTES, sizeof(order));
    return be64toh(order);
}
