// SPDX-License-Identifier: Apache-2.0
// See disk.h. The ballast is an eighth of the reserve, at most BALLAST_BYTES_MAX; without a reserve
// there is none.
#include "broker/stores/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "broker/stores/store.h"
#include "schemas/base/logging.h"

enum {
    BALLAST_SHARE = 8,
    BALLAST_BYTES_MAX = 64 << 20,
    LOW_SHARE = 10,
    MAP_FILE_EIGHTHS = 6, // of the map that the file may reach before its content is looked at,
    MAP_LIVE_EIGHTHS = 4, // and that its content may: a file grows to about twice of it
};

int disk_free_bytes(const char *state, uint64_t *ret) {
    struct statvfs status;
    if (statvfs(state, &status) != 0) {
        return -errno;
    }
    *ret = (uint64_t)status.f_bavail * status.f_frsize;
    return 0;
}

static uint64_t ballast_bytes(int64_t reserve_bytes) {
    uint64_t bytes = (uint64_t)reserve_bytes / BALLAST_SHARE;
    return bytes < BALLAST_BYTES_MAX ? bytes : BALLAST_BYTES_MAX;
}

static bool ballast_path(const char *state, char path[static PATH_MAX]) {
    int n = snprintf(path, PATH_MAX, "%s/ballast", state);
    return n > 0 && n < PATH_MAX;
}

static void give_up_ballast(const char *path, uint64_t free_bytes) {
    if (unlink(path) == 0) {
        logging_warning("disk=nearly-full free=%" PRIu64 " ballast=given-up", free_bytes);
    }
}

static void lay_ballast(const char *path, uint64_t bytes) {
    struct stat status;
    if (bytes == 0 || stat(path, &status) == 0) {
        return;
    }
    int descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int r = descriptor < 0 ? errno : posix_fallocate(descriptor, 0, (off_t)bytes);
    if (descriptor >= 0) {
        close(descriptor);
    }
    if (r != 0) {
        logging_warning("ballast=failed error=\"%s\"", strerror(r));
        unlink(path);
    }
}

void disk_make_room(const char *state, int64_t reserve_bytes) {
    char path[PATH_MAX];
    uint64_t free_bytes = 0;
    if (ballast_path(state, path) && disk_free_bytes(state, &free_bytes) == 0 &&
        free_bytes < (uint64_t)reserve_bytes) {
        give_up_ballast(path, free_bytes);
    }
}

bool disk_check(const char *state, int64_t reserve_bytes, bool was_low) {
    char path[PATH_MAX];
    uint64_t free_bytes = 0, reserve = (uint64_t)reserve_bytes;
    if (!ballast_path(state, path) || disk_free_bytes(state, &free_bytes) != 0) {
        return was_low; // nothing new is known
    }
    uint64_t ballast = ballast_bytes(reserve_bytes);
    if (free_bytes > reserve + 2 * ballast) {
        lay_ballast(path, ballast);
    } else if (free_bytes < ballast / 2) {
        give_up_ballast(path, free_bytes);
    }
    bool low = free_bytes < (was_low ? reserve + reserve / LOW_SHARE : reserve);
    if (low != was_low) {
        logging_warning("disk=%s free=%" PRIu64 " reserve=%" PRIu64, low ? "low" : "enough",
                        free_bytes, reserve);
    }
    return low;
}

bool disk_map_is_low(struct store *store) {
    uint64_t used = 0, map = 0, live = 0;
    store_file_bytes(store, &used, &map);
    return used > map / 8 * MAP_FILE_EIGHTHS && store_live_bytes(store, &live) == 0 &&
           live > map / 8 * MAP_LIVE_EIGHTHS;
}
