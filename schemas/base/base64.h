// SPDX-License-Identifier: Apache-2.0
// Base64 of RFC 4648 section 4: with padding, without line breaks.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The text is malloc'ed and terminated; NULL where memory is short.
char *base64_encode(const void *data, size_t size);
// Strict: only the one way to write a value is accepted. 0 and malloc'ed bytes (never NULL);
// -EINVAL; -ENOMEM.
int base64_decode(const char *text, size_t length, uint8_t **ret, size_t *ret_size);
