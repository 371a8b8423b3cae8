// SPDX-License-Identifier: Apache-2.0
// The daemon without its threads and sockets: state, tick, delivery and query as they are, over
// frames that a test says and hears. ZeroMQ's calls are replaced at link time (house_wrap in
// CMakeLists.txt); nested in zmq_poll, a thread that waits gives the others their turn, so that one
// thread plays all of them in the same order every time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/broker.h"

enum house_door { HOUSE_PUBLISH, HOUSE_SUBSCRIBE, HOUSE_QUERY, HOUSE_DOORS };

// A frame that the broker sent to a peer. Valid within the call.
typedef void house_hear(void *user, enum house_door door, const char *peer, const void *frame,
                        size_t size);

enum { HOUSE_WORDS_MAX = 32 };

struct house;

// Options of houses opened from here on, beside their own. Borrowed.
void house_words(const char *const *words, size_t n);
// The wall clock stands still at this time from here on; what lies between it and the time told
// before has passed on the monotonic clock, too. 0: it goes by itself again.
void house_time(int64_t now_us);
// The wall clock alone is set to this time, as an operator or NTP does.
void house_jump(int64_t now_us);
// On a state folder, made where it is missing. 0 or a negative errno, as the daemon's start.
int house_open(const char *state, house_hear *hear, void *user, struct house **ret);
// NULL is fine. clean: as SIGTERM; else as a start that failed.
void house_close(struct house *house, bool clean);
struct broker *house_broker(struct house *house);
// A peer says a message of one frame; copied. False where no memory is left.
bool house_say(struct house *house, enum house_door door, const char *peer, const void *frame,
               size_t size);
// Until nothing waits any more. A fatal error ends the process, as in the daemon.
void house_run(struct house *house);
// Removes a folder and what is in it.
void house_remove(const char *state);
