// SPDX-License-Identifier: Apache-2.0
// What a customer needs and looks at: how often, by day, so that its weight can decay with the read
// time. The last INTEREST_DAYS_MAX days of a term are kept, which is the same whatever order the
// events come in: a day that fell out lies before all that are kept. Of terms INTERESTS_MAX are
// kept; beyond, the one whose last day is the oldest gives way (of equal ones the greater kind,
// then the greater term), and what it had is gone: there, and only there, order matters.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"

#define DAY_US (INT64_C(86400) * 1000000)

// The day of the event's time since 1970 UTC.
static uint32_t day_of(const struct fold_step *step) {
    int64_t day = step->time_us / DAY_US;
    return step->time_us < 0 ? 0 : day > UINT32_MAX ? UINT32_MAX : (uint32_t)day;
}

static uint32_t last_day(const View__Interest *interest) {
    return interest->n_day == 0 ? 0 : interest->day[interest->n_day - 1];
}

// Whether one gives way before the other.
static bool is_weaker(const View__Interest *one, const View__Interest *other) {
    if (last_day(one) != last_day(other)) {
        return last_day(one) < last_day(other);
    }
    if (one->kind != other->kind) {
        return one->kind > other->kind;
    }
    return strcmp(one->term, other->term) > 0;
}

static View__Interest *find(const View__Person *person, uint32_t kind, const char *term) {
    for (size_t i = 0; i < person->n_interests; i++) {
        View__Interest *interest = person->interests[i];
        if (interest->kind == kind && strcmp(interest->term, term) == 0) {
            return interest;
        }
    }
    return NULL;
}

static View__Interest *make(struct arena *arena, uint32_t kind, char *term, uint32_t day) {
    View__Interest *interest = arena_alloc(arena, sizeof(*interest));
    uint32_t *columns = arena_alloc(arena, 2 * sizeof(*columns));
    if (interest == NULL || columns == NULL) {
        return NULL;
    }
    view__interest__init(interest);
    interest->kind = kind;
    interest->term = arena_strdup(arena, term);
    interest->day = columns;
    interest->number = columns + 1;
    interest->n_day = interest->n_number = 1;
    interest->day[0] = day;
    interest->number[0] = 1;
    return interest;
}

// One more of a day, in its place; the oldest day falls out where they are too many.
static int count_day(struct fold_step *step, View__Interest *interest, uint32_t day) {
    size_t n = interest->n_day, at = n;
    while (at > 0 && interest->day[at - 1] >= day) {
        at--;
    }
    if (at < n && interest->day[at] == day) {
        interest->number[at] += interest->number[at] < UINT32_MAX;
        return 0;
    }
    if (GUARD(oldest_day_goes) && n == INTEREST_DAYS_MAX && at == 0) {
        return 0;
    }
    uint32_t *columns = arena_alloc(step->fold->arena, 2 * (n + 1) * sizeof(*columns));
    if (columns == NULL) {
        return -ENOMEM;
    }
    size_t drop = n == INTEREST_DAYS_MAX, kept = 0;
    uint32_t *days = columns, *numbers = columns + n + 1;
    for (size_t i = drop; i <= n; i++) {
        if (i == at) {
            days[kept] = day;
            numbers[kept++] = 1;
        }
        if (i < n) {
            days[kept] = interest->day[i];
            numbers[kept++] = interest->number[i];
        }
    }
    interest->day = days;
    interest->number = numbers;
    interest->n_day = interest->n_number = kept;
    return 0;
}

static int add(struct fold_step *step, View__Person *person, View__Interest *interest) {
    if (person->n_interests < INTERESTS_MAX) {
        View__Interest **grown =
            fold_grow(step, ROOM_INTERESTS, person->interests, person->n_interests, sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        grown[person->n_interests++] = interest;
        person->interests = grown;
        return 0;
    }
    size_t weakest = 0;
    for (size_t i = 1; i < person->n_interests; i++) {
        if (is_weaker(person->interests[i], person->interests[weakest])) {
            weakest = i;
        }
    }
    step->customer->dropped++;
    if (is_weaker(person->interests[weakest], interest)) {
        person->interests[weakest] = interest;
    }
    return 0;
}

static int show_interest(struct fold_step *step, enum interest_kind kind, const char *name) {
    char *term = fold_data_text(step, name);
    View__Person *person;
    int r = term == NULL ? 1 : fold_person(step, &person);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    step->touched->person_changed = true;
    View__Interest *interest = find(person, kind, term);
    if (interest != NULL) {
        return count_day(step, interest, day_of(step));
    }
    interest = make(step->fold->arena, kind, term, day_of(step));
    return interest == NULL || interest->term == NULL ? -ENOMEM : add(step, person, interest);
}

// ---- which types show which

static int need(struct fold_step *step, const char *name) {
    return show_interest(step, INTEREST_NEED, name);
}

static int product(struct fold_step *step, const char *name) {
    return show_interest(step, INTEREST_PRODUCT, name);
}

// The first three different days with a visit: the earliest ones, in whatever order they come.
static int visit(struct fold_step *step, const char *name) {
    View__Customer *customer = step->customer;
    uint32_t day = day_of(step), sorted[VISIT_DAYS_MAX + 1];
    size_t n = customer->n_visit_day, at = 0;
    (void)name;
    while (at < n && customer->visit_day[at] < day) {
        at++;
    }
    if (at == VISIT_DAYS_MAX || (at < n && customer->visit_day[at] == day)) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i + (i >= at)] = customer->visit_day[i];
    }
    sorted[at] = day;
    n = n < VISIT_DAYS_MAX ? n + 1 : VISIT_DAYS_MAX;
    uint32_t *days = arena_copy(step->fold->arena, sorted, n * sizeof(*days));
    if (days == NULL) {
        return -ENOMEM;
    }
    customer->visit_day = days;
    customer->n_visit_day = n;
    return 0;
}

static const struct interest_row {
    const char *type;
    int (*show)(struct fold_step *step, const char *name);
    const char *name; // in the data
} ROWS[] = {
    {"kiosk.session.ended", visit, NULL}, {"need.selected", need, "term"},
    {"page.viewed", need, "category"},    {"page.viewed", need, "need"},
    {"page.viewed", visit, NULL},         {"product.viewed", need, "category"},
    {"product.viewed", product, "sku"},   {"visit.recorded", need, "audience"},
    {"visit.recorded", need, "need"},     {"visit.recorded", product, "sku"},
    {"visit.recorded", visit, NULL},
};
enum { N_ROWS = sizeof(ROWS) / sizeof(ROWS[0]) };

struct fold_span fold_interests_of(const char *type) {
    return fold_rows_of(ROWS, N_ROWS, sizeof(ROWS[0]), type);
}

int fold_interests(struct fold_step *step, struct fold_span rows) {
    int r = 0;
    for (size_t i = rows.first; r == 0 && i < (size_t)rows.first + rows.n; i++) {
        r = fold_left_out(step) ? 0 : ROWS[i].show(step, ROWS[i].name);
    }
    return r;
}
