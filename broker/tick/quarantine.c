// SPDX-License-Identifier: Apache-2.0
// A row's value, little endian: received_us u64 (see WITH_CUSTOMER), customer u64, run (16 bytes),
// then type, source, producer and detail, each with its terminator, then the sealed event. The run
// is new for each row, so the nonce's sequence is 0.
#include "broker/tick/quarantine.h"

#include <endian.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "broker/tick/tick_internal.h"
#include "schemas/base/guards.h"
#include "schemas/envelope.h"
#include "schemas/reasons.h"

enum { HEAD_BYTES = 8 + 8 + BLOCK_RUN_BYTES, NO_SEQUENCE = 0, N_TEXTS = 4 };
// Set in received, which is never negative. Rows from before customers were known have neither.
#define WITH_CUSTOMER (UINT64_C(1) << 63)

int quarantine_parse(const void *value, size_t size, struct quarantine_row *ret) {
    const uint8_t *at = value;
    struct quarantine_row row = {0};
    const char **texts[N_TEXTS] = {&row.type, &row.source, &row.producer, &row.detail};
    uint64_t received, customer;
    if (size < HEAD_BYTES) {
        return -EBADMSG;
    }
    memcpy(&received, at, sizeof(received));
    memcpy(&customer, at + sizeof(received), sizeof(customer));
    received = le64toh(received);
    row.received_us = (int64_t)(received & ~WITH_CUSTOMER);
    row.customer = (received & WITH_CUSTOMER) != 0 ? le64toh(customer) : 0;
    row.run = at + ((received & WITH_CUSTOMER) != 0 ? sizeof(received) + sizeof(customer)
                                                    : sizeof(received));
    const uint8_t *end = at + size;
    at = row.run + BLOCK_RUN_BYTES;
    for (size_t i = 0; i < N_TEXTS; i++) {
        const uint8_t *terminator = memchr(at, '\0', (size_t)(end - at));
        if (terminator == NULL) {
            return -EBADMSG;
        }
        *texts[i] = (const char *)at;
        at = terminator + 1;
    }
    row.sealed = at;
    row.sealed_size = (size_t)(end - at);
    if (row.sealed_size < KEYS_SEAL_OVERHEAD) {
        return -EBADMSG;
    }
    *ret = row;
    return 0;
}

int quarantine_unseal(struct keys_reader *reader, const struct quarantine_row *row,
                      struct arena *arena, Touchbus__Event **ret) {
    size_t size = row->sealed_size - KEYS_SEAL_OVERHEAD;
    uint8_t *plain = arena_alloc(arena, size + 1);
    const char *why;
    if (plain == NULL) {
        return -ENOMEM;
    }
    int r = keys_unseal(reader, row->customer, row->run, NO_SEQUENCE, row->sealed, row->sealed_size,
                        plain);
    if (r != 0) {
        return r;
    }
    return envelope_unpack_event(plain, size, true, arena, ret, &why) == 0 ? 0 : -EBADMSG;
}

int quarantine_is_erased(const struct whose *whose, const struct catalogue *catalogue,
                         struct keys_reader *reader, const struct quarantine_row *row, bool *ret) {
    *ret = whose_is_erased(whose->keys, row->customer);
    if (row->customer != 0) {
        return 0;
    }
    Touchbus__Event *event = NULL;
    uint64_t owner;
    int r = quarantine_unseal(reader, row, whose->arena, &event);
    if (r == -EBADMSG) {
        return 0; // nobody can read it; an operator drops it
    }
    r = r != 0 ? r : whose_event(whose, catalogue, event, &owner, ret);
    *ret = r == 0 && *ret && owner == 0;
    return r;
}

char *quarantine_format_key(const uint8_t key[static QUARANTINE_KEY_BYTES],
                            char buffer[static QUARANTINE_KEY_TEXT_BYTES]) {
    return sodium_bin2hex(buffer, QUARANTINE_KEY_TEXT_BYTES, key, QUARANTINE_KEY_BYTES);
}

int quarantine_parse_key(const char *text, uint8_t ret[static QUARANTINE_KEY_BYTES]) {
    uint8_t key[QUARANTINE_KEY_BYTES];
    size_t size;
    if (strlen(text) != QUARANTINE_KEY_TEXT_BYTES - 1 ||
        sodium_hex2bin(key, sizeof(key), text, strlen(text), NULL, &size, NULL) != 0 ||
        size != sizeof(key)) {
        return -EINVAL;
    }
    memcpy(ret, key, sizeof(key));
    return 0;
}

uint64_t quarantine_count(const struct broker *broker) {
    return atomic_load(&broker->counters.quarantine_rows);
}

// ---- the tick's side

