// SPDX-License-Identifier: Apache-2.0
// How touchbus's names are spelled in CloudEvents: types, identities, subjects. Each pair of
// functions is inverse to the other.
#include "schemas/cloudevents_names.h"

#include <string.h>

#include "schemas/base/utf8.h"
#include "schemas/cloudevents.h"
#include "schemas/limits.h"

const char *const cloudevents_directions[4] = {"", "in", "out", "decided"};

static const char type_prefix[] = "org.touchbus.";
static const char type_suffix[] = ".v1";
static const char label_bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";

// Somebody's own type, which stays as it is both ways: it has another alphabet than ours, or its
// first label is a top-level domain, as the CloudEvents spec recommends. Countries have two
// letters.
static bool is_foreign(const char *name, size_t length) {
    static const char *const domains[] = {"com", "org", "net",  "edu",   "gov", "int",
                                          "mil", "biz", "info", "cloud", "app", "dev"};
    size_t first = 0;
    size_t label = 0; // where the label at hand began
    for (size_t i = 0; i <= length; i++) {
        if (i < length && name[i] != '\0' && strchr(label_bytes, name[i]) != NULL) {
            continue;
        }
        if ((i < length && name[i] != '.') || i == label) {
            return true;
        }
        first = label == 0 ? i : first;
        label = i + 1;
    }
    if (first == length) {
        return false; // one label is no domain
    }
    for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
        if (strlen(domains[i]) == first && memcmp(domains[i], name, first) == 0) {
            return true;
        }
    }
    return first == 2;
}

const char *cloudevents_type_inside(const char *outside, struct arena *arena) {
    size_t length = strlen(outside);
    size_t around = strlen(type_prefix) + strlen(type_suffix);
    const char *name = outside + strlen(type_prefix);
    if (length <= around || strncmp(outside, type_prefix, strlen(type_prefix)) != 0 ||
        strcmp(outside + length - strlen(type_suffix), type_suffix) != 0 ||
        is_foreign(name, length - around)) {
        return arena_strdup(arena, outside);
    }
    char *inside = arena_alloc(arena, length - around + 1);
    if (inside != NULL) {
        memcpy(inside, name, length - around);
        inside[length - around] = '\0';
    }
    return inside;
}

const char *cloudevents_type_outside(const char *inside, struct arena *arena) {
    return is_foreign(inside, strlen(inside))
               ? arena_strdup(arena, inside)
               : arena_printf(arena, "%s%s%s", type_prefix, inside, type_suffix);
}

static Touchbus__Identity *new_identity(const char *kind, size_t kind_length, const char *value,
                                        size_t value_length, struct arena *arena) {
    Touchbus__Identity *identity = arena_alloc(arena, sizeof(*identity));
    char *texts = arena_alloc(arena, kind_length + value_length + 2);
    if (identity == NULL || texts == NULL) {
        return NULL;
    }
    touchbus__identity__init(identity);
    memcpy(texts, kind, kind_length);
    texts[kind_length] = '\0';
    identity->kind = texts;
    identity->value = texts + kind_length + 1;
    memcpy(identity->value, value, value_length);
    identity->value[value_length] = '\0';
    return identity;
}

static bool is_kind(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\0' || (strchr(label_bytes, text[i]) == NULL && text[i] != '.')) {
            return false;
        }
    }
    return length > 0 && length <= NAME_BYTES_MAX;
}

Touchbus__Identity *cloudevents_subject_identity(const char *subject, struct arena *arena) {
    const char *colon = strchr(subject, ':');
    if (colon != NULL && colon[1] != '\0' && is_kind(subject, (size_t)(colon - subject))) {
        return new_identity(subject, (size_t)(colon - subject), colon + 1, strlen(colon + 1),
                            arena);
    }
    return new_identity("user_id", strlen("user_id"), subject, strlen(subject), arena);
}

static int hex_digit(char byte) {
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *found = byte == '\0' ? NULL : strchr(digits, byte);
    return found == NULL ? -1 : (int)(found - digits) & 15;
}

// Decodes into text, which has room for length bytes. The decoded length; -1 where malformed.
static ssize_t form_decode(const char *at, size_t length, char *text) {
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (at[i] != '%') {
            text[used++] = (char)(at[i] == '+' ? ' ' : at[i]);
            continue;
        }
        int high = length - i < 3 ? -1 : hex_digit(at[i + 1]);
        int low = length - i < 3 ? -1 : hex_digit(at[i + 2]);
        if (high < 0 || low < 0) {
            return -1;
        }
        text[used++] = (char)(high * 16 + low);
        i += 2;
    }
    return utf8_check(text, used) ? (ssize_t)used : -1;
}

// One kind=value or kind!=value; NULL where it is malformed or too long.
static Touchbus__Identity *parse_pair(const char *pair, size_t length, struct arena *arena) {
    char value[3 * IDENTITY_VALUE_BYTES_MAX];
    value[0] = '\0';
    const char *equals = memchr(pair, '=', length);
    if (equals == NULL) {
        return NULL;
    }
    size_t kind_length = (size_t)(equals - pair);
    bool verified = kind_length > 0 && equals[-1] == '!';
    kind_length -= verified ? 1 : 0;
    size_t coded = length - (size_t)(equals + 1 - pair);
    ssize_t value_length = coded > sizeof(value) ? -1 : form_decode(equals + 1, coded, value);
    if (value_length < 0 || value_length > IDENTITY_VALUE_BYTES_MAX ||
        !is_kind(pair, kind_length)) {
        return NULL;
    }
    Touchbus__Identity *identity =
        new_identity(pair, kind_length, value, (size_t)value_length, arena);
    if (identity != NULL) {
        identity->verified = verified;
    }
    return identity;
}

int cloudevents_parse_keys(const char *text, struct arena *arena, Touchbus__Identity ***ret,
                           size_t *ret_n) {
    Touchbus__Identity **list = arena_alloc(arena, EVENT_IDENTITIES_MAX * sizeof(*list));
    size_t n = 0;
    if (list == NULL) {
        return 1;
    }
    while (*text != '\0') {
        size_t length = strcspn(text, "&");
        Touchbus__Identity *identity =
            n < EVENT_IDENTITIES_MAX ? parse_pair(text, length, arena) : NULL;
        if (identity == NULL) {
            return 1;
        }
        list[n++] = identity;
        text += length;
        if (*text == '&' && *++text == '\0') {
            return 1; // nothing behind the last &
        }
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

static size_t form_encode(const char *value, char *text) {
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t used = 0;
    for (; *value != '\0'; value++) {
        unsigned char byte = (unsigned char)*value;
        if (strchr(plain, *value) != NULL) {
            text[used++] = *value;
        } else {
            text[used++] = '%';
            text[used++] = digits[byte >> 4];
            text[used++] = digits[byte & 15];
        }
    }
    return used;
}

char *cloudevents_format_keys(Touchbus__Identity *const *identities, size_t n,
                              struct arena *arena) {
    size_t size = 1;
    for (size_t i = 0; i < n; i++) {
        size += strlen(identities[i]->kind) + 3 * strlen(identities[i]->value) + strlen("&!=");
    }
    char *text = arena_alloc(arena, size);
    if (text == NULL) {
        return NULL;
    }
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        size_t kind_length = strlen(identities[i]->kind);
        if (i > 0) {
            text[used++] = '&';
        }
        memcpy(text + used, identities[i]->kind, kind_length);
        used += kind_length;
        if (identities[i]->verified) {
            text[used++] = '!';
        }
        text[used++] = '=';
        used += form_encode(identities[i]->value, text + used);
    }
    text[used] = '\0';
    return text;
}
