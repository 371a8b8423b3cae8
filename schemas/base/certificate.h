// SPDX-License-Identifier: Apache-2.0
// A CURVE certificate: the key of one program, with its name and role, in the file format of CZMQ
// (zcert, ZPL). A public one may be given to anybody; a secret one holds both keys and is its
// owner's alone. Nothing here writes one: that is `touchbus keygen`.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "schemas/limits.h"

enum {
    CERTIFICATE_FILE_BYTES_MAX = 16 << 10,
    CERTIFICATE_KEY_CHARS = 40, // 32 bytes in Z85 (ZeroMQ RFC 32)
    CERTIFICATE_WHY_BYTES = 512,
};

struct certificate {
    char name[NAME_BYTES_MAX + 1]; // of [A-Za-z0-9._-], not beginning with a dot; "": none
    char role[NAME_BYTES_MAX + 1]; // the same
    char public_key[CERTIFICATE_KEY_CHARS + 1]; // Z85, as ZMQ_CURVE_PUBLICKEY and User-Id have it
    char secret_key[CERTIFICATE_KEY_CHARS + 1]; // Z85; "" in a public certificate
};

// What a name or a role may be; also what `touchbus keygen` takes.
bool certificate_name_ok(const char *name);
// Pure: size bytes of a certificate file. 0; -EBADMSG with *ret_why (static text, may be NULL),
// among others where the two keys do not belong together; *ret is then cleared.
int certificate_parse(const char *bytes, size_t size, struct certificate *ret,
                      const char **ret_why);
// Reads a file. 0; negative errno with one line in why, which names the file: -ENOENT and the
// like, -EBADMSG malformed, -EFBIG, -EPERM where a secret certificate may be read by others: a
// group may only where root owns the file and we are not root (0640 root:touchbus, or a
// credential of systemd). The secret stands in *ret alone afterwards.
int certificate_read(const char *path, struct certificate *ret, char why[CERTIFICATE_WHY_BYTES]);
// The same, but -EINVAL where the file holds no secret key.
int certificate_read_secret(const char *path, struct certificate *ret,
                            char why[CERTIFICATE_WHY_BYTES]);
// Overwrites it, in a way that no compiler leaves out. For _cleanup_, too.
void certificate_clear(struct certificate *certificate);
