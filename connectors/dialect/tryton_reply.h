// SPDX-License-Identifier: Apache-2.0
// What Tryton 6.0 answers to a JSON-RPC call without "id": the bare result as JSON, or an error as
// an HTTP status with the ERP's own words in a small HTML page. Here an answer becomes a result or
// a class of failure, by a table of statuses. Pure.
#pragma once

#include <jansson.h>
#include <stddef.h>

enum {
    TRYTON_WORDS_BYTES = 256,          // of an error, with its end
    TRYTON_ANSWER_BYTES_MAX = 8 << 20, // of an answer
};

enum tryton_class {
    TRYTON_DONE,
    TRYTON_AWAY,   // the ERP is not there, or not as it should be, for anybody: wait
    TRYTON_RETRY,  // this call failed and may work another time; a doubt: ask what the state is
    TRYTON_REJECT, // never as it is: a person must change something
    TRYTON_STALE,  // the record was changed in between: read it and begin again
    TRYTON_LOGIN,  // the session is over; only within tryton_rpc.c
};

struct tryton_reply {
    enum tryton_class class;
    json_t *result;                 // of TRYTON_DONE: owned by whoever has the reply
    char words[TRYTON_WORDS_BYTES]; // of everything else: the ERP's own, or what is wrong with it
};

// Reads an answer of any bytes. Fills all of *ret.
void tryton_reply_read(long status, const char *bytes, size_t size, struct tryton_reply *ret);
// A failure in our own words, printf-like, cut to fit.
void tryton_reply_fail(struct tryton_reply *reply, enum tryton_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Replaces each of the texts in words by "...": what we sent of a person may come back in them.
void tryton_words_hide(char words[static TRYTON_WORDS_BYTES], const char *text);

// Values as Tryton writes them: {"__class__": "Decimal", "decimal": "19.90"}. A new reference.
json_t *tryton_decimal(const char *text);
// The text of a Decimal (or of a number that came as a plain one: NULL); borrowed.
const char *tryton_decimal_text(const json_t *value);
