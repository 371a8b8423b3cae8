// SPDX-License-Identifier: Apache-2.0
// The verbs about the view as a whole. verify runs in a child process; rebuild leaves a marker that
// the next start obeys, because the live view serves until then.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "broker/query/query.h"
#include "broker/query/verbs_all.h"

int verb_view_verify(struct call *call) {
    const json_t *answer = call_answer_borrow(call);
    const json_t *applied = json_object_get(answer, "applied");
    const char *error = json_string_value(json_object_get(answer, "error"));
    if (error != NULL) {
        call_refuse(call, REASON_INTERNAL, "%s", error);
        call_answer(call, NULL); // a refusal says it all
        return 0;
    }
    if (!json_is_integer(applied)) {
        return call_refuse(call, REASON_INTERNAL, "the child process gave no verdict");
    }
    call_as_of(call, (uint64_t)json_integer_value(applied));
    if (!json_is_true(json_object_get(answer, "equal"))) {
        call_refuse(call, REASON_NOT_EQUAL, "as of sequence %lld",
                    (long long)json_integer_value(applied));
    }
    return 0;
}

// An empty file in the state folder, durable when this returns.
static int leave_marker(const char *state, const char *name) {
    int dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return -errno;
    }
    int file = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int r = file < 0 || fsync(file) != 0 || fsync(dir) != 0 ? -errno : 0;
    if (file >= 0) {
        close(file);
    }
    close(dir);
    return r;
}

int verb_view_rebuild(struct call *call) {
    int r = leave_marker(call_broker(call)->configuration.state, VIEW_REBUILD_MARKER);
    return r != 0 ? r : call_answer(call, json_pack("{s:s}", "rebuild", "at the next start"));
}
