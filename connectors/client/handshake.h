// SPDX-License-Identifier: Apache-2.0
// What became of a socket's handshakes. ZeroMQ tries again for ever and tells nobody; this listens
// to its monitor, so that a key the broker does not take is told from a broker that is away.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { HANDSHAKE_AGAIN_MS = 2000 };

struct handshake_refusal {
    uint32_t code;             // reason code; 0: nothing is wrong, or nothing is known
    const char *detail, *hint; // static
};

// A member of each handle, zero at its start: it knows the handshakes of all its sockets in turn.
struct handshake {
    void *socket, *monitor; // NULL: listens to none
    bool with_keys;         // the socket speaks CURVE
    uint16_t refused;       // ZeroMQ's event that told why, since one succeeded; 0: none
    unsigned n_silent;      // ends without a word since then
    bool over;              // the socket tries no more
    int64_t again_us;       // monotonic; 0: not known yet
};

// Listens to a socket of this context that is not connected yet. Where it cannot, handshakes are
// never known to fail.
void handshake_watch(struct handshake *handshake, void *context, void *socket, bool with_keys);
// Before the socket is closed; what it saw stays. Harmless where it listens to none.
void handshake_unwatch(struct handshake *handshake);
// Reads what has happened and judges it. REASON_FORBIDDEN where the broker said no;
// REASON_UNAVAILABLE where it ended several handshakes in a row without a word, as a broker with
// another key does. Over with the first handshake that succeeds.
struct handshake_refusal handshake_look(struct handshake *handshake);
// Whether ZeroMQ has given up, as it does where the broker said no, and another try is due, one
// each HANDSHAKE_AGAIN_MS: true once, then the caller connects again.
bool handshake_again(struct handshake *handshake, int64_t now_us);
// The same at once, and what was refused before is forgotten.
bool handshake_anew(struct handshake *handshake);
// Its parts as touchbus.h gives them out; each ret may be NULL.
void handshake_tell(const struct handshake_refusal *refusal, const char **ret_reason,
                    const char **ret_detail, const char **ret_hint);
