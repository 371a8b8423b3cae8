// SPDX-License-Identifier: Apache-2.0
// E-mail: a message's bytes -> what it says, and what to publish of it; and back: a message that we
// send -> bytes. Over GMime; pure: no I/O, no clock, no folder. Nothing here trusts a header: who a
// mail is from is what it claims.
//
//     mail_parse(conf, bytes, size, &mail, &why)     what is in it; nothing else looks at the bytes
//     mail_events(conf, mail, mailbox, at, &events)  publish each of them; settle after all acks
//     mail_kept(mail, i, &kept)                      what does not fit into events: keep it by hash
//     mail_compose(conf, &out, &bytes, &size, &why)  for SMTP; dots are the transport's to stuff
//
// Every text that comes out is valid UTF-8 without control characters (a body has \n and \t), and
// lives as long as its struct mail. Message-IDs stand without their angle brackets, everywhere.
//
// Thread. What a mail belongs to is the first of:
//     1. of a bounce: the message that it returns or names
//     2. the first of its References, which is where the exchange began
//     3. the first of its In-Reply-To
//     4. the last [#ID] in its subject
//     5. itself: its own Message-ID
// One of our own, <CONTACT_ID@domain>, counts as CONTACT_ID; any other stands as it is. So a mail
// that we begin and whatever comes of it is the thread of its contact, a mail that a customer
// begins and whatever comes of it is the thread of that mail, as long as References are passed on,
// which mail_compose does; the tag is for who writes anew. The rule looks at this one mail only, so
// it says the same whenever it is asked. `contact_id` is the newest of ours that the mail answers.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/client/touchbus.h"

enum {
    MAIL_BYTES_MAX = 64 << 20,         // one message
    MAIL_DASH_LINES_MAX = 100000,      // lines that could begin a part
    MAIL_COLON_LINES_MAX = 200000,     // lines that could be a header
    MAIL_HEADER_BYTES_MAX = 256 << 10, // all address, subject and type headers in it together
    MAIL_ADDRESS_MARKS_MAX = 4096, // commas, colons and semicolons in all address headers together
    MAIL_DEPTH_MAX = 16,           // multiparts in multiparts
    MAIL_PARTS_MAX = 256,          // all parts, multiparts included
    MAIL_ADDRESSES_MAX = 64,       // of one kind; the rest is counted
    MAIL_REFERENCES_MAX = 64,      // of more the first and the last ones
    MAIL_REPORTS_MAX = 16,         // recipients that one bounce tells of; no more are read
    MAIL_SUBJECT_BYTES_MAX = 1000, // longer ones are cut
    MAIL_NAME_BYTES_MAX = 255,     // of a person, a file, a media type: the same
    MAIL_ADDRESS_BYTES_MAX = 254,  // RFC 5321, 4.5.3.1.3; a longer one is none
    MAIL_ID_BYTES_MAX = 256,       // a longer Message-ID is taken for none
    MAIL_TAG_BYTES_MAX = 64,       // and so are longer tags
    MAIL_TEXT_BYTES_MAX = 4 << 20, // of all text parts; more is cut, see text_cut
    MAIL_HTML_DEPTH_MAX = 512,     // elements in elements; what is below is cut
    MAIL_EVENT_TEXT_BYTES_MAX = 64 << 10, // more text than this is kept in a folder, by its hash
    MAIL_KEY_BYTES = 32,
    MAIL_TOKEN_BYTES_MAX = 640, // with its end
    MAIL_CLICK_S = 10,          // a one-click POST that is repeated so soon is the same event
    MAIL_LINE_BYTES_MAX = 998,  // RFC 5322, 2.1.1
};

// What is ours. All borrowed.
struct mail_conf {
    const char *domain;              // of our Message-IDs: "mail.example.com"
    const char *source;              // of the events; NULL: the kit's
    const char *purpose;             // whose consent an unsubscribe without a token withdraws
    const char *unsubscribe_address; // takes mails with the subject "unsubscribe"; NULL: none does
    const char *unsubscribe_url;     // takes GET and one-click POST: the token is put behind it
                                     // ("https://example.com/unsubscribe/"); NULL: none
    const uint8_t *key;              // MAIL_KEY_BYTES, secret: makes tokens; NULL: there are none
};

// ---- what a mail says

struct mail_address {
    const char *address; // as it was written, "Jo@Example.com"
    const char *name;    // "" where it has none
};

