// SPDX-License-Identifier: Apache-2.0
// quarantine.jsonl in the state folder: one JSON object a line with time, id, reason and the item's
// bytes in base64, synced before anybody is told that the item is safe. Bounded. The erasure of a
// person rewrites it (quarantine_purge.c), an operator empties it (quarantine_command.c).
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/kit/files.h"
#include "connectors/kit/quarantine.h"
#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"

int quarantine_open(const char *folder, struct quarantine **ret) {
    struct quarantine *quarantine = calloc(1, sizeof(*quarantine));
    if (quarantine == NULL) {
        return -ENOMEM;
    }
    quarantine->fd = -1;
    pthread_mutex_init(&quarantine->lock, NULL);
    quarantine->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t size;
    int r = quarantine->folder < 0 ? -errno : quarantine_hold(quarantine, &size);
    if (r == 0) {
        quarantine_release(quarantine);
        // What a rewrite that was cut off left beside it.
        unlinkat(quarantine->folder, QUARANTINE_ASIDE, 0);
    } else {
        quarantine = quarantine_close(quarantine);
    }
    *ret = quarantine;
    return r;
}

struct quarantine *quarantine_close(struct quarantine *quarantine) {
    if (quarantine != NULL) {
        cleanup_close(&quarantine->fd);
        cleanup_close(&quarantine->folder);
        pthread_mutex_destroy(&quarantine->lock);
        free(quarantine);
    }
    return NULL;
}

int quarantine_hold(struct quarantine *quarantine, uint64_t *ret_size) {
    int r = 0;
    pthread_mutex_lock(&quarantine->lock);
    for (;;) {
        struct stat held;
        if (quarantine->fd < 0) {
            quarantine->fd = openat(quarantine->folder, QUARANTINE_NAME,
                                    O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
        }
        if (quarantine->fd < 0 || flock(quarantine->fd, LOCK_EX) != 0 ||
            fstat(quarantine->fd, &held) != 0) {
            r = -errno;
            break;
        }
        if (held.st_nlink > 0) {
            *ret_size = (uint64_t)held.st_size;
            return 0;
        }
        cleanup_close(&quarantine->fd); // another one stands in its place
        quarantine->fd = -1;
    }
    cleanup_close(&quarantine->fd);
    quarantine->fd = -1;
    pthread_mutex_unlock(&quarantine->lock);
    return r;
}

void quarantine_release(struct quarantine *quarantine) {
    if (quarantine->fd >= 0) {
        flock(quarantine->fd, LOCK_UN);
    }
    pthread_mutex_unlock(&quarantine->lock);
}

// The line, with its newline, malloc'ed; NULL where memory is short.
static char *make_line(const struct kit_quarantined *item, int64_t now_us) {
    char time[CLOCK_TEXT_BYTES];
    _cleanup_free_ char *base64 = base64_encode(item->item, item->item_size);
    if (base64 == NULL) {
        return NULL;
    }
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "time", clock_format_rfc3339(now_us, time),
                             "id", item->id, "reason", item->reason, "item", base64);
    _cleanup_free_ char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    char *line;
    return text == NULL || asprintf(&line, "%s\n", text) < 0 ? NULL : line;
}

int quarantine_add(struct quarantine *quarantine, const struct kit_quarantined *items,
                   size_t n_items) {
    uint64_t size = 0, end;
    int r = quarantine_hold(quarantine, &size);
    if (r != 0) {
        return r;
    }
    end = size;
    for (size_t i = 0; r == 0 && i < n_items; i++) {
        _cleanup_free_ char *line = make_line(&items[i], clock_now_us());
        size_t length = line == NULL ? 0 : strlen(line);
        if (line == NULL) {
            r = -ENOMEM;
        } else if (end + length > QUARANTINE_BYTES_MAX) {
            r = KIT_FULL;
        } else {
            r = files_pwrite(quarantine->fd, line, length, end);
            end += length;
        }
    }
    if (r == 0 && fdatasync(quarantine->fd) != 0) {
        r = -errno;
    }
    if (r != 0 && ftruncate(quarantine->fd, (off_t)size) != 0) {
        r = r > 0 ? -errno : r;
    }
    quarantine_release(quarantine);
    return r;
}
