// SPDX-License-Identifier: Apache-2.0
// Whom an item may be about. An event says so itself. Of what could not become one the format is
// not known here, so every text in it is taken for what it looks like: a member of JSON for what
// its name says, anything long enough for each kind that is kept as it is. It errs towards finding:
// a row that names an erased person by chance goes as well.
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connectors/kit/quarantine.h"
#include "schemas/base/cleanup.h"

enum {
    TEXT_BYTES_MIN = 6, // shorter ones are taken only where a member's name says what they are
    PHONE_DIGITS_MIN = 7,
    JSON_DEPTH_MAX = 64, // of what is looked through; tokens are found at any depth
};

// Kinds whose values are kept as they are.
static const char *const plain_kinds[] = {"user_id", "anonymous_id", "crm_id", "account",
                                          "loyalty", "cookie",       "device", "chat_handle"};

// Members by name, without case, '_' and '-'.
static const struct {
    const char *member, *kind;
} members[] = {
    {"userid", "user_id"},
    {"anonymousid", "anonymous_id"},
    {"crmid", "crm_id"},
    {"account", "account"},
    {"accountid", "account"},
    {"loyalty", "loyalty"},
    {"loyaltyid", "loyalty"},
    {"cookie", "cookie"},
    {"device", "device"},
    {"deviceid", "device"},
    {"previousid", "user_id"},
    {"id", "user_id"},
    {"subject", "user_id"},
    {"chathandle", "chat_handle"},
    {"email", "email"},
    {"phone", "phone"},
    {"fax", "fax"},
};

void names_free_values(struct kit_identity *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        union {
            const char *from;
            char *to;
        } value = {.from = list[i].value};
        free(value.to);
    }
}

void names_clear(struct names *names) {
    names_free_values(names->list, names->n);
    free(names->list);
    *names = (struct names){0};
}

static void add(struct names *names, const char *kind, const char *value, size_t size) {
    if (size == 0 || size > IDENTITY_VALUE_BYTES_MAX || memchr(value, '\0', size) != NULL) {
        return;
    }
    if (names->n == names->n_allocated && names->n < QUARANTINE_NAMES_MAX) {
        size_t wanted = names->n_allocated == 0 ? 64 : 2 * names->n_allocated;
        struct kit_identity *list = reallocarray(names->list, wanted, sizeof(*list));
        names->list = list != NULL ? list : names->list;
        names->n_allocated = list != NULL ? wanted : names->n_allocated;
    }
    char *copy = names->n < names->n_allocated ? strndup(value, size) : NULL;
    if (copy == NULL) {
        names->cut = true;
        return;
    }
    names->list[names->n++] = (struct kit_identity){.kind = kind, .value = copy};
}

static bool is_phone(const char *text, size_t size) {
    size_t n_digits = 0;
    for (size_t i = 0; i < size; i++) {
        n_digits += isdigit((unsigned char)text[i]) != 0;
        if (!isdigit((unsigned char)text[i]) && strchr("+ -./()", text[i]) == NULL) {
            return false;
        }
    }
    return n_digits >= PHONE_DIGITS_MIN;
}

// A text for everything that it may be.
static void add_text(struct names *names, const char *text, size_t size) {
    if (text == NULL || size < TEXT_BYTES_MIN) {
        return;
    }
    if (memchr(text, '@', size) != NULL) {
        add(names, "email", text, size);
    }
    if (is_phone(text, size)) {
        add(names, "phone", text, size);
        add(names, "fax", text, size);
    }
    for (size_t i = 0; i < sizeof(plain_kinds) / sizeof(plain_kinds[0]); i++) {
        add(names, plain_kinds[i], text, size);
    }
}

// ---- tokens of any bytes

static int hex_digit(char digit) {
    return isdigit((unsigned char)digit)    ? digit - '0'
           : isxdigit((unsigned char)digit) ? tolower((unsigned char)digit) - 'a' + 10
                                            : -1;
}

// As in a URL; a text without any %XX comes back as long as it was.
static size_t decode_percent(const char *text, size_t size, char *ret) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        bool is_code = text[i] == '%' && i + 2 < size && hex_digit(text[i + 1]) >= 0 &&
                       hex_digit(text[i + 2]) >= 0;
        ret[n++] = is_code ? (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i];
        i += is_code ? 2 : 0;
    }
    return n;
}

