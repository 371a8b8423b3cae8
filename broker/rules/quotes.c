// SPDX-License-Identifier: Apache-2.0
// One open revision of a quote for all channels: a quote that prices a sku otherwise than an open
// one of the same customer is refused to its caller, who is told the open revision, unless it names
// it as superseded or is a later revision of it. Open: not closed, not expired when this one comes,
// not superseded. Prices are compared as amounts, within one currency; the price list is not asked.
// What an open revision says stands: the same one, or an earlier one, with other lines is refused
// too.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/rules/rules_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/money.h"
#include "schemas/body.h"
#include "schemas/reasons.h"

// One price of one sku.
struct line {
    const char *sku, *price; // not terminated
    size_t sku_size, price_size;
    int64_t micro;
    bool is_amount; // else the text is compared
};

struct lines {
    struct line *lines; // by sku and price, each once
    size_t n;
};

static int compare_bytes(const char *one, size_t one_size, const char *other, size_t other_size) {
    size_t size = one_size < other_size ? one_size : other_size;
    int order = size == 0 ? 0 : memcmp(one, other, size);
    return order != 0 ? order : one_size < other_size ? -1 : one_size > other_size;
}

static int compare_skus(const void *a, const void *b) {
    const struct line *one = a, *other = b;
    return compare_bytes(one->sku, one->sku_size, other->sku, other->sku_size);
}

static int compare_lines(const void *a, const void *b) {
    const struct line *one = a, *other = b;
    int order = compare_skus(a, b);
    if (order != 0 || one->is_amount != other->is_amount) {
        return order != 0 ? order : one->is_amount - other->is_amount;
    }
    if (one->is_amount) {
        return one->micro < other->micro ? -1 : one->micro > other->micro;
    }
    return compare_bytes(one->price, one->price_size, other->price, other->price_size);
}

// False: a line without sku or price.
static bool read_line(const struct body_value *line, struct line *ret) {
    struct body_value sku, price;
    if (!body_find(line->raw, line->raw_size, "sku", &sku) || sku.kind != BODY_TEXT ||
        !body_find(line->raw, line->raw_size, "price", &price) || price.kind != BODY_TEXT) {
        return false;
    }
    *ret = (struct line){.sku = sku.text,
                         .sku_size = sku.text_size,
                         .price = price.text,
                         .price_size = price.text_size};
    ret->is_amount = money_parse(price.text, price.text_size, &ret->micro) == 0;
    return true;
}

static int read_lines(struct arena *arena, const struct body_value *list, struct lines *ret) {
    struct body_value line;
    size_t position = 0, n = 0;
    ret->n = 0;
    ret->lines = arena_alloc(arena, (list->count + 1) * sizeof(*ret->lines));
    if (ret->lines == NULL) {
        return -ENOMEM;
    }
    while (body_next(list, &position, NULL, &line)) {
        n += read_line(&line, &ret->lines[n]);
    }
    qsort(ret->lines, n, sizeof(*ret->lines), compare_lines);
    for (size_t i = 0; i < n; i++) {
        if (ret->n == 0 || compare_lines(&ret->lines[ret->n - 1], &ret->lines[i]) != 0) {
            ret->lines[ret->n++] = ret->lines[i];
        }
    }
    return 0;
}

// The sku's first line; NULL where it has none.
static struct line *find_sku(const struct lines *lines, const struct line *line) {
    size_t low = 0, high = lines->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_skus(&lines->lines[middle], line) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < lines->n && compare_skus(&lines->lines[low], line) == 0 ? &lines->lines[low]
                                                                         : NULL;
}

// What is issued, and by whom it is judged.
struct issue {
    struct judging *judging;
    struct profile profile;
    const char *quote_id, *currency;
    uint64_t revision;
    bool is_offer;          // not expired when it comes
    struct body_value list; // its lines as they came
    struct lines lines;
    View__Item **quotes;
    size_t n_quotes;
};

// ---- what is open

