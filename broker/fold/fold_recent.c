// SPDX-License-Identifier: Apache-2.0
// The last interactions as the row has them: four columns of varints, one behind the other. An
// event writes four numbers and reads none, a flush copies: what an aged record consists of is
// neither decoded nor encoded again. Sequence and time are written by their difference to the last
// ones, which stand beside the columns: each event writes its customer's row, and of a busy one an
// interaction takes 8 bytes of it instead of 14. The oldest one's are 0 and not what they were to
// the one that was spilled, so that a row follows from the interactions in it alone. Other fields
// of the row are protobuf-c's.
#include "broker/fold/fold_recent.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "schemas/base/guards.h"

enum { WIRE_VARINT = 0, WIRE_LENGTH = 2, FIELD_NUMBER_SHIFT = 3, WIRE_TYPE_MASK = 7 };
enum {
    VARINT_BYTES_MAX = 10,
    HEAD_BYTES_MAX = 2 * VARINT_BYTES_MAX,
    INTERACTION_BYTES_MAX = RECENT_N * VARINT_BYTES_MAX,
    // Of the columns, and the two scalars.
    HEADS_BYTES_MAX = (RECENT_N + 2) * HEAD_BYTES_MAX,
};
enum { RECENT_FEW = 8 }; // interactions that a new customer's room is for

// ---- varints

static size_t put_varint(uint8_t *at, uint64_t value) {
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) {
        at[n++] = (uint8_t)(value | 0x80);
    }
    at[n++] = (uint8_t)value;
    return n;
}

// False where it does not end before `end`.
static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret) {
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static size_t count_varints(const uint8_t *at, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        n += at[i] < 0x80;
    }
    return n;
}

// Where the varint behind n of them begins.
static size_t skip_varints(const uint8_t *at, size_t n) {
    size_t size = 0;
    while (n > 0) {
        n -= at[size++] < 0x80;
    }
    return size;
}

static uint64_t to_zigzag(uint64_t value) {
    return value << 1 ^ (0 - (value >> 63));
}

static uint64_t from_zigzag(uint64_t value) {
    return value >> 1 ^ (0 - (value & 1));
}

struct span {
    const uint8_t *begin, *end;
};

static size_t span_bytes(struct span span) {
    return (size_t)(span.end - span.begin);
}

// What the differences from here to the end come to, modulo 2^64.
static uint64_t sum_sequences(struct span column) {
    uint64_t sum = 0, delta;
    while (read_varint(&column.begin, column.end, &delta)) {
        sum += delta;
    }
    return sum;
}

static uint64_t sum_times(struct span column) {
    uint64_t sum = 0, delta;
    while (read_varint(&column.begin, column.end, &delta)) {
        sum += from_zigzag(delta);
    }
    return sum;
}

// ---- out of a row

struct found {
    struct span columns[RECENT_N];
    uint64_t last_sequence, last_us; // as they stand there
};

// Passes a field, and sets what it is of *found. *ret: its number.
static int pass_field(const uint8_t **at, const uint8_t *end, struct found *found, uint64_t *ret) {
    uint64_t tag, value;
    if (!read_varint(at, end, &tag) || !read_varint(at, end, &value)) {
        return -EBADMSG;
    }
    uint64_t number = tag >> FIELD_NUMBER_SHIFT;
    unsigned wire_type = tag & WIRE_TYPE_MASK;
    bool is_column = number >= RECENT_FIELD_FIRST && number < RECENT_FIELD_FIRST + RECENT_N;
    bool is_last = number == RECENT_FIELD_LAST_SEQUENCE || number == RECENT_FIELD_LAST_US;
    if (wire_type == WIRE_LENGTH && value <= (size_t)(end - *at) && !is_last) {
        const uint8_t *begin = *at;
        *at += value;
        if (is_column) {
            found->columns[number - RECENT_FIELD_FIRST] = (struct span){begin, *at};
        }
    } else if (wire_type != WIRE_VARINT || is_column) {
        return -EBADMSG; // the fold writes columns and varints
    } else if (is_last) {
        *(number == RECENT_FIELD_LAST_US ? &found->last_us : &found->last_sequence) = value;
    }
    *ret = number;
    return 0;
}

