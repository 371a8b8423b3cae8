// SPDX-License-Identifier: Apache-2.0
// The hash that a view has to have: base and log folded anew into a scratch folder. What `view
// verify` and a backup's verification compare theirs with.
#pragma once

#include <stdint.h>

#include "broker/stores/keys.h"
#include "broker/stores/log.h"

struct rehash {
    struct log *log; // borrowed, as everything here
    struct keys *keys;
    const char *base;    // folder of the base
    const char *scratch; // folder, made and removed
    uint64_t last;       // the sequence up to which
    void (*tell)(void *user, const char *phase, uint64_t done, uint64_t total); // may be NULL
    void *user;
};

// 0 and the hash. -ENODATA: the base ends beyond last, or what follows it was trimmed. -EBADMSG:
// the log is damaged (said on the log).
int rehash(const struct rehash *what, char ret[static 65]);
