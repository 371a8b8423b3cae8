// SPDX-License-Identifier: Apache-2.0
// Write keys and what they may do beside publishing: a role says which fields of a customer a key
// reads and whether it asks for contacts. A key without a role reads greeting, tier and offers: it
// stands in every visitor's browser.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/base/options.h"

struct web_keys; // thread-safe

// What a key is for.
enum web_purpose {
    WEB_PUBLISH,
    WEB_CUSTOMER, // GET /v1/customer
    WEB_CONTACT,  // POST /v1/contact
};
enum web_verdict {
    WEB_ADMITTED,
    WEB_UNKNOWN_KEY,
    WEB_NOT_ALLOWED,
    WEB_TOO_OFTEN, // of questions
};

// "KEY [ROLE]" and "NAME [read=GLOBS] [contact]". Without any write key everything is allowed to
// everybody. questions_a_second holds for each key. 0; -EINVAL after one clear line in error;
// -ENOMEM.
int web_keys_new(const struct option_list *write_keys, const struct option_list *roles,
                 int64_t questions_a_second, struct web_keys **ret, char *error, size_t error_size);
struct web_keys *web_keys_free(struct web_keys *keys); // takes NULL; returns NULL
// Takes the rows of `fresh` in place of its own, and leaves the old ones there.
void web_keys_swap(struct web_keys *keys, struct web_keys *fresh);
// Questions are counted when they are admitted.
enum web_verdict web_keys_judge(struct web_keys *keys, const char *key, enum web_purpose purpose,
                                int64_t now_us);
// Whether the key reads this member of an answer; false for a key that is not known any more.
bool web_keys_may_read(struct web_keys *keys, const char *key, const char *field);
