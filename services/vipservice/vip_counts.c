/* SPDX-License-Identifier: MIT */
#include "vip_counts.h"

#include <stdlib.h>
#include <string.h>

/* The newest sum of the account; NULL if there is none. A batch is short. */
static vip_sum *find_newest(vip_sum *sums, size_t n, const char *account_id)
{
    while (n > 0 && strcmp(sums[n - 1].last->account_id, account_id) != 0) {
        n--;
    }
    return n > 0 ? &sums[n - 1] : NULL;
}

static void add(vip_sum *sum, const vip_count *it, const char *key)
{
    sum->n_reads++;
    if (!vip_key_is_late(key, sum->key)) {
        sum->last = it;
        memcpy(sum->key, key, sizeof(sum->key));
    }
}

static int compare(const void *a, const void *b)
{
    const vip_sum *left = a;
    const vip_sum *right = b;
    if (left->round != right->round) {
        return left->round < right->round ? -1 : 1;
    }
    return strcmp(left->last->account_id, right->last->account_id);
}

size_t vip_sum_up(const vip_batch *batch, vip_sum *sums)
{
    size_t n = 0;
    for (size_t i = 0; i < batch->n; i++) {
        const vip_count *it = &batch->counts[i];
        if (!it->is_new) {
            continue;
        }
        char key[VIP_READ_AT_MAX + 1] = "";
        vip_time_key(it->read_at, key);
        vip_sum *sum = find_newest(sums, n, it->account_id);
        if (sum != NULL && (sum->key[0] == '\0') == (key[0] == '\0')) {
            add(sum, it, key);
            continue;
        }
        size_t round = sum != NULL ? sum->round + 1 : 0;
        sums[n] = (vip_sum){.last = it, .n_reads = 1, .round = round};
        memcpy(sums[n++].key, key, sizeof(key));
    }
    qsort(sums, n, sizeof(*sums), compare);
    return n;
}