static bool lines_of(const View__Item *quote, struct body_value *ret) {
    const View__Attribute *lines = profile_member(quote, "lines");
    return lines != NULL && body_read(lines->value.data, lines->value.len, ret) &&
           ret->kind == BODY_LIST;
}

static bool is_text(const struct body_value *value, const char *text) {
    return value->kind == BODY_TEXT && value->text_size == strlen(text) &&
           memcmp(value->text, text, value->text_size) == 0;
}

// Whether `supersedes`, an id or a list of them, names the quote.
static bool names(const struct body_value *supersedes, const char *quote_id) {
    struct body_value one;
    size_t position = 0;
    if (supersedes->kind != BODY_LIST) {
        return is_text(supersedes, quote_id);
    }
    while (body_next(supersedes, &position, NULL, &one)) {
        if (is_text(&one, quote_id)) {
            return true;
        }
    }
    return false;
}

static uint64_t sequence_of(const View__Item *quote) {
    const View__Attribute *lines = profile_member(quote, "lines");
    return lines == NULL ? quote->first_sequence : lines->sequence;
}

// By this one; what others supersede is closed.
static bool is_superseded(const struct issue *issue, const View__Item *quote) {
    const ProtobufCBinaryData *data = &issue->judging->event->data;
    struct body_value supersedes;
    return body_find(data->data, data->len, "supersedes", &supersedes) &&
           names(&supersedes, quote->id);
}

static bool is_past(const struct issue *issue, const char *time) {
    int64_t time_us;
    return time != NULL && clock_parse_rfc3339(time, &time_us) == 0 &&
           time_us <= issue->judging->now_us;
}

// ---- what it says

// The line that the open quote prices otherwise; NULL where there is none.
static int find_otherwise(struct issue *issue, const View__Item *quote, const struct line **ret) {
    struct body_value list;
    struct lines open;
    const char *currency = profile_member_text(&issue->profile, quote, "currency");
    *ret = NULL;
    if (currency == NULL || strcmp(currency, issue->currency) != 0 || !lines_of(quote, &list)) {
        return 0;
    }
    int r = read_lines(issue->profile.arena, &list, &open);
    for (size_t i = 0; r == 0 && *ret == NULL && i < issue->lines.n; i++) {
        const struct line *line = &issue->lines.lines[i], *first = find_sku(&open, line);
        if (first != NULL &&
            bsearch(line, open.lines, open.n, sizeof(*line), compare_lines) == NULL) {
            *ret = first;
        }
    }
    return r;
}

static bool is_same_line(const struct body_value *one, const struct body_value *other) {
    struct line left, right;
    struct body_value quantity, against;
    if (!read_line(one, &left) || !read_line(other, &right) || compare_lines(&left, &right) != 0) {
        return false;
    }
    bool has = body_find(one->raw, one->raw_size, "quantity", &quantity);
    if (!has || !body_find(other->raw, other->raw_size, "quantity", &against)) {
        return !has;
    }
    double number = quantity.kind == BODY_REAL ? quantity.real : (double)quantity.integer;
    return number == (against.kind == BODY_REAL ? against.real : (double)against.integer);
}

// Whether the revision that stands says the same.
static bool says_the_same(const struct issue *issue, const View__Item *quote) {
    struct body_value list, one, other;
    size_t at = 0, other_at = 0;
    if (!lines_of(quote, &list) || list.count != issue->list.count) {
        return false;
    }
    while (body_next(&issue->list, &at, NULL, &one) && body_next(&list, &other_at, NULL, &other)) {
        if (!is_same_line(&one, &other)) {
            return false;
        }
    }
    return true;
}

static uint64_t revision_of(const View__Item *quote) {
    const View__Attribute *revision = profile_member(quote, "revision");
    struct body_value value;
    bool has = revision != NULL && body_read(revision->value.data, revision->value.len, &value) &&
               value.kind == BODY_INTEGER && value.integer > 0;
    return has ? (uint64_t)value.integer : 0;
}

