// SPDX-License-Identifier: Apache-2.0
// Every verb's functions, for the table in verbs.c. See verbs.h for what run, write and then mean.
#pragma once

#include "broker/query/verbs.h"

int verb_status(struct call *call); // then: the subscriptions are there already

int verb_log_info(struct call *call);
int verb_log_get(struct call *call);
int verb_log_verify(struct call *call);
int verb_log_trim(struct call *call);
int verb_log_trim_on_upkeep(struct call *call, struct upkeep *upkeep);

int verb_customer_show(struct call *call);
int verb_customer_find(struct call *call);
int verb_customer_timeline(struct call *call);
int verb_customer_export(struct call *call);
int verb_customer_screen(struct call *call);
int verb_customer_why(struct call *call);
int verb_segment_ls(struct call *call);

int verb_customer_erase(struct call *call);
int verb_customer_erase_write(struct call *call, struct tick *tick);
int verb_customer_erase_then(struct call *call);
int verb_customer_receipt(struct call *call);
int verb_customer_receipt_then(struct call *call); // delivery has said who confirmed
int verb_customer_tombstoned(struct call *call);

int verb_customer_merge(struct call *call);
int verb_customer_split(struct call *call);
int verb_customer_identity_write(struct call *call, struct tick *tick);
int verb_customer_identity_then(struct call *call);

int verb_quarantine_ls(struct call *call);
int verb_quarantine_show(struct call *call);
int verb_quarantine_fix(struct call *call);
int verb_quarantine_fix_write(struct call *call, struct tick *tick);
int verb_quarantine_fix_then(struct call *call);
int verb_quarantine_drop(struct call *call);
int verb_quarantine_drop_write(struct call *call, struct tick *tick);
int verb_quarantine_drop_then(struct call *call);

int verb_view_verify(struct call *call); // then
int verb_view_rebuild(struct call *call);

int verb_connector_report(struct call *call);
int verb_connector_ls(struct call *call);
int verb_connector_show(struct call *call);
int verb_connector_reload(struct call *call);

// then, of delivery's lists: its one array as parts of rows.
int verb_delivery_rows(struct call *call);

int verb_scorecard(struct call *call);

int verb_configuration_show(struct call *call);
int verb_configuration_reload(struct call *call);
int verb_configuration_reload_write(struct call *call, struct tick *tick);
int verb_configuration_reload_then(struct call *call);

int verb_backup(struct call *call);

// buffer holds 2 * size + 1 bytes; returns it.
char *format_hex(const uint8_t *bytes, size_t size, char *buffer);
