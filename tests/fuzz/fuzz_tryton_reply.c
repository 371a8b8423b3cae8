// SPDX-License-Identifier: Apache-2.0
// Any answer of an ERP: the first two bytes choose the status, the rest is the page or the result.
#include <string.h>

#include "connectors/dialect/tryton_reply.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const long statuses[] = {200, 400, 401, 404, 409, 423, 500, 502};
    if (size < 1) {
        return 0;
    }
    struct tryton_reply reply;
    tryton_reply_read(statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))],
                      (const char *)data + 1, size - 1, &reply);
    REQUIRE((reply.class == TRYTON_DONE) == (reply.result != NULL));
    REQUIRE(memchr(reply.words, '\0', sizeof(reply.words)) != NULL);
    REQUIRE((reply.class == TRYTON_DONE) == (reply.words[0] == '\0'));
    tryton_words_hide(reply.words, "Ana Kos");
    REQUIRE(strstr(reply.words, "Ana Kos") == NULL);
    json_decref(reply.result);
    return 0;
}
