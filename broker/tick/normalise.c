// SPDX-License-Identifier: Apache-2.0
// Rules by kind, in one table. Most values are short ASCII, so every step first looks whether it
// has anything to do; libunistring and libidn2 see only what is not ASCII.
//
// Phone numbers are E.164 by libphonenumber, with the organisation's region where they do not carry
// their country; what is no number of the public network stays its digits, which never meet the
// digits of another number with a +.
#include "broker/tick/normalise.h"

#include <ctype.h>
#include <idn2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "broker/tick/phone.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"

enum {
    NORMALISE_INPUT_BYTES_MAX = 1024, // before trimming
    NOBODY_BYTES_MAX = 16,            // no longer one is in the table
    PHONE_DIGITS_MIN = 3,
    PHONE_DIGITS_MAX = 15, // E.164
    PHONE_DIGITS_WITH_COUNTRY_MIN = 7,
    DOMAIN_BYTES_MAX = 253, // RFC 1035
    LABEL_BYTES_MAX = 63,
};

static bool is_ascii(const char *text) {
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text >= 0x80) {
            return false;
        }
    }
    return true;
}

// ASCII without white space and control characters.
static bool is_plain(const char *text, size_t size) {
    unsigned other = 0;
    for (size_t i = 0; i < size; i++) {
        other |= (unsigned char)text[i] - (unsigned)'!' > (unsigned)('~' - '!');
    }
    return other == 0;
}

static bool is_space(ucs4_t character) {
    return character < 0x80 ? isspace((int)character) != 0
                            : uc_is_property_white_space(character) || character == 0x200B ||
                                  character == 0x2060 || character == 0xFEFF; // zero width
}

// Without white space at both ends, in NFC. NULL where it holds a control character or is too long.
static char *trim_and_compose(const char *value, struct arena *arena) {
    size_t size = strlen(value);
    if (is_plain(value, size) && size <= NORMALISE_INPUT_BYTES_MAX) {
        return arena_copy(arena, value, size + 1); // nearly always
    }
    if (size > NORMALISE_INPUT_BYTES_MAX || u8_check((const uint8_t *)value, size) != NULL) {
        return NULL;
    }
    const uint8_t *at = (const uint8_t *)value;
    const uint8_t *end = at + size;
    ucs4_t character;
    const uint8_t *next;
    while (at < end && (next = u8_next(&character, at)) != NULL && is_space(character)) {
        at = next;
    }
    const uint8_t *before;
    while (end > at && (before = u8_prev(&character, end, at)) != NULL && is_space(character)) {
        end = before;
    }
    for (const uint8_t *i = at; i < end; i++) {
        if (iscntrl(*i)) {
            return NULL;
        }
    }
    char *trimmed = arena_alloc(arena, (size_t)(end - at) + 1);
    if (trimmed == NULL) {
        return NULL;
    }
    memcpy(trimmed, at, (size_t)(end - at));
    trimmed[end - at] = '\0';
    if (is_ascii(trimmed)) {
        return trimmed;
    }
    size_t composed_size;
    uint8_t *composed = u8_normalize(UNINORM_NFC, (const uint8_t *)trimmed, (size_t)(end - at) + 1,
                                     NULL, &composed_size);
    char *result = composed == NULL ? NULL : arena_copy(arena, composed, composed_size);
    free(composed);
    return result;
}

// What systems write where they know nobody.
static bool is_nobody(const char *value) {
    static const char *const values[] = {
        "",          "-1",      "null",       "none",        "undefined",       "nan",
        "anonymous", "guest",   "true",       "false",       "[object object]", "unknown",
        "withheld",  "private", "restricted", "unavailable",
    };
    size_t size = strlen(value);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]) && size <= NOBODY_BYTES_MAX; i++) {
        // The first letters differ nearly always, and this runs for every key of every event.
        if ((value[0] | 0x20) == (values[i][0] | 0x20) && strcasecmp(value, values[i]) == 0) {
            return true;
        }
    }
    // zeros, the zero UUID
    return (value[0] == '0' || value[0] == '-') && strspn(value, "0-") == size;
}

static char *as_it_is(char *value, const struct policy *policy, struct arena *arena) {
    (void)policy;
    (void)arena;
    return value;
}

