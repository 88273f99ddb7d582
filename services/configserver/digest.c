/* SPDX-License-Identifier: MIT */
#include "digest.h"

#include <string.h>

#include <openssl/evp.h>

gw_status cs_digest_of(const char *bytes, size_t len, unsigned char ret_digest[CS_DIGEST_BYTES],
                       gw_error *err)
{
    unsigned n = 0;
    if (EVP_Digest(bytes, len, ret_digest, &n, EVP_sha256(), NULL) != 1 || n != CS_DIGEST_BYTES) {
        return gw_error_set(err, GW_E_NOMEM, 0, "cannot compute SHA-256");
    }
    return GW_OK;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool cs_digest_parse(const char *text, unsigned char ret_digest[CS_DIGEST_BYTES])
{
    if (strlen(text) != (size_t)2 * CS_DIGEST_BYTES) {
        return false;
    }
    for (size_t i = 0; i < CS_DIGEST_BYTES; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_digest[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
