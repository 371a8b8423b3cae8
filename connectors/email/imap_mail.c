// SPDX-License-Identifier: Apache-2.0
// What is in the open mailbox: which mails there are, one of them whole, its flag, and waiting for
// more.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "connectors/email/imap_session.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

// ---- listing

static int compare(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static int sort_out(clist *found, uint32_t after, uint32_t **ret, size_t *ret_n) {
    size_t n = 0, n_found = found == NULL ? 0 : (size_t)clist_count(found);
    uint32_t *uids = calloc(n_found + 1, sizeof(*uids));
    if (uids == NULL) {
        return -ENOMEM;
    }
    for (clistiter *at = found == NULL ? NULL : clist_begin(found);
         at != NULL && n < IMAP_MAILBOX_MAX; at = clist_next(at)) {
        uint32_t uid = *(uint32_t *)clist_content(at);
        // "UID n:*" always has the last mail, whatever n is (RFC 3501, 6.4.8).
        if (!GUARD(mail_last_uid) || uid > after) {
            uids[n++] = uid;
        }
    }
    qsort(uids, n, sizeof(*uids), compare);
    *ret = uids;
    *ret_n = n;
    return 0;
}

int imap_list(struct imap *imap, uint32_t after, uint32_t **ret, size_t *ret_n) {
    struct mailimap_set *set = mailimap_set_new_interval(after + 1, 0);
    struct mailimap_search_key *key = set == NULL ? NULL : mailimap_search_key_new_uid(set);
    clist *found = NULL;
    if (key == NULL) {
        return -ENOMEM;
    }
    imap->session->imap_selection_info->sel_has_exists = 0;
    imap_allow(imap);
    int code = mailimap_uid_search(imap->session, NULL, key, &found);
    mailimap_search_key_free(key);
    int r =
        imap_went_well(code) ? sort_out(found, after, ret, ret_n) : imap_fail(imap, "search", code);
    if (found != NULL) {
        mailimap_search_result_free(found);
    }
    return r;
}

// ---- one mail

static int64_t to_us(const struct mailimap_date_time *date) {
    struct tm tm = {.tm_year = date->dt_year - 1900,
                    .tm_mon = date->dt_month - 1,
                    .tm_mday = date->dt_day,
                    .tm_hour = date->dt_hour,
                    .tm_min = date->dt_min,
                    .tm_sec = date->dt_sec};
    int zone = date->dt_zone; // -330 is 03:30 west
    return ((int64_t)timegm(&tm) - (zone / 100 * 3600 + zone % 100 * 60)) * CLOCK_US_PER_S;
}

// Of what one FETCH answered; others may have been told unasked.
static void take_item(const struct mailimap_msg_att_static *item, struct imap_mail *ret) {
    const struct mailimap_msg_att_body_section *section = item->att_data.att_body_section;
    if (item->att_type == MAILIMAP_MSG_ATT_INTERNALDATE) {
        ret->received_us = to_us(item->att_data.att_internal_date);
    } else if (item->att_type == MAILIMAP_MSG_ATT_BODY_SECTION && ret->bytes == NULL &&
               section->sec_body_part != NULL) {
        ret->bytes = malloc(section->sec_length + 1);
        ret->size = section->sec_length;
        if (ret->bytes != NULL) {
            memcpy(ret->bytes, section->sec_body_part, section->sec_length);
        }
    }
}

static int take_mail(clist *fetched, struct imap_mail *ret) {
    for (clistiter *at = fetched == NULL ? NULL : clist_begin(fetched); at != NULL;
         at = clist_next(at)) {
        const struct mailimap_msg_att *one = clist_content(at);
        for (clistiter *in = clist_begin(one->att_list); in != NULL; in = clist_next(in)) {
            const struct mailimap_msg_att_item *item = clist_content(in);
            if (item->att_type == MAILIMAP_MSG_ATT_ITEM_STATIC) {
                take_item(item->att_data.att_static, ret);
            }
        }
    }
    return ret->bytes == NULL ? 1 : 0;
}

static struct mailimap_fetch_type *what_to_fetch(size_t bytes_max) {
    struct mailimap_fetch_type *type = mailimap_fetch_type_new_fetch_att_list_empty();
    struct mailimap_section *whole = mailimap_section_new(NULL);
    if (type != NULL && whole != NULL) {
        mailimap_fetch_type_new_fetch_att_list_add(
            type,
            mailimap_fetch_att_new_body_peek_section_partial(whole, 0, (uint32_t)bytes_max + 1));
        mailimap_fetch_type_new_fetch_att_list_add(type, mailimap_fetch_att_new_internaldate());
    }
    return type;
}

static int fetch(struct imap *imap, struct mailimap_set *set, struct mailimap_fetch_type *type,
                 struct imap_mail *ret) {
    clist *fetched = NULL;
    int code = mailimap_uid_fetch(imap->session, set, type, &fetched);
    int r = imap_went_well(code) ? take_mail(fetched, ret) : imap_fail(imap, "fetch", code);
    if (fetched != NULL) {
        mailimap_fetch_list_free(fetched);
    }
    return r;
}

int imap_fetch(struct imap *imap, uint32_t uid, size_t bytes_max, struct imap_mail *ret) {
    struct mailimap_set *set = mailimap_set_new_single(uid);
    struct mailimap_fetch_type *type = what_to_fetch(bytes_max);
    struct imap_mail mail = {0};
    stream_allow(imap->stream, IMAP_FETCH_MS_MAX, IMAP_ANSWER_BYTES_MAX + bytes_max);
    int r = set == NULL || type == NULL ? -ENOMEM : fetch(imap, set, type, &mail);
    if (set != NULL) {
        mailimap_set_free(set);
    }
    if (type != NULL) {
        mailimap_fetch_type_free(type);
    }
    if (r == 0) {
        *ret = mail;
    } else {
        imap_mail_clear(&mail);
    }
    return r;
}

void imap_mail_clear(struct imap_mail *mail) {
    free(mail->bytes);
    *mail = (struct imap_mail){0};
}

// ---- flags

int imap_mark_seen(struct imap *imap, uint32_t uid) {
    struct mailimap_flag_list *flags = mailimap_flag_list_new_empty();
    struct mailimap_set *set = mailimap_set_new_single(uid);
    struct mailimap_store_att_flags *store = NULL;
    if (flags != NULL && set != NULL) {
        mailimap_flag_list_add(flags, mailimap_flag_new_seen());
        store = mailimap_store_att_flags_new_add_flags_silent(flags);
    }
    imap_allow(imap);
    int code =
        store == NULL ? MAILIMAP_ERROR_MEMORY : mailimap_uid_store(imap->session, set, store);
    bool refused = code == MAILIMAP_ERROR_UID_STORE || code == MAILIMAP_ERROR_PROTOCOL; // NO, BAD
    int r = imap_went_well(code) ? 0 : refused ? 1 : imap_fail(imap, "store", code);
    if (set != NULL) {
        mailimap_set_free(set);
    }
    if (store != NULL) {
        mailimap_store_att_flags_free(store);
    } else if (flags != NULL) {
        mailimap_flag_list_free(flags);
    }
    return r;
}

// ---- waiting

static int wait_polling(struct imap *imap, int poll_ms, int nudge_fd) {
    int r = stream_wait(imap->stream, imap->session->imap_stream, poll_ms, nudge_fd);
    if (r == -ECANCELED) {
        return r;
    }
    imap_allow(imap);
    int code = mailimap_noop(imap->session);
    return imap_went_well(code) ? 0 : imap_fail(imap, "noop", code);
}

int imap_wait(struct imap *imap, int idle_ms, int poll_ms, int nudge_fd) {
    const struct mailimap_selection_info *info = imap->session->imap_selection_info;
    if (info->sel_has_exists != 0) { // told since we listed: it will not be told again
        return 0;
    }
    if (!imap->idle) {
        return wait_polling(imap, poll_ms, nudge_fd);
    }
    imap_allow(imap);
    int code = mailimap_idle(imap->session);
    if (!imap_went_well(code)) {
        return imap_fail(imap, "idle", code);
    }
    int r = info->sel_has_exists != 0
                ? 1
                : stream_wait(imap->stream, imap->session->imap_stream, idle_ms, nudge_fd);
    if (r == -ECANCELED) {
        return r;
    }
    imap_allow(imap);
    code = mailimap_idle_done(imap->session);
    return imap_went_well(code) ? 0 : imap_fail(imap, "idle", code);
}
