// SPDX-License-Identifier: Apache-2.0
// Inside the query thread: the call and the thread's own state, shared by query.c (the loop),
// query_run.c and query_child.c (where a verb runs), query_call.c (arguments) and query_send.c
// (answers). Verbs see verbs.h only.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include "broker/delivery/delivery.h"
#include "broker/query/query.h"
#include "broker/query/urgency.h"
#include "broker/query/verbs.h"

enum { NICE_LONG_WORK = 10 }; // of children and the helper thread: the tick goes first

enum call_state {
    CALL_WAITING, // for min_sequence
    CALL_SLICING,
    CALL_AWAY, // another thread has it; nothing here may touch it
    CALL_CHILD,
    CALL_ENDING, // the answer waits for a part ahead of it, or for the peer
    CALL_ENDED,  // answered, refused or given up: to be freed
};

// The child process of a call, and what it said so far.
struct call_child {
    pid_t pid;
    int output; // readable end of its stdout, not blocking
    char *line;
    size_t size;
};

struct call {
    struct tick_job work; // first: a mailbox hands back its job
    struct query *query;
    const struct verb *verb;
    enum call_state state;
    uint8_t peer[CALL_PEER_BYTES_MAX];
    size_t peer_size;
    char user[CERTIFICATE_KEY_CHARS + 1]; // the public key that asked; "": without keys
    char actor[NAME_BYTES_MAX + 1];       // its name, in place of what the caller says; "": none
    uint64_t request, min_sequence;
    int64_t deadline_us; // monotonic; WAITING: give up, unsent: give up
    struct delivery_argument arguments[QUERY_ARGUMENTS_MAX];
    size_t n_arguments;
    char *texts;       // the arguments' bytes
    char customer[24]; // one of them, where it was found by a key
    void *packed_body; // as it came, until the call starts
    size_t packed_body_size;
    json_t *body; // many times as large, so only while a verb works with it
    uint32_t code;
    char detail[DETAIL_BYTES_MAX];
    json_t *answer;
    uint64_t as_of;
    void *progress;
    void (*free_progress)(void *progress);
    void *unsent; // a packed part that the peer's queue had no room for
    size_t unsent_size;
    bool streamed; // parts went ahead: the answer then waits for a slow peer, too
    bool packed;   // the answer is what is unsent, or was sent
    bool acted;    // admin.acted is under way or done
    struct call_child child;
};

struct query {
    struct broker *broker;
    void *socket;
    struct query_reads reads;
    struct arena *arena_request;
    struct call *calls[CALLS_MAX]; // those that did not end at once
    size_t n_calls, n_away, n_children, turn;
    // The helper thread: at most one call at a time.
    pthread_t helper;
    bool helping;
    struct call *helped;   // whose call it is; read only what does not change
    int64_t copied_due_us; // monotonic: when its peer is told next
    struct urgency urgency;
};

// A call for a request by a key. 0; a reason code with a text in ret_detail.
uint32_t call_new(struct query *query, const void *peer, size_t peer_size,
                  const struct grant *grant, const Touchbus__Query *request,
                  char ret_detail[static DETAIL_BYTES_MAX], struct call **ret);
struct call *call_free(struct call *call);
// Sends a reply without a call. Best effort: a peer that does not read loses it.
void query_send_refusal(struct query *query, const void *peer, size_t peer_size, uint64_t request,
                        uint32_t code, const char *detail);
// Makes call_body of what came, when the call starts. 0 or a negative errno.
int call_unpack_body(struct call *call);
// Sends the answer that stands in the call; it is ENDING or ENDED then.
void call_finish(struct call *call);
// Goes on with an ENDING call.
void call_end(struct call *call);
// Tries to send the waiting part. True where none waits any more (sent, or the peer is gone: the
// call has ended).
bool call_send_unsent(struct call *call);

// Takes a new call where its verb runs. It may have ended when this returns.
void call_start(struct call *call);
// Judges what run, then or a child's end returned.
void call_judge(struct call *call, int result);
// One slice of a SLICING call.
void call_slice(struct call *call);
// Tells the peer of the call on the helper thread how far the copy is. Touches nothing of the call.
void call_tell_copied(struct call *call);
// query_child.c: starts the child of a call.
void call_start_child(struct call *call);
// What the child of a CALL_CHILD call has written.
void call_read_child(struct call *call);