// Fields stand in the order of their numbers: *ret_begin is where theirs begin, *ret_end where they
// end.
static int find_fields(const uint8_t *row, size_t size, struct found *found, size_t *ret_begin,
                       size_t *ret_end) {
    const uint8_t *at = row, *end = row + size;
    *ret_begin = *ret_end = size;
    while (at < end) {
        size_t field = (size_t)(at - row);
        uint64_t number;
        int r = pass_field(&at, end, found, &number);
        if (r != 0) {
            return r;
        }
        if (number >= RECENT_FIELD_FIRST && *ret_begin == size) {
            *ret_begin = field;
        }
        if (number > RECENT_FIELD_LAST) {
            *ret_end = field;
            break;
        }
    }
    return 0;
}

static bool columns_agree(const struct span columns[static RECENT_N], size_t n) {
    for (size_t i = 0; i < RECENT_N; i++) {
        size_t size = span_bytes(columns[i]);
        bool ends = size == 0 || columns[i].end[-1] < 0x80;
        if (!ends || count_varints(columns[i].begin, size) != n) {
            return false;
        }
    }
    return true;
}

// The oldest sequence is one, and none wraps on the way to the last; there is an interaction.
static bool sequences_ascend(const struct found *found) {
    struct span column = found->columns[RECENT_SEQUENCE];
    uint64_t back = found->last_sequence, delta;
    bool first = *column.begin == 0 && *found->columns[RECENT_TIME].begin == 0 && back > 0;
    for (column.begin++; first && read_varint(&column.begin, column.end, &delta); back -= delta) {
        if (delta == 0 || delta >= back) {
            return false;
        }
    }
    return first && column.begin == column.end;
}

// As the fold writes them.
static bool is_whole(const struct found *found, size_t n) {
    if (GUARD(recent_columns) && !columns_agree(found->columns, n)) {
        return false;
    }
    return n == 0 ? found->last_sequence == 0 && found->last_us == 0
                  : !GUARD(recent_ascends) || sequences_ascend(found);
}

// For as many as a record has at most, where `n` take `size`; for a few, where it has only those.
static size_t room_for(size_t n, size_t size) {
    size_t each = (size + n - 1) / n;
    size_t room = each * (n < RECENT_FEW ? RECENT_FEW : TIMELINE_RECENT_MAX);
    return (room > size ? room : size) + INTERACTION_BYTES_MAX;
}

size_t fold_recent_bytes(const struct fold_recent *recent) {
    size_t bytes = 0;
    for (size_t i = 0; i < RECENT_N; i++) {
        bytes += recent->sizes[i];
    }
    return bytes;
}

static struct fold_recent *make(struct arena *arena, size_t room) {
    struct fold_recent *recent = arena_alloc(arena, sizeof(*recent) + room);
    if (recent != NULL) {
        *recent = (struct fold_recent){.room = (uint16_t)room};
    }
    return recent;
}

int fold_recent_load(struct arena *arena, const uint8_t *row, size_t size, struct fold_recent **ret,
                     size_t *ret_begin, size_t *ret_end) {
    struct found found = {0};
    int r = find_fields(row, size, &found, ret_begin, ret_end);
    if (r != 0) {
        return r;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < RECENT_N; i++) {
        bytes += span_bytes(found.columns[i]);
    }
    struct span first = found.columns[RECENT_SEQUENCE];
    size_t n = count_varints(first.begin, span_bytes(first));
    size_t room = n == 0 ? 0 : room_for(n, bytes);
    if (!is_whole(&found, n) || room > UINT16_MAX) {
        return -EBADMSG;
    }
    struct fold_recent *recent = n == 0 ? NULL : make(arena, room);
    if (n > 0 && recent == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; n > 0 && i < RECENT_N; i++) {
        size_t column = span_bytes(found.columns[i]);
        if (column > 0) {
            memcpy(recent->columns + fold_recent_bytes(recent), found.columns[i].begin, column);
        }
        recent->sizes[i] = (uint16_t)column;
        recent->n = (uint16_t)n;
        recent->last_sequence = found.last_sequence;
        recent->last_us = (int64_t)from_zigzag(found.last_us);
    }
    *ret = recent;
    return 0;
}

