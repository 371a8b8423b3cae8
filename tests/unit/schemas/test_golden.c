// SPDX-License-Identifier: Apache-2.0
// The golden samples: what protoc wrote is read, and written again byte for byte; every field of
// every message of touchbus.proto stands in one of them; a damaged one never gets through whole
// and never does harm. schemas/golden/make.py makes them.
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/body.h"
#include "schemas/cloudevents.h"
#include "schemas/envelope.h"
#include "schemas/envelope_scan.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"
#include "tests/unit/schemas/cmocka_all.h"

// A new message of touchbus.proto gets a row here; a test holds the list to the file.
static const ProtobufCMessageDescriptor *const messages[] = {
    &touchbus__identity__descriptor,       &touchbus__reference__descriptor,
    &touchbus__extension__descriptor,      &touchbus__event__descriptor,
    &touchbus__stamp__descriptor,          &touchbus__timer__descriptor,
    &touchbus__score__descriptor,          &touchbus__reservation__descriptor,
    &touchbus__routing__descriptor,        &touchbus__publish_request__descriptor,
    &touchbus__publish_reply__descriptor,  &touchbus__outcome__descriptor,
    &touchbus__filter__descriptor,         &touchbus__start__descriptor,
    &touchbus__subscribe__descriptor,      &touchbus__failure__descriptor,
    &touchbus__settle__descriptor,         &touchbus__subscriber_message__descriptor,
    &touchbus__subscribed__descriptor,     &touchbus__delivery__descriptor,
    &touchbus__progress__descriptor,       &touchbus__refusal__descriptor,
    &touchbus__broker_message__descriptor, &touchbus__argument__descriptor,
    &touchbus__query__descriptor,          &touchbus__answer__descriptor,
};
enum {
    N_MESSAGES = sizeof(messages) / sizeof(messages[0]),
    SAMPLES_MAX = 128,
    SAMPLE_BYTES_MAX = 64 << 10,
    NAME_MAX_HERE = 64,
};

struct sample {
    char name[NAME_MAX_HERE];
    char kind[NAME_MAX_HERE];                  // a message's full name, or "body"
    const ProtobufCMessageDescriptor *message; // NULL: a body
    uint8_t *bytes;
    size_t size;
};
static struct sample samples[SAMPLES_MAX];
static size_t n_samples;
static struct arena *arena;

// The whole file with a terminator; NULL where there is none.
static uint8_t *read_file(const char *name, const char *suffix, size_t *ret_size) {
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s%s", TOUCHBUS_GOLDEN, name, suffix);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }
    uint8_t *bytes = calloc(1, SAMPLE_BYTES_MAX + 1);
    *ret_size = fread(bytes, 1, SAMPLE_BYTES_MAX, file);
    fclose(file);
    return bytes;
}

static void load_sample(const char *name) {
    struct sample *sample = &samples[n_samples++];
    size_t size;
    assert_true(n_samples <= SAMPLES_MAX);
    snprintf(sample->name, sizeof(sample->name), "%.*s", NAME_MAX_HERE - 1, name);
    sample->bytes = read_file(name, ".bin", &sample->size);
    assert_non_null(sample->bytes);
    char *text = (char *)read_file(name, ".txt", &size);
    assert_int_equal(sscanf(text, "# %63s", sample->kind), 1);
    free(text);
    for (size_t i = 0; i < N_MESSAGES; i++) {
        if (strcmp(messages[i]->name, sample->kind) == 0) {
            sample->message = messages[i];
        }
    }
    assert_true(sample->message != NULL || strcmp(sample->kind, "body") == 0);
}

static int set_up(void **state) {
    (void)state;
    DIR *folder = opendir(TOUCHBUS_GOLDEN);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, ".txt") == 0) {
            *dot = '\0';
            load_sample(entry->d_name);
        }
    }
    closedir(folder);
    arena = arena_new(16 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < n_samples; i++) {
        free(samples[i].bytes);
    }
    arena = arena_free(arena);
    return 0;
}

static int unpack(const struct sample *sample, const uint8_t *bytes, size_t size,
                  ProtobufCMessage **ret) {
    const char *why = NULL;
    if (sample->message != &touchbus__event__descriptor) {
        return envelope_unpack(sample->message, bytes, size, arena, ret, &why);
    }
    Touchbus__Event *event = NULL;
    int r = envelope_unpack_event(bytes, size, false, arena, &event, &why);
    *ret = r == 0 ? &event->base : NULL;
    return r;
}

