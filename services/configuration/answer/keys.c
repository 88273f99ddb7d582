/* SPDX-License-Identifier: MIT */
#include "answer/keys.h"

#include <stdlib.h>
#include <string.h>

#include "files/bounds.h"
#include "repo/memo.h"

struct cs_keys {
    gw_cipher *cipher;
    bool are_lenient;
    cs_memo *memo; /* of "kept", by encrypted texts */
};

/* A result that is remembered. */
typedef struct kept {
    bool is_good;
    size_t len;
    char plain[];
} kept;

static void free_kept(void *value)
{
    kept *item = value;
    explicit_bzero(item->plain, item->len);
    free(item);
}

cs_keys *cs_keys_new(gw_cipher *cipher, bool is_lenient)
{
    cs_keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL) {
        return NULL;
    }
    keys->memo = cs_memo_new(CS_OPENED_BYTES_MAX, free_kept);
    if (keys->memo == NULL) {
        free(keys);
        return NULL;
    }
    keys->cipher = cipher;
    keys->are_lenient = is_lenient;
    return keys;
}

void cs_keys_free(cs_keys *keys)
{
    if (keys != NULL) {
        cs_memo_free(keys->memo);
        gw_cipher_free(keys->cipher);
        free(keys);
    }
}

const gw_cipher *cs_keys_cipher(const cs_keys *keys)
{
    return keys->cipher;
}

bool cs_keys_are_lenient(const cs_keys *keys)
{
    return keys->are_lenient;
}

bool cs_value_is_cipher(cs_text value)
{
    const size_t len = strlen(GW_CIPHER_PREFIX);
    return value.len >= len && memcmp(value.bytes, GW_CIPHER_PREFIX, len) == 0;
}

/* Remember a result if there is room; another thread's is as good. */
static gw_status keep(const cs_keys *keys, cs_text value, const gw_buf *plain, bool is_good)
{
    size_t size = sizeof(kept) + plain->len;
    kept *item = malloc(size);
    if (item == NULL) {
        return GW_E_NOMEM;
    }
    item->is_good = is_good;
    item->len = plain->len;
    if (plain->len > 0) {
        memcpy(item->plain, plain->data, plain->len);
    }
    void *winner = NULL;
    if (!cs_memo_put(keys->memo, value.bytes, value.len, item, size, &winner)) {
        free_kept(item);
    }
    return GW_OK;
}

static gw_status copy(bool is_good, bool is_new, const char *plain, size_t len, cs_arena *arena,
                      cs_opened *ret_opened)
{
    *ret_opened = (cs_opened){.is_good = is_good, .is_new = is_new};
    if (is_good) {
        ret_opened->plain = cs_arena_copy(arena, plain, len);
    }
    return cs_arena_status(arena);
}

static gw_status open_anew(const cs_keys *keys, cs_text value, cs_arena *arena,
                           cs_opened *ret_opened)
{
    gw_buf plain;
    gw_buf_init(&plain, 0);
    gw_status st = gw_cipher_decrypt(keys->cipher, value.bytes, value.len, &plain, NULL);
    bool is_good = st == GW_OK;
    if (st == GW_OK || st == GW_E_INVALID) {
        st = keep(keys, value, &plain, is_good);
    }
    if (st == GW_OK) {
        st = copy(is_good, true, plain.data, plain.len, arena, ret_opened);
    }
    if (plain.data != NULL) {
        explicit_bzero(plain.data, plain.cap);
    }
    gw_buf_dispose(&plain);
    return st;
}

gw_status cs_keys_open(const cs_keys *keys, cs_text value, cs_arena *arena, cs_opened *ret_opened)
{
    const kept *found = cs_memo_find(keys->memo, value.bytes, value.len);
    return found == NULL ? open_anew(keys, value, arena, ret_opened)
                         : copy(found->is_good, false, found->plain, found->len, arena, ret_opened);
}
