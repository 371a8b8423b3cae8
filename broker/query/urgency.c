// SPDX-License-Identifier: Apache-2.0
// A bucket of processor time: it fills with the clock and empties with what the threads use, urgent
// or not. It can run into a debt as deep as it is high, so that a flood is answered as others run,
// and a flood that ends is forgotten soon.
#include "broker/query/urgency.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bounds.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/base/scheduling.h"

bool allowance_take(struct allowance *allowance, int64_t elapsed_us, int64_t used_us) {
    int64_t left_us = allowance->left_us + elapsed_us * allowance->percent / 100 - used_us;
    left_us = left_us < URGENT_ROOM_US ? left_us : URGENT_ROOM_US;
    left_us = left_us > -URGENT_ROOM_US ? left_us : -URGENT_ROOM_US;
    allowance->left_us = left_us;
    allowance->urgent =
        allowance->urgent ? !GUARD(urgent_share) || left_us > 0 : left_us >= URGENT_ROOM_US / 2;
    return allowance->urgent;
}

// ---- the threads

static bool has_name(const char *thread, const char *name) {
    char path[64], found[32] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", thread);
    FILE *file = fopen(path, "re");
    bool same = file != NULL && fgets(found, sizeof(found), file) != NULL;
    if (file != NULL) {
        fclose(file);
    }
    found[strcspn(found, "\n")] = '\0';
    return same && strcmp(found, name) == 0;
}

// ZeroMQ tells its threads' numbers to nobody, but names them. 0: there is none of that name.
static pid_t find(const char *name) {
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    pid_t thread = 0;
    while (tasks != NULL && thread == 0 && (entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] != '.' && has_name(entry->d_name, name)) {
            thread = (pid_t)strtol(entry->d_name, NULL, 10);
        }
    }
    if (tasks != NULL) {
        closedir(tasks);
    }
    return thread;
}

static int make_urgent(const struct urgency *urgency) {
    int r = 0;
    for (size_t i = 0; i < urgency->n_threads && r == 0; i++) {
        r = scheduling_urgent(urgency->threads[i]);
    }
    return r;
}

static void make_prompt(const struct urgency *urgency) {
    for (size_t i = 0; i < urgency->n_threads; i++) {
        scheduling_prompt_again(urgency->threads[i]);
    }
}

static int64_t take_used(struct urgency *urgency) {
    int64_t sum_us = 0;
    for (size_t i = 0; i < urgency->n_threads; i++) {
        int64_t used_us = scheduling_used_us(urgency->threads[i]);
        if (used_us > urgency->used_us[i]) {
            sum_us += used_us - urgency->used_us[i];
            urgency->used_us[i] = used_us;
        }
    }
    return sum_us;
}

void urgency_begin(struct urgency *urgency, int percent, const char *io_thread) {
    *urgency = (struct urgency){.allowance = {.percent = percent, .left_us = URGENT_ROOM_US}};
    if (percent == 0) {
        return;
    }
    urgency->threads[urgency->n_threads++] = gettid();
    urgency->threads[1] = find(io_thread);
    urgency->n_threads += urgency->threads[1] != 0;
    int r = make_urgent(urgency);
    if (r != 0) {
        logging_info("event=not-urgent error=\"%s\" hint=\"look-ups wait for a processor as others "
                     "do: see --urgent-percent\"",
                     strerror(-r));
        make_prompt(urgency);
        urgency->n_threads = 0;
        return;
    }
    urgency->allowance.urgent = true;
    take_used(urgency);
    urgency->looked_us = clock_monotonic_us();
}

void urgency_asked(struct urgency *urgency) {
    if (urgency->asked_us == 0) {
        scheduling_yields(true);
    }
    urgency->asked_us = clock_monotonic_us();
}

void urgency_look(struct urgency *urgency) {
    int64_t now_us = clock_monotonic_us();
    if (urgency->asked_us != 0 && now_us - urgency->asked_us > URGENT_ASKED_US) {
        urgency->asked_us = 0;
        scheduling_yields(false);
    }
    if (urgency->n_threads == 0) {
        return;
    }
    bool before = urgency->allowance.urgent;
    int64_t elapsed_us = now_us - urgency->looked_us;
    urgency->looked_us = now_us;
    bool urgent = allowance_take(&urgency->allowance, elapsed_us, take_used(urgency));
    if (urgent && !before) {
        urgency->allowance.urgent = make_urgent(urgency) == 0;
    } else if (!urgent && before) {
        make_prompt(urgency);
    }
}