// Lower case; only what is not ASCII costs more than a loop.
static char *lower(char *value, struct arena *arena) {
    if (is_ascii(value)) {
        for (char *at = value; *at != '\0'; at++) {
            *at = (char)tolower((unsigned char)*at);
        }
        return value;
    }
    size_t size;
    uint8_t *text =
        u8_tolower((const uint8_t *)value, strlen(value) + 1, NULL, UNINORM_NFC, NULL, &size);
    char *result = text == NULL ? NULL : arena_copy(arena, text, size);
    free(text);
    return result;
}

// Letters, digits and hyphens in labels, as RFC 1123 wants them; libidn2 itself lets more pass.
static bool is_host_name(const char *host) {
    size_t label = 0;
    for (const char *at = host; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        bool edge = label == 0 || at[1] == '.' || at[1] == '\0';
        if (byte == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
            continue;
        }
        if (!isalnum(byte) && byte < 0x80 && (byte != '-' || edge)) {
            return false;
        }
        if (++label > LABEL_BYTES_MAX && is_ascii(host)) {
            return false;
        }
    }
    return label > 0;
}

// The domain in its ASCII form. NULL where it is none.
static char *domain_to_ascii(char *domain, struct arena *arena) {
    size_t size = strlen(domain);
    if (size > 1 && domain[size - 1] == '.') { // the root's dot
        domain[size - 1] = '\0';
    }
    if (!is_host_name(domain)) {
        return NULL;
    }
    if (is_ascii(domain)) {
        return strlen(domain) <= DOMAIN_BYTES_MAX ? domain : NULL;
    }
    char *ascii = NULL;
    if (idn2_to_ascii_8z(domain, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK) {
        return NULL;
    }
    char *result = is_host_name(ascii) && strlen(ascii) <= DOMAIN_BYTES_MAX
                       ? arena_strdup(arena, ascii)
                       : NULL;
    idn2_free(ascii);
    return result;
}

static char *email(char *value, const struct policy *policy, struct arena *arena) {
    (void)policy;
    char *text = lower(value, arena);
    char *at = text == NULL ? NULL : strrchr(text, '@');
    if (at == NULL || at == text || strchr(text, ' ') != NULL) {
        return NULL;
    }
    char *domain = domain_to_ascii(at + 1, arena);
    if (domain == NULL) {
        return NULL;
    }
    *at = '\0';
    return domain == at + 1 ? (*at = '@', text) : arena_printf(arena, "%s@%s", text, domain);
}

// Where the number ends and an extension begins; the extension is no part of the key.
static const char *phone_end(const char *text) {
    static const char *const marks[] = {";", ",", "ext", "x", "#"};
    const char *end = text + strlen(text);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        const char *found = strcasestr(text, marks[i]);
        end = found != NULL && found < end ? found : end;
    }
    return end;
}

// The digits as they were written, of what libphonenumber takes for no number of the public
// network: internal extensions, short codes, numbers of a country it does not know.
static char *phone_digits(const char *text, const char *end, struct arena *arena) {
    char *result = arena_alloc(arena, (size_t)(end - text) + 2);
    if (result == NULL) {
        return NULL;
    }
    size_t used = 0;
    bool has_country = *text == '+';
    text += has_country;
    for (; text < end; text++) {
        if (*text == '(' && strncmp(text, "(0)", 3) == 0 && has_country) {
            text += 2; // +31 (0)6: the trunk zero is not dialled from abroad
        } else if (*text >= '0' && *text <= '9') {
            result[used++] = *text;
        } else if (strchr(" -./()", *text) == NULL) {
            return NULL;
        }
    }
    result[used] = '\0';
    if (!has_country && used > 2 && strncmp(result, "00", 2) == 0) {
        has_country = true;
        used -= 2;
        memmove(result, result + 2, used + 1);
    }
    size_t least = has_country ? PHONE_DIGITS_WITH_COUNTRY_MIN : PHONE_DIGITS_MIN;
    if (used < least || used > PHONE_DIGITS_MAX || strspn(result, "0") == used) {
        return NULL;
    }
    if (has_country) {
        memmove(result + 1, result, used + 1);
        result[0] = '+';
    }
    return result;
}

