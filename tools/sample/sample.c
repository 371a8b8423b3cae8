// SPDX-License-Identifier: Apache-2.0
// touchbus-sample: plays the sample day (story.c) through a web connector's HTTP endpoint, as web
// sites and call centres would send it. It never speaks to the broker: what arrives there came the
// whole way.

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/options.h"
#include "tools/sample/story.h"

enum { BATCH_EVENTS_MAX = 50, ATTEMPTS_MAX = 30, ANSWER_BYTES_MAX = 1 << 20, TIMEOUT_S = 30 };
#define PAUSE_NS INT64_C(200000000) // between two attempts

struct conf {
    char *url;
    int64_t seed, customers;
    bool print;
};

static const struct option_row ROWS[] = {
    {.name = "url",
     .type = OPTION_STRING,
     .offset = offsetof(struct conf, url),
     .default_text = "http://127.0.0.1:7480",
     .argument = "URL",
     .help = "the web connector"},
    {.name = "seed",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct conf, seed),
     .default_text = "7400",
     .min = 0,
     .max = INT64_MAX,
     .argument = "N",
     .help = "of the story; the same seed makes the same day"},
    {.name = "customers",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct conf, customers),
     .default_text = "300",
     .min = 1,
     .max = STORY_CUSTOMERS_MAX,
     .argument = "N",
     .help = "who live through it"},
    {.name = "print",
     .type = OPTION_BOOL,
     .offset = offsetof(struct conf, print),
     .help = "print the calls as JSON lines instead of sending them"},
};

static const struct option_page PAGE = {
    .program = "touchbus-sample",
    .synopsis = "[--url URL] [--seed N] [--customers N] [--print]",
    .description = "Plays one day of an office supplier's customers through a web connector: web "
                   "visits and orders as Segment calls, "
                   "telephone, mail, chat, shop and warehouse as CloudEvents. Events have fixed "
                   "ids, so playing a day twice publishes nothing "
                   "twice. Prints a JSON object with what was sent.",
    .rows = ROWS,
    .n_rows = sizeof(ROWS) / sizeof(ROWS[0]),
    .after = "EXIT STATUS\n    0 everything was taken, 1 something was not, 2 wrong usage, 3 "
             "nobody answers at URL\n",
};

struct answer {
    char *text;
    size_t size;
};

static size_t collect(char *data, size_t size, size_t n, void *user) {
    struct answer *answer = user;
    size_t bytes = size * n;
    if (answer->size + bytes > ANSWER_BYTES_MAX)
        return 0;
    char *text = realloc(answer->text, answer->size + bytes + 1);
    if (!text)
        return 0;
    memcpy(text + answer->size, data, bytes);
    answer->text = text;
    answer->size += bytes;
    text[answer->size] = '\0';
    return bytes;
}

struct player {
    CURL *curl;
    const struct conf *conf;
    size_t n_sent, n_spooled, n_quarantined, n_requests;
};

static void count_answer(struct player *player, long status, const struct answer *answer,
                         size_t n) {
    json_t *json = answer->text ? json_loadb(answer->text, answer->size, 0, NULL) : NULL;
    player->n_sent += n;
    player->n_requests++;
    if (status == 202)
        player->n_spooled += n;
    player->n_quarantined += json_array_size(json_object_get(json, "quarantined"));
    json_decref(json);
}