// ---- the verdict

static json_t *text_or_null(const char *text) {
    return text == NULL ? json_null() : json_string(text);
}

static int refuse(struct issue *issue, const View__Item *quote, const struct line *line,
                  const char *detail) {
    const struct profile *profile = &issue->profile;
    json_t *verdict =
        json_pack("{s:s, s:I, s:o, s:o, s:o, s:I}", "quote_id", quote->id, "revision",
                  (json_int_t)revision_of(quote), "currency",
                  text_or_null(profile_member_text(profile, quote, "currency")), "valid_until",
                  text_or_null(profile_member_text(profile, quote, "valid_until")), "channel",
                  text_or_null(profile_member_text(profile, quote, "channel")), "sequence",
                  (json_int_t)sequence_of(quote));
    if (verdict != NULL && line != NULL) {
        json_object_set_new(verdict, "sku", json_stringn(line->sku, line->sku_size));
        json_object_set_new(verdict, "price", json_stringn(line->price, line->price_size));
    }
    issue->judging->findings->code = REASON_QUOTE_CONFLICT;
    issue->judging->findings->detail = detail;
    return rules_verdict(issue->judging, verdict);
}

// The open revision of the same quote.
static int judge_revision(struct issue *issue, const View__Item *quote) {
    bool stands = issue->revision <= revision_of(quote) && !says_the_same(issue, quote);
    return stands ? refuse(issue, quote, NULL, "lines: this revision or a later one says otherwise")
                  : 0;
}

static int judge_quote(struct issue *issue, const View__Item *quote) {
    const struct line *line = NULL;
    if (is_superseded(issue, quote)) {
        return 0;
    }
    if (strcmp(quote->id, issue->quote_id) == 0) {
        return judge_revision(issue, quote);
    }
    int r = issue->is_offer ? find_otherwise(issue, quote, &line) : 0;
    return r != 0 || line == NULL
               ? r
               : refuse(issue, quote, line, "lines: an open quote has another price");
}

static bool read_issue(struct issue *issue) {
    const ProtobufCBinaryData *data = &issue->judging->event->data;
    struct body_value revision;
    issue->quote_id = rules_text(issue->judging, "quote_id");
    issue->currency = rules_text(issue->judging, "currency");
    if (issue->quote_id == NULL || issue->currency == NULL ||
        !body_find(data->data, data->len, "revision", &revision) ||
        !body_find(data->data, data->len, "lines", &issue->list)) {
        return false;
    }
    issue->revision = revision.integer > 0 ? (uint64_t)revision.integer : 0;
    return revision.kind == BODY_INTEGER && issue->list.kind == BODY_LIST;
}

// Where there are more than are held against it, nobody could say that none has another price.
static int refuse_too_many(struct judging *judging) {
    judging->findings->code = REASON_TOO_MANY;
    judging->findings->detail =
        "quote_id: this customer has too many open quotes; close some first";
    return 0;
}

int quotes_refuse(struct judging *judging) {
    _cleanup_(cleanup_arena) struct arena *arena = NULL;
    struct issue issue = {.judging = judging};
    int64_t now_us = GUARD(quote_expires) ? judging->now_us : 0;
    if (judging->customer == 0 || !read_issue(&issue)) {
        return 0;
    }
    int r = rules_profile(judging, judging->customer, &arena, &issue.profile);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    r = profile_open(&issue.profile, ITEM_QUOTE, now_us, QUOTES_OPEN_MAX, &issue.quotes,
                     &issue.n_quotes);
    if (r == 1) {
        return refuse_too_many(judging);
    }
    r = r != 0 ? r : read_lines(arena, &issue.list, &issue.lines);
    issue.is_offer = !is_past(&issue, rules_text(judging, "valid_until"));
    for (size_t i = 0; r == 0 && judging->findings->code == 0 && i < issue.n_quotes; i++) {
        r = judge_quote(&issue, issue.quotes[i]);
    }
    return r;
}