static void test_samples_are_read_and_written_byte_for_byte(void **state) {
    (void)state;
    for (size_t i = 0; i < n_samples; i++) {
        const struct sample *sample = &samples[i];
        const uint8_t *bytes;
        size_t size;
        ProtobufCMessage *message = NULL;
        if (sample->message == NULL) {
            continue;
        }
        assert_int_equal(unpack(sample, sample->bytes, sample->size, &message), 0);
        assert_int_equal(envelope_pack(message, arena, &bytes, &size), 0);
        assert_int_equal(size, sample->size);
        assert_memory_equal(bytes, sample->bytes, size);
        arena_reset(arena);
    }
}

static void test_body_samples_survive_json(void **state) {
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < n_samples; i++) {
        const struct sample *sample = &samples[i];
        json_t *json = NULL;
        void *bytes = NULL;
        size_t size;
        if (sample->message != NULL) {
            continue;
        }
        n++;
        assert_int_equal(body_check(sample->bytes, sample->size, false, NULL), 0);
        assert_int_equal(body_to_json(sample->bytes, sample->size, &json), 0);
        assert_int_equal(body_from_json(json, &bytes, &size), 0);
        assert_int_equal(size, sample->size);
        assert_memory_equal(bytes, sample->bytes, size);
        free(bytes);
        json_decref(json);
    }
    assert_true(n >= 3);
}

static bool stands_in(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    const char *base = (const char *)message;
    const void *member = base + field->offset;
    const void *quantifier = base + field->quantifier_offset;
    static const uint64_t nothing[2] = {0};
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return *(const size_t *)quantifier > 0;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return *(const uint32_t *)quantifier == field->id;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return (*(char *const *)member)[0] != '\0';
    }
    bool is_wide = field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_BYTES ||
                   field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_SINT64;
    return memcmp(member, nothing, is_wide ? 8 : 4) != 0;
}

enum { VISITS_MAX = 256 };
struct visits {
    const ProtobufCMessage *list[VISITS_MAX];
    size_t n;
};

static void visit_members(struct visits *visits, const ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field) {
    const void *member = (const char *)message + field->offset;
    const void *quantifier = (const char *)message + field->quantifier_offset;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return;
    }
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    size_t n = repeated ? *(const size_t *)quantifier : 1;
    for (size_t i = 0; i < n; i++) {
        assert_true(visits->n < VISITS_MAX);
        visits->list[visits->n++] = repeated ? (*(ProtobufCMessage *const *const *)member)[i]
                                             : *(ProtobufCMessage *const *)member;
    }
}

static void mark(bool seen[N_MESSAGES][64], const ProtobufCMessage *root) {
    struct visits visits = {.list = {root}, .n = 1};
    while (visits.n > 0) {
        const ProtobufCMessage *message = visits.list[--visits.n];
        if (message == NULL) {
            fail(); // a member that was counted but is not there
            return;
        }
        size_t index = 0;
        while (messages[index] != message->descriptor) {
            index++;
        }
        for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
            const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
            if (stands_in(message, field)) {
                seen[index][i] = true;
                visit_members(&visits, message, field);
            }
        }
    }
}

static void test_every_field_of_every_message_stands_in_a_sample(void **state) {
    (void)state;
    static bool seen[N_MESSAGES][64];
    for (size_t i = 0; i < n_samples; i++) {
        ProtobufCMessage *message = NULL;
        if (samples[i].message != NULL) {
            assert_int_equal(unpack(&samples[i], samples[i].bytes, samples[i].size, &message), 0);
            mark(seen, message);
        }
    }
    for (size_t i = 0; i < N_MESSAGES; i++) {
        for (unsigned k = 0; k < messages[i]->n_fields; k++) {
            if (!seen[i][k]) {
                fail_msg("no sample has %s.%s", messages[i]->name, messages[i]->fields[k].name);
            }
        }
    }
    arena_reset(arena);
}

static void test_every_repeated_field_has_a_bound(void **state) {
    (void)state;
    size_t n_rows;
    const struct message_limits *rows = envelope_limits(&n_rows);
    for (size_t i = 0; i < N_MESSAGES; i++) {
        for (unsigned k = 0; k < messages[i]->n_fields; k++) {
            const ProtobufCFieldDescriptor *field = &messages[i]->fields[k];
            size_t row = 0;
            while (row < n_rows && rows[row].message != messages[i]) {
                row++;
            }
            if (field->label == PROTOBUF_C_LABEL_REPEATED &&
                (row == n_rows || field->id >= rows[row].n_fields ||
                 rows[row].fields[field->id].count_max == 0)) {
                fail_msg("%s.%s may stand without end", messages[i]->name, field->name);
            }
        }
    }
}

