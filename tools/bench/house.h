// SPDX-License-Identifier: Apache-2.0
// The broker under test: one that is there, or one of our own in a temporary state folder; and what
// the benchmark asks it.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "connectors/client/touchbus.h"

enum { HOUSE_PATH_MAX = 4096 };

struct house {
    char broker[300];
    pid_t pid;                  // 0: not ours
    char state[HOUSE_PATH_MAX]; // of ours, removed at the end
    touchbus_client *client;
};

// Starts program (NULL: touchbusd beside this program) with a state folder below folder, on free
// ports of loopback. 0; negative errno, said on stderr.
int house_start(struct house *house, const char *program, const char *folder);
// Uses the broker that is there (NULL: TOUCHBUS_BROKER, else the default).
int house_use(struct house *house, const char *broker);
// Ends ours and removes its state.
void house_close(struct house *house);

// A number of the answer to a verb, by its path ("log.next"); -1: no answer.
int64_t house_number(struct house *house, const char *verb, const char *path);
void house_remove_subscription(struct house *house, const char *name);
