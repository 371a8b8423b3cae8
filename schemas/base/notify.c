// SPDX-License-Identifier: Apache-2.0
// The protocol of sd_notify(3) in its smallest form, without libsystemd. A message that cannot be
// sent is nobody's loss but the manager's, which then gives up by its own time-out.
#include "schemas/base/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "schemas/base/logging.h"

// A path, or a name of the abstract namespace, which begins with '@'.
static void notify(const char *message) {
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = name == NULL ? 0 : strlen(name);
    if (length < 2 || length >= sizeof(address.sun_path) || (name[0] != '/' && name[0] != '@')) {
        return;
    }
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, message, strlen(message), MSG_NOSIGNAL,
                         (const struct sockaddr *)&address, size) < 0) {
        logging_warning("cannot=notify-service-manager");
    }
    if (fd >= 0) {
        close(fd);
    }
}

void notify_ready(void) {
    notify("READY=1");
}

void notify_stopping(void) {
    notify("STOPPING=1");
}
