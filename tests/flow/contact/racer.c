// SPDX-License-Identifier: Apache-2.0
// Three processes ask at once about one customer under three keys, by three channels, with one
// content: a letter, a call and an e-mail. A barrier in shared memory releases them together, round
// after round; this one judges what they were told.
// Usage: racer BROKER ROUNDS   prints one JSON object; exit status 1 where a round broke the rule
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connectors/client/touchbus.h"

enum { RACERS = 3, VERDICT_BYTES_MAX_HERE = 2048, TIMEOUT_MS = 30000 };

struct track {
    pthread_barrier_t start, finish;
    char verdicts[RACERS][VERDICT_BYTES_MAX_HERE];
};

static const struct racer {
    const char *channel, *kind, *value; // of the customer's key, by round
} RACERS_ROWS[RACERS] = {
    {"letter", "crm_id", "K-%06d"},
    {"phone", "phone", "+4930%07d"},
    {"email", "email", "k%d@klant.example"},
};

static void die(const char *what, int r) {
    fprintf(stderr, "racer: %s: %s\n", what, strerror(r < 0 ? -r : r));
    _exit(2);
}

static void on_ack(const touchbus_ack *ack, void *user) {
    char *verdict = user;
    if (verdict != NULL) {
        snprintf(verdict, VERDICT_BYTES_MAX_HERE, "%s", ack->verdict != NULL ? ack->verdict : "");
    } else if (ack->code != 0) {
        fprintf(stderr, "racer: %s: %s\n", ack->reason, ack->detail);
        _exit(2);
    }
}

static touchbus_publisher *publisher_new(const char *broker, const char *source, char *verdict) {
    touchbus_publisher_options options = {
        .broker = broker, .source = source, .on_ack = on_ack, .user = verdict};
    touchbus_publisher *publisher;
    int r = touchbus_publisher_new(&options, &publisher);
    if (r != 0) {
        die("publisher", r);
    }
    return publisher;
}

static void publish(touchbus_publisher *publisher, touchbus_event *event) {
    int r = touchbus_publisher_publish(publisher, event, NULL);
    r = r != 0 ? r : touchbus_publisher_flush(publisher, TIMEOUT_MS);
    touchbus_event_free(event);
    if (r != 0) {
        die("publish", r);
    }
}

static void value_of(const struct racer *racer, int round, char ret[static 64]) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(ret, 64, racer->value, round);
#pragma GCC diagnostic pop
}

// ---- one of the three

static void race(struct track *track, const char *broker, int index, int rounds) {
    const struct racer *racer = &RACERS_ROWS[index];
    char source[32], value[64], id[64], content[64];
    snprintf(source, sizeof(source), "/%s/race", racer->channel);
    touchbus_publisher *publisher = publisher_new(broker, source, track->verdicts[index]);
    const char *const channels[] = {racer->channel, NULL};
    for (int round = 0; round < rounds; round++) {
        touchbus_event *event;
        value_of(racer, round, value);
        snprintf(id, sizeof(id), "%s-%d", racer->channel, round);
        snprintf(content, sizeof(content), "offer-%d", round);
        const touchbus_contact contact = {.kind = racer->kind,
                                          .value = value,
                                          .content_id = content,
                                          .purpose = "service",
                                          .channels = channels,
                                          .contact_id = id};
        int r = touchbus_contact_event(&contact, &event);
        if (r != 0) {
            die("contact", r);
        }
        pthread_barrier_wait(&track->start);
        publish(publisher, event);
        pthread_barrier_wait(&track->finish);
    }
    touchbus_publisher_free(publisher);
}

// ---- the judge

static touchbus_event *introduce(int round) {
    static const char traits[] = "{\"traits\":{\"address\":\"Weg 1, Berlin\"}}";
    touchbus_event *event = touchbus_event_new("customer.identified", NULL, NULL);
    char value[64];
    for (int i = 0; i < RACERS; i++) {
        value_of(&RACERS_ROWS[i], round, value);
        touchbus_event_add_identity(event, RACERS_ROWS[i].kind, value, true);
    }
    touchbus_event_set_data_json(event, traits, strlen(traits));
    return event;
}

static bool names(const json_t *verdict, json_int_t sequence) {
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(verdict, "decided_by"), i, one) {
        if (json_integer_value(one) == sequence) {
            return true;
        }
    }
    return false;
}

// Exactly one approved; the others suppressed, and naming the winner's sequence.
static bool judge(struct track *track, unsigned wins[static RACERS]) {
    json_t *verdicts[RACERS];
    int winner = -1, n = 0;
    for (int i = 0; i < RACERS; i++) {
        verdicts[i] = json_loads(track->verdicts[i], 0, NULL);
        const char *text = json_string_value(json_object_get(verdicts[i], "verdict"));
        if (text != NULL && strcmp(text, "approved") == 0) {
            winner = i;
            n++;
        }
    }
    bool right = n == 1;
    for (int i = 0; right && i < RACERS; i++) {
        const char *text = json_string_value(json_object_get(verdicts[i], "verdict"));
        json_int_t sequence = json_integer_value(json_object_get(verdicts[winner], "sequence"));
        right = i == winner ||
                (text != NULL && strcmp(text, "suppressed") == 0 && names(verdicts[i], sequence));
    }
    for (int i = 0; i < RACERS; i++) {
        json_decref(verdicts[i]);
    }
    wins[right ? winner : 0] += right;
    return right;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    int rounds = (int)strtol(argv[2], NULL, 10);
    struct track *track =
        mmap(NULL, sizeof(*track), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t shared;
    if (track == MAP_FAILED || pthread_barrierattr_init(&shared) != 0 ||
        pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_barrier_init(&track->start, &shared, RACERS + 1) != 0 ||
        pthread_barrier_init(&track->finish, &shared, RACERS + 1) != 0) {
        die("barrier", errno);
    }
    pid_t racers[RACERS];
    for (int i = 0; i < RACERS; i++) {
        racers[i] = fork();
        if (racers[i] == 0) {
            race(track, argv[1], i, rounds);
            _exit(0);
        }
    }
    touchbus_publisher *publisher = publisher_new(argv[1], "/crm/race", NULL);
    unsigned wins[RACERS] = {0};
    int wrong = 0;
    for (int round = 0; round < rounds; round++) {
        publish(publisher, introduce(round));
        pthread_barrier_wait(&track->start);
        pthread_barrier_wait(&track->finish);
        if (!judge(track, wins)) {
            wrong++;
            fprintf(stderr, "round %d:\n%s\n%s\n%s\n", round, track->verdicts[0],
                    track->verdicts[1], track->verdicts[2]);
        }
    }
    touchbus_publisher_free(publisher);
    for (int i = 0; i < RACERS; i++) {
        waitpid(racers[i], NULL, 0);
    }
    printf("{\"rounds\":%d,\"wrong\":%d,\"letter\":%u,\"phone\":%u,\"email\":%u}\n", rounds, wrong,
           wins[0], wins[1], wins[2]);
    return wrong > 0;
}
