// SPDX-License-Identifier: Apache-2.0
// What is too large for events: long texts and attachments, a file each under its SHA-256 in
// DIR/bodies, and in DIR/owners an empty file CUSTOMER.SHA-256 for each customer whose mail had it.
// The same bytes are kept once; they go with the last customer who had them, or with age.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bodies;
int bodies_open(int folder_fd, struct bodies **ret);
struct bodies *bodies_close(struct bodies *bodies); // takes NULL
// Durable when it returns. sha256: 64 hex digits.
int bodies_keep(struct bodies *bodies, const char *sha256, const void *bytes, size_t size);
// customer: c42. What is not kept (any more) gets no owner.
int bodies_own(struct bodies *bodies, const char *sha256, const char *customer);
// All of one customer's that nobody else has, too.
int bodies_erase(struct bodies *bodies, const char *customer);
// What was kept before that time (microseconds since 1970).
int bodies_expire(struct bodies *bodies, int64_t before_us);