static int count_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)key, (void)key_size, (void)value, (void)size;
    (*(uint64_t *)user)++;
    return 0;
}

int quarantine_load(struct tick *tick) {
    uint64_t n = 0;
    int r = log_reader_begin(tick->reader);
    if (r != 0) {
        return r;
    }
    r = log_reader_scan(tick->reader, LOG_QUARANTINE, "", 0, NULL, 0, count_row, &n);
    log_reader_end(tick->reader);
    atomic_store(&tick->broker->counters.quarantine_rows, n);
    return r;
}

static uint8_t *put_text(uint8_t *at, const char *text) {
    size_t size = strlen(text) + 1;
    memcpy(at, text, size);
    return at + size;
}

static int write_row(struct tick *tick, const uint8_t *key, uint64_t customer, const uint8_t *event,
                     size_t size, const char *const texts[static N_TEXTS]) {
    size_t total = HEAD_BYTES + size + KEYS_SEAL_OVERHEAD;
    for (size_t i = 0; i < N_TEXTS; i++) {
        total += strlen(texts[i]) + 1;
    }
    uint8_t *row = arena_alloc(tick->arena, total);
    if (row == NULL) {
        return -ENOMEM;
    }
    uint64_t received = htole64((uint64_t)tick->now_us | WITH_CUSTOMER), sealer = htole64(customer);
    uint8_t *run = mempcpy(mempcpy(row, &received, sizeof(received)), &sealer, sizeof(sealer));
    randombytes_buf(run, BLOCK_RUN_BYTES);
    uint8_t *at = row + HEAD_BYTES;
    for (size_t i = 0; i < N_TEXTS; i++) {
        at = put_text(at, texts[i]);
    }
    int r = keys_ensure(tick->broker->keys, customer); // it may be of this very tick
    r = r != 0 ? r : keys_reader_begin(tick->keys_reader);
    r = r != 0 ? r : keys_seal(tick->keys_reader, customer, run, NO_SEQUENCE, event, size, at);
    keys_reader_end(tick->keys_reader);
    return r != 0 ? (r < 0 ? r : -EBADMSG)
                  : log_put(tick_log(tick), LOG_QUARANTINE, key, QUARANTINE_KEY_BYTES, row, total);
}

// Who fills it has one half; in the other everybody has some rows, since nothing comes behind an
// event that is neither taken nor put aside.
static bool may_put(struct access_account *account, uint64_t n_rows) {
    if (account == NULL || !GUARD(key_quarantine)) {
        return n_rows < QUARANTINE_MAX;
    }
    if (n_rows < QUARANTINE_MAX / 2) {
        account->n_late = 0;
        return true;
    }
    return n_rows < QUARANTINE_MAX && account->n_late < QUARANTINE_LATE_MAX;
}

int quarantine_put(struct tick *tick, const uint8_t key[static BLOCK_ID_HASH_BYTES],
                   uint64_t customer, const uint8_t *event, size_t size,
                   const Touchbus__Event *open, const struct request *request, const char *detail) {
    struct access_account *account = request->grant->account;
    atomic_uint_fast64_t *n_rows = &tick->broker->counters.quarantine_rows;
    int r = log_delete(tick_log(tick), LOG_QUARANTINE, key, QUARANTINE_KEY_BYTES);
    if (r < 0) {
        return r;
    }
    bool is_new = r == 1;
    if (is_new && !may_put(account, atomic_load(n_rows))) {
        return REASON_BUSY;
    }
    if (is_new && account != NULL && atomic_load(n_rows) >= QUARANTINE_MAX / 2) {
        account->n_late++;
    }
    const char *const texts[N_TEXTS] = {open->type, open->source, request->message->producer,
                                        detail};
    r = write_row(tick, key, customer, event, size, texts);
    atomic_fetch_add(n_rows, r == 0 && is_new);
    return r;
}

int quarantine_drop(struct tick *tick, const uint8_t key[static QUARANTINE_KEY_BYTES]) {
    int r = log_delete(tick_log(tick), LOG_QUARANTINE, key, QUARANTINE_KEY_BYTES);
    if (r == 0) {
        atomic_fetch_sub(&tick->broker->counters.quarantine_rows, 1);
    }
    return r == 1 ? REASON_NOT_FOUND : r;
}

int quarantine_fix(struct tick *tick, const uint8_t key[static QUARANTINE_KEY_BYTES],
                   const Touchbus__Event *event, uint64_t *ret_sequence, const char **ret_detail) {
    int published = tick_publish(tick, event, ret_sequence, ret_detail);
    if (published < 0 || (published > 0 && published != REASON_DUPLICATE)) {
        return published;
    }
    int r = quarantine_drop(tick, key);
    return r < 0 ? r : published;
}
