// SPDX-License-Identifier: Apache-2.0
// The file of a restore point, of any content, also under a checksum that fits: it is refused with
// a reason, or its commit is written into a file that can hold it; nothing is written outside.
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "broker/stores/view.h"
#include "schemas/base/cleanup.h"
#include "tests/faults/folder.h"
#include "tests/fuzz/fuzz.h"

enum { FILE_BYTES = 4 * 4096 };

static char folder[64];
static const struct view_identity identity = {.fold_version = 1};

static void remove_folder(void) {
    folder_remove(folder);
}

static void write_file(const char *name, const void *bytes, size_t size) {
    char path[96];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    REQUIRE(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t empty[FILE_BYTES];
    if (folder[0] == '\0') {
        folder_make(folder, sizeof(folder));
        REQUIRE(atexit(remove_folder) == 0);
    }
    _cleanup_free_ uint8_t *bytes = malloc(size + sizeof(uint64_t));
    REQUIRE(bytes != NULL);
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    uint64_t checksum = XXH3_64bits(bytes, size);
    memcpy(bytes + size, &checksum, sizeof(checksum));
    write_file("restore-point", bytes, size + sizeof(checksum));
    write_file("data.mdb", empty, sizeof(empty));
    uint64_t applied = 0;
    const char *why = NULL;
    int r = view_restore(folder, &identity, &applied, &why);
    REQUIRE(r <= 0 || (why != NULL && *why != '\0'));
    char path[96];
    struct stat status;
    snprintf(path, sizeof(path), "%s/data.mdb", folder);
    REQUIRE(stat(path, &status) == 0 && status.st_size == FILE_BYTES);
    return 0;
}
