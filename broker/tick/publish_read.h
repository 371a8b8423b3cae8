// SPDX-License-Identifier: Apache-2.0
// Reading what came in one frame at the publish endpoint; no socket, no state.
#pragma once

#include <zmq.h>

#include "broker/tick/publish.h"

// Fills in request->message, bytes and the head of its reply. 0, a reason code (in the reply, with
// its detail), or -ENOMEM.
int publish_read(struct request *request, zmq_msg_t *body, unsigned n_frames, struct arena *arena);
// The request's number out of a frame that was refused, so that its sender knows which one it was:
// only where version and request stand in front, as every encoder writes them; else 0.
uint64_t publish_peek(const uint8_t *data, size_t size);
// How many events a request's frame seems to hold, without reading them; what is malformed counts
// up to there.
uint32_t publish_count(const uint8_t *data, size_t size);
