// SPDX-License-Identifier: Apache-2.0
// libsodium's parts, put together as RFC 8439 and draft-irtf-cfrg-xchacha say. Its own composition
// makes the block of the tag's key with one call and the text's with another; below 256 bytes each
// block is made alone, at the price of four. Here one call makes all of them, the tag's key first,
// and is asked for as many as its vectors hold. No arithmetic of ciphers stands here.
#include "broker/stores/cipher.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "schemas/base/guards.h"

enum {
    BLOCK_BYTES = 64,        // of ChaCha20
    VECTOR_BYTES = 512,      // eight blocks at once
    HALF_VECTOR_BYTES = 256, // four
    MAC_BYTES = 16,          // Poly1305's block
    ROOM_BYTES = BLOCK_BYTES + CIPHER_SHORT_BYTES + VECTOR_BYTES,
    INNER_NONCE_BYTES = crypto_stream_chacha20_ietf_NONCEBYTES,
};

_Static_assert(CIPHER_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "the key");
_Static_assert(CIPHER_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "the nonce");
_Static_assert(CIPHER_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "the tag");
_Static_assert(CIPHER_NONCE_BYTES == crypto_core_hchacha20_INPUTBYTES + 8, "XChaCha20's nonce");
_Static_assert(crypto_onetimeauth_poly1305_KEYBYTES <= BLOCK_BYTES, "the tag's key is one block's");

// Block 0, whose beginning is the tag's key, then the text: as it came in, or as it goes out.
struct room {
    uint8_t block[BLOCK_BYTES];
    uint8_t text[CIPHER_SHORT_BYTES + VECTOR_BYTES];
};
_Static_assert(sizeof(struct room) == ROOM_BYTES, "one run of bytes");
_Static_assert(VECTOR_BYTES >= 2 * MAC_BYTES, "behind the text is room for what the tag is over");

// What is made beyond the text costs nothing: a vector's blocks come together.
static size_t whole_vectors(size_t size) {
    size_t rest = size % VECTOR_BYTES;
    if (rest <= BLOCK_BYTES) {
        return size;
    }
    return size - rest + (rest <= HALF_VECTOR_BYTES ? HALF_VECTOR_BYTES : VECTOR_BYTES);
}

// in->text has the text; makes ret.
static void crypt(const uint8_t *key, const uint8_t *nonce, struct room *in, size_t size,
                  struct room *ret) {
    uint8_t subkey[crypto_core_hchacha20_OUTPUTBYTES], inner[INNER_NONCE_BYTES] = {0};
    size_t all = whole_vectors(BLOCK_BYTES + size);
    memset(in->block, 0, BLOCK_BYTES);
    memset(in->text + size, 0, all - BLOCK_BYTES - size);
    crypto_core_hchacha20(subkey, nonce, key, NULL);
    memcpy(inner + INNER_NONCE_BYTES - 8, nonce + crypto_core_hchacha20_INPUTBYTES, 8);
    crypto_stream_chacha20_ietf_xor_ic((uint8_t *)ret, (const uint8_t *)in, all, inner, 0, subkey);
    sodium_memzero(subkey, sizeof(subkey));
}

static size_t put_size(uint8_t *at, uint64_t size) {
    for (unsigned i = 0; i < sizeof(size); i++) {
        at[i] = (uint8_t)(size >> 8 * i);
    }
    return sizeof(size);
}

// Over what is bound in, the sealed text and the sizes of both, each padded. Writes behind the
// text.
static void make_tag(const uint8_t *key, const void *also, size_t also_size, uint8_t *text,
                     size_t size, uint8_t ret[static CIPHER_TAG_BYTES]) {
    static const uint8_t zeros[MAC_BYTES];
    crypto_onetimeauth_poly1305_state state;
    size_t padded = (size + MAC_BYTES - 1) / MAC_BYTES * MAC_BYTES;
    memset(text + size, 0, padded - size);
    size_t end = padded;
    end += put_size(text + end, also_size);
    end += put_size(text + end, size);
    if (also_size == 0) { // in one call: the state is not made for more to come
        crypto_onetimeauth_poly1305(ret, text, end, key);
        return;
    }
    crypto_onetimeauth_poly1305_init(&state, key);
    crypto_onetimeauth_poly1305_update(&state, also, also_size);
    crypto_onetimeauth_poly1305_update(&state, zeros, -also_size % MAC_BYTES);
    crypto_onetimeauth_poly1305_update(&state, text, end);
    crypto_onetimeauth_poly1305_final(&state, ret);
    sodium_memzero(&state, sizeof(state));
}

void cipher_seal(const uint8_t key[static CIPHER_KEY_BYTES],
                 const uint8_t nonce[static CIPHER_NONCE_BYTES], const void *also, size_t also_size,
                 const void *plain, size_t size, uint8_t *ret) {
    if (size > CIPHER_SHORT_BYTES) {
        // Cannot fail: the size is far below what the cipher bears.
        crypto_aead_xchacha20poly1305_ietf_encrypt(ret, NULL, plain, size, also, also_size, NULL,
                                                   nonce, key);
        return;
    }
    struct room in, out;
    memcpy(in.text, plain, size);
    crypt(key, nonce, &in, size, &out);
    memcpy(ret, out.text, size);
    make_tag(out.block, also, also_size, out.text, size, ret + size);
    sodium_memzero(out.block, BLOCK_BYTES);
}

int cipher_open(const uint8_t key[static CIPHER_KEY_BYTES],
                const uint8_t nonce[static CIPHER_NONCE_BYTES], const void *also, size_t also_size,
                const void *sealed, size_t size, uint8_t *ret) {
    if (size < CIPHER_TAG_BYTES) {
        return -EBADMSG;
    }
    size -= CIPHER_TAG_BYTES;
    if (size > CIPHER_SHORT_BYTES) {
        int r = crypto_aead_xchacha20poly1305_ietf_decrypt(
            ret, NULL, NULL, sealed, size + CIPHER_TAG_BYTES, also, also_size, nonce, key);
        return r == 0 ? 0 : -EBADMSG;
    }
    struct room in, out;
    uint8_t tag[CIPHER_TAG_BYTES];
    memcpy(in.text, sealed, size);
    crypt(key, nonce, &in, size, &out);
    make_tag(out.block, also, also_size, in.text, size, tag);
    sodium_memzero(out.block, BLOCK_BYTES);
    // Nothing of it is let out before the tag is right.
    if (GUARD(cipher_tag) && crypto_verify_16(tag, (const uint8_t *)sealed + size) != 0) {
        return -EBADMSG;
    }
    memcpy(ret, out.text, size);
    return 0;
}
