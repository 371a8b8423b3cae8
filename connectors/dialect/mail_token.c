// SPDX-License-Identifier: Apache-2.0
// Unsubscribe tokens, and the POST that brings one. A token is address and purpose, sealed: the
// nonce is a keyed hash of what is in it (so the same values give the same token, and two values
// never share a nonce), base64url of nonce and secretbox.
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/utf8.h"

enum {
    NONCE_BYTES = crypto_secretbox_NONCEBYTES,
    PLAIN_BYTES_MAX = MAIL_ADDRESS_BYTES_MAX + 1 + 64,
    SEALED_BYTES_MAX = NONCE_BYTES + crypto_secretbox_MACBYTES + PLAIN_BYTES_MAX,
    CODE = sodium_base64_VARIANT_URLSAFE_NO_PADDING,
};
_Static_assert(MAIL_KEY_BYTES == crypto_secretbox_KEYBYTES, "a key is secretbox's");
_Static_assert(sodium_base64_ENCODED_LEN(SEALED_BYTES_MAX, CODE) <= MAIL_TOKEN_BYTES_MAX,
               "every token fits");

int mail_token_make(const struct mail_conf *conf, const char *address, const char *purpose,
                    char ret[static MAIL_TOKEN_BYTES_MAX]) {
    uint8_t plain[PLAIN_BYTES_MAX], sealed[SEALED_BYTES_MAX];
    size_t n_address = address == NULL ? 0 : strlen(address);
    size_t n_purpose = purpose == NULL ? 0 : strlen(purpose);
    if (conf->key == NULL || sodium_init() < 0 || n_address == 0 || n_purpose == 0 ||
        n_address > MAIL_ADDRESS_BYTES_MAX || n_purpose > 64 ||
        !utf8_check_printable(address, n_address) || !utf8_check_printable(purpose, n_purpose)) {
        return -EINVAL;
    }
    size_t size = n_address + 1 + n_purpose;
    memcpy(plain, address, n_address);
    plain[n_address] = '\0';
    memcpy(plain + n_address + 1, purpose, n_purpose);
    crypto_generichash(sealed, NONCE_BYTES, plain, size, conf->key, MAIL_KEY_BYTES);
    crypto_secretbox_easy(sealed + NONCE_BYTES, plain, size, sealed, conf->key);
    size += NONCE_BYTES + crypto_secretbox_MACBYTES;
    sodium_bin2base64(ret, MAIL_TOKEN_BYTES_MAX, sealed, size, CODE);
    return 0;
}

static int open_sealed(const struct mail_conf *conf, const uint8_t *sealed, size_t size,
                       struct mail_token *ret) {
    uint8_t plain[PLAIN_BYTES_MAX];
    if (size < NONCE_BYTES + crypto_secretbox_MACBYTES + 3) {
        return 1;
    }
    size_t n = size - NONCE_BYTES - crypto_secretbox_MACBYTES;
    if (crypto_secretbox_open_easy(plain, sealed + NONCE_BYTES, size - NONCE_BYTES, sealed,
                                   conf->key) != 0) {
        return 1;
    }
    const uint8_t *end = memchr(plain, '\0', n);
    size_t n_address = end == NULL ? 0 : (size_t)(end - plain);
    if (n_address == 0 || n_address > MAIL_ADDRESS_BYTES_MAX || n - n_address - 1 > 64) {
        return 1;
    }
    memcpy(ret->address, plain, n_address);
    memcpy(ret->purpose, end + 1, n - n_address - 1);
    ret->known = true;
    return 0;
}

int mail_token_open(const struct mail_conf *conf, const char *token, struct mail_token *ret) {
    uint8_t sealed[SEALED_BYTES_MAX];
    size_t size;
    const char *end;
    *ret = (struct mail_token){.known = false};
    if (conf->key == NULL || token == NULL || sodium_init() < 0) {
        return 1;
    }
    // The decoder takes some bytes beyond ASCII for letters: one token is written in one way alone.
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strspn(token, letters);
    if ((token[n] != '\0' && strchr(" \t\r\n", token[n]) == NULL) ||
        sodium_base642bin(sealed, sizeof(sealed), token, n, NULL, &size, &end, CODE) != 0 ||
        end != token + n) {
        return 1;
    }
    return open_sealed(conf, sealed, size, ret);
}

// Ids are not sealed, and addresses can be guessed: the hash is keyed.
int mail_token_id(const struct mail_conf *conf, const struct mail_token *token, int64_t received_us,
                  char ret[static MAIL_CLICK_ID_BYTES]) {
    enum { HASH_BYTES = 24 };
    static const char prefix[] = "unsubscribe-";
    char text[PLAIN_BYTES_MAX + 32];
    uint8_t hash[HASH_BYTES];
    if (!token->known || conf->key == NULL || sodium_init() < 0) {
        return -EINVAL;
    }
    int64_t window = GUARD(mail_click_again) ? received_us / (MAIL_CLICK_S * CLOCK_US_PER_S) : 0;
    int n = snprintf(text, sizeof(text), "%lld\n%s\n%s", (long long)window, token->address,
                     token->purpose);
    assert(n > 0 && (size_t)n < sizeof(text));
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)text, (size_t)n, conf->key,
                       MAIL_KEY_BYTES);
    memcpy(ret, prefix, sizeof(prefix));
    sodium_bin2hex(ret + sizeof(prefix) - 1, MAIL_CLICK_ID_BYTES - sizeof(prefix) + 1, hash,
                   sizeof(hash));
    return 0;
}

// ---- the POST

static bool is_form(const char *body, size_t size) {
    static const char field[] = "List-Unsubscribe=One-Click";
    const size_t n = sizeof(field) - 1;
    const char *end = body + size, *found = body;
    for (; (found = memmem(found, (size_t)(end - found), field, n)) != NULL; found += n) {
        const char *behind = found + n;
        if ((found == body || found[-1] == '&') &&
            (behind == end || *behind == '&' || *behind == '\r' || *behind == '\n')) {
            return true;
        }
    }
    return false;
}

// RFC 7578: a part named List-Unsubscribe whose content is One-Click.
static bool is_multipart_form(const char *body, size_t size) {
    static const char name[] = "name=\"List-Unsubscribe\"", value[] = "One-Click";
    const char *found = memmem(body, size, name, sizeof(name) - 1);
    if (found == NULL) {
        return false;
    }
    size_t left = size - (size_t)(found - body);
    const char *blank = memmem(found, left, "\r\n\r\n", 4);
    if (blank == NULL) {
        return false;
    }
    left = size - (size_t)(blank + 4 - body);
    const char *behind = blank + 4 + sizeof(value) - 1;
    return left >= sizeof(value) - 1 && memcmp(blank + 4, value, sizeof(value) - 1) == 0 &&
           (behind == body + size || *behind == '\r');
}

bool mail_is_one_click(const char *content_type, const void *body, size_t size) {
    if (content_type == NULL || body == NULL) {
        return false;
    }
    if (mail_word_is(content_type,
                     (const char *const[]){"application/x-www-form-urlencoded", NULL})) {
        return is_form(body, size);
    }
    return mail_word_is(content_type, (const char *const[]){"multipart/form-data", NULL}) &&
           is_multipart_form(body, size);
}
