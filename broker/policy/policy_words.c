// SPDX-License-Identifier: Apache-2.0
// Regions, zones, currencies and languages are ICU's; the broker's own words are lists.
#include "broker/policy/policy_words.h"

#include <ctype.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/ucurr.h>
#include <unicode/uloc.h>
#include <unicode/uregion.h>
#include <unicode/ustring.h>

enum { WORD_BYTES_MAX = 64 };

// 0, and the text in ret where it is short ASCII.
static bool widen(const char *text, UChar ret[static WORD_BYTES_MAX + 1]) {
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] >= 0x80) {
            return false;
        }
    }
    if (size == 0 || size > WORD_BYTES_MAX) {
        return false;
    }
    u_charsToUChars(text, ret, (int32_t)size + 1);
    return true;
}

static bool is_upper(const char *text, size_t size) {
    return strlen(text) == size && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == size;
}

static bool is_region(const char *text) {
    UErrorCode status = U_ZERO_ERROR;
    const URegion *region = is_upper(text, 2) ? uregion_getRegionFromCode(text, &status) : NULL;
    return region != NULL && U_SUCCESS(status) && uregion_getType(region) == URGN_TERRITORY;
}

static bool is_zone(const char *text) {
    UChar name[WORD_BYTES_MAX + 1], canonical[WORD_BYTES_MAX + 1];
    UErrorCode status = U_ZERO_ERROR;
    UBool known = 0;
    if (!widen(text, name)) {
        return false;
    }
    ucal_getCanonicalTimeZoneID(name, -1, canonical, WORD_BYTES_MAX, &known, &status);
    return U_SUCCESS(status) && known;
}

static bool is_currency(const char *text) {
    UChar code[WORD_BYTES_MAX + 1];
    UErrorCode status = U_ZERO_ERROR;
    double now = (double)ucal_getNow();
    return is_upper(text, 3) && widen(text, code) && ucurr_isAvailable(code, now, now, &status) &&
           U_SUCCESS(status);
}

static bool is_language(const char *text) {
    char name[ULOC_FULLNAME_CAPACITY];
    UErrorCode status = U_ZERO_ERROR;
    int32_t parsed = 0;
    size_t size = strlen(text);
    if (size < 2 || size > WORD_BYTES_MAX) {
        return false;
    }
    uloc_forLanguageTag(text, name, sizeof(name), &parsed, &status);
    return U_SUCCESS(status) && status != U_STRING_NOT_TERMINATED_WARNING && (size_t)parsed == size;
}

static bool is_one_of(const char *const *words, size_t n, const char *text) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(words[i], text) == 0) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(function, ...)                                                                   \
    static bool function(const char *text) {                                                       \
        static const char *const words[] = {__VA_ARGS__};                                          \
        return is_one_of(words, sizeof(words) / sizeof(words[0]), text);                           \
    }
IS_ONE_OF(is_class, "strong", "medium", "weak", "shared", "partner")
IS_ONE_OF(is_tier, "guest", "registered", "client", "mvc")
IS_ONE_OF(is_phase, "acquisition", "enhancement", "retention")

static bool is_name(const char *text) {
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        if (isalnum((unsigned char)text[i]) == 0 && strchr("_-.:/", text[i]) == NULL) {
            return false;
        }
    }
    return size > 0 && size <= POLICY_NAME_BYTES_MAX;
}

static bool is_name_or_none(const char *text) {
    return *text == '\0' || is_name(text);
}

// A word of the profile, or a group of it, a dot and a name that a source chose.
static bool is_field(const char *text) {
    static const char *const groups[] = {"attributes.", "counters.", "needs.",
                                         "products.",   "consents.", "answers.",
                                         "keys.",       "groups.",   "preference."};
    static const char *const words[] = {"tier",          "phase",        "value",        "orders",
                                        "quotes",        "language",     "channel",      "owner",
                                        "registered",    "client",       "mvc",          "cases",
                                        "carts",         "visits",       "satisfaction", "access",
                                        "inactive_days", "interactions", "restricted",   "events"};
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        size_t size = strlen(groups[i]);
        if (strncmp(text, groups[i], size) == 0) {
            return text[size] != '\0' && strlen(text) <= POLICY_NAME_BYTES_MAX;
        }
    }
    return is_one_of(words, sizeof(words) / sizeof(words[0]), text);
}

const struct policy_vocabulary policy_region = {is_region, "a region such as DE (ISO 3166-1)"};
const struct policy_vocabulary policy_zone = {is_zone, "a time zone such as Europe/Berlin"};
const struct policy_vocabulary policy_currency = {is_currency, "a currency such as EUR (ISO 4217)"};
const struct policy_vocabulary policy_language = {is_language,
                                                  "a language such as de or de-AT, or any"};
const struct policy_vocabulary policy_class = {is_class, "strong, medium, weak, shared or partner"};
const struct policy_vocabulary policy_tier = {is_tier, "guest, registered, client or mvc"};
const struct policy_vocabulary policy_phase = {is_phase, "acquisition, enhancement or retention"};
const struct policy_vocabulary policy_name = {is_name,
                                              "a name of letters, digits and _-.:/, at most 128"};
const struct policy_vocabulary policy_name_or_none = {
    is_name_or_none, "a name of letters, digits and _-.:/, or nothing"};
const struct policy_vocabulary policy_field = {
    is_field, "a field such as tier, value, attributes.NAME, needs.TERM or counters.CHANNEL.TYPE"};
