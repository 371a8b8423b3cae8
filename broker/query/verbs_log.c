// SPDX-License-Identifier: Apache-2.0
// The verbs about the log itself: info, get, verify. Everything is read in slices; nothing beyond
// the visible sequence is shown.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/query/verbs_all.h"
#include "broker/query/verbs_read.h"
#include "broker/stores/upkeep.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/cloudevents.h"

enum {
    GET_EVENTS_MAX = 1000,
    GET_PART_EVENTS_MAX = 50,
    GET_PART_BYTES_MAX = 64 << 10,
    GET_ARENA_BYTES = 4 << 20,
    VERIFY_DAMAGED_MAX = 1000, // named in the answer
    VERIFY_PART_US = 500000,   // between two reports of progress
};

static uint64_t visible(const struct call *call) {
    return atomic_load(&call_broker(call)->visible);
}

// ---- info

// The received time of the first or last event of the block that holds sequence.
static json_t *block_time(struct call *call, uint64_t sequence, bool last) {
    struct block_head block;
    if (sequence == 0 || log_reader_block(call_reads(call)->log, sequence, &block) != 0) {
        return json_null();
    }
    return read_time_json(last ? block.received_last_us : block.received_first_us);
}

int verb_log_info(struct call *call) {
    struct log_reader *log = call_reads(call)->log;
    int r = log_reader_begin(log);
    if (r != 0) {
        return r;
    }
    uint64_t first = log_reader_first(log), next = log_reader_next(log);
    next = next > visible(call) + 1 ? visible(call) + 1 : next;
    first = first > next ? next : first;
    json_t *times[] = {block_time(call, first < next ? first : 0, false),
                       block_time(call, first < next ? next - 1 : 0, true)};
    log_reader_end(log);
    char incarnation[2 * INCARNATION_BYTES + 1];
    call_as_of(call, next - 1);
    return call_answer(call, json_pack("{s:I, s:I, s:I, s:I, s:s, s:o, s:o}", "first",
                                       (json_int_t)first, "next", (json_int_t)next, "events",
                                       (json_int_t)(next - first), "bytes",
                                       (json_int_t)log_bytes(call_broker(call)->log), "incarnation",
                                       format_hex(log_incarnation(call_broker(call)->log),
                                                  INCARNATION_BYTES, incarnation),
                                       "first_received", times[0], "last_received", times[1]));
}

char *format_hex(const uint8_t *bytes, size_t size, char *buffer) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        buffer[2 * i] = digits[bytes[i] >> 4];
        buffer[2 * i + 1] = digits[bytes[i] & 15];
    }
    buffer[2 * size] = '\0';
    return buffer;
}

// ---- get

struct get {
    uint64_t next, end; // sequences still to give: next <= s < end
    uint64_t n_given, n_unreadable;
    struct arena *arena;
};

static void get_free(void *progress) {
    struct get *get = progress;
    arena_free(get->arena);
    free(get);
}

static int get_begin(struct call *call) {
    uint64_t sequence, count;
    if (!call_number(call, "sequence", INT64_MAX, &sequence) ||
        !call_number(call, "count", GET_EVENTS_MAX, &count)) {
        return 0;
    }
    uint64_t first = log_first(call_broker(call)->log);
    if (sequence < first) {
        return call_refuse(call, REASON_TRIMMED, "the log begins at %llu",
                           (unsigned long long)first);
    }
    if (sequence > visible(call)) {
        return call_refuse(call, REASON_NOT_FOUND, "the last sequence is %llu",
                           (unsigned long long)visible(call));
    }
    struct get *get = calloc(1, sizeof(*get));
    if (get == NULL) {
        return -ENOMEM;
    }
    call_keep(call, get, get_free);
    get->next = sequence;
    get->end = sequence + count > visible(call) + 1 ? visible(call) + 1 : sequence + count;
    get->arena = arena_new(GET_ARENA_BYTES);
    return get->arena != NULL ? VERB_AGAIN : -ENOMEM;
}

static int get_event(struct call *call, struct get *get, json_t *list) {
    struct block_head block = {0};
    int r = log_reader_block(call_reads(call)->log, get->next, &block);
    if (r == 1 || (r == 0 && block.first > get->next)) {
        return -ENODATA; // trimmed while we read
    }
    Touchbus__Event *event = NULL;
    arena_reset(get->arena);
    r = r == 0 ? read_event(call, get->arena, &block, (uint32_t)(get->next - block.first), &event)
               : r;
    if (r < 0) {
        return r;
    }
    json_t *json = cloudevents_to_json(event);
    get->n_unreadable += r > 0;
    get->n_given++;
    get->next++;
    return json != NULL && json_array_append_new(list, json) == 0 ? 0 : -ENOMEM;
}

static int get_slice(struct call *call, struct get *get, json_t *list) {
    int64_t began_us = clock_monotonic_us();
    size_t bytes = 0;
    int r = read_begin(call);
    if (r != 0) {
        return r;
    }
    while (r == 0 && get->next < get->end && json_array_size(list) < GET_PART_EVENTS_MAX &&
           bytes < GET_PART_BYTES_MAX && !call_slice_over(began_us)) {
        r = get_event(call, get, list);
        size_t n = json_array_size(list);
        bytes += n > 0 ? json_dumpb(json_array_get(list, n - 1), NULL, 0, JSON_COMPACT) : 0;
    }
    read_end(call);
    return r;
}

