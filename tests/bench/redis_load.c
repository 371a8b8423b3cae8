// SPDX-License-Identifier: Apache-2.0
// The load on Redis, by hiredis: XADD of the event and SET of its customer's record, pipelined over
// many connections in one thread, consumer groups that acknowledge, a range read, gets. What the
// server answers is only judged, so that no reply is made an object of.
#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "schemas/base/scheduling.h"
#include "tests/bench/job.h"

enum {
    CONNECTIONS_MAX = 1024,
    COMMAND_BYTES_MAX = 2 << 20,
    READ_COUNT = 1000,
    BLOCK_MS = 200,
    PACE_STEP_US = 2000,
    TEXT_MAX = 64,
};
#define STREAM "events"

// ---- connections

struct link {
    redisContext *context;
    uint64_t n_waiting; // answers to come
};

static redisContext *connect_to(const struct job *job) {
    char host[300];
    snprintf(host, sizeof(host), "%s", job->conf.server);
    char *colon = strrchr(host, ':');
    int port = colon == NULL ? 0 : (int)strtol(colon + 1, NULL, 10);
    if (colon != NULL) {
        *colon = '\0';
    }
    redisContext *context = redisConnect(host, port);
    if (context == NULL || context->err != 0) {
        job_complain(job, context == NULL ? "no memory" : context->errstr);
        if (context != NULL) {
            redisFree(context);
        }
        return NULL;
    }
    return context;
}

static char *put(char *to, const void *bytes, size_t size) {
    memcpy(to, bytes, size);
    return to + size;
}

// The head of a command's last word, which is so many bytes.
static char *put_head(char *to, const char *head, size_t size) {
    char text[16];
    to = put(to, head, strlen(head));
    return put(to, text, (size_t)snprintf(text, sizeof(text), "$%zu\r\n", size));
}

// XADD and SET as they go over the wire. Returns their size.
static size_t write_commands(char *to, uint32_t customer, const uint8_t *bytes, size_t size) {
    char set[64];
    char *end =
        put_head(to, "*5\r\n$4\r\nXADD\r\n$6\r\n" STREAM "\r\n$1\r\n*\r\n$1\r\ne\r\n", size);
    end = put(end, bytes, size);
    snprintf(set, sizeof(set), "\r\n*3\r\n$3\r\nSET\r\n$8\r\nc:%06" PRIu32 "\r\n", customer);
    end = put(put_head(end, set, size), bytes, size);
    return (size_t)(put(end, "\r\n", 2) - to);
}

static int send_one(struct job *job, struct link *link, uint32_t customer) {
    static char commands[COMMAND_BYTES_MAX];
    size_t size;
    const uint8_t *bytes = source_event(job->source, customer, &size);
    if (size > (COMMAND_BYTES_MAX - 256) / 2) {
        return -E2BIG;
    }
    size_t n = write_commands(commands, customer, bytes, size);
    if (redisAppendFormattedCommand(link->context, commands, n) != REDIS_OK) {
        return job_complain(job, link->context->errstr);
    }
    link->n_waiting += 2;
    return 0;
}

static int flush(struct job *job, struct link *link) {
    int done = 0;
    while (!done) {
        if (redisBufferWrite(link->context, &done) != REDIS_OK) {
            return job_complain(job, link->context->errstr);
        }
    }
    return 0;
}

// All answers of a connection; two make an event.
static int await(struct job *job, struct link *link) {
    while (link->n_waiting > 0) {
        void *reply = NULL;
        if (redisGetReply(link->context, &reply) != REDIS_OK) {
            return job_complain(job, link->context->errstr);
        }
        // Without functions a reply is its type.
        job->n_failed += (intptr_t)reply == REDIS_REPLY_ERROR;
        link->n_waiting--;
        job->n += link->n_waiting % 2 == 0;
    }
    return 0;
}

// ---- publishing

static int open_all(struct job *job, struct link *links, int n) {
    for (int i = 0; i < n; i++) {
        links[i] = (struct link){.context = connect_to(job)};
        if (links[i].context == NULL) {
            return -ENOTCONN;
        }
        links[i].context->reader->fn = NULL;
    }
    return 0;
}

