// SPDX-License-Identifier: Apache-2.0
// A password of another system: read from a file or an environment variable, kept in memory that is
// overwritten when it is done with, and never written anywhere: neither a log line nor an error
// text of these functions holds any of it. What uses one keeps it no longer than it must.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    KIT_SECRET_BYTES_MAX = 1024, // a longer one is refused, not cut
    KIT_SECRET_WHY_BYTES = 512,
};

#define KIT_NO_SECRET 1 // neither a file nor the variable was given

struct kit_secret {
    size_t size;
    char text[KIT_SECRET_BYTES_MAX + 1]; // ends with NUL
};

// Reads the first line of the file (its line end, also CR LF, is cut), or where file is NULL the
// environment variable (NULL or unset or empty: KIT_NO_SECRET). Negative errno with one line in
// why, which names the file or variable: -ENOENT and the like; -EINVAL not a regular file, -ENODATA
// empty, -EBADMSG more than one line or a NUL, -EFBIG; -EPERM where others may read or change it: a
// group may read it only where root owns the file and we are not root (0640 root:touchbus, a
// credential of systemd). Read anew at each connection, so that a password that was put right needs
// no restart. Thread-safe.
int kit_secret_read(const char *file, const char *variable, struct kit_secret *ret,
                    char why[KIT_SECRET_WHY_BYTES]);
// A key: exactly size bytes (at most KIT_SECRET_BYTES_MAX), whatever they are. The file's owner and
// mode are judged as above; -EBADMSG where it is longer or shorter. Whoever gets it overwrites it.
int kit_secret_read_key(const char *file, void *ret, size_t size, char why[KIT_SECRET_WHY_BYTES]);
// Overwrites it, in a way that no compiler leaves out. For _cleanup_, too.
void kit_secret_clear(struct kit_secret *secret);

#ifdef __cplusplus
}
#endif
