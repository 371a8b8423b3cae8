// SPDX-License-Identifier: Apache-2.0
// A connector from its options to its exit status: 0 stopped by a signal, 1 could not start or go
// on, 2 wrong usage. Everything is opened in one order and closed in the reverse one.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "connectors/kit/private.h"
#include "schemas/base/core_dumps.h"
#include "schemas/base/logging.h"
#include "schemas/base/notify.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

// Before any thread starts, so that all of them have these signals blocked.
static int catch_signals(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0) {
        return -errno;
    }
    int fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int failed(const char *what, int r) {
    logging_error("cannot=%s error=%s", what, strerror(-r));
    return r;
}

static int start(struct kit *kit) {
    const struct kit_connector *connector = kit->connector;
    kit->signal_fd = catch_signals();
    kit->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (kit->signal_fd < 0 || kit->wake_fd < 0) {
        return failed("start", kit->signal_fd < 0 ? kit->signal_fd : -errno);
    }
    kit->is_source = may_be_source(connector) &&
                     (connector->collects == NULL || connector->collects(kit->settings.connector));
    int r = folder_open(kit->settings.kit->state, kit_name(kit), &kit->folder);
    if (r != 0) {
        return r; // said so
    }
    if (kit->is_source && (r = quarantine_open(kit->folder.path, &kit->quarantine)) != 0) {
        return failed("open-quarantine", r);
    }
    if (kit->is_source && (r = publishing_new(kit, &kit->publishing)) != 0) {
        return failed("publish", r);
    }
    if (connector->deliver != NULL && (r = delivering_new(kit, &kit->delivering)) != 0) {
        return failed("subscribe", r);
    }
    if ((r = report_start(kit, &kit->report)) != 0) {
        return failed("report", r);
    }
    if (kit->is_source && (r = privacy_start(kit, &kit->privacy)) != 0) {
        return failed("privacy", r);
    }
    if (connector->open != NULL &&
        (r = connector->open(kit, kit->settings.connector, &kit->state)) != 0) {
        return failed("open", r);
    }
    logging_info("started=%s broker=%s folder=%s", kit_name(kit), kit_broker(kit),
                 kit->folder.path);
    return 0;
}

static void stop(struct kit *kit, bool opened) {
    if (opened && kit->connector->close != NULL) {
        kit->connector->close(kit->state);
    }
    kit->privacy = privacy_stop(kit->privacy);
    kit->report = report_stop(kit->report);
    kit->delivering = delivering_free(kit->delivering);
    kit->publishing = publishing_free(kit->publishing);
    kit->quarantine = quarantine_close(kit->quarantine);
    folder_close(&kit->folder);
    if (kit->signal_fd >= 0) {
        close(kit->signal_fd);
    }
    if (kit->wake_fd >= 0) {
        close(kit->wake_fd);
    }
}

int kit_main(const struct kit_connector *connector, int argc, char **argv) {
    struct kit kit = {.connector = connector,
                      .folder = {.lock_fd = -1},
                      .refusal_lock = PTHREAD_MUTEX_INITIALIZER,
                      .signal_fd = -1,
                      .wake_fd = -1,
                      .watch_fd = -1};
    core_dumps_forbid();
    int r = settings_load(connector, argc, argv, &kit.settings);
    if (r != 0) {
        return r == OPTIONS_DONE ? EXIT_DONE : EXIT_USAGE;
    }
    const struct kit_conf *conf = kit.settings.kit;
    if (conf->check || conf->quarantine != NULL) {
        r = conf->check ? 0 : quarantine_command(conf->quarantine, conf->state, kit_name(&kit));
        settings_clear(&kit.settings);
        return r == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    r = start(&kit);
    bool opened = r == 0;
    if (opened) {
        notify_ready(); // it takes what comes, be the broker there or not
        r = loop_run(&kit);
        notify_stopping();
    }
    stop(&kit, opened);
    if (opened) {
        logging_info("stopped=%s", r == 0 ? "clean" : "failed");
    }
    settings_clear(&kit.settings);
    return r == 0 ? EXIT_DONE : EXIT_FAILED;
}

const char *kit_folder(const struct kit *kit) {
    return kit->folder.path;
}

const char *kit_name(const struct kit *kit) {
    const char *name = kit->settings.kit->name;
    return name != NULL ? name : kit->connector->name;
}

const char *kit_broker(const struct kit *kit) {
    return kit->settings.kit->broker;
}

const char *kit_key(const struct kit *kit) {
    return kit->settings.kit->key;
}

const char *kit_broker_key(const struct kit *kit) {
    return kit->settings.kit->broker_key;
}

const uint8_t *kit_incarnation(const struct kit *kit) {
    static const uint8_t unknown[INCARNATION_BYTES];
    return kit->delivering == NULL ? unknown : delivering_incarnation(kit->delivering);
}

void kit_watch(struct kit *kit, int fd) {
    kit->watch_fd = fd;
}

int kit_quarantine(struct kit *kit, const struct kit_quarantined *items, size_t n_items) {
    if (kit->quarantine == NULL) {
        return -ENOTSUP;
    }
    int r = quarantine_add(kit->quarantine, items, n_items);
    if (r == 0) {
        metric_add(&kit->metrics, METRIC_QUARANTINED, n_items);
    }
    return r;
}
