// SPDX-License-Identifier: Apache-2.0
// The options of touchbus-email, and what its --help says.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/base/options.h"

struct email_conf {
    char *imap, *imap_password_file;
    char *smtp, *smtp_password_file;
    char *ca_file;
    char *sender, *sender_name, *reply_to, *domain, *contents;
    char *unsubscribe_address, *unsubscribe_url;
    struct option_list marketing;
    bool no_verify, plaintext, mark_seen, subject_tag;
    int64_t answer_us, idle_us, poll_us, keep_us;
};

enum { EMAIL_N_OPTIONS = 21 };
extern const struct option_row email_options[EMAIL_N_OPTIONS];
extern const char email_description[], email_sections[];
// The descriptor's check.
int email_check(const void *conf, char *error, size_t error_size);
// --domain, else the sender's, else that of the IMAP user; never NULL once checked.
const char *email_domain(const struct email_conf *conf);
