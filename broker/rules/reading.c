// SPDX-License-Identifier: Apache-2.0
// What rules read: the profile of whom an event is about, and the event's own data.
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/rules/rules_internal.h"
#include "schemas/body.h"
#include "schemas/limits.h"

int rules_profile(struct judging *judging, uint64_t leaf, struct arena **ret_arena,
                  struct profile *ret) {
    *ret_arena = arena_new(RULE_ARENA_BYTES_MAX);
    if (*ret_arena == NULL) {
        return -ENOMEM;
    }
    int r = fold_flush(judging->fold, judging->txn);
    return r != 0 ? r : profile_read(judging->txn, *ret_arena, leaf, ret);
}

const char *rules_reference(const struct judging *judging, const char *kind) {
    const Touchbus__Event *event = judging->event;
    for (size_t i = 0; i < event->n_references; i++) {
        if (strcmp(event->references[i]->kind, kind) == 0 && *event->references[i]->id != '\0') {
            return event->references[i]->id;
        }
    }
    return NULL;
}

const char *rules_text(const struct judging *judging, const char *name) {
    const ProtobufCBinaryData *data = &judging->event->data;
    struct body_value value;
    if (data->len == 0 || !body_find(data->data, data->len, name, &value)) {
        return NULL;
    }
    if (value.kind == BODY_INTEGER) {
        return arena_printf(judging->arena, "%" PRId64, value.integer);
    }
    if (value.kind != BODY_TEXT || value.text_size == 0 || value.text_size > ID_BYTES_MAX ||
        memchr(value.text, '\0', value.text_size) != NULL) {
        return NULL;
    }
    char *text = arena_alloc(judging->arena, value.text_size + 1);
    if (text != NULL) {
        memcpy(text, value.text, value.text_size);
        text[value.text_size] = '\0';
    }
    return text;
}