int verb_log_get(struct call *call) {
    struct get *get = call_progress(call);
    if (get == NULL) {
        return get_begin(call);
    }
    json_t *list = json_array();
    int r = list != NULL ? get_slice(call, get, list) : -ENOMEM;
    if (r == 0 && json_array_size(list) > 0) {
        r = call_part(call, json_pack("{s:O}", "events", list));
    }
    json_decref(list);
    if (r == -EBADMSG) {
        return call_refuse(call, REASON_DAMAGED, "sequence %llu cannot be read",
                           (unsigned long long)get->next);
    }
    if (r == -ENODATA) {
        return call_refuse(call, REASON_TRIMMED, "sequence %llu is no longer there",
                           (unsigned long long)get->next);
    }
    if (r != 0 || get->next < get->end) {
        return r != 0 ? r : VERB_AGAIN;
    }
    return call_answer(call, json_pack("{s:I, s:I}", "given", (json_int_t)get->n_given,
                                       "unreadable", (json_int_t)get->n_unreadable));
}

// ---- verify: every block's checksum, and no gap between them

struct verify {
    uint64_t first, next, end;
    uint64_t n_blocks, n_events, n_bytes, n_damaged;
    json_t *damaged;
    int64_t reported_us;
};

static void verify_free(void *progress) {
    struct verify *verify = progress;
    json_decref(verify->damaged);
    free(verify);
}

static int verify_begin(struct call *call) {
    struct verify *verify = calloc(1, sizeof(*verify));
    if (verify == NULL) {
        return -ENOMEM;
    }
    call_keep(call, verify, verify_free);
    verify->damaged = json_array();
    verify->first = verify->next = log_first(call_broker(call)->log);
    verify->end = visible(call) + 1;
    verify->reported_us = clock_monotonic_us();
    return verify->damaged != NULL ? VERB_AGAIN : -ENOMEM;
}

static int verify_name(struct verify *verify, uint64_t first, uint64_t next, const char *what) {
    verify->n_damaged++;
    if (json_array_size(verify->damaged) >= VERIFY_DAMAGED_MAX) {
        return 0;
    }
    json_t *row = json_pack("{s:I, s:I, s:s}", "first", (json_int_t)first, "next", (json_int_t)next,
                            "what", what);
    return row != NULL && json_array_append_new(verify->damaged, row) == 0 ? 0 : -ENOMEM;
}

static int verify_block(struct verify *verify, struct log_reader *log) {
    struct block_head block = {0};
    int r = log_reader_block(log, verify->next, &block);
    if (r == 0) {
        r = block_open(block.data, block.size, true, &block);
    }
    bool has_header = block.n_events > 0 && block.first + block.n_events > verify->next;
    uint64_t next = has_header && r != 1 ? block.first + block.n_events : verify->end;
    if (r == 1 || (r == 0 && block.first > verify->next)) {
        // Retention may have moved on since the last slice; anything else is a hole.
        uint64_t floor = log_reader_first(log);
        if (r == 0 && block.first <= floor) {
            verify->next = block.first;
            return 0;
        }
        r = verify_name(verify, verify->next, r == 0 ? block.first : verify->end, "missing");
        verify->next = block.first > verify->next ? block.first : verify->end;
        return r;
    }
    if (r == -EBADMSG) {
        r = verify_name(verify, verify->next, next, "damaged");
    } else if (r == 0) {
        verify->n_blocks++;
        verify->n_events += block.n_events;
        verify->n_bytes += block.size;
    }
    verify->next = next;
    return r;
}

static int verify_slice(struct call *call, struct verify *verify) {
    struct log_reader *log = call_reads(call)->log;
    int64_t began_us = clock_monotonic_us();
    int r = log_reader_begin(log);
    if (r != 0) {
        return r;
    }
    while (r == 0 && verify->next < verify->end && !call_slice_over(began_us)) {
        r = verify_block(verify, log);
    }
    log_reader_end(log);
    if (r == 0 && began_us - verify->reported_us > VERIFY_PART_US) {
        verify->reported_us = began_us;
        r = call_part(call, json_pack("{s:s, s:I, s:I}", "phase", "reading", "done",
                                      (json_int_t)(verify->next - verify->first), "total",
                                      (json_int_t)(verify->end - verify->first)));
    }
    return r;
}

int verb_log_verify(struct call *call) {
    struct verify *verify = call_progress(call);
    if (verify == NULL) {
        return verify_begin(call);
    }
    int r = verify_slice(call, verify);
    if (r != 0 || verify->next < verify->end) {
        return r != 0 ? r : VERB_AGAIN;
    }
    if (verify->n_damaged > 0) {
        call_refuse(call, REASON_DAMAGED, "%llu spans cannot be read",
                    (unsigned long long)verify->n_damaged);
    }
    return call_answer(call,
                       json_pack("{s:I, s:I, s:I, s:I, s:I, s:O, s:b}", "first",
                                 (json_int_t)verify->first, "next", (json_int_t)verify->end,
                                 "blocks", (json_int_t)verify->n_blocks, "events",
                                 (json_int_t)verify->n_events, "bytes", (json_int_t)verify->n_bytes,
                                 "damaged", verify->damaged, "sound", verify->n_damaged == 0));
}

// ---- trim

int verb_log_trim(struct call *call) {
    uint64_t before;
    call_number(call, "before", INT64_MAX, &before);
    return 0;
}

int verb_log_trim_on_upkeep(struct call *call, struct upkeep *upkeep) {
    uint64_t before, first;
    const char *detail = "";
    if (!call_number(call, "before", INT64_MAX, &before)) {
        return 0;
    }
    int r = upkeep_trim_before(upkeep, before, &first, &detail);
    if (r > 0) {
        call_refuse(call, (uint32_t)r, "%s", detail);
    }
    return r != 0 ? r : call_answer(call, json_pack("{s:I}", "first", (json_int_t)first));
}
