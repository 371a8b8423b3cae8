// SPDX-License-Identifier: Apache-2.0
// The key that unsubscribe tokens are sealed with: made once, kept in the connector's folder. Who
// loses it makes old links say no more than that somebody wants to unsubscribe.
#pragma once

#include "connectors/dialect/mail.h"

// 0 or a negative errno; -EBADMSG: the file is not one of ours.
int token_key_load(int folder_fd, uint8_t ret[static MAIL_KEY_BYTES]);
