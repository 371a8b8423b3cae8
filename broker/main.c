// SPDX-License-Identifier: Apache-2.0
// touchbusd: reads its configuration, opens the state, starts the threads and becomes the tick.
// The order of the end is the order of the start backwards: the tick runs on until the threads that
// post to it are done.
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/access.h"
#include "broker/backup/offline.h"
#include "broker/bounds.h"
#include "broker/broker.h"
#include "broker/delivery/delivery.h"
#include "broker/endpoint.h"
#include "broker/guard.h"
#include "broker/policy/holder.h"
#include "broker/policy/policy_json.h"
#include "broker/query/query.h"
#include "broker/stores/state.h"
#include "broker/stores/upkeep.h"
#include "broker/stores/verify.h"
#include "broker/tick/dedup.h"
#include "broker/tick/tick.h"
#include "schemas/base/clock.h"
#include "schemas/base/core_dumps.h"
#include "schemas/base/logging.h"
#include "schemas/base/notify.h"
#include "schemas/base/scheduling.h"

enum {
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    DRAIN_MS = 20,          // between two looks whether a thread has ended
    DESCRIPTORS_OWN = 64,   // stores, logs and what else is not a connection
    DESCRIPTORS_MAX = 8192, // a connection costs ZeroMQ about 20 KiB
};

// ---- what must hold before anything is opened

static bool is_loopback(const char *address) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool check_configuration(const struct configuration *configuration) {
    enum logging_level level;
    bool has_state = configuration->state != NULL && *configuration->state != '\0';
    if (!has_state && !configuration->check && !configuration->print_policy) {
        fprintf(stderr, "touchbusd: --state DIR is required; see 'touchbusd --help'\n");
    } else if (!is_loopback(configuration->bind) &&
               (configuration->key == NULL || configuration->clients == NULL)) {
        fprintf(stderr,
                "touchbusd: --bind: '%s' is not a loopback address; without --key and --clients "
                "the broker listens on 127.0.0.0/8, ::1 and ipc only\n",
                configuration->bind);
    } else if (configuration->retry_max_us < configuration->retry_min_us) {
        fprintf(stderr, "touchbusd: --retry-max is less than --retry-min\n");
    } else if (logging_level_parse(configuration->log_level, &level) != 0) {
        fprintf(stderr, "touchbusd: --log-level: '%s' is none of error, warning, info, debug\n",
                configuration->log_level);
    } else {
        logging_init("touchbusd", level);
        return true;
    }
    return false;
}

// Takes as many descriptors as the system grants, up to DESCRIPTORS_MAX. Returns the first one that
// a connection may not have: at the limit itself ZeroMQ would spin.
static int descriptor_max(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return -errno;
    }
    limit.rlim_cur = limit.rlim_max > DESCRIPTORS_MAX ? DESCRIPTORS_MAX : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return -errno;
    }
    if (limit.rlim_cur <= DESCRIPTORS_OWN) {
        logging_error("event=too-few-descriptors limit=%llu needed=%d",
                      (unsigned long long)limit.rlim_cur, DESCRIPTORS_OWN + 1);
        return -EMFILE;
    }
    return (int)limit.rlim_cur - DESCRIPTORS_OWN / 2;
}

// ---- threads

struct thread {
    const char *name;
    void *(*run)(void *object);
    void *object;
    pthread_t id;
    bool running;
};

static int thread_start(struct thread *thread) {
    int r = pthread_create(&thread->id, NULL, thread->run, thread->object);
    thread->running = r == 0;
    if (r == 0) {
        pthread_setname_np(thread->id, thread->name);
    }
    return -r;
}

// Everything that is made at start and freed at the end, in this order backwards.
struct daemon {
    struct broker broker;
    struct tick *tick;
    struct upkeep *upkeep;
    struct query *query;
    struct thread threads[4];
    size_t n_threads;
};

static void add_thread(struct daemon *daemon, const char *name, void *(*run)(void *),
                       void *object) {
    assert(daemon->n_threads < sizeof(daemon->threads) / sizeof(daemon->threads[0]));
    daemon->threads[daemon->n_threads++] =
        (struct thread){.name = name, .run = run, .object = object};
}

