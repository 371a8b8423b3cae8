// SPDX-License-Identifier: Apache-2.0
// The one way out that is no return: after a failed commit or sync nothing is trusted, nothing is
// answered and nothing is cleaned up. The next start recovers.
#include "broker/broker.h"

#include <string.h>
#include <unistd.h>

#include "broker/bounds.h"
#include "schemas/base/logging.h"

void broker_fatal(const char *what, int error) {
    logging_error("event=fatal what=%s error=\"%s\" hint=\"the next start recovers\"", what,
                  strerror(-error));
    _exit(EXIT_FATAL);
}
