// SPDX-License-Identifier: Apache-2.0
// Where a verb runs: here, in slices, on the tick, delivery or upkeep thread, on the helper thread,
// in a child process (query_child.c). One starter a place; every way ends in call_judge on the
// query thread. A call that is away belongs to the other thread until its job comes back through
// to_query.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "broker/query/query_call.h"
#include "schemas/base/logging.h"

void call_judge(struct call *call, int result) {
    if (call->state == CALL_ENDED) { // its peer is gone
        return;
    }
    if (result == VERB_AGAIN) {
        call->state = CALL_SLICING;
        return;
    }
    if (result < 0) {
        logging_error("query=%s error=\"%s\"", call->verb->name, strerror(-result));
        call_answer(call, NULL);
        call_refuse(call, result == -E2BIG ? REASON_TOO_LARGE : REASON_INTERNAL, "%s",
                    result == -E2BIG ? "the answer is over a size limit" : "");
    }
    call_finish(call);
}

// ---- on the tick thread, the delivery thread, the helper

static void come_back(struct job *job, void *context);

static void post_back(struct call *call) {
    call->work.job.run = come_back;
    // There are fewer calls than places in the mailbox, and nothing else is posted to it.
    bool posted = mailbox_post(call->query->broker->to_query, &call->work.job);
    assert(posted);
    (void)posted;
}

static int append_acted(struct call *call, struct tick *tick) {
    const char *said = call_argument_at(call, "actor", 0);
    const char *actor = call->actor[0] != '\0' ? call->actor : said != NULL ? said : "operator";
    json_t *data = json_pack("{s:s, s:s}", "actor", actor, "what", call->verb->name);
    for (size_t i = 0; data != NULL && i < call->n_arguments; i++) {
        const char *name = call->arguments[i].name;
        if (json_object_get(data, name) == NULL) {
            json_object_set_new(data, name, json_string(call->arguments[i].value));
        }
    }
    uint64_t sequence;
    return data != NULL ? tick_append(tick, "admin.acted", data, actor, 0, &sequence) : REASON_BUSY;
}

static int write_on_tick(struct tick_job *job, struct tick *tick) {
    struct call *call = (struct call *)(void *)job;
    // A verb of delivery comes here after it worked, only to be put in the log.
    int r = call->verb->place == VERB_TICK ? call->verb->write(call, tick) : 0;
    call->acted = true;
    return r == 0 && call->verb->acts && call->code == REASON_OK ? append_acted(call, tick) : r;
}

static void done_on_tick(struct tick_job *job, int result) {
    struct call *call = (struct call *)(void *)job;
    if (call->code == REASON_OK && result > 0) {
        call->code = (uint32_t)result;
    }
    post_back(call);
}

static void run_on_delivery(struct job *job, void *context) {
    struct call *call = (struct call *)(void *)job;
    json_t *answer = NULL;
    const char *detail = NULL;
    const char *verb = call->verb->option != NULL ? call->verb->option : call->verb->name;
    int r = delivery_command(context, verb, call->arguments, call->n_arguments, &answer, &detail);
    call->code = r >= 0 ? (uint32_t)r : REASON_INTERNAL;
    if (detail != NULL) {
        snprintf(call->detail, sizeof(call->detail), "%s", detail);
    }
    json_decref(call->answer);
    call->answer = answer;
    post_back(call);
}

static void run_on_upkeep(struct job *job, void *context) {
    struct call *call = (struct call *)(void *)job;
    int r = call->verb->on_upkeep(call, context);
    if (call->code == REASON_OK) {
        call->code = r >= 0 ? (uint32_t)r : REASON_INTERNAL;
    }
    post_back(call);
}

static void *run_on_helper(void *data) {
    struct call *call = data;
    setpriority(PRIO_PROCESS, 0, NICE_LONG_WORK); // of this thread alone, on Linux
    int r = call->verb->run(call);
    if (r < 0) {
        logging_error("query=%s error=\"%s\"", call->verb->name, strerror(-r));
        call_refuse(call, REASON_INTERNAL, "%s", strerror(-r));
    }
    post_back(call);
    return NULL;
}

// ---- handing over and taking back