struct mail_addresses {
    struct mail_address *list;
    size_t n;
    size_t n_named; // in the header, also beyond MAIL_ADDRESSES_MAX
};

struct mail_attachment {
    const char *name;  // "" where it has none; a claim: never a path to write to
    const char *type;  // "application/pdf", in lower case
    const void *bytes; // decoded
    size_t size;
    char sha256[65]; // of bytes, in hex
};

// A recipient that a bounce tells of (RFC 3464, 2.3).
struct mail_report {
    const char *recipient;          // the final one; "" where it does not say
    const char *original_recipient; // as we wrote it; "" where it does not say
    const char *outcome;            // "bounced", "delayed", "delivered"
    const char *status;             // RFC 3463: "5.1.1"; "" where it does not say
};

enum mail_kind {
    MAIL_MESSAGE,     // somebody, or something, writes
    MAIL_BOUNCE,      // what became of a message that was sent; reports has at least one
    MAIL_UNSUBSCRIBE, // to unsubscribe_address with the subject "unsubscribe"
};

// What a token of ours says.
struct mail_token {
    char address[MAIL_ADDRESS_BYTES_MAX + 1];
    char purpose[65];
    bool known; // false: there was none, or it is not of our making; then the rest is ""
};

struct mail {
    enum mail_kind kind;
    // NULL: a person wrote it, as far as one can see. Else why not: "auto-submitted", "precedence",
    // "list", "suppressed", "bulk-sender", "null-sender", "report". Never answer it automatically.
    const char *automatic;

    struct mail_address from; // From, else Sender, else Return-Path; address "" where none
    struct mail_addresses to, cc, reply_to, delivered_to;
    const char *subject;  // decoded, "" where it has none
    const char *tag;      // ID of the last [#ID] in it, NULL: none
    const char *language; // "de", "pt-BR" as the sender says; NULL: it does not
    int64_t date_us;      // as the sender says; has_date false: it does not
    bool has_date;

    const char *message_id;        // NULL: none
    const char *const *references; // References, then what In-Reply-To adds
    size_t n_references;
    const char *in_reply_to; // its first; NULL: none
    const char *thread;      // as above; NULL: none and no Message-ID either
    const char *contact_id;  // the newest of ours that it answers or returns; NULL: none

    const char *text; // "" where it has none
    size_t text_size;
    bool text_cut; // there was more than MAIL_TEXT_BYTES_MAX
    char text_sha256[65];
    struct mail_attachment *attachments;
    size_t n_attachments;

    struct mail_report *reports; // MAIL_BOUNCE
    size_t n_reports;
    const char *original;    // MAIL_BOUNCE: Message-ID of what it returns; NULL: not told
    struct mail_token token; // MAIL_UNSUBSCRIBE

    char id[65]; // of its events, see mail_events
};

// Reads a message, which need not outlive *ret. 0 and *ret, the caller frees; -E2BIG over a bound
// and -EBADMSG where it is no mail at all (no header), both with *ret_why (static text without
// personal data): put it aside; -ENOMEM.
int mail_parse(const struct mail_conf *conf, const void *bytes, size_t size, struct mail **ret,
               const char **ret_why);
struct mail *mail_free(struct mail *mail); // takes NULL; returns NULL
void cleanup_mail(struct mail **mail);

// ---- what is published of it

struct mail_events {
    touchbus_event *list[MAIL_REPORTS_MAX];
    size_t n;
};

// MAIL_MESSAGE: one message.received {from, ref, [name], [subject], [to], [cc], [reply_to],
//     [delivered_to], text or text_sha256, text_size, [text_cut], [language], [date], thread,
//     [contact_id], [in_reply_to], [references], [tag], [automatic], [attachments: [{name, type,
//     size, sha256}]], [mailbox]} with the identity email, of the sender.
// MAIL_BOUNCE: a message.outcome {outcome, [contact_id], ref, [status], [recipient], thread} each
//     recipient, with its identity; a bounce that does not say of which message is published as
//     the message.received that it also is.
// MAIL_UNSUBSCRIBE: one consent.changed {purpose, address, state: withdrawn, text_version,
//     channel: email, proof}: of the token's address and purpose (proof "token"), else of the
//     sender and conf->purpose (proof "sender"): to stop is never refused.
//
// Identities are never verified. The events' id is a hash of Message-ID, From and Date, since ids
// are not sealed, and since some programs use a Message-ID more than once; without a Message-ID, of
// the whole message, so that it is the same also after UIDVALIDITY changed; a bounce's second
// report adds "-2" and so on. `ref` is the Message-ID, or this id where there is none. Event time
// is received_us (INTERNALDATE; 0: not known), since Date is but a claim; that tells whole seconds,
// so that of a withdrawal it is the last moment of its second: a grant in the same one does not
// beat it. mailbox NULL: not told.
// 0; -ENOMEM; -E2BIG. The caller owns the events: clear what was not given away.
int mail_events(const struct mail_conf *conf, const struct mail *mail, const char *mailbox,
                int64_t received_us, struct mail_events *ret);
