// SPDX-License-Identifier: Apache-2.0
// A cut through the stores: log, base and view as they stand between two ticks, pinned, and copied
// from there however long that takes. keys/ is copied apart: a backup that holds its keys could
// bring back who was erased since.
#pragma once

#include <stdint.h>

#include "broker/broker.h"

struct cut;

// Tick thread, between two ticks; or before any other thread runs. 0 or a negative errno.
int cut_take(struct broker *broker, struct cut **ret);
struct cut *cut_free(struct cut *cut); // takes NULL; any thread
uint64_t cut_applied(const struct cut *cut);

// How a copy goes on: at most so fast, and how far it is.
struct cut_pace {
    uint64_t rate;                      // bytes a second; 0: half of the time is left to others
    bool alone;                         // nobody else wants the disk
    atomic_uint_fast64_t *done, *total; // bytes, for whoever looks; may be NULL
};

// Fills dir, an empty folder, with log/, base/, view/ and at last the manifest. Any thread. What a
// failure leaves is no backup: it has no manifest.
int cut_write(struct cut *cut, const char *dir, const struct cut_pace *pace);
// Fills dir with the keys (the file that keys/ of a state folder has) and a manifest.
int cut_write_keys(struct keys *keys, const char *dir, const struct cut_pace *pace);
// What a backup and its keys have in common, and no other pair: a hash of their hash secret, hex.
void cut_keys_id(const struct keys *keys, char ret[static 65]);
// A new folder dir, made as dir.part by fill, synced and renamed. 0; -EEXIST (dir, or a dir.part
// that a kill left); negative errno: nothing stays. dir has no slash at its end.
int cut_folder(const char *dir, int (*fill)(const char *part, void *user), void *user);