static void send_to_tick(struct call *call) {
    tick_job_init(&call->work, write_on_tick, done_on_tick);
    call->state = CALL_AWAY;
    call->query->n_away++;
    if (!mailbox_post(call->query->broker->to_tick, &call->work.job)) {
        call->query->n_away--;
        call_refuse(call, REASON_BUSY, "the tick has too much to do");
        call_finish(call);
    }
}

static void come_back(struct job *job, void *context) {
    struct call *call = (struct call *)(void *)job;
    struct query *query = context;
    query->n_away--;
    if (call->verb->place == VERB_HELPER && !call->acted) { // not when it comes from the tick
        int r = pthread_join(query->helper, NULL);
        assert(r == 0);
        (void)r;
        query->helping = false;
        atomic_store(&query->broker->trim_paused, query->n_children > 0);
    }
    bool to_log = call->code == REASON_OK && call->verb->acts && !call->acted;
    if (to_log && !atomic_load(&query->broker->stop)) {
        send_to_tick(call);
        return;
    }
    bool go_on = call->code == REASON_OK && call->verb->then != NULL;
    arena_reset(query->reads.arena);
    call_judge(call, go_on ? call->verb->then(call) : 0);
}

// The check before a call is handed over. False where it ended the call.
static bool check_here(struct call *call) {
    int r = call->verb->run != NULL ? call->verb->run(call) : 0;
    if (r != 0 || call->code != REASON_OK) {
        call_judge(call, r);
        return false;
    }
    return true;
}

static void start_read(struct call *call) {
    int r = call->verb->run(call);
    if (r == 0 && call->verb->acts && call->code == REASON_OK) {
        send_to_tick(call);
    } else {
        call_judge(call, r);
    }
}

static void start_tick(struct call *call) {
    if (check_here(call)) {
        send_to_tick(call);
    }
}

static void hand_over(struct call *call, struct mailbox *mailbox,
                      void (*run)(struct job *job, void *context)) {
    if (!check_here(call)) {
        return;
    }
    call->work.job.run = run;
    call->state = CALL_AWAY;
    call->query->n_away++;
    if (!mailbox_post(mailbox, &call->work.job)) {
        call->query->n_away--;
        call_refuse(call, REASON_BUSY, "the thread that answers this has too much to do");
        call_finish(call);
    }
}

static void start_delivery(struct call *call) {
    hand_over(call, call->query->broker->to_delivery, run_on_delivery);
}

static void start_upkeep(struct call *call) {
    hand_over(call, call->query->broker->to_upkeep, run_on_upkeep);
}

static void start_helper(struct call *call) {
    struct query *query = call->query;
    if (query->helping) {
        call_refuse(call, REASON_BUSY, "another copy is being made");
        call_finish(call);
        return;
    }
    atomic_store(&query->broker->trim_paused, true);
    call->state = CALL_AWAY;
    if (pthread_create(&query->helper, NULL, run_on_helper, call) != 0) {
        atomic_store(&query->broker->trim_paused, query->n_children > 0);
        call_judge(call, -EAGAIN);
        return;
    }
    query->n_away++;
    query->helping = true;
    query->helped = call;
}

// ---- starting

void call_slice(struct call *call) {
    // A list that came from another thread goes out in parts by its `then`.
    bool is_here = call->verb->place == VERB_SLICED || call->verb->place == VERB_READ;
    arena_reset(call->query->reads.arena);
    if (!call_is_allowed(call)) { // its key or role has gone in between
        call_finish(call);
        return;
    }
    call_judge(call, is_here ? call->verb->run(call) : call->verb->then(call));
}

void call_start(struct call *call) {
    static void (*const starters[])(struct call * call) = {
        [VERB_READ] = start_read,        [VERB_SLICED] = start_read,
        [VERB_TICK] = start_tick,        [VERB_DELIVERY] = start_delivery,
        [VERB_UPKEEP] = start_upkeep,    [VERB_HELPER] = start_helper,
        [VERB_CHILD] = call_start_child,
    };
    arena_reset(call->query->reads.arena);
    if (!call_is_allowed(call)) {
        call_finish(call);
        return;
    }
    int r = call_unpack_body(call);
    if (r != 0) {
        call_judge(call, r);
        return;
    }
    starters[call->verb->place](call);
}
