// SPDX-License-Identifier: Apache-2.0
// Phone numbers by libphonenumber, as plain C. Any thread. What was asked lately is remembered a
// thread: the same few numbers come again and again, and a number costs microseconds to read.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

enum { PHONE_BYTES = 24, PHONE_INPUT_BYTES_MAX = 64, PHONE_REGION_BYTES = 3 };

// The number in E.164 ("+31612345678"), its extension left out. region: ISO 3166-1 alpha-2, for a
// number without its country; NULL: such a one is none. 0; 1: no number that could be dialled, or
// too long to be one; -ENOMEM.
int phone_e164(const char *text, const char *region, char ret[PHONE_BYTES]);
// The region (ISO 3166-1 alpha-2) that a number in E.164 is of. 0; 1: of none, or of several;
// -ENOMEM.
int phone_region(const char *e164, char ret[PHONE_REGION_BYTES]);

#ifdef __cplusplus
}
#endif