// ---- changed

static struct fold_recent *move(struct arena *arena, const struct fold_recent *recent,
                                size_t more) {
    size_t n = recent == NULL ? 0 : recent->n,
           bytes = recent == NULL ? 0 : fold_recent_bytes(recent);
    size_t room = room_for(n + 1, bytes + more);
    struct fold_recent *moved = room > UINT16_MAX ? NULL : make(arena, room);
    if (moved != NULL && recent != NULL) {
        memcpy(moved, recent, sizeof(*recent) + bytes);
        moved->room = (uint16_t)room;
    }
    return moved;
}

// The columns behind one make room for its new last number, the last column first.
static void append(struct fold_recent *recent, uint8_t made[static RECENT_N][VARINT_BYTES_MAX],
                   const size_t sizes[static RECENT_N], size_t more) {
    uint8_t *end = recent->columns + fold_recent_bytes(recent);
    for (size_t i = RECENT_N; i-- > 0;) {
        uint8_t *begin = end - recent->sizes[i];
        more -= sizes[i];
        memmove(begin + more, begin, recent->sizes[i]);
        memcpy(end + more, made[i], sizes[i]);
        recent->sizes[i] = (uint16_t)(recent->sizes[i] + sizes[i]);
        end = begin;
    }
    recent->n++;
}

int fold_recent_add(struct arena *arena, struct fold_recent **recent,
                    const struct fold_interaction *interaction) {
    uint64_t sequence = interaction->sequence, time_us = (uint64_t)interaction->time_us;
    bool follows = *recent != NULL && (*recent)->n > 0;
    if (sequence <= (follows ? (*recent)->last_sequence : 0)) {
        return -EBADMSG;
    }
    const uint64_t numbers[RECENT_N] = {
        [RECENT_SEQUENCE] = follows ? sequence - (*recent)->last_sequence : 0,
        [RECENT_TIME] = follows ? to_zigzag(time_us - (uint64_t)(*recent)->last_us) : 0,
        [RECENT_TYPE] = interaction->type,
        [RECENT_CHANNEL] = interaction->channel,
    };
    uint8_t made[RECENT_N][VARINT_BYTES_MAX];
    size_t sizes[RECENT_N], more = 0;
    for (size_t i = 0; i < RECENT_N; i++) {
        sizes[i] = put_varint(made[i], numbers[i]);
        more += sizes[i];
    }
    if (*recent == NULL || fold_recent_bytes(*recent) + more > (*recent)->room) {
        struct fold_recent *moved = move(arena, *recent, more);
        if (moved == NULL) {
            return -ENOMEM;
        }
        *recent = moved;
    }
    append(*recent, made, sizes, more);
    (*recent)->last_sequence = sequence;
    (*recent)->last_us = interaction->time_us;
    return 0;
}

static uint8_t *put_scalar(uint8_t *at, uint64_t field, uint64_t value) {
    if (value != 0) {
        at += put_varint(at, field << FIELD_NUMBER_SHIFT | WIRE_VARINT);
        at += put_varint(at, value);
    }
    return at;
}

// The column without what stands before `from`: the difference there has nothing to be one to any
// more. Returns its size.
static size_t keep_from(uint8_t *to, const uint8_t *from, const uint8_t *end, bool is_difference) {
    size_t head = 0;
    if (is_difference && from < end) {
        from += skip_varints(from, 1);
        to[head++] = 0;
    }
    memmove(to + head, from, (size_t)(end - from));
    return head + (size_t)(end - from);
}

