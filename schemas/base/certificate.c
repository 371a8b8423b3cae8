// SPDX-License-Identifier: Apache-2.0
// Reads what CZMQ's zcert writes: lines of `name = "value"`, nested by four spaces, of which we
// take four values and pass over the rest. What CZMQ would not read is refused, so that both sides
// agree on what a file says. No memory of its own, no I/O: reading the file is
// certificate_file.c.
#include "schemas/base/certificate.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include "schemas/base/guards.h"

enum { INDENT = 4, LEVELS_MAX = 16, SECTION_CHARS = 16, KEY_BYTES = 32 };

// A line of the file, without its end; value is NULL where there is no `=`.
struct line {
    size_t level;
    const char *name, *value;
    size_t name_length, value_length;
};

struct parse {
    struct certificate *certificate;
    char section[SECTION_CHARS]; // the level 0 name we are under; "" where it is of no interest
    size_t level;                // of the line before
};

bool certificate_name_ok(const char *name) {
    size_t length = strlen(name);
    return length > 0 && length <= NAME_BYTES_MAX && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               length;
}

// ---- keys

// Z85: five digits of base 85 make four bytes. False where a character or a group is none.
static bool key_decode(const char *text, uint8_t ret[static KEY_BYTES]) {
    static const char digits[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    if (strlen(text) != CERTIFICATE_KEY_CHARS) {
        return false;
    }
    for (size_t group = 0; group < KEY_BYTES / 4; group++) {
        uint64_t value = 0;
        for (size_t i = 0; i < 5; i++) {
            const char *digit = strchr(digits, text[group * 5 + i]);
            if (digit == NULL) {
                return false;
            }
            value = value * 85 + (uint64_t)(digit - digits);
        }
        if (value > UINT32_MAX) {
            return false;
        }
        for (size_t i = 0; i < 4; i++) {
            ret[group * 4 + i] = (uint8_t)(value >> (8 * (3 - i)));
        }
    }
    return true;
}

static const char *check_keys(const struct certificate *certificate) {
    uint8_t public_key[KEY_BYTES];
    uint8_t secret_key[KEY_BYTES];
    uint8_t derived[KEY_BYTES];
    if (certificate->public_key[0] == '\0') {
        return "there is no curve/public-key";
    }
    if (!key_decode(certificate->public_key, public_key)) {
        return "curve/public-key is not 32 bytes in Z85";
    }
    if (certificate->secret_key[0] == '\0') {
        return NULL;
    }
    const char *why = NULL;
    if (!key_decode(certificate->secret_key, secret_key)) {
        why = "curve/secret-key is not 32 bytes in Z85";
    } else if (GUARD(key_pair) && (crypto_scalarmult_base(derived, secret_key) != 0 ||
                                   sodium_memcmp(derived, public_key, sizeof(derived)) != 0)) {
        why = "curve/public-key does not belong to curve/secret-key";
    }
    sodium_memzero(secret_key, sizeof(secret_key));
    return why;
}

// ---- lines

static bool is_name_char(char c) {
    return isalnum((unsigned char)c) || (c != '\0' && strchr("$-_@.&+/", c) != NULL);
}

static size_t skip_blanks(const char *text, size_t at, size_t length) {
    while (at < length && (text[at] == ' ' || text[at] == '\t')) {
        at++;
    }
    return at;
}

// The value behind `=`: quoted, up to the same quote, else up to a comment. NULL, or why not.
static const char *split_value(const char *text, size_t at, size_t length, struct line *line) {
    at = skip_blanks(text, at, length);
    if (at < length && (text[at] == '"' || text[at] == '\'')) {
        const char *end = memchr(text + at + 1, text[at], length - at - 1);
        if (end == NULL) {
            return "a quote is not closed";
        }
        line->value = text + at + 1;
        line->value_length = (size_t)(end - line->value);
        size_t after = skip_blanks(text, (size_t)(end - text) + 1, length);
        return after < length && text[after] != '#' ? "something follows a quoted value" : NULL;
    }
    const char *comment = memchr(text + at, '#', length - at);
    size_t end = comment != NULL ? (size_t)(comment - text) : length;
    while (end > at && isspace((unsigned char)text[end - 1])) {
        end--;
    }
    line->value = text + at;
    line->value_length = end - at;
    return NULL;
}

// NULL and *line, its name_length 0 for a blank line or a comment; or what is wrong.
static const char *split_line(const char *text, size_t length, struct line *line) {
    *line = (struct line){0};
    size_t spaces = 0;
    while (spaces < length && text[spaces] == ' ') {
        spaces++;
    }
    size_t at = spaces;
    while (at < length && is_name_char(text[at])) {
        at++;
    }
    line->name = text + spaces;
    line->name_length = at - spaces;
    line->level = spaces / INDENT;
    at = skip_blanks(text, at, length);
    bool ends = at == length || text[at] == '#';
    if (line->name_length == 0) {
        return ends ? NULL : "a line begins with no name";
    }
    if (spaces % INDENT != 0) {
        return "a line is not indented by four spaces a level";
    }
    if (ends) {
        return NULL;
    }
    return text[at] == '=' ? split_value(text, at + 1, length, line)
                           : "a name is not followed by =";
}

static bool is_text(const struct line *line, const char *text) {
    return line->name_length == strlen(text) && memcmp(line->name, text, line->name_length) == 0;
}

// The values we take, by section and name.
#define WANTED(section, name, member, chars_max, is_name)                                          \
    {                                                                                              \
        section, name, offsetof(struct certificate, member), chars_max, is_name,                   \
            section "/" name " stands twice", section "/" name " is too long"                      \
    }
static const struct wanted {
    const char *section, *name;
    size_t offset, chars_max;
    bool is_name;
    const char *twice, *too_long;
} wanted[] = {
    WANTED("metadata", "name", name, NAME_BYTES_MAX, true),
    WANTED("metadata", "role", role, NAME_BYTES_MAX, true),
    WANTED("curve", "public-key", public_key, CERTIFICATE_KEY_CHARS, false),
    WANTED("curve", "secret-key", secret_key, CERTIFICATE_KEY_CHARS, false),
};
#undef WANTED

static const char *take_value(struct parse *parse, const struct line *line) {
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const struct wanted *row = &wanted[i];
        if (strcmp(parse->section, row->section) != 0 || !is_text(line, row->name)) {
            continue;
        }
        char *place = (char *)parse->certificate + row->offset;
        if (place[0] != '\0') {
            return row->twice;
        }
        if (line->value_length > row->chars_max) {
            return row->too_long;
        }
        if (line->value_length > 0) {
            memcpy(place, line->value, line->value_length);
        }
        place[line->value_length] = '\0';
        if (row->is_name && place[0] != '\0' && !certificate_name_ok(place)) {
            return "a name or role is not of [A-Za-z0-9._-]";
        }
    }
    return NULL;
}

