/* SPDX-License-Identifier: MIT */
/* Encrypted texts and their prefixes, as a repository or a client brings them. The first byte picks
 * the key: a shared one, or RSA with either padding. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/cipher.h>

#include "../tests/unit/config/cipher_vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_KINDS 3

static const gw_cipher *cipher_of(unsigned kind)
{
    static const gw_cipher_options options[N_KINDS] = {
        {.key = "foo"}, {.key = rsa_key_lines}, {.key = rsa_key_lines, .rsa_oaep = true}};
    static gw_cipher *ciphers[N_KINDS];
    if (ciphers[kind] == NULL && gw_cipher_new(&options[kind], &ciphers[kind], NULL) != GW_OK) {
        abort();
    }
    return ciphers[kind];
}

/* What was encrypted opens again, less the pairs in front. */
static void there_and_back(const gw_cipher *cipher, const char *text, size_t len)
{
    gw_buf sealed;
    gw_buf opened;
    gw_buf_init(&sealed, 0);
    gw_buf_init(&opened, 0);
    gw_status st = gw_cipher_encrypt(cipher, text, len, &sealed, NULL);
    if (st == GW_OK) {
        if (gw_cipher_decrypt(cipher, sealed.data, sealed.len, &opened, NULL) != GW_OK ||
            opened.len > len ||
            (opened.len > 0 && memcmp(opened.data, text + len - opened.len, opened.len) != 0)) {
            abort();
        }
    } else if (sealed.len != 0) {
        abort();
    }
    gw_buf_dispose(&sealed);
    gw_buf_dispose(&opened);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const gw_cipher *cipher = cipher_of(data[0] % N_KINDS);
    const char *text = (const char *)data + 1;
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 0);
    gw_status st = gw_cipher_decrypt(cipher, text, size - 1, &out, &err);
    if (st != GW_OK && (st != GW_E_INVALID || out.len != 0 ||
                        strcmp(err.text, "the text was not encrypted with this key") != 0)) {
        abort();
    }
    gw_buf_dispose(&out);
    there_and_back(cipher, text, size - 1);
    return 0;
}
