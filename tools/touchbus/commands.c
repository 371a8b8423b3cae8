// SPDX-License-Identifier: Apache-2.0
// The table of commands, in the order of --help.
#include "tools/touchbus/groups.h"

static const struct command *const rows[] = {
    &command_pub,
    &command_sub,
    &command_replay,
    &command_subscription_ls,
    &command_subscription_show,
    &command_subscription_pause,
    &command_subscription_resume,
    &command_subscription_reset,
    &command_subscription_rm,
    &command_parked_ls,
    &command_parked_show,
    &command_parked_retry,
    &command_parked_drop,
    &command_quarantine_ls,
    &command_quarantine_show,
    &command_quarantine_fix,
    &command_quarantine_drop,
    &command_log_info,
    &command_log_get,
    &command_log_verify,
    &command_log_export,
    &command_log_import,
    &command_log_trim,
    &command_customer_show,
    &command_customer_why,
    &command_screen,
    &command_segment,
    &command_customer_timeline,
    &command_customer_export,
    &command_customer_erase,
    &command_customer_receipt,
    &command_contact,
    &command_scorecard,
    &command_view_verify,
    &command_view_rebuild,
    &command_connector_ls,
    &command_connector_show,
    &command_connector_reload,
    &command_config_show,
    &command_config_reload,
    &command_status,
    &command_top,
    &command_bench,
    &command_backup,
    &command_restore,
    &command_check_config,
    &command_keygen,
};

const struct command *const *commands_rows(size_t *ret_n) {
    *ret_n = sizeof(rows) / sizeof(rows[0]);
    return rows;
}