static char *phone(char *value, const struct policy *policy, struct arena *arena) {
    static const char *const schemes[] = {"tel:", "sip:", "sips:"};
    const char *text = value;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t size = strlen(schemes[i]);
        text += strncasecmp(text, schemes[i], size) == 0 ? size : 0;
    }
    const char *region = policy == NULL ? NULL : policy->organisation.region;
    char number[PHONE_BYTES];
    char *digits = phone_digits(text, phone_end(text), arena);
    if (digits == NULL) {
        return NULL;
    }
    int r = phone_e164(digits, region, number);
    return r == 0 ? arena_strdup(arena, number) : r == 1 ? digits : NULL;
}

static const struct kind {
    const char *name;
    enum key_class class;
    char *(*normalise)(char *value, const struct policy *policy,
                       struct arena *arena); // trimmed, in NFC; may change it
} kinds[] = {
    {"email", KEY_MEDIUM, email},
    {"user_id", KEY_STRONG, as_it_is},
    {"anonymous_id", KEY_WEAK, as_it_is},
    {"phone", KEY_MEDIUM, phone},
    {"crm_id", KEY_STRONG, as_it_is},
    {"account", KEY_STRONG, as_it_is},
    {"loyalty", KEY_STRONG, as_it_is},
    {"fax", KEY_MEDIUM, phone},
    {"cookie", KEY_WEAK, as_it_is},
    {"device", KEY_WEAK, as_it_is},
    {"chat_handle", KEY_WEAK, as_it_is},
    {"partner_id", KEY_PARTNER, as_it_is},
    {"gln", KEY_PARTNER, as_it_is},
    {"vat_id", KEY_PARTNER, as_it_is},
    {"kiosk", KEY_SHARED, as_it_is},
    {"switchboard", KEY_SHARED, as_it_is},
    {"postal_address", KEY_SHARED, as_it_is},
    {"fax_header", KEY_SHARED, as_it_is},
};

// "user_id" stands for user_id and for user_id.REALM.
static bool stands_for(const char *row, const char *kind) {
    if (row[0] != kind[0] && row[0] != '\0') {
        return false;
    }
    size_t size = strlen(row);
    return strncmp(row, kind, size) == 0 && (kind[size] == '\0' || kind[size] == '.');
}

static const struct kind *kind_find(const char *name) {
    static const struct kind other = {"", KEY_WEAK, as_it_is};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (stands_for(kinds[i].name, name)) {
            return &kinds[i];
        }
    }
    return &other;
}

static const char *const class_names[] = {"strong", "medium", "weak", "partner", "shared"};

const char *normalise_class_name(enum key_class class) {
    return class_names[class];
}

static bool class_parse(const char *text, enum key_class *ret) {
    for (unsigned i = 0; i < sizeof(class_names) / sizeof(class_names[0]); i++) {
        if (strcmp(class_names[i], text) == 0) {
            *ret = (enum key_class)i;
            return true;
        }
    }
    return false;
}

enum key_class normalise_class(const struct policy *policy, const char *kind) {
    enum key_class class;
    for (unsigned i = 0; policy != NULL && i < policy->identity.n_kinds; i++) {
        if (stands_for(policy->identity.kinds[i].kind, kind) &&
            class_parse(policy->identity.kinds[i].class, &class)) {
            return class;
        }
    }
    return kind_find(kind)->class;
}

// Of the operator: GLOB, or KIND=GLOB.
static bool is_operators_nobody(const struct policy *policy, const char *kind, const char *value) {
    for (unsigned i = 0; policy != NULL && i < policy->identity.n_nobody; i++) {
        const char *glob = policy->identity.nobody[i];
        const char *equals = strchr(glob, '=');
        size_t size = equals == NULL ? 0 : (size_t)(equals - glob);
        if (equals == NULL ? envelope_glob(glob, value)
                           : strncmp(glob, kind, size) == 0 && kind[size] == '\0' &&
                                 envelope_glob(equals + 1, value)) {
            return true;
        }
    }
    return false;
}

const char *normalise_value(const struct policy *policy, const char *kind, const char *value,
                            struct arena *arena) {
    char *text = trim_and_compose(value, arena);
    if (text == NULL || is_nobody(text) || is_operators_nobody(policy, kind, text)) {
        return NULL;
    }
    char *result = kind_find(kind)->normalise(text, policy, arena);
    return result != NULL && strlen(result) <= IDENTITY_VALUE_BYTES_MAX &&
                   !is_operators_nobody(policy, kind, result)
               ? result
               : NULL;
}
