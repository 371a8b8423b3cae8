// SPDX-License-Identifier: Apache-2.0
// Where the customer is: what the profile says, else where its phone number or postal address is,
// else where the organisation is.
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "broker/rules/contact.h"
#include "broker/tick/phone.h"

enum { REGION_LETTERS = 2 };

// Two letters, as ICU wants them.
static bool is_region(const char *text, char ret[static REGION_LETTERS + 1]) {
    if (text == NULL || strlen(text) != REGION_LETTERS || !isalpha((unsigned char)text[0]) ||
        !isalpha((unsigned char)text[1])) {
        return false;
    }
    ret[0] = (char)toupper((unsigned char)text[0]);
    ret[1] = (char)toupper((unsigned char)text[1]);
    ret[2] = '\0';
    return true;
}

// "country" of the profile, or of a postal address that is a map.
static bool postal_region(const struct profile *profile, char ret[static REGION_LETTERS + 1]) {
    if (is_region(profile_text(profile, "country"), ret)) {
        return true;
    }
    const View__Attribute *address = profile_attribute(profile, "address");
    struct body_value country;
    if (address == NULL ||
        !body_find(address->value.data, address->value.len, "country", &country) ||
        country.kind != BODY_TEXT || country.text_size != REGION_LETTERS) {
        return false;
    }
    return is_region(arena_printf(profile->arena, "%.*s", REGION_LETTERS, country.text), ret);
}

// Of the phone number that came last; 1: there is none that says.
static int phone_region_of(const struct profile *profile, char ret[static REGION_LETTERS + 1]) {
    const View__Key *last = NULL;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        const View__Person *person = profile->leaves[i].person;
        for (size_t j = 0; j < person->n_keys; j++) {
            const View__Key *key = person->keys[j];
            if (strcmp(key->kind, "phone") == 0 &&
                (last == NULL || key->attached_us > last->attached_us ||
                 (key->attached_us == last->attached_us && key->sequence > last->sequence))) {
                last = key;
            }
        }
    }
    return last == NULL ? 1 : phone_region(last->value, ret);
}

static int open_region(const struct policy *policy, const char *region, struct zone **ret) {
    char name[ZONE_NAME_BYTES];
    return zone_of_region(region, policy->organisation.zone, name) ? zone_open(name, ret) : 1;
}

int contact_zone(const struct policy *policy, const struct profile *profile, struct zone **ret) {
    char region[REGION_LETTERS + 1];
    const char *own = profile_text(profile, "timezone");
    int r = own != NULL ? zone_open(own, ret) : 1;
    if (r == 1) {
        r = phone_region_of(profile, region);
        r = r == 0 ? open_region(policy, region, ret) : r;
    }
    if (r == 1 && postal_region(profile, region)) {
        r = open_region(policy, region, ret);
    }
    r = r == 1 ? zone_open(policy->organisation.zone, ret) : r;
    return r == 1 ? zone_open("Etc/UTC", ret) : r;
}
