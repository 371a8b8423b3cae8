// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/token_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "connectors/email/durable.h"

int token_key_load(int folder_fd, uint8_t ret[static MAIL_KEY_BYTES]) {
    char *bytes = NULL;
    size_t size = 0;
    int r = durable_read(folder_fd, "token.key", &bytes, &size);
    if (r == -ENOENT) {
        if (getrandom(ret, MAIL_KEY_BYTES, 0) != MAIL_KEY_BYTES) {
            return -EIO;
        }
        return durable_write(folder_fd, "token.key", ret, MAIL_KEY_BYTES);
    }
    if (r == 0) {
        r = size == MAIL_KEY_BYTES ? 0 : -EBADMSG;
        memcpy(ret, bytes, r == 0 ? size : 0);
        explicit_bzero(bytes, size);
        free(bytes);
    }
    return r;
}
