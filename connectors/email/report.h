// SPDX-License-Identifier: Apache-2.0
// Tells the broker what became of a contact: message.sent of what was handed over, message.outcome
// of what failed. Their ids follow from the contact, so that a repeat is the same event; a record
// is told when the broker has it.
#pragma once

#include <jansson.h>

#include "connectors/kit/kit.h"

struct reports;
// source, of the events, is borrowed.
int reports_new(struct kit *kit, int records_fd, const char *source, struct reports **ret);
struct reports *reports_free(struct reports *reports); // takes NULL
// 0 also where the record has nothing to report; KIT_FULL: reports_carry_on does it; negative
// errno.
int reports_publish(struct reports *reports, const json_t *record);
// All records, after a start or where there was no room. 0 or a negative errno.
int reports_carry_on(struct reports *reports);
