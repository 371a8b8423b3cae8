// SPDX-License-Identifier: Apache-2.0
// The rows of touchbusd's configuration, and nothing else.
#include "broker/configuration.h"

#include <stddef.h>

#define ROW(member) offsetof(struct configuration, member)
#define DAYS(n) (INT64_C(n) * 86400 * 1000000)
#define SECONDS(n) (INT64_C(n) * 1000000)

static const struct option_row rows[] = {
    {.name = "state",
     .type = OPTION_STRING,
     .offset = ROW(state),
     .argument = "DIR",
     .help = "State folder: log, view, base and keys. Made where it is missing. Required."},
    {.name = "bind",
     .type = OPTION_STRING,
     .offset = ROW(bind),
     .default_text = "127.0.0.1",
     .argument = "ADDRESS",
     .help = "Address to listen on; beyond loopback only with --key and --clients."},
    {.name = "port",
     .type = OPTION_INTEGER,
     .offset = ROW(port),
     .default_text = "7400",
     .min = 1,
     .max = 65533,
     .argument = "N",
     .help = "Publish endpoint; subscribe is the next port, query the one after it."},
    {.name = "catalogue",
     .type = OPTION_STRING,
     .offset = ROW(catalogue),
     .argument = "FILE",
     .help = "More event types, in the form of schemas/catalogue.txt."},
    {.name = "policy",
     .type = OPTION_STRING,
     .offset = ROW(policy),
     .argument = "FILE",
     .reloadable = true,
     .help = "What the enterprise decides: caps, quiet hours, tiers, costs, queues, offers. YAML, "
             "laid over the built-in policy.yaml (--print-policy shows it)."},
    {.name = "rank",
     .type = OPTION_LIST,
     .offset = ROW(ranks),
     .argument = "GLOB=N",
     .reloadable = true,
     .help = "Rank of sources that match GLOB, 0 to 1000: between two values of an attribute the "
             "higher ranked source's wins. The first match counts. May be repeated."},
    {.name = "key",
     .type = OPTION_STRING,
     .offset = ROW(key),
     .argument = "FILE",
     .help = "The broker's own secret certificate, as 'touchbus keygen' writes it; nobody else may "
             "read it. With it every connection, ipc too, needs a key of --clients."},
    {.name = "clients",
     .type = OPTION_STRING,
     .offset = ROW(clients),
     .argument = "DIR",
     .help = "Public certificates, *.key: who may connect, and in which role. Read anew on SIGHUP: "
             "a new file lets its key in, a removed one shuts it out at once. Two certificates of "
             "one name are both valid."},
    {.name = "role",
     .type = OPTION_LIST,
     .offset = ROW(roles),
     .argument = "\"NAME RIGHT...\"",
     .reloadable = true,
     .help = "What keys of this role may do; see Roles below. May be repeated."},
    {.name = "log-level",
     .type = OPTION_STRING,
     .offset = ROW(log_level),
     .default_text = "info",
     .argument = "LEVEL",
     .reloadable = true,
     .help = "error, warning, info or debug."},
    {.name = "log-map",
     .type = OPTION_BYTES,
     .offset = ROW(log_map_bytes),
     .default_text = "1T",
     .min = 1 << 24,
     .max = INT64_C(1) << 45,
     .argument = "BYTES",
     .help = "Address space for the log: the most it can hold."},
    {.name = "view-map",
     .type = OPTION_BYTES,
     .offset = ROW(view_map_bytes),
     .default_text = "256G",
     .min = 1 << 24,
     .max = INT64_C(1) << 45,
     .argument = "BYTES",
     .help = "Address space for the view and the base: the most each can hold."},
    {.name = "dedup-events",
     .type = OPTION_INTEGER,
     .offset = ROW(dedup_events),
     .default_text = "3000000",
     .min = 1000,
     .max = 100000000,
     .argument = "N",
     .help = "How many of the last events are known by their id; 22 bytes of memory each."},
    {.name = "dedup-age",
     .type = OPTION_DURATION,
     .offset = ROW(dedup_age_us),
     .default_text = "7d",
     .min = SECONDS(1),
     .max = DAYS(3650),
     .argument = "TIME",
     .help = "How long an event is known by its id."},
    {.name = "retention-age",
     .type = OPTION_DURATION,
     .offset = ROW(retention_age_us),
     .default_text = "0s",
     .min = 0,
     .max = DAYS(36500),
     .argument = "TIME",
     .help = "Trim events older than this; 0s keeps them for ever."},
    {.name = "retention-bytes",
     .type = OPTION_BYTES,
     .offset = ROW(retention_bytes),
     .default_text = "0",
     .min = 0,
     .max = INT64_C(1) << 45,
     .argument = "BYTES",
     .help = "Trim the oldest events when the log is larger than this; 0 has no limit."},
    {.name = "retention-subscription-bytes",
     .type = OPTION_BYTES,
     .offset = ROW(retention_subscription_bytes),
     .default_text = "0",
     .min = 0,
     .max = INT64_C(1) << 45,
     .argument = "BYTES",
     .help = "What an absent subscription may hold back from trimming; 0 has no limit."},
    {.name = "restore-interval",
     .type = OPTION_DURATION,
     .offset = ROW(restore_interval_us),
     .default_text = "5s",
     .min = SECONDS(1) / 10,
     .max = SECONDS(3600),
     .argument = "TIME",
     .help = "Between two restore points of the view."},
    {.name = "restore-events",
     .type = OPTION_INTEGER,
     .offset = ROW(restore_events),
     .default_text = "200000",
     .min = 0,
     .max = INT64_C(1) << 40,
     .argument = "N",
     .help = "A restore point at the latest after so many events: a start after a kill folds about "
             "twice as many at most. 0: by the interval alone."},
    {.name = "disk-reserve",
     .type = OPTION_BYTES,
     .offset = ROW(disk_reserve_bytes),
     .default_text = "512M",
     .min = 0,
     .max = INT64_C(1) << 45,
     .argument = "BYTES",
     .help = "Publishing is answered 'busy' while the disk has less free than this."},
    {.name = "retry-min",
     .type = OPTION_DURATION,
     .offset = ROW(retry_min_us),
     .default_text = "250ms",
     .min = 1000,
     .max = SECONDS(3600),
     .argument = "TIME",
     .help = "Back-off after a delivery's first failure; it doubles with each further one."},
    {.name = "retry-max",
     .type = OPTION_DURATION,
     .offset = ROW(retry_max_us),
     .default_text = "30s",
     .min = 1000,
     .max = SECONDS(86400),
     .argument = "TIME",
     .help = "The longest back-off."},
    {.name = "retry-attempts",
     .type = OPTION_INTEGER,
     .offset = ROW(retry_attempts),
     .default_text = "5",
     .min = 1,
     .max = 1000,
     .argument = "N",
     .help = "Deliveries of one event that may fail before its lane is parked."},
    {.name = "member-lapse",
     .type = OPTION_DURATION,
     .offset = ROW(member_lapse_us),
     .default_text = "10s",
     .min = SECONDS(1) / 10,
     .max = SECONDS(3600),
     .argument = "TIME",
     .help = "A member that is silent this long loses what it holds to the others."},
    {.name = "urgent-percent",
     .type = OPTION_INTEGER,
     .offset = ROW(urgent_percent),
     .default_text = "20",
     .min = 0,
     .max = 50,
     .argument = "N",
     .help = "Share of one processor that look-ups may use ahead of everything else, publishing "
             "too, at the lowest real-time priority; beyond it, or where the process may not "
             "(LimitRTPRIO=1 of its unit, 'ulimit -r'), they are scheduled as others. 0: never."},
    {.name = "verify-view",
     .type = OPTION_BOOL,
     .offset = ROW(verify_view),
     .help = "Rebuild the view beside the live one, compare both, print the verdict and leave."},
    {.name = "accept-older-log",
     .type = OPTION_BOOL,
     .offset = ROW(accept_older_log),
     .help = "Start, once, on a log that is older than its view: the view is built anew, and the "
             "log becomes another one (a new incarnation). What came behind its end is lost."},
    {.name = "print-policy",
     .type = OPTION_BOOL,
     .offset = ROW(print_policy),
     .help = "Print the policy that would be in force, as a file for --policy, and leave; --state "
             "is not needed then."},
    {.name = "check",
     .type = OPTION_BOOL,
     .offset = ROW(check),
     .help = "Judge the configuration and leave, without touching anything; --state is not needed "
             "then."},
};

