// SPDX-License-Identifier: Apache-2.0
// customer.merge and customer.split: publish a merge.requested or split.requested in the tick; what
// may not be is refused there, by the rules that hold for every such event. The answer is as of it:
// whom the customers are a part of then.
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/profile/profile.h"
#include "broker/query/verbs_all.h"
#include "broker/query/verbs_read.h"
#include "schemas/base/cleanup.h"
#include "schemas/body.h"
#include "schemas/envelope.h"

enum { MERGED_AT_ONCE_MAX = 6, REQUEST_ARENA_BYTES = 1 << 20, REQUEST_ID_BYTES = 16 };

struct asking {
    struct arena *arena;
    Touchbus__Event *event;
    uint64_t sequence;
};

static void asking_free(void *progress) {
    struct asking *asking = progress;
    arena_free(asking->arena);
    free(asking);
}

static int set_text(struct arena *arena, char **member, const char *text) {
    *member = arena_strdup(arena, text);
    return *member == NULL ? -ENOMEM : 0;
}

// Takes the reference.
static int make_event(struct asking *asking, const char *type, const char *actor, json_t *data) {
    _cleanup_free_ void *body = NULL;
    size_t size = 0;
    uint8_t random[REQUEST_ID_BYTES];
    char id[2 * REQUEST_ID_BYTES + 1];
    Touchbus__Event *event = arena_alloc(asking->arena, sizeof(*event));
    int r = event == NULL || data == NULL ? -ENOMEM : body_from_json(data, &body, &size);
    json_decref(data);
    if (r != 0) {
        return r;
    }
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(id, sizeof(id), random, sizeof(random));
    touchbus__event__init(event);
    event->direction = TOUCHBUS__DIRECTION__OUTBOUND;
    event->data = (ProtobufCBinaryData){.len = size, .data = arena_copy(asking->arena, body, size)};
    r = event->data.data == NULL ? -ENOMEM : set_text(asking->arena, &event->id, id);
    r = r != 0 ? r : set_text(asking->arena, &event->source, "/touchbus");
    r = r != 0 ? r : set_text(asking->arena, &event->type, type);
    r = r != 0 ? r : set_text(asking->arena, &event->channel, "agentdesk");
    r = r != 0 ? r : set_text(asking->arena, &event->actor, actor != NULL ? actor : "operator");
    asking->event = event;
    return r;
}

// The customers that the arguments name. NULL: the call is refused.
static json_t *customers_of(struct call *call, size_t n_max) {
    json_t *customers = json_array();
    const char *text;
    uint64_t number;
    for (size_t i = 0; (text = call_argument_at(call, "customer", i)) != NULL; i++) {
        if (envelope_parse_customer(text, &number) != 0 || i == n_max) {
            json_decref(customers);
            call_refuse(call, REASON_BAD_ARGUMENT,
                        i == n_max ? "customer: too many" : "customer: expected c42");
            return NULL;
        }
        json_array_append_new(customers, json_string(text));
    }
    return customers;
}

static int ask(struct call *call, const char *type, size_t n_max) {
    const char *reason = call_argument(call, "reason");
    json_t *customers = customers_of(call, n_max);
    struct asking *asking = customers == NULL ? NULL : calloc(1, sizeof(*asking));
    if (asking == NULL) {
        json_decref(customers);
        return customers == NULL ? 0 : -ENOMEM;
    }
    call_keep(call, asking, asking_free);
    asking->arena = arena_new(REQUEST_ARENA_BYTES);
    if (asking->arena == NULL) {
        json_decref(customers);
        return -ENOMEM;
    }
    return make_event(asking, type, call_argument(call, "actor"),
                      json_pack("{s:o, s:s}", "customers", customers, "reason", reason));
}

int verb_customer_merge(struct call *call) {
    return ask(call, "merge.requested", MERGED_AT_ONCE_MAX);
}

int verb_customer_split(struct call *call) {
    return ask(call, "split.requested", 1);
}

int verb_customer_identity_write(struct call *call, struct tick *tick) {
    struct asking *asking = call_progress(call);
    const char *detail = "";
    int r = tick_publish(tick, asking->event, &asking->sequence, &detail);
    if (r > 0) {
        call_refuse(call, (uint32_t)r, "%s", detail != NULL ? detail : "");
    }
    return r;
}

static int answer(struct call *call, struct view_txn *txn) {
    const struct asking *asking = call_progress(call);
    json_t *customers = json_object();
    const char *text;
    uint64_t leaf = 0, survivor = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && (text = call_argument_at(call, "customer", i)) != NULL; i++) {
        char number[24];
        r = envelope_parse_customer(text, &leaf);
        r = r == 0 ? profile_survivor(txn, call_reads(call)->arena, leaf, &survivor) : r;
        json_object_set_new(customers, text,
                            json_string(envelope_format_customer(survivor, number)));
    }
    if (r != 0) {
        json_decref(customers);
        return r < 0 ? r : -EBADMSG;
    }
    return call_answer(call, json_pack("{s:I, s:o}", "sequence", (json_int_t)asking->sequence,
                                       "customers", customers));
}

int verb_customer_identity_then(struct call *call) {
    return read_with_view(call, answer);
}
