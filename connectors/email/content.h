// SPDX-License-Identifier: Apache-2.0
// The texts of contacts: DIR/CONTENT_ID.LANGUAGE.txt, else DIR/CONTENT_ID.txt. The first line is
// "Subject: ..."; behind an empty line follows the text. {name} stands for the recipient's name.
#pragma once

#include <stddef.h>

enum { CONTENT_BYTES_MAX = 256 << 10, CONTENT_SUBJECT_BYTES = 512, CONTENT_WHY_BYTES = 160 };

struct content {
    char subject[CONTENT_SUBJECT_BYTES];
    char *text; // owned
};

// language, name: "" not known. 0; 1 and why: there is no such text, or it is malformed (a content
// id that is not of [A-Za-z0-9._-] has none); negative errno of the disk.
int content_read(const char *folder, const char *content_id, const char *language, const char *name,
                 struct content *ret, char why[CONTENT_WHY_BYTES]);
void content_clear(struct content *content);