// Posts one batch until it is taken: 5xx and silence are tried again with a pause, as the SDKs do.
// 0, 1 refused, 3 nobody there.
static int post(struct player *player, enum story_endpoint endpoint, json_t *batch) {
    static const struct {
        const char *path, *type;
    } ENDPOINTS[] = {
        [STORY_SEGMENT] = {"/v1/batch", "Content-Type: application/json"},
        [STORY_CLOUDEVENTS] = {"/events", "Content-Type: application/cloudevents-batch+json"},
    };
    char url[512];
    snprintf(url, sizeof(url), "%s%s", player->conf->url, ENDPOINTS[endpoint].path);
    size_t n = json_array_size(batch);
    json_t *whole = endpoint == STORY_SEGMENT
                        ? json_pack("{s:O, s:s}", "batch", batch, "writeKey", "sample")
                        : json_incref(batch);
    _cleanup_free_ char *text = json_dumps(whole, JSON_COMPACT);
    json_decref(whole);
    if (!text)
        return 1;
    struct curl_slist *headers = curl_slist_append(NULL, ENDPOINTS[endpoint].type);
    int outcome = 3;
    for (unsigned attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
        struct answer answer = {0};
        long status = 0;
        curl_easy_setopt(player->curl, CURLOPT_URL, url);
        curl_easy_setopt(player->curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(player->curl, CURLOPT_POSTFIELDS, text);
        curl_easy_setopt(player->curl, CURLOPT_WRITEFUNCTION, collect);
        curl_easy_setopt(player->curl, CURLOPT_WRITEDATA, &answer);
        curl_easy_setopt(player->curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
        CURLcode code = curl_easy_perform(player->curl);
        curl_easy_getinfo(player->curl, CURLINFO_RESPONSE_CODE, &status);
        if (code == CURLE_OK && (status == 200 || status == 202)) {
            count_answer(player, status, &answer, n);
            outcome = 0;
        } else if (code == CURLE_OK && status < 500 && status != 429) {
            fprintf(stderr, "touchbus-sample: %s answered %ld: %s\n", url, status,
                    answer.text ? answer.text : "");
            outcome = 1;
        }
        free(answer.text);
        if (outcome != 3)
            break;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    if (outcome == 3)
        fprintf(stderr,
                "touchbus-sample: nobody takes events at %s; start touchbus-web, or name another "
                "--url\n",
                url);
    curl_slist_free_all(headers);
    return outcome;
}

// Events go out in the order of the day; neighbours of one endpoint share a request.
static int play(struct player *player, const struct story *story) {
    int r = 0;
    for (size_t i = 0; i < story->n_events && !r;) {
        json_t *batch = json_array();
        enum story_endpoint endpoint = story->events[i].endpoint;
        while (i < story->n_events && story->events[i].endpoint == endpoint &&
               json_array_size(batch) < BATCH_EVENTS_MAX)
            json_array_append(batch, story->events[i++].json);
        r = post(player, endpoint, batch);
        json_decref(batch);
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\r  %zu of %zu events", player->n_sent, story->n_events);
    }
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
    return r;
}

static int print(const struct story *story) {
    for (size_t i = 0; i < story->n_events; i++)
        if (json_dumpf(story->events[i].json, stdout, JSON_COMPACT) || putchar('\n') == EOF)
            return 1;
    return 0;
}

int main(int argc, char **argv) {
    struct conf conf = {0};
    int position = 0;
    int r = options_parse(&PAGE, &conf, argc, argv, &position);
    if (r == OPTIONS_DONE)
        return 0;
    if (r < 0 || position != argc) {
        if (r >= 0)
            fprintf(stderr, "touchbus-sample: takes no operands; see --help\n");
        options_clear(&PAGE, &conf);
        return 2;
    }
    struct story story = {0};
    r = story_make((uint64_t)conf.seed, (size_t)conf.customers, &story) < 0;
    if (r)
        fprintf(stderr, "touchbus-sample: out of memory\n");
    else if (conf.print)
        r = print(&story);
    else {
        struct player player = {.curl = curl_easy_init(), .conf = &conf};
        r = player.curl ? play(&player, &story) : 1;
        printf("{\"sent\": %zu, \"spooled\": %zu, \"quarantined\": %zu, \"requests\": %zu, "
               "\"customers\": %zu, \"orders\": %zu}\n",
               player.n_sent, player.n_spooled, player.n_quarantined, player.n_requests,
               story.n_customers, story.n_orders);
        curl_easy_cleanup(player.curl);
    }
    story_free(&story);
    options_clear(&PAGE, &conf);
    return r;
}
