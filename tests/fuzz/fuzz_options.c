// SPDX-License-Identifier: Apache-2.0
// A configuration file with one row of each type: read whole or refused, and nothing is left over.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "schemas/base/options.h"
#include "tests/fuzz/fuzz.h"

struct conf {
    bool quiet;
    int64_t port;
    int64_t wait_us;
    int64_t size;
    char *state;
    struct option_list types;
};

static const struct option_row rows[] = {
    {.name = "quiet", .type = OPTION_BOOL, .offset = offsetof(struct conf, quiet)},
    {.name = "port",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct conf, port),
     .default_text = "7400",
     .min = 1,
     .max = 65535},
    {.name = "wait", .type = OPTION_DURATION, .offset = offsetof(struct conf, wait_us)},
    {.name = "size", .type = OPTION_BYTES, .offset = offsetof(struct conf, size)},
    {.name = "state", .type = OPTION_STRING, .offset = offsetof(struct conf, state)},
    {.name = "type", .type = OPTION_LIST, .offset = offsetof(struct conf, types)},
};
static const struct option_page page = {
    .program = "fuzz", .rows = rows, .n_rows = sizeof(rows) / sizeof(rows[0])};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int file = -1;
    static FILE *nowhere;
    static char path[64];
    static char program[] = "fuzz";
    static char option[] = "--config";
    if (file < 0) {
        file = memfd_create("options", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
        nowhere = fopen("/dev/null", "we");
        REQUIRE(file >= 0 && nowhere != NULL);
    }
    REQUIRE(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    struct conf conf = {0};
    static const struct conf nothing = {0};
    char *argv[] = {program, option, path, NULL};
    FILE *kept = stderr; // a complaint an input is too much to read
    stderr = nowhere;
    int r = options_parse(&page, &conf, 3, argv, NULL);
    stderr = kept;
    if (r == 0) {
        REQUIRE(conf.port >= 1 && conf.port <= 65535);
        REQUIRE(conf.types.n_values <= OPTION_LIST_MAX);
        options_clear(&page, &conf);
    }
    REQUIRE(conf.state == nothing.state && conf.types.values == nothing.types.values);
    return 0;
}
