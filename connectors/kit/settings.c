// SPDX-License-Identifier: Apache-2.0
// The connector's option rows and the kit's own become one page over one block of memory, so that
// the command line, the file and --help know no difference.
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/kit/private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

enum { ERROR_BYTES = 512, CONF_ALIGN = 16 };

static const size_t connector_offset =
    (sizeof(struct kit_conf) + CONF_ALIGN - 1) / CONF_ALIGN * CONF_ALIGN;

enum { FOR_ALL, FOR_SINKS, FOR_SPOOLERS, FOR_SOURCES };

static const struct {
    int who;
    struct option_row row;
} kit_rows[] = {
    {FOR_ALL,
     {.name = "broker",
      .type = OPTION_STRING,
      .offset = offsetof(struct kit_conf, broker),
      .default_text = "127.0.0.1:7400",
      .argument = "HOST:PORT",
      .help = "The broker's publish endpoint; it is waited for as long as it takes."}},
    {FOR_ALL,
     {.name = "key",
      .type = OPTION_STRING,
      .offset = offsetof(struct kit_conf, key),
      .argument = "FILE",
      .help = "The connector's own secret certificate (NAME.key_secret of 'touchbus keygen'), "
              "readable by it alone; by default TOUCHBUS_KEY of the environment. On SIGHUP the "
              "file is read again."}},
    {FOR_ALL,
     {.name = "broker-key",
      .type = OPTION_STRING,
      .offset = offsetof(struct kit_conf, broker_key),
      .argument = "FILE",
      .help = "The broker's public certificate; by default TOUCHBUS_BROKER_KEY. Both keys, or "
              "none."}},
    {FOR_ALL,
     {.name = "state",
      .type = OPTION_STRING,
      .offset = offsetof(struct kit_conf, state),
      .argument = "DIR",
      .help = "Where state is kept: in a folder of the instance's name inside DIR, which one "
              "process uses at a time."}},
    {FOR_ALL,
     {.name = "name",
      .type = OPTION_STRING,
      .offset = offsetof(struct kit_conf, name),
      .argument = "NAME",
      .help = "The instance's name, for its folder, its subscription and reports. By default the "
              "connector's own."}},
    {FOR_SINKS,
     {.name = "type",
      .type = OPTION_LIST,
      .offset = offsetof(struct kit_conf, types),
      .argument = "GLOB",
      .help = "Event types to take, * matches anything; may be given several times. By default "
              "what the connector needs."}},
    {FOR_SINKS,
     {.name = "from",
      .type = OPTION_STRING,
      .offset = offsetof(struct kit_conf, from),
      .default_text = "beginning",
      .argument = "beginning|end",
      .help = "Where a subscription that is new starts."}},
    {FOR_SPOOLERS,
     {.name = "spool-bytes",
      .type = OPTION_BYTES,
      .offset = offsetof(struct kit_conf, spool_bytes),
      .default_text = "1G",
      .min = 1 << 20,
      .max = INT64_C(1) << 42,
      .argument = "SIZE",
      .help = "What may wait on disk while the broker is away; beyond it callers are told to come "
              "again."}},
    {FOR_SPOOLERS,
     {.name = "spool-after",
      .type = OPTION_DURATION,
      .offset = offsetof(struct kit_conf, spool_after_us),
      .default_text = "1500ms",
      .min = 10 * CLOCK_US_PER_MS,
      .max = 60 * CLOCK_US_PER_S,
      .argument = "TIME",
      .help = "How long the broker has to answer before an event goes to the spool and its sender "
              "is told that it is safe there."}},
    {FOR_SOURCES,
     {.name = "quarantine",
      .type = OPTION_STRING,
      .offset = offsetof(struct kit_conf, quarantine),
      .argument = "ls|show|drop",
      .help = "Look at what was put aside and leave: ls lists it, show prints it as it stands, an "
              "object a line with the item in base64, drop removes all of it."}},
    {FOR_ALL,
     {.name = "log-level",
      .type = OPTION_STRING,
      .offset = offsetof(struct kit_conf, log_level),
      .default_text = "info",
      .argument = "error|warning|info|debug",
      .help = "What is logged on stderr.",
      .reloadable = true}},
    {FOR_ALL,
     {.name = "check",
      .type = OPTION_BOOL,
      .offset = offsetof(struct kit_conf, check),
      .help = "Judge the configuration and leave, without touching anything; --state is not needed "
              "then."}},
};

static bool applies(int who, const struct kit_connector *connector) {
    return who == FOR_ALL || (who == FOR_SINKS && connector->deliver != NULL) ||
           (who == FOR_SPOOLERS && connector->spools) ||
           (who == FOR_SOURCES && may_be_source(connector));
}

