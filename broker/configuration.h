// SPDX-License-Identifier: Apache-2.0
// The options of touchbusd: the table in configuration.c is the one place for names, defaults,
// bounds and help.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "schemas/base/options.h"

struct configuration {
    char *state;              // --state
    char *bind;               // --bind, 127.0.0.1: beyond loopback only with keys
    int64_t port;             // --port, 7400
    char *catalogue;          // --catalogue, rows of the operator's own types
    char *policy;             // --policy, laid over the built-in one; NULL: that alone
    struct option_list ranks; // --rank SOURCE-GLOB=N
    char *key;                // --key, the broker's secret certificate; NULL: no keys
    char *clients;            // --clients, the folder of public certificates
    struct option_list roles; // --role "NAME right=globs ..."
    char *log_level;
    int64_t log_map_bytes, view_map_bytes;
    int64_t dedup_events; // ids remembered at most
    int64_t dedup_age_us;
    int64_t retention_age_us;             // 0: keep for ever
    int64_t retention_bytes;              // 0: no limit
    int64_t retention_subscription_bytes; // what an absent subscription may hold back; 0: no limit
    int64_t restore_interval_us;          // between restore points
    int64_t restore_events;               // and at most so many events; 0: no bound
    int64_t disk_reserve_bytes;           // low-water mark: busy below it
    int64_t retry_min_us, retry_max_us, retry_attempts; // delivery: back-off and when a lane parks
    int64_t member_lapse_us;
    int64_t urgent_percent;
    bool verify_view;      // --verify-view: the child of `view verify`
    bool accept_older_log; // --accept-older-log
    bool print_policy;     // --print-policy
    bool check;            // --check: judge the configuration and leave
};

extern const struct option_page configuration_page;