static int finish(struct job *job, struct link *links, int n, int r) {
    for (int i = 0; i < n && r == 0; i++) {
        r = await(job, &links[i]);
    }
    job->to_us = clock_monotonic_us();
    for (int i = 0; i < n; i++) {
        redisFree(links[i].context);
    }
    return r == 0 && job->n_failed > 0 ? job_complain(job, "commands were refused") : r;
}

static int connections(const struct job *job) {
    int64_t n = job->conf.connections;
    return (int)(n < CONNECTIONS_MAX ? n : CONNECTIONS_MAX);
}

// How many events each of n connections has in flight.
static uint64_t share_of(const struct job *job, int n) {
    int64_t share = job->conf.in_flight / n;
    return share > 0 ? (uint64_t)share : 1;
}

// A connection at a time is read empty and filled again, while the server works on the others.
static int publish(struct job *job) {
    static struct link links[CONNECTIONS_MAX];
    int n = connections(job), r = open_all(job, links, n);
    uint64_t share = share_of(job, n), n_sent = 0;
    if (r != 0) {
        return r;
    }
    job_start(job);
    for (int i = 0; r == 0 && job_goes_on(job); i = (i + 1) % n) {
        uint64_t due = job_allowance(job, n_sent);
        if (job->conf.count > 0 && n_sent >= (uint64_t)job->conf.count) {
            break;
        }
        if (due < share) { // only where a rate is kept
            usleep(PACE_STEP_US);
        }
        int64_t from_us = clock_monotonic_us();
        r = await(job, &links[i]);
        for (uint64_t k = 0; k < share && k < due && r == 0; k++, n_sent++) {
            r = send_one(job, &links[i], source_customer(job->source));
        }
        r = r == 0 ? flush(job, &links[i]) : r;
        if (n == 1 && r == 0) {
            r = await(job, &links[i]);
            samples_add(&job->latency, clock_monotonic_us() - from_us);
        }
    }
    return finish(job, links, n, r);
}

// One event a customer, with its record.
static int fill(struct job *job) {
    static struct link links[CONNECTIONS_MAX];
    int n = connections(job), r = open_all(job, links, n);
    uint64_t share = share_of(job, n), n_sent = 0;
    if (r != 0) {
        return r;
    }
    job_start(job);
    for (int i = 0; r == 0 && n_sent < (uint64_t)job->conf.customers; i = (i + 1) % n) {
        r = await(job, &links[i]);
        for (uint64_t k = 0; k < share && n_sent < (uint64_t)job->conf.customers && r == 0; k++) {
            r = send_one(job, &links[i], (uint32_t)n_sent++);
        }
        r = r == 0 ? flush(job, &links[i]) : r;
    }
    return finish(job, links, n, r);
}

// ---- consumers

// The entries of a reply of XREADGROUP or XRANGE; the last one's id in last.
static size_t count_entries(const redisReply *entries, char last[static TEXT_MAX]) {
    if (entries == NULL || entries->type != REDIS_REPLY_ARRAY || entries->elements == 0) {
        return 0;
    }
    const redisReply *entry = entries->element[entries->elements - 1];
    snprintf(last, TEXT_MAX, "%s", entry->element[0]->str);
    return entries->elements;
}

static const redisReply *entries_of(const redisReply *reply) {
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1
               ? reply->element[0]->element[1]
               : NULL;
}

// One command that acknowledges all of them, its answer read with the next batch.
static void acknowledge(struct link *link, const char *group, const redisReply *entries) {
    const char *words[READ_COUNT + 3] = {"XACK", STREAM, group};
    size_t sizes[READ_COUNT + 3] = {strlen("XACK"), strlen(STREAM), strlen(group)};
    for (size_t i = 0; i < entries->elements; i++) {
        words[i + 3] = entries->element[i]->element[0]->str;
        sizes[i + 3] = entries->element[i]->element[0]->len;
    }
    redisAppendCommandArgv(link->context, (int)entries->elements + 3, words, sizes);
    link->n_waiting++;
}