static int make_page(const struct kit_connector *connector, struct settings *settings) {
    size_t n_max = connector->n_options + sizeof(kit_rows) / sizeof(kit_rows[0]);
    struct option_row *rows = calloc(n_max, sizeof(*rows));
    _cleanup_free_ char *description = NULL;
    if (rows == NULL || asprintf(&settings->program, "touchbus-%s", connector->name) < 0 ||
        asprintf(&description, "%s\n\n%s", connector->summary,
                 connector->description != NULL ? connector->description : "") < 0) {
        free(rows);
        return -ENOMEM;
    }
    size_t n = 0;
    for (; n < connector->n_options; n++) {
        rows[n] = connector->options[n];
        rows[n].offset += connector_offset;
    }
    for (size_t i = 0; i < sizeof(kit_rows) / sizeof(kit_rows[0]); i++) {
        if (applies(kit_rows[i].who, connector)) {
            rows[n++] = kit_rows[i].row;
        }
    }
    settings->rows = rows;
    settings->page = (struct option_page){.program = settings->program,
                                          .synopsis = "--broker HOST:PORT --state DIR [options]",
                                          .description = STEAL(description),
                                          .rows = rows,
                                          .n_rows = n,
                                          .after = connector->after};
    return 0;
}

// What rows cannot say. -EINVAL after one line on stderr.
static int check(const struct kit_connector *connector, const struct settings *settings,
                 const char *block) {
    const struct kit_conf *conf = (const struct kit_conf *)(const void *)block;
    char error[ERROR_BYTES] = "";
    enum logging_level level;
    const char *name = conf->name != NULL ? conf->name : connector->name;
    if (!conf->check && (conf->state == NULL || conf->state[0] == '\0')) {
        snprintf(error, sizeof(error), "--state DIR is missing");
    } else if (name[0] == '\0' || name[0] == '.' || strlen(name) > NAME_BYTES_MAX - 10 ||
               strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
                   strlen(name)) {
        snprintf(error, sizeof(error), "name: wants letters, digits, '.', '_', '-', at most %d",
                 NAME_BYTES_MAX - 10);
    } else if (logging_level_parse(conf->log_level, &level) != 0) {
        snprintf(error, sizeof(error), "log-level: wants error, warning, info or debug");
    } else if (connector->deliver != NULL && strcmp(conf->from, "beginning") != 0 &&
               strcmp(conf->from, "end") != 0) {
        snprintf(error, sizeof(error), "from: wants beginning or end");
    } else if (touchbus_keys_check(conf->key, conf->broker_key, error, sizeof(error)) != 0) {
        // said so
    } else if (conf->types.n_values > FILTER_PATTERNS_MAX - 1) {
        snprintf(error, sizeof(error), "type: at most %d", FILTER_PATTERNS_MAX - 1);
    } else if (conf->quarantine != NULL && !quarantine_command_known(conf->quarantine)) {
        snprintf(error, sizeof(error), "quarantine: wants ls, show or drop");
    } else if (connector->check != NULL &&
               connector->check(block + connector_offset, error, sizeof(error)) != 0) {
        if (error[0] == '\0') {
            snprintf(error, sizeof(error), "the configuration is refused");
        }
    } else {
        return 0;
    }
    fprintf(stderr, "%s: %s\n", settings->program, error);
    return -EINVAL;
}

static size_t block_bytes(const struct kit_connector *connector) {
    return connector_offset + connector->conf_size + 1;
}

static void apply(const struct settings *settings) {
    enum logging_level level = LOGGING_INFO;
    (void)logging_level_parse(settings->kit->log_level, &level);
    logging_init(settings->program, level);
}

int settings_load(const struct kit_connector *connector, int argc, char **argv,
                  struct settings *ret) {
    struct settings settings = {.argc = argc, .argv = argv};
    int r = make_page(connector, &settings);
    if (r == 0) {
        settings.block = calloc(1, block_bytes(connector));
        r = settings.block == NULL ? -ENOMEM : 0;
    }
    if (r == 0) {
        r = options_parse(&settings.page, settings.block, argc, argv, NULL);
    }
    if (r == 0) {
        r = check(connector, &settings, settings.block);
    }
    if (r != 0) {
        settings_clear(&settings);
        return r;
    }
    settings.kit = settings.block;
    settings.connector = (const char *)settings.block + connector_offset;
    *ret = settings;
    apply(ret);
    return 0;
}

int settings_reload(const struct kit_connector *connector, struct settings *settings) {
    void *fresh = calloc(1, block_bytes(connector));
    if (fresh == NULL) {
        return -ENOMEM;
    }
    int r = options_parse(&settings->page, fresh, settings->argc, settings->argv, NULL);
    if (r == 0) {
        r = check(connector, settings, fresh);
    }
    options_clear(&settings->page, fresh);
    free(fresh);
    if (r == 0) {
        r = options_reload(&settings->page, settings->block, settings->argc, settings->argv);
    }
    if (r != 0) {
        return -EINVAL;
    }
    apply(settings);
    return 0;
}

void settings_clear(struct settings *settings) {
    if (settings->block != NULL) {
        options_clear(&settings->page, settings->block);
    }
    free(settings->block);
    free(settings->rows);
    free(settings->program);
    char *description;
    memcpy(&description, &settings->page.description, sizeof(description));
    free(description);
    *settings = (struct settings){0};
}
