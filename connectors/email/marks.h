// SPDX-License-Identifier: Apache-2.0
// Mails that are to get the flag Seen, between the thread that settles them and the one that talks
// to the server. One is forgotten once the server has answered it, whatever it said, and with a
// change of UIDVALIDITY; a broken connection forgets none, the end of the program all. Any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { MARKS_MAX = 4096 }; // beyond, they stay unseen

struct marks;
int marks_new(struct marks **ret);
struct marks *marks_free(struct marks *marks); // takes NULL
int marks_fd(const struct marks *marks);       // readable: something was added since marks_clear
void marks_clear(struct marks *marks);
void marks_add(struct marks *marks, uint32_t uidvalidity, uint32_t uid);
bool marks_next(struct marks *marks, uint32_t uidvalidity, uint32_t *ret_uid);
void marks_forget(struct marks *marks, uint32_t uidvalidity, uint32_t uid);
