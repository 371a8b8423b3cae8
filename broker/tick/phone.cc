// SPDX-License-Identifier: Apache-2.0
// The only file that knows libphonenumber, and the only one in C++. A number that carries its
// country has to be possible, one that takes the region's has to be valid there: an internal
// extension is no number of the public network.
#include "broker/tick/phone.h"

#include <phonenumbers/phonenumberutil.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>

using i18n::phonenumbers::PhoneNumber;
using i18n::phonenumbers::PhoneNumberUtil;

namespace {

constexpr size_t memory_slots = 1024;

// An answer that was given before; of two that share a slot the later one stays.
struct remembered {
    char text[PHONE_INPUT_BYTES_MAX];
    char region[4];
    char number[PHONE_BYTES]; // empty: none
    bool used;
};

thread_local std::unique_ptr<remembered[]> memory; // while the thread lives

bool is_dialled(const PhoneNumberUtil &util, const PhoneNumber &number, bool has_country) {
    return has_country ? util.IsPossibleNumberWithReason(number) == PhoneNumberUtil::IS_POSSIBLE
                       : util.IsValidNumber(number);
}

bool read_number(const char *text, const char *region, char *ret) {
    const PhoneNumberUtil &util = *PhoneNumberUtil::GetInstance();
    PhoneNumber number;
    std::string e164;
    const bool has_country = text[0] == '+';
    if (util.Parse(text, has_country ? "ZZ" : region, &number) !=
            PhoneNumberUtil::NO_PARSING_ERROR ||
        !is_dialled(util, number, has_country)) {
        return false;
    }
    util.Format(number, PhoneNumberUtil::E164, &e164);
    if (e164.size() >= PHONE_BYTES) {
        return false;
    }
    std::memcpy(ret, e164.c_str(), e164.size() + 1);
    return true;
}

} // namespace

int phone_e164(const char *text, const char *region, char ret[PHONE_BYTES]) {
    const char *country = region == nullptr ? "ZZ" : region;
    if (std::strlen(text) >= PHONE_INPUT_BYTES_MAX ||
        std::strlen(country) >= sizeof(remembered::region)) {
        return 1;
    }
    if (memory == nullptr) {
        memory.reset(new (std::nothrow) remembered[memory_slots]());
    }
    if (memory == nullptr) {
        return -ENOMEM;
    }
    remembered &slot = memory[std::hash<std::string_view>{}(text) % memory_slots];
    if (!slot.used || std::strcmp(slot.text, text) != 0 || std::strcmp(slot.region, country) != 0) {
        slot.used = false;
        slot.number[0] = '\0';
        try {
            if (!read_number(text, country, slot.number)) {
                slot.number[0] = '\0';
            }
        } catch (const std::bad_alloc &) {
            return -ENOMEM;
        }
        std::memcpy(slot.text, text, std::strlen(text) + 1);
        std::memcpy(slot.region, country, std::strlen(country) + 1);
        slot.used = true;
    }
    if (slot.number[0] == '\0') {
        return 1;
    }
    std::memcpy(ret, slot.number, PHONE_BYTES);
    return 0;
}

int phone_region(const char *e164, char ret[PHONE_REGION_BYTES]) {
    try {
        const PhoneNumberUtil &util = *PhoneNumberUtil::GetInstance();
        PhoneNumber number;
        std::string region;
        if (e164[0] != '+' ||
            util.Parse(e164, "ZZ", &number) != PhoneNumberUtil::NO_PARSING_ERROR) {
            return 1;
        }
        util.GetRegionCodeForNumber(number, &region);
        if (region.size() != PHONE_REGION_BYTES - 1 || region == "ZZ") {
            return 1; // a network of the whole world has digits for its region
        }
        std::memcpy(ret, region.c_str(), PHONE_REGION_BYTES);
        return 0;
    } catch (const std::bad_alloc &) {
        return -ENOMEM;
    }
}
