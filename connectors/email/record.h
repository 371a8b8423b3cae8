// SPDX-License-Identifier: Apache-2.0
// What is known of each contact that may become, or became, a mail: one JSON file a contact in
// DIR/contacts. It is the memory of what was handed to the mail server, which nobody else has:
//
//     asked    contact.requested came: its data, so that an agent's text is at hand when it is
//              decided
//     handing  the whole mail but its end was sent; the server may have it, nobody knows yet
//     waiting  the recipient cannot take it now (a full mailbox): tried again at waiting.next_us
//     handed   the server has it; message.sent is not yet acked
//     failed   the server said never; message.outcome is not yet acked
//     told     the broker has that: nothing personal is left in the file
//
// {"contact_id", "owner": "c42", "state", "request": {...}, "sent": {"to", "ref", ...}, "waiting":
// {...}}; handing with waiting in it: killed while it was tried again.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { RECORD_NAME_BYTES = 48 };

// DIR/contacts inside folder_fd. The descriptor or a negative errno.
int records_open(int folder_fd);
// Which file; also what events about the contact take their ids from.
void record_name(const char *contact_id, char ret[static RECORD_NAME_BYTES]);
// 0 and *ret, the caller's; 1: there is none (or one that cannot be understood); negative errno.
int record_load(int records_fd, const char *contact_id, json_t **ret);
int record_save(int records_fd, const json_t *record); // durable
int record_remove(int records_fd, const char *contact_id);
const char *record_text(const json_t *record, const char *member); // "" none
int64_t record_number(const json_t *record, const char *member);   // 0 none
// Whether its recipient could not take it, and it is tried again by ourselves.
bool record_waits(const json_t *record);
// Calls back for each; stops at a negative errno and returns it.
int records_each(int records_fd, int (*each)(void *user, json_t *record), void *user);
int records_erase(int records_fd, const char *customer);
// Those not changed since (microseconds since 1970).
int records_expire(int records_fd, int64_t before_us);