static const char *take_line(struct parse *parse, const char *text, size_t length) {
    struct line line;
    const char *why = split_line(text, length, &line);
    if (why != NULL || line.name_length == 0) {
        return why;
    }
    if (line.level > parse->level + 1 || line.level > LEVELS_MAX) {
        return "a line is indented too far";
    }
    parse->level = line.level;
    if (line.level == 0) {
        bool fits = line.name_length < sizeof(parse->section);
        memcpy(parse->section, line.name, fits ? line.name_length : 0);
        parse->section[fits ? line.name_length : 0] = '\0';
    }
    return line.level == 1 && line.value != NULL ? take_value(parse, &line) : NULL;
}

int certificate_parse(const char *bytes, size_t size, struct certificate *ret,
                      const char **ret_why) {
    struct parse parse = {.certificate = ret};
    *ret = (struct certificate){0};
    const char *why = NULL;
    if (size > CERTIFICATE_FILE_BYTES_MAX) {
        why = "the file is too large";
    } else if (size > 0 && memchr(bytes, '\0', size) != NULL) {
        why = "the file holds a NUL byte";
    }
    for (size_t at = 0; why == NULL && at < size;) {
        const char *end = memchr(bytes + at, '\n', size - at);
        size_t length = end != NULL ? (size_t)(end - bytes) - at : size - at;
        bool has_return = length > 0 && bytes[at + length - 1] == '\r';
        why = take_line(&parse, bytes + at, length - has_return);
        at += length + 1;
    }
    why = why != NULL ? why : check_keys(ret);
    if (why == NULL) {
        return 0;
    }
    certificate_clear(ret);
    if (ret_why != NULL) {
        *ret_why = why;
    }
    return -EBADMSG;
}

void certificate_clear(struct certificate *certificate) {
    sodium_memzero(certificate, sizeof(*certificate));
}