static void test_the_list_of_messages_is_the_file_s(void **state) {
    (void)state;
    FILE *file = fopen(TOUCHBUS_GOLDEN "/../touchbus.proto", "re");
    char line[512];
    size_t n = 0;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        char name[NAME_MAX_HERE];
        if (sscanf(line, "message %63[A-Za-z0-9]", name) != 1) {
            continue;
        }
        size_t i = 0;
        while (i < N_MESSAGES && strcmp(messages[i]->short_name, name) != 0) {
            i++;
        }
        if (i == N_MESSAGES) {
            fail_msg("message %s has no row in this test", name);
        }
        n++;
    }
    fclose(file);
    assert_int_equal(n, N_MESSAGES);
}

static void test_a_cut_sample_is_refused_or_a_message_of_its_own(void **state) {
    (void)state;
    size_t n_refused = 0;
    for (size_t i = 0; i < n_samples; i++) {
        const struct sample *sample = &samples[i];
        for (size_t size = 0; sample->message != NULL && size < sample->size; size++) {
            // its own allocation, so that the sanitizer sees a byte read beyond
            _cleanup_free_ uint8_t *cut = malloc(size + 1);
            memcpy(cut, sample->bytes, size);
            uint8_t *exact = realloc(cut, size > 0 ? size : 1);
            cut = exact;
            ProtobufCMessage *message = NULL;
            int r = unpack(sample, cut, size, &message);
            assert_true(r == 0 || r == REASON_BAD_FRAME || r == REASON_BAD_VERSION);
            n_refused += r != 0;
            arena_reset(arena);
        }
    }
    assert_true(n_refused > 1000);
}

static void test_a_flipped_bit_does_no_harm(void **state) {
    (void)state;
    for (size_t i = 0; i < n_samples; i++) {
        const struct sample *sample = &samples[i];
        for (size_t bit = 0; sample->message != NULL && bit < sample->size * 8; bit++) {
            ProtobufCMessage *message = NULL;
            const uint8_t *bytes;
            size_t size;
            sample->bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
            if (unpack(sample, sample->bytes, sample->size, &message) == 0) {
                assert_int_equal(envelope_pack(message, arena, &bytes, &size), 0);
            }
            sample->bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
            arena_reset(arena);
        }
    }
}

static void check_cloudevents(const struct sample *sample, const char *text) {
    json_t *expected = json_loads(text, 0, NULL);
    ProtobufCMessage *message = NULL;
    assert_non_null(expected);
    assert_int_equal(unpack(sample, sample->bytes, sample->size, &message), 0);
    json_t *json = cloudevents_to_json((const Touchbus__Event *)message);
    assert_true(json_equal(json, expected));
    json_decref(json);

    Touchbus__Event *event = NULL;
    const char *why = NULL;
    const uint8_t *bytes;
    size_t size;
    assert_int_equal(cloudevents_from_json(expected, true, arena, &event, &why), 0);
    json_decref(expected);
    if (event->sequence == 0) { // lanes, rank, keys and the like have no form in JSON
        assert_int_equal(envelope_pack(&event->base, arena, &bytes, &size), 0);
        assert_int_equal(size, sample->size);
        assert_memory_equal(bytes, sample->bytes, size);
    }
    arena_reset(arena);
}

static void test_events_have_their_cloudevents_form(void **state) {
    (void)state;
    for (size_t i = 0; i < n_samples; i++) {
        size_t size;
        if (samples[i].message == &touchbus__event__descriptor) {
            _cleanup_free_ char *text = (char *)read_file(samples[i].name, ".json", &size);
            assert_non_null(text);
            check_cloudevents(&samples[i], text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_are_read_and_written_byte_for_byte),
        cmocka_unit_test(test_body_samples_survive_json),
        cmocka_unit_test(test_every_field_of_every_message_stands_in_a_sample),
        cmocka_unit_test(test_every_repeated_field_has_a_bound),
        cmocka_unit_test(test_the_list_of_messages_is_the_file_s),
        cmocka_unit_test(test_a_cut_sample_is_refused_or_a_message_of_its_own),
        cmocka_unit_test(test_a_flipped_bit_does_no_harm),
        cmocka_unit_test(test_events_have_their_cloudevents_form),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