static int take_group(struct job *job, struct link *link) {
    char last[TEXT_MAX];
    redisReply *reply = NULL;
    redisAppendCommand(link->context, "XREADGROUP GROUP %s %s COUNT %d BLOCK %d STREAMS %s >",
                       job->conf.name, job->conf.name, READ_COUNT, BLOCK_MS, STREAM);
    for (; link->n_waiting > 0; link->n_waiting--) { // of the last XACK
        if (redisGetReply(link->context, (void **)&reply) != REDIS_OK) {
            return job_complain(job, link->context->errstr);
        }
        freeReplyObject(reply);
    }
    if (redisGetReply(link->context, (void **)&reply) != REDIS_OK) {
        return job_complain(job, link->context->errstr);
    }
    const redisReply *entries = entries_of(reply);
    size_t n = count_entries(entries, last);
    if (n > 0) {
        acknowledge(link, job->conf.name, entries);
    }
    job->n += n;
    freeReplyObject(reply);
    return 0;
}

// A consumer group with one consumer.
static int subscribe(struct job *job) {
    struct link link = {.context = connect_to(job)};
    uint64_t count = (uint64_t)job->conf.count;
    if (link.context == NULL) {
        return -ENOTCONN;
    }
    freeReplyObject(redisCommand(link.context, "XGROUP CREATE %s %s %s MKSTREAM", STREAM,
                                 job->conf.name, count > 0 ? "0" : "$"));
    job_start(job);
    int r = 0;
    while (r == 0 && (count > 0 ? job->n < count : job_goes_on(job))) {
        r = take_group(job, &link);
    }
    job->to_us = clock_monotonic_us();
    redisFree(link.context);
    link = (struct link){.context = connect_to(job)};
    if (link.context != NULL) {
        freeReplyObject(redisCommand(link.context, "XGROUP DESTROY %s %s", STREAM, job->conf.name));
        redisFree(link.context);
    }
    return r;
}

// The stream from the beginning, --count events.
static int replay(struct job *job) {
    char last[TEXT_MAX] = "0";
    redisContext *context = connect_to(job);
    if (context == NULL) {
        return -ENOTCONN;
    }
    job_start(job);
    size_t n = 1;
    while (n > 0 && job->n < (uint64_t)job->conf.count) {
        redisReply *reply =
            redisCommand(context, "XREAD COUNT %d STREAMS %s %s", READ_COUNT, STREAM, last);
        n = count_entries(entries_of(reply), last);
        job->n += n;
        freeReplyObject(reply);
    }
    job->to_us = clock_monotonic_us();
    redisFree(context);
    return n > 0 ? 0 : job_complain(job, "nothing comes");
}

// ---- look-ups

static int look_up(struct job *job) {
    scheduling_prompt(); // as a service desk would: not to wait for the load's own slices
    redisContext *context = connect_to(job);
    if (context == NULL) {
        return -ENOTCONN;
    }
    job_start(job);
    while (job_goes_on(job) && job->n_failed == 0) {
        job_await_turn(job, job->n);
        int64_t from_us = clock_monotonic_us();
        redisReply *reply = redisCommand(context, "GET c:%06" PRIu32, source_customer(job->source));
        samples_add(&job->latency, clock_monotonic_us() - from_us);
        job->n_failed += reply == NULL || reply->type != REDIS_REPLY_STRING;
        freeReplyObject(reply);
        job->n++;
    }
    job->to_us = clock_monotonic_us();
    redisFree(context);
    return job->n_failed == 0 ? 0 : job_complain(job, "a customer was not found");
}

static const struct job_mode modes[] = {
    {"fill", "one event a customer, with its record", fill},
    {"publish", "events of drawn customers, with their records", publish},
    {"subscribe", "a consumer group that acknowledges", subscribe},
    {"replay", "--count events of the stream, from the beginning", replay},
    {"lookup", "a customer's record, one at a time", look_up},
};

int main(int argc, char **argv) {
    static const struct job_program program = {
        .name = "bench-redis",
        .description = "The load of tests/bench on Redis.",
        .modes = modes,
        .n_modes = sizeof(modes) / sizeof(*modes),
        .with_id = true,
    };
    return job_main(&program, argc, argv);
}
