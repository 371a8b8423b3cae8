// SPDX-License-Identifier: Apache-2.0
// touchbus-web: what web sites and apps send by HTTP, in the calls of Segment and RudderStack or as
// CloudEvents, becomes events. It answers 200 only after the broker has logged them; while the
// broker is away the kit's spool takes them and it answers 202. Parsing is in connectors/dialect.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connectors/web/web.h"

static const struct option_row options[] = {
    {.name = "port",
     .short_name = 'p',
     .type = OPTION_INTEGER,
     .offset = offsetof(struct web_conf, port),
     .default_text = "7480",
     .min = 0,
     .max = 65535,
     .argument = "N",
     .help = "Where HTTP is served; 0 takes a free port, which is logged."},
    {.name = "bind",
     .type = OPTION_STRING,
     .offset = offsetof(struct web_conf, bind),
     .default_text = "127.0.0.1",
     .argument = "ADDRESS",
     .help = "The address to listen on. Beyond loopback --write-key is required; TLS is for a "
             "proxy in front."},
    {.name = "write-key",
     .type = OPTION_LIST,
     .offset = offsetof(struct web_conf, write_keys),
     .argument = "KEY [ROLE]",
     .help = "A key that senders must show (as user of Basic, as Bearer, or as writeKey in the "
             "body), and what it may ask for besides; may be given several times. Without any, "
             "every key is accepted and may ask for everything.",
     .reloadable = true,
     .secret = true},
    {.name = "role",
     .type = OPTION_LIST,
     .offset = offsetof(struct web_conf, roles),
     .argument = "\"NAME [read=GLOBS] [contact]\"",
     .help = "What write keys of this role read of GET /v1/customer (GLOBS separated by commas), "
             "and that they may POST /v1/contact. A key without a role reads greeting, tier and "
             "offers. Never more than the role of this connector's own key reads.",
     .reloadable = true},
    {.name = "question-rate",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct web_conf, questions_a_second),
     .default_text = "100",
     .min = 1,
     .max = 100000,
     .argument = "N",
     .help = "GET /v1/customer and POST /v1/contact a second and write key; beyond: 429.",
     .reloadable = true},
    {.name = "allow-origin",
     .type = OPTION_LIST,
     .offset = offsetof(struct web_conf, origins),
     .argument = "ORIGIN",
     .help = "Scripts of this origin, such as https://shop.example, may read the answers (CORS); "
             "may be given several times, * stands for every one."},
    {.name = "source",
     .type = OPTION_STRING,
     .offset = offsetof(struct web_conf, source),
     .default_text = "/web",
     .argument = "URI",
     .help = "The source of events from Segment calls; with messageId it tells repeats, so "
             "connectors behind one address share it."},
    {.name = "channel",
     .type = OPTION_STRING,
     .offset = offsetof(struct web_conf, channel),
     .default_text = "web",
     .argument = "NAME",
     .help = "The channel of events from Segment calls."},
    {.name = "headers-timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct web_conf, headers_us),
     .default_text = "10s",
     .min = 100000,
     .max = INT64_C(3600) * 1000000,
     .argument = "TIME",
     .help = "How long a request's headers may take; then 408."},
    {.name = "body-timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct web_conf, body_us),
     .default_text = "30s",
     .min = 100000,
     .max = INT64_C(3600) * 1000000,
     .argument = "TIME",
     .help = "How long a request's body may take; then 408."},
    {.name = "unsubscribe-key",
     .type = OPTION_STRING,
     .offset = offsetof(struct web_conf, unsubscribe_key),
     .argument = "FILE",
     .help = "token.key of the e-mail connector, or a copy of it: opens the tokens of "
             "/unsubscribe/TOKEN, the address that its --unsubscribe-url names. Only its owner may "
             "read it (0600; or 0640 of root). By default such links are answered 404."},
};

static bool is_loopback(const char *address) {
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == 127;
    }
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

// Without the option there is no key; ret is left alone then.
static int read_unsubscribe_key(const struct web_conf *conf, uint8_t ret[static MAIL_KEY_BYTES],
                                char *error, size_t error_size) {
    char why[KIT_SECRET_WHY_BYTES];
    int r = conf->unsubscribe_key == NULL
                ? 0
                : kit_secret_read_key(conf->unsubscribe_key, ret, MAIL_KEY_BYTES, why);
    if (r != 0) {
        snprintf(error, error_size, "unsubscribe-key: %s", why);
    }
    return r;
}