void mail_events_clear(struct mail_events *events);

// What is to be kept outside, under the name sha256 (hex): the text where it is longer than
// MAIL_EVENT_TEXT_BYTES_MAX, and each attachment that has any bytes. Borrowed from mail. False past
// the last one. The same hash may come twice.
struct mail_kept {
    const char *sha256, *type;
    const void *bytes;
    size_t size;
};
bool mail_kept(const struct mail *mail, size_t index, struct mail_kept *ret);

// ---- Message-IDs, tokens, the one-click POST

// CONTACT_ID@domain, without brackets: what is not allowed there is written %XX. 0; -EINVAL: no
// text, or no domain; -E2BIG.
int mail_message_id(const struct mail_conf *conf, const char *contact_id,
                    char ret[static MAIL_ID_BYTES_MAX + 1]);
// The contact's id out of one of ours. 0; 1: not one of ours.
int mail_contact_id(const struct mail_conf *conf, const char *message_id,
                    char ret[static MAIL_ID_BYTES_MAX + 1]);

// A token says whose consent to which purpose a link withdraws. Sealed with the key, so that it
// tells a proxy's log nothing and nobody makes one; the same values give the same token. URL-safe.
// 0; -EINVAL: no key, no address, a purpose longer than 64.
int mail_token_make(const struct mail_conf *conf, const char *address, const char *purpose,
                    char ret[static MAIL_TOKEN_BYTES_MAX]);
// 0; 1: not one of ours (ret->known is false then).
int mail_token_open(const struct mail_conf *conf, const char *token, struct mail_token *ret);
// RFC 8058, 3.2: whether the body of a POST says List-Unsubscribe=One-Click, as a form of either
// kind. A GET must change nothing: it shows a page with a button that posts this.
bool mail_is_one_click(const char *content_type, const void *body, size_t size);
// The consent.changed of an opened token that was posted at received_us, its event time. The id is
// a keyed hash of the token and of the MAIL_CLICK_S seconds that it came in: a repeat is the same
// event, but who withdrew, granted and withdraws again, with the same token, is heard.
// 0; -EINVAL: the token is not known; -ENOMEM.
int mail_token_event(const struct mail_conf *conf, const struct mail_token *token,
                     int64_t received_us, touchbus_event **ret);

// ---- what we send

struct mail_out {
    const char *contact_id;       // becomes the Message-ID; an agent's reply: any id that is ours
    const char *from, *from_name; // name NULL or "": none
    const char *to, *to_name;
    const char *reply_to; // NULL: none
    const char *subject;
    const char *tag;      // put behind the subject as [#tag], unless it is there; NULL
    const char *text;     // UTF-8; lines end as they like
    const char *language; // Content-Language; NULL: not told
    int64_t date_us;
    const char *in_reply_to;       // the ref of what it answers; NULL: it begins a thread
    const char *const *references; // those of what it answers, oldest first, without in_reply_to
    size_t n_references;
    const char *purpose; // marketing: of its consent, adds List-Unsubscribe; NULL: is not
    bool automatic;      // no person wrote it: Auto-Submitted: auto-generated
};

// The whole message, lines end in CRLF, none longer than MAIL_LINE_BYTES_MAX, 7 bit. No value can
// add a header: control characters, CR and LF among them, are refused in all of them but text.
// *ret is malloc'ed and terminated. 0; -EINVAL with *ret_why (static text): a value is missing or
// not acceptable, or marketing without a way to unsubscribe; -ENOMEM.
int mail_compose(const struct mail_conf *conf, const struct mail_out *out, char **ret,
                 size_t *ret_size, const char **ret_why);
// Where an SMTP envelope may go: an address of ASCII that compose would take.
bool mail_address_ok(const char *address);
// What else compose takes; not NULL.
bool mail_name_ok(const char *name);
bool mail_language_ok(const char *language);
bool mail_tag_ok(const char *tag);
