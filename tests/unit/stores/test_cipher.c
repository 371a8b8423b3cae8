// SPDX-License-Identifier: Apache-2.0
// The cipher of short messages: libsodium's bytes at every size, and nothing that is not whole is
// let out.
#include <errno.h>
#include <setjmp.h> // cmocka.h needs these four before it
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "broker/stores/cipher.h"

enum { SIZE_MAX_TRIED = CIPHER_SHORT_BYTES + 40, ALSO_MAX = 70 };

static uint8_t plain[SIZE_MAX_TRIED], also[ALSO_MAX];
static uint8_t key[CIPHER_KEY_BYTES], nonce[CIPHER_NONCE_BYTES];

static int fill(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(plain); i++) {
        plain[i] = (uint8_t)(i * 7 + i / 256);
    }
    for (size_t i = 0; i < sizeof(also); i++) {
        also[i] = (uint8_t)(200 - i);
    }
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t)(i * i + 1);
    }
    for (size_t i = 0; i < sizeof(nonce); i++) {
        nonce[i] = (uint8_t)(255 - 3 * i); // each part of it is not zero
    }
    return sodium_init() < 0 ? -1 : 0;
}

static void assert_same(size_t size, size_t also_size) {
    uint8_t theirs[SIZE_MAX_TRIED + CIPHER_TAG_BYTES], ours[sizeof(theirs)], opened[sizeof(plain)];
    crypto_aead_xchacha20poly1305_ietf_encrypt(theirs, NULL, plain, size, also, also_size, NULL,
                                               nonce, key);
    cipher_seal(key, nonce, also, also_size, plain, size, ours);
    assert_memory_equal(ours, theirs, size + CIPHER_TAG_BYTES);
    memcpy(ours, plain, size);
    cipher_seal(key, nonce, also, also_size, ours, size, ours); // where it lies
    assert_memory_equal(ours, theirs, size + CIPHER_TAG_BYTES);
    assert_int_equal(
        cipher_open(key, nonce, also, also_size, theirs, size + CIPHER_TAG_BYTES, opened), 0);
    assert_memory_equal(opened, plain, size);
}

static void test_every_size_is_what_libsodium_makes_of_it(void **state) {
    (void)state;
    for (size_t size = 0; size <= SIZE_MAX_TRIED; size++) {
        assert_same(size, 0);
        assert_same(size, size % ALSO_MAX);
    }
    for (size_t also_size = 0; also_size <= ALSO_MAX; also_size++) {
        assert_same(200, also_size);
    }
}

static void test_what_was_changed_does_not_open_and_is_not_let_out(void **state) {
    (void)state;
    enum { SIZE = 90, SEALED = SIZE + CIPHER_TAG_BYTES };
    static const uint8_t untouched[SIZE];
    uint8_t sealed[SEALED], opened[SIZE] = {0};
    cipher_seal(key, nonce, also, 9, plain, SIZE, sealed);
    for (size_t i = 0; i < SEALED; i++) {
        sealed[i] ^= 0x10;
        assert_int_equal(cipher_open(key, nonce, also, 9, sealed, SEALED, opened), -EBADMSG);
        sealed[i] ^= 0x10;
    }
    for (size_t size = 0; size < SEALED; size++) {
        assert_int_equal(cipher_open(key, nonce, also, 9, sealed, size, opened), -EBADMSG);
    }
    assert_int_equal(cipher_open(key, nonce, also, 8, sealed, SEALED, opened), -EBADMSG);
    assert_memory_equal(opened, untouched, SIZE);
    assert_int_equal(cipher_open(key, nonce, also, 9, sealed, SEALED, opened), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_size_is_what_libsodium_makes_of_it),
        cmocka_unit_test(test_what_was_changed_does_not_open_and_is_not_let_out),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
