// SPDX-License-Identifier: Apache-2.0
// XChaCha20-Poly1305 as libsodium's crypto_aead_xchacha20poly1305_ietf, byte for byte, for messages
// of some hundred bytes at two thirds of its time. Events and rows of the view are that short.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    CIPHER_KEY_BYTES = 32,
    CIPHER_NONCE_BYTES = 24,
    CIPHER_TAG_BYTES = 16,
    CIPHER_SHORT_BYTES = 2048, // longer ones are libsodium's own call
};

// ret has room for size + CIPHER_TAG_BYTES; it is plain, or not where plain or also lie. `also` is
// bound in and not sealed.
void cipher_seal(const uint8_t key[static CIPHER_KEY_BYTES],
                 const uint8_t nonce[static CIPHER_NONCE_BYTES], const void *also, size_t also_size,
                 const void *plain, size_t size, uint8_t *ret);
// ret has room for size - CIPHER_TAG_BYTES. 0; -EBADMSG: not what was sealed, ret untouched.
int cipher_open(const uint8_t key[static CIPHER_KEY_BYTES],
                const uint8_t nonce[static CIPHER_NONCE_BYTES], const void *also, size_t also_size,
                const void *sealed, size_t size, uint8_t *ret);
