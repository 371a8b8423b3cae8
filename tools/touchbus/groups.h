// SPDX-License-Identifier: Apache-2.0
// Every command's row, one file a group; the table is commands.c.
#pragma once

#include "tools/touchbus/stream.h"
#include "tools/touchbus/tool.h"

extern const struct command command_pub, command_sub, command_replay, command_status, command_top,
    command_check_config, command_config_show, command_config_reload, command_keygen,
    command_backup, command_restore, command_bench;
extern const struct command command_log_info, command_log_get, command_log_verify,
    command_log_export, command_log_import, command_log_trim;
extern const struct command command_customer_show, command_customer_why, command_customer_timeline,
    command_customer_export, command_customer_erase, command_customer_receipt,
    command_customer_merge, command_customer_split;
extern const struct command command_subscription_ls, command_subscription_show,
    command_subscription_pause, command_subscription_resume, command_subscription_reset,
    command_subscription_rm;
extern const struct command command_parked_ls, command_parked_show, command_parked_retry,
    command_parked_drop;
extern const struct command command_quarantine_ls, command_quarantine_show, command_quarantine_fix,
    command_quarantine_drop;
extern const struct command command_contact, command_screen, command_segment;
extern const struct command command_scorecard;
extern const struct command command_view_verify, command_view_rebuild;
extern const struct command command_connector_ls, command_connector_show, command_connector_reload;

// What a stream read, as one JSON object on stderr (sub.c).
void stream_stats(const struct stream *stream);
// pub --from and log import (publish_file.c): CloudEvents JSON lines of a file, "-" for stdin.
struct publish_file {
    const char *path;
    const char *producer, *source; // NULL: as the client does
    bool acks;                     // print each ack
};
int publish_file(struct tool *tool, const struct publish_file *file);
// One ack as a JSON object; a new reference.
json_t *ack_json(const touchbus_ack *ack, const char *type);
