// SPDX-License-Identifier: Apache-2.0
// Tells the service manager how a daemon is doing (sd_notify(3), Type=notify): a datagram to
// NOTIFY_SOCKET, where there is one; without it nothing happens.
#pragma once

// It serves now: what is ordered behind it may start.
void notify_ready(void);
// It was told to end, and does.
void notify_stopping(void);