int fold_recent_spill(struct fold_recent *recent, size_t n, uint8_t *ret, size_t size_max,
                      size_t *ret_size) {
    assert(n <= recent->n);
    const uint8_t *from = recent->columns;
    uint8_t *to = recent->columns, *at = ret;
    uint64_t last_sequence = recent->last_sequence, last_us = (uint64_t)recent->last_us;
    if (fold_recent_bytes(recent) + HEADS_BYTES_MAX > size_max) {
        return -E2BIG;
    }
    for (size_t i = 0; i < RECENT_N; i++) {
        size_t size = recent->sizes[i], cut = skip_varints(from, n);
        at += put_varint(at, (i + 1) << FIELD_NUMBER_SHIFT | WIRE_LENGTH);
        at += put_varint(at, cut);
        at = mempcpy(at, from, cut);
        struct span kept = {from + cut, from + size};
        last_sequence -= i == RECENT_SEQUENCE ? sum_sequences(kept) : 0;
        last_us -= i == RECENT_TIME ? sum_times(kept) : 0;
        recent->sizes[i] =
            (uint16_t)keep_from(to, kept.begin, kept.end, i == RECENT_SEQUENCE || i == RECENT_TIME);
        from += size;
        to += recent->sizes[i];
    }
    recent->n = (uint16_t)(recent->n - n);
    at = put_scalar(at, RECENT_N + 1, last_sequence);
    at = put_scalar(at, RECENT_N + 2, to_zigzag(last_us));
    *ret_size = (size_t)(at - ret);
    return 0;
}

// ---- read

uint64_t fold_recent_first(const struct fold_recent *recent) {
    const uint8_t *at = recent->columns;
    return recent->last_sequence -
           sum_sequences((struct span){at, at + recent->sizes[RECENT_SEQUENCE]});
}

size_t fold_recent_read(const struct fold_recent *recent, struct fold_interaction *ret,
                        size_t n_max) {
    const uint8_t *at[RECENT_N], *end[RECENT_N];
    uint64_t sequence = 0, time_us = 0;
    size_t n = recent == NULL ? 0 : recent->n < n_max ? recent->n : n_max;
    for (size_t i = 0; n > 0 && i < RECENT_N; i++) {
        at[i] = i == 0 ? recent->columns : end[i - 1];
        end[i] = at[i] + recent->sizes[i];
    }
    if (n > 0) {
        sequence = fold_recent_first(recent);
        time_us =
            (uint64_t)recent->last_us - sum_times((struct span){at[RECENT_TIME], end[RECENT_TIME]});
    }
    for (size_t j = 0; j < n; j++) {
        uint64_t numbers[RECENT_N] = {0};
        for (size_t i = 0; i < RECENT_N; i++) {
            read_varint(&at[i], end[i], &numbers[i]);
        }
        sequence += numbers[RECENT_SEQUENCE];
        time_us += from_zigzag(numbers[RECENT_TIME]);
        ret[j] = (struct fold_interaction){
            .sequence = sequence,
            .time_us = (int64_t)time_us,
            .type = (uint32_t)numbers[RECENT_TYPE],
            .channel = (uint32_t)numbers[RECENT_CHANNEL],
        };
    }
    return n;
}

// ---- into a row

uint8_t *fold_recent_pack(const struct fold_recent *recent, uint8_t *begin, uint8_t *at) {
    if (recent == NULL || recent->n == 0) {
        return at;
    }
    const uint8_t *from = recent->columns + fold_recent_bytes(recent);
    if ((size_t)(at - begin) < fold_recent_bytes(recent) + HEADS_BYTES_MAX) {
        return NULL;
    }
    uint8_t last[2 * HEAD_BYTES_MAX], *end = last;
    end = put_scalar(end, RECENT_FIELD_LAST_SEQUENCE, recent->last_sequence);
    end = put_scalar(end, RECENT_FIELD_LAST_US, to_zigzag((uint64_t)recent->last_us));
    at -= end - last;
    memcpy(at, last, (size_t)(end - last));
    for (size_t i = RECENT_N; i-- > 0;) {
        uint8_t head[HEAD_BYTES_MAX];
        size_t size = recent->sizes[i];
        size_t n = put_varint(head, (RECENT_FIELD_FIRST + i) << FIELD_NUMBER_SHIFT | WIRE_LENGTH);
        n += put_varint(head + n, size);
        from -= size;
        at -= size;
        memcpy(at, from, size);
        at -= n;
        memcpy(at, head, n);
    }
    return at;
}