const struct option_page configuration_page = {
    .program = "touchbusd",
    .synopsis = "--state DIR [--port N] [--config FILE] [options]",
    .description = "The broker of touchbus: logs events durably, keeps the customer view and hands "
                   "events to subscribers.",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(rows[0]),
    .after =
        "Roles:\n"
        "  --role \"NAME RIGHT...\"; GLOBS are separated by commas, * stands for anything, %n "
        "for the key's name.\n"
        "  publish=GLOBS    event types it may publish\n"
        "  source=GLOBS     sources of its events; without it those of its own name: %n, %n/..., "
        "each also with a / in front\n"
        "  subscribe=GLOBS  durable subscriptions it may make and join\n"
        "  receive=GLOBS    event types that may be delivered to it\n"
        "  read=GLOBS       fields of the customer view: keys, attributes, attributes.NAME, "
        "timeline, and each member of 'customer show' and 'screen': orders, tier, greeting, ...\n"
        "  quota=N          events a second; beyond it 'busy'\n"
        "  merge            may ask to merge and split customers\n"
        "  watch            may see status, subscriptions, connectors and what the log holds, "
        "without events\n"
        "  admin            may do what administers, erases and exports\n"
        "  Built in: admin (everything), monitor (watch), viewer (read=*), source (publishes), "
        "sink (is delivered to), connector (both).\n"
        "\n"
        "Tasks, on stores that no broker serves (touchbusd TASK --help):\n"
        "  backup, verify-backup, restore; 'touchbus backup' and 'touchbus restore' run them\n"
        "\n"
        "Exit codes:\n"
        "  0 stopped as told\n"
        "  1 refused to start, or the verdict of --verify-view is no\n"
        "  2 wrong usage\n"
        "  70 a store failed; the next start recovers\n",
};