// The threads beside the tick.
static int open_threads(struct daemon *daemon) {
    struct broker *broker = &daemon->broker;
    int r = delivery_new(broker, &broker->delivery);
    if (r == 0) {
        add_thread(daemon, "delivery", delivery_run, broker->delivery);
        r = upkeep_new(broker, &daemon->upkeep);
    }
    if (r == 0) {
        add_thread(daemon, "upkeep", upkeep_run, daemon->upkeep);
        r = query_new(broker, &daemon->query);
    }
    if (r == 0) {
        add_thread(daemon, "query", query_run, daemon->query);
        add_thread(daemon, "guard", guard_run, broker->guard);
    }
    return r;
}

static void close_threads(struct daemon *daemon) {
    daemon->query = query_free(daemon->query);
    daemon->upkeep = upkeep_free(daemon->upkeep);
    daemon->broker.delivery = delivery_free(daemon->broker.delivery);
}

static bool any_running(struct daemon *daemon) {
    bool running = false;
    for (size_t i = 0; i < daemon->n_threads; i++) {
        struct thread *thread = &daemon->threads[i];
        if (thread->running && pthread_tryjoin_np(thread->id, NULL) == 0) {
            thread->running = false;
        }
        running = running || thread->running;
    }
    return running;
}

static void stop_threads(struct daemon *daemon) {
    struct broker *broker = &daemon->broker;
    struct mailbox *mailboxes[] = {broker->to_delivery, broker->to_query, broker->to_upkeep};
    atomic_store(&broker->stop, true);
    for (size_t i = 0; i < sizeof(mailboxes) / sizeof(mailboxes[0]); i++) {
        mailbox_wake(mailboxes[i]);
    }
    guard_stop(broker->guard);
    while (any_running(daemon)) {
        tick_drain(daemon->tick, DRAIN_MS);
    }
    tick_drain(daemon->tick, 0);
}

// ---- start and end

static int open_mailboxes(struct broker *broker) {
    broker->to_tick = mailbox_new();
    broker->to_delivery = mailbox_new();
    broker->to_query = mailbox_new();
    broker->to_upkeep = mailbox_new();
    return broker->to_tick == NULL || broker->to_delivery == NULL || broker->to_query == NULL ||
                   broker->to_upkeep == NULL
               ? -ENOMEM
               : 0;
}

static int open_catalogue(struct broker *broker) {
    char *error = NULL;
    int r = catalogue_load(broker->configuration.catalogue, &broker->catalogue, &error);
    if (r != 0) {
        logging_error("event=catalogue-refused error=\"%s\"", error != NULL ? error : "");
    }
    free(error);
    return r;
}

static int open_policy(struct broker *broker) {
    struct policy *policy;
    char *error = NULL;
    int r = policy_load(broker->configuration.policy, &policy, &error);
    if (r != 0) {
        logging_error("event=policy-refused error=\"%s\"", error != NULL ? error : "");
    }
    free(error);
    return r != 0 ? r : policy_holder_new(policy, &broker->policy);
}

static int print_policy(struct broker *broker) {
    int r = open_policy(broker);
    const struct policy *policy = r == 0 ? policy_take(broker->policy) : NULL;
    char *text = policy != NULL ? policy_to_yaml(policy) : NULL;
    bool printed = text != NULL && fputs(text, stdout) >= 0 && fflush(stdout) == 0;
    free(text);
    policy_release(broker->policy, policy);
    broker->policy = policy_holder_free(broker->policy);
    return printed ? EXIT_SUCCESS : EXIT_REFUSED;
}

// What --check says beyond the options: whether catalogue, policy, roles and certificates can be
// read.
static int check_only(struct broker *broker) {
    int r = open_catalogue(broker);
    r = r != 0 ? r : open_policy(broker);
    broker->catalogue = catalogue_free(broker->catalogue);
    broker->policy = policy_holder_free(broker->policy);
    r = r != 0 ? r : access_check(&broker->configuration);
    return r == 0 ? EXIT_SUCCESS : EXIT_REFUSED;
}

// What the process may hold before connections are cut (guard.h); README.md sums it up.
static size_t memory_max(const struct broker *broker) {
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return SIZE_MAX / 2; // its own memory is many times ours
#endif
#endif
    return GUARD_MEMORY_BYTES + dedup_bytes((uint64_t)broker->configuration.dedup_events);
}

