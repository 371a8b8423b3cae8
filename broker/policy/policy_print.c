// SPDX-License-Identifier: Apache-2.0
// JSON to YAML by libyaml's emitter. Entries of lists that are short stand on one line. What other
// readers of YAML would take for a number, a time or a flag is quoted.
#include <string.h>
#include <yaml.h>

#include "broker/policy/policy_json.h"
#include "broker/policy/policy_rows.h"

enum { LINE_WIDTH = 118, FLOW_BYTES_MAX = 130 };

struct text {
    char *bytes;
    size_t size, allocated;
};

static int write_text(void *context, unsigned char *bytes, size_t size) {
    struct text *text = context;
    if (text->size + size + 1 > text->allocated) {
        size_t allocated = 2 * (text->size + size + 1);
        char *grown = realloc(text->bytes, allocated);
        if (grown == NULL) {
            return 0;
        }
        text->bytes = grown;
        text->allocated = allocated;
    }
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
    return 1;
}

// Letters, dots and dashes that mean nothing but themselves.
static bool is_plain(const char *text) {
    static const char *const words[] = {"y",  "n",   "yes",   "no",   "true",
                                        "on", "off", "false", "null", "any"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return strcmp(text, "any") == 0;
        }
    }
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t size = strlen(text);
    return strspn(text, letters) > 0 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/") ==
               size;
}

static bool emit_text(yaml_emitter_t *emitter, const char *text, bool quoted) {
    yaml_event_t event;
    yaml_scalar_style_t style = quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;
    return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
                                        (int)strlen(text), 1, 1, style) &&
           yaml_emitter_emit(emitter, &event);
}

static bool emit_scalar(yaml_emitter_t *emitter, const json_t *value) {
    char *dumped = NULL;
    if (json_is_string(value)) {
        return emit_text(emitter, json_string_value(value), !is_plain(json_string_value(value)));
    }
    dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    bool done = dumped != NULL && emit_text(emitter, dumped, false);
    free(dumped);
    return done;
}

static bool is_short(const json_t *value) {
    size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT);
    return size <= FLOW_BYTES_MAX;
}

static bool emit(yaml_emitter_t *emitter, const json_t *value, bool flow);

static bool emit_map(yaml_emitter_t *emitter, const json_t *map, bool flow) {
    yaml_event_t event;
    const char *name;
    json_t *value;
    yaml_mapping_style_t style = flow ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE;
    if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style) ||
        !yaml_emitter_emit(emitter, &event)) {
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)map, name, value) {
        if (!emit_text(emitter, name, !is_plain(name)) || !emit(emitter, value, false)) {
            return false;
        }
    }
    return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static bool emit_list(yaml_emitter_t *emitter, const json_t *list) {
    yaml_event_t event;
    size_t i;
    json_t *value;
    bool flow = json_array_size(list) == 0 || !json_is_object(json_array_get(list, 0));
    yaml_sequence_style_t style = flow ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE;
    if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style) ||
        !yaml_emitter_emit(emitter, &event)) {
        return false;
    }
    json_array_foreach(list, i, value) {
        if (!emit(emitter, value, is_short(value))) {
            return false;
        }
    }
    return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

// The calls nest as the tables do.
static bool emit(yaml_emitter_t *emitter, const json_t *value, bool flow) {
    return json_is_object(value)  ? emit_map(emitter, value, flow)
           : json_is_array(value) ? emit_list(emitter, value)
                                  : emit_scalar(emitter, value);
}

static bool emit_document(yaml_emitter_t *emitter, const json_t *root) {
    yaml_event_t event;
    return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
           yaml_emitter_emit(emitter, &event) &&
           yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
           yaml_emitter_emit(emitter, &event) && emit(emitter, root, false) &&
           yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(emitter, &event) &&
           yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

char *policy_to_yaml(const struct policy *policy) {
    yaml_emitter_t emitter;
    struct text text = {0};
    json_t *root = policy_to_json(policy);
    if (root == NULL || !yaml_emitter_initialize(&emitter)) {
        json_decref(root);
        return NULL;
    }
    yaml_emitter_set_output(&emitter, write_text, &text);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, LINE_WIDTH);
    bool done = emit_document(&emitter, root);
    yaml_emitter_delete(&emitter);
    json_decref(root);
    if (!done) {
        free(text.bytes);
        return NULL;
    }
    return text.bytes;
}