static int web_check(const void *conf_data, char *error, size_t error_size) {
    const struct web_conf *conf = conf_data;
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, conf->bind, address) != 1 &&
        inet_pton(AF_INET6, conf->bind, address) != 1) {
        snprintf(error, error_size, "bind: '%s' is no numeric address", conf->bind);
        return -EINVAL;
    }
    if (!is_loopback(conf->bind) && conf->write_keys.n_values == 0) {
        snprintf(error, error_size, "bind: beyond loopback a --write-key is required");
        return -EINVAL;
    }
    struct web_keys *keys = NULL;
    if (web_keys_new(&conf->write_keys, &conf->roles, conf->questions_a_second, &keys, error,
                     error_size) != 0) {
        return -EINVAL;
    }
    web_keys_free(keys);
    uint8_t key[MAIL_KEY_BYTES];
    int r = read_unsubscribe_key(conf, key, error, error_size);
    explicit_bzero(key, sizeof(key));
    if (r != 0) {
        return -EINVAL;
    }
    touchbus_event *event = touchbus_event_new("page.viewed", conf->source, "probe");
    r = event == NULL ? -EINVAL : touchbus_event_set(event, "channel", conf->channel);
    touchbus_event_free(event);
    if (r != 0) {
        snprintf(error, error_size, "source, channel: not acceptable in an event");
    }
    return r == 0 ? 0 : -EINVAL;
}

static void web_reload(void *state, const void *conf_data) {
    struct web *web = state;
    const struct web_conf *conf = conf_data;
    struct web_keys *fresh;
    char error[KIT_DETAIL_BYTES_MAX];
    questions_reload_keys(web->questions);
    // Checked before; what memory is short for stays as it was.
    if (web_keys_new(&conf->write_keys, &conf->roles, conf->questions_a_second, &fresh, error,
                     sizeof(error)) == 0) {
        web_keys_swap(web->keys, fresh);
        web_keys_free(fresh);
    }
}

static void web_close(void *state) {
    struct web *web = state;
    questions_stop(web->questions); // their requests go on, to be answered
    server_stop(web);
    questions_free(web->questions);
    web_keys_free(web->keys);
    pthread_mutex_destroy(&web->connections_lock);
    explicit_bzero(web->unsubscribe_key, sizeof(web->unsubscribe_key));
    free(web);
}

static int web_open(struct kit *kit, const void *conf, void **ret_state) {
    struct web *web = calloc(1, sizeof(*web));
    if (web == NULL) {
        return -ENOMEM;
    }
    web->kit = kit;
    web->conf = conf;
    pthread_mutex_init(&web->connections_lock, NULL);
    web->mail.source = web->conf->source;
    web->mail.key = web->conf->unsubscribe_key != NULL ? web->unsubscribe_key : NULL;
    char error[KIT_SECRET_WHY_BYTES + KIT_DETAIL_BYTES_MAX];
    int r = web_keys_new(&web->conf->write_keys, &web->conf->roles, web->conf->questions_a_second,
                         &web->keys, error, sizeof(error));
    r = r != 0 ? r : read_unsubscribe_key(web->conf, web->unsubscribe_key, error, sizeof(error));
    r = r != 0 ? r : questions_new(kit, &web->questions);
    r = r != 0 ? r : server_start(web);
    if (r != 0) {
        web_close(web);
        return r;
    }
    *ret_state = web;
    return 0;
}

// HTTP comes by itself; the kit's round is used to look after slow senders.
static int web_collect(void *state) {
    patience_watch(state);
    return 0;
}

static void web_drain(void *state) {
    struct web *web = state;
    atomic_store(&web->draining, true);
    int listening = MHD_quiesce_daemon(web->daemon);
    if (listening >= 0) {
        close(listening);
    }
}

static const char *const counters[] = {[WEB_REQUESTS] = "requests_total",
                                       [WEB_REFUSED] = "requests_refused_total",
                                       [WEB_SLOW] = "requests_slow_total",
                                       [WEB_BAD_ITEMS] = "items_unreadable_total",
                                       [WEB_QUESTIONS] = "questions_total",
                                       [WEB_UNSUBSCRIBED] = "unsubscribed_total",
                                       NULL};

static const struct kit_connector web_connector = {
    .name = "web",
    .summary = "Serves HTTP for web sites and apps: Segment and RudderStack calls, CloudEvents.",
    .description = "POST /v1/batch, track, identify, page, screen, alias, group; POST /events; "
                   "GET /v1/customer, POST /v1/contact; /unsubscribe/TOKEN; GET /health, /metrics. "
                   "200 after the "
                   "broker has logged everything, 202 once "
                   "it is safe on disk while the broker is away, 503 when it should be sent "
                   "again.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .conf_size = sizeof(struct web_conf),
    .counters = counters,
    .spools = true,
    .collect_every_ms = WEB_WATCH_MS,
    .check = web_check,
    .open = web_open,
    .reload = web_reload,
    .collect = web_collect,
    .drain = web_drain,
    .close = web_close,
};

KIT_MAIN(web_connector)
