// SPDX-License-Identifier: Apache-2.0
// A certificate file: read whole or refused with a reason, and nothing is left over of a refused
// one.
#include <string.h>

#include "schemas/base/certificate.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct certificate certificate;
    const char *why = NULL;
    if (certificate_parse((const char *)data, size, &certificate, &why) != 0) {
        static const struct certificate nothing;
        REQUIRE(why != NULL);
        REQUIRE(memcmp(&certificate, &nothing, sizeof(nothing)) == 0);
        return 0;
    }
    REQUIRE(strlen(certificate.public_key) == CERTIFICATE_KEY_CHARS);
    size_t secret_length = strlen(certificate.secret_key);
    REQUIRE(secret_length == 0 || secret_length == CERTIFICATE_KEY_CHARS);
    REQUIRE(certificate.name[0] == '\0' || certificate_name_ok(certificate.name));
    REQUIRE(certificate.role[0] == '\0' || certificate_name_ok(certificate.role));
    return 0;
}