static void add_token(struct names *names, const char *token, size_t size) {
    char decoded[IDENTITY_VALUE_BYTES_MAX];
    while (size > 0 && token[size - 1] == '.') { // the end of a sentence
        size--;
    }
    add_text(names, token, size);
    if (size <= sizeof(decoded) && memchr(token, '%', size) != NULL) {
        add_text(names, decoded, decode_percent(token, size, decoded));
    }
}

static bool is_token(char byte) {
    return isalnum((unsigned char)byte) || (unsigned char)byte >= 0x80 ||
           (byte != '\0' && strchr("@._+-%", byte) != NULL);
}

static void find_tokens(struct names *names, const char *text, size_t size) {
    for (size_t at = 0; at < size && !names->cut;) {
        size_t end = at;
        while (end < size && is_token(text[end])) {
            end++;
        }
        if (end > at) {
            add_token(names, text + at, end - at);
        }
        at = end + 1;
    }
}

// ---- members of JSON

static void add_member(struct names *names, const char *name, const json_t *value) {
    char plain[32], number[32];
    size_t n = 0;
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    if (json_is_integer(value)) {
        size =
            (size_t)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        text = number;
    }
    for (const char *at = name; text != NULL && *at != '\0' && n < sizeof(plain) - 1; at++) {
        if (*at != '_' && *at != '-') {
            plain[n++] = (char)tolower((unsigned char)*at);
        }
    }
    plain[n] = '\0';
    for (size_t i = 0; text != NULL && i < sizeof(members) / sizeof(members[0]); i++) {
        if (strcmp(members[i].member, plain) == 0) {
            add(names, members[i].kind, text, size);
        }
    }
    if (json_is_string(value)) {
        add_text(names, text, size);
    }
}

// Depth first, with a stack of our own.
static void find_members(struct names *names, json_t *root) {
    struct {
        json_t *value;
        void *member;
        size_t index;
    } stack[JSON_DEPTH_MAX] = {{.value = root, .member = json_object_iter(root)}};
    size_t depth = 1;
    while (depth > 0 && !names->cut) {
        json_t *in = stack[depth - 1].value, *value;
        const char *name = "";
        if (json_is_object(in) && stack[depth - 1].member != NULL) {
            name = json_object_iter_key(stack[depth - 1].member);
            value = json_object_iter_value(stack[depth - 1].member);
            stack[depth - 1].member = json_object_iter_next(in, stack[depth - 1].member);
        } else if (json_is_array(in) && stack[depth - 1].index < json_array_size(in)) {
            value = json_array_get(in, stack[depth - 1].index++);
        } else {
            depth--;
            continue;
        }
        add_member(names, name, value);
        if ((json_is_object(value) || json_is_array(value)) && depth < JSON_DEPTH_MAX) {
            stack[depth].value = value;
            stack[depth].member = json_object_iter(value);
            stack[depth++].index = 0;
        }
    }
}

static void find_in_text(struct names *names, const char *text, size_t size) {
    json_t *json = json_loadb(text, size, JSON_ALLOW_NUL, NULL);
    if (json != NULL) {
        find_members(names, json);
    }
    json_decref(json);
    find_tokens(names, text, size);
}

void names_find(const void *item, size_t size, struct names *ret) {
    touchbus_event *event = NULL;
    if (touchbus_event_parse(item, size, &event) != 0 ||
        touchbus_event_get(event, "type") == NULL) {
        touchbus_event_free(event);
        find_in_text(ret, item, size);
        return;
    }
    const char *kind, *value;
    bool verified;
    for (size_t i = 0; touchbus_event_identity(event, i, &kind, &value, &verified); i++) {
        for (size_t k = 0; k < sizeof(members) / sizeof(members[0]); k++) {
            if (strcmp(members[k].kind, kind) == 0) {
                add(ret, members[k].kind, value, strlen(value));
                break;
            }
        }
    }
    _cleanup_free_ char *text = touchbus_event_to_json(event);
    if (text != NULL) {
        find_in_text(ret, text, strlen(text));
    }
    touchbus_event_free(event);
}