static int daemon_open(struct daemon *daemon) {
    struct broker *broker = &daemon->broker;
    broker->started_us = clock_now_us();
    scheduling_prompt(); // questions and deliveries do not wait for the end of a tick
    broker->zmq = zmq_ctx_new();
    int r = broker->zmq == NULL || zmq_ctx_set(broker->zmq, ZMQ_IO_THREADS, IO_THREADS) != 0
                ? -errno
                : descriptor_max();
    broker->guard = r > 0 ? guard_new(broker, memory_max(broker), r) : NULL;
    r = r > 0 ? 0 : r;
    r = r == 0 && broker->guard == NULL ? -ENOMEM : r;
    r = r != 0 ? r : open_catalogue(broker);
    r = r != 0 ? r : open_policy(broker);
    r = r != 0 ? r : access_new(&broker->configuration, broker->zmq, &broker->access);
    r = r != 0 ? r : open_mailboxes(broker);
    r = r != 0 ? r : state_open(broker);
    r = r != 0 ? r : view_write_behind(broker->view);
    r = r != 0 ? r : tick_new(broker, &daemon->tick);
    r = r != 0 ? r : open_threads(daemon);
    for (size_t i = 0; r == 0 && i < daemon->n_threads; i++) {
        r = thread_start(&daemon->threads[i]);
    }
    return r;
}

// A job that nobody will take any more is not ours to free: the process ends.
static void drop_jobs(struct mailbox *mailbox) {
    while (mailbox != NULL && mailbox_take(mailbox) != NULL) {
    }
    mailbox_free(mailbox);
}

static void daemon_close(struct daemon *daemon, bool clean) {
    struct broker *broker = &daemon->broker;
    daemon->tick = tick_free(daemon->tick);
    close_threads(daemon);
    state_close(broker, clean);
    drop_jobs(broker->to_tick);
    drop_jobs(broker->to_delivery);
    drop_jobs(broker->to_query);
    drop_jobs(broker->to_upkeep);
    catalogue_free(broker->catalogue);
    broker->policy = policy_holder_free(broker->policy);
    broker->guard = guard_free(broker->guard);
    broker->access = access_free(broker->access);
    if (broker->zmq != NULL) {
        zmq_ctx_term(broker->zmq);
    }
}

// A backup is cut short where it lasts: what it reads stays open until the process has gone.
static void leave_to_backup(struct daemon *daemon) {
    if (query_is_copying(daemon->query)) {
        state_leave(&daemon->broker);
        logging_info("event=stopped backup=cut-short");
        _exit(EXIT_SUCCESS);
    }
}

static int daemon_run(struct daemon *daemon) {
    struct broker *broker = &daemon->broker;
    int r = daemon_open(daemon);
    if (r == 0) {
        logging_info("event=ready port=%lld pid=%ld first=%llu next=%llu version=%s",
                     (long long)broker->configuration.port, (long)getpid(),
                     (unsigned long long)log_first(broker->log),
                     (unsigned long long)log_next(broker->log), TOUCHBUS_VERSION);
        notify_ready();
        scheduling_patient();
        tick_run(daemon->tick);
        notify_stopping();
    }
    if (daemon->tick != NULL) {
        stop_threads(daemon);
        leave_to_backup(daemon);
    }
    daemon_close(daemon, r == 0);
    if (r == 0) {
        logging_info("event=stopped");
    }
    return r == 0 ? EXIT_SUCCESS : EXIT_REFUSED;
}

// Signals go to the tick's signalfd: every thread started from here on leaves them alone.
static void block_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

// What a burst took goes back to the system: glibc would otherwise raise its thresholds with use.
static void bound_heap(void) {
    enum { KEPT_BYTES = 4 << 20, MAPPED_BYTES = 1 << 20 };
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
}

int main(int argc, char **argv) {
    core_dumps_forbid();
    if (argc > 1 && offline_is_task(argv[1])) {
        return offline_run(argc - 1, argv + 1);
    }
    bound_heap();
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    if (daemon == NULL) {
        return EXIT_REFUSED;
    }
    struct configuration *configuration = &daemon->broker.configuration;
    daemon->broker.lock = -1;
    daemon->broker.argc = argc;
    daemon->broker.argv = argv;
    logging_init("touchbusd", LOGGING_INFO);
    int r = options_parse(&configuration_page, configuration, argc, argv, NULL);
    int status = r == OPTIONS_DONE ? EXIT_SUCCESS : EXIT_USAGE;
    if (r == 0 && check_configuration(configuration)) {
        block_signals();
        status = configuration->check          ? check_only(&daemon->broker)
                 : configuration->print_policy ? print_policy(&daemon->broker)
                 : configuration->verify_view  ? verify_run(configuration->state, stdout)
                                               : daemon_run(daemon);
    }
    options_clear(&configuration_page, configuration);
    free(daemon);
    return status;
}
