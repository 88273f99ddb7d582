/* SPDX-License-Identifier: MIT */
#include "config/cipher_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

void gw__rsa_keys_dispose(gw__rsa_keys *keys)
{
    for (size_t i = 0; i < keys->n; i++) {
        EVP_PKEY_free(keys->items[i].key); /* wipes it */
        free(keys->items[i].alias);
    }
    free(keys->items);
    *keys = (gw__rsa_keys){0};
}

static gw_status check(const gw__rsa_keys *keys, const EVP_PKEY *key, const char *where,
                       gw_error *err)
{
    if (!EVP_PKEY_is_a(key, "RSA")) {
        return gw_error_set(err, GW_E_INVALID, 0, "%s: not an RSA key", where);
    }
    int bits = EVP_PKEY_get_bits(key);
    if (bits < GW__RSA_BITS_MIN || bits > GW__RSA_BITS_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "%s: an RSA key of %d bits; use %d to %d", where,
                            bits, GW__RSA_BITS_MIN, GW__RSA_BITS_MAX);
    }
    if (keys->n == GW__KEYSTORE_KEYS) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: more than %u keys", where, GW__KEYSTORE_KEYS);
    }
    return GW_OK;
}

gw_status gw__rsa_keys_add(gw__rsa_keys *keys, EVP_PKEY *key, const char *alias, const char *where,
                           gw_error *err)
{
    gw_status st = check(keys, key, where, err);
    if (st != GW_OK) {
        EVP_PKEY_free(key);
        return st;
    }
    gw__rsa_key *items = realloc(keys->items, (keys->n + 1) * sizeof(*items));
    keys->items = items != NULL ? items : keys->items;
    char *own_alias = items != NULL ? strdup(alias) : NULL;
    if (own_alias == NULL) {
        EVP_PKEY_free(key);
        return gw_error_set(err, GW_E_NOMEM, 0, "%s: out of memory", where);
    }
    items[keys->n++] = (gw__rsa_key){.key = key, .alias = own_alias};
    return GW_OK;
}

const gw__rsa_key *gw__rsa_keys_find(const gw__rsa_keys *keys, const char *alias, size_t len)
{
    for (size_t i = 0; i < keys->n; i++) {
        if (strlen(keys->items[i].alias) == len &&
            strncasecmp(keys->items[i].alias, alias, len) == 0) {
            return &keys->items[i];
        }
    }
    return NULL;
}

/* ---- files ------------------------------------------------------------------- */

void gw__secret_free(void *bytes, size_t len)
{
    if (bytes != NULL) {
        explicit_bzero(bytes, len);
        free(bytes);
    }
}

static gw_status read_open(int fd, const char *path, size_t max, char **ret_bytes, size_t *ret_len,
                           gw_error *err)
{
    struct stat found;
    if (fstat(fd, &found) < 0) {
        return gw_error_set_errno(err, errno, "%s", path);
    }
    if (!S_ISREG(found.st_mode)) {
        return gw_error_set(err, GW_E_IO, 0, "%s: not a file", path);
    }
    if ((found.st_mode & S_IWOTH) != 0) {
        return gw_error_set(err, GW_E_DENIED, 0,
                            "%s: everybody may write this file, so nobody can trust its key: "
                            "chmod o-w it",
                            path);
    }
    char *bytes = malloc(max + 1);
    if (bytes == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "%s: out of memory", path);
    }
    ssize_t n = gw__fd_read(fd, bytes, max + 1);
    if (n < 0 || (size_t)n > max) {
        gw_status st = n < 0
                           ? gw_error_set_errno(err, errno, "%s", path)
                           : gw_error_set(err, GW_E_LIMIT, 0, "%s: more than %zu bytes", path, max);
        gw__secret_free(bytes, n < 0 ? max : (size_t)n);
        return st;
    }
    bytes[n] = '\0';
    *ret_bytes = bytes;
    *ret_len = (size_t)n;
    return GW_OK;
}

gw_status gw__secret_read(const char *path, size_t max, char **ret_bytes, size_t *ret_len,
                          gw_error *err)
{
    /* A fifo that nobody writes must not hold up the thread. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "%s", path);
    }
    gw_status st = read_open(fd, path, max, ret_bytes, ret_len, err);
    close(fd);
    return st;
}
