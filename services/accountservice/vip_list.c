/* SPDX-License-Identifier: MIT */
#include "vip_list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "account_store.h"

struct vip_list {
    pthread_mutex_t loading; /* one load at a time, so that the newest snapshot wins */
    pthread_rwlock_t lock;   /* of the rest */
    char **ids;              /* sorted */
    size_t n_ids;
};

vip_list *vip_list_new(void)
{
    vip_list *list = calloc(1, sizeof(*list));
    if (list != NULL) {
        pthread_mutex_init(&list->loading, NULL);
        pthread_rwlock_init(&list->lock, NULL);
    }
    return list;
}

static void free_ids(char **ids, size_t n_ids)
{
    for (size_t i = 0; i < n_ids; i++) {
        free(ids[i]);
    }
    free(ids);
}

void vip_list_free(vip_list *list)
{
    if (list == NULL) {
        return;
    }
    free_ids(list->ids, list->n_ids);
    pthread_rwlock_destroy(&list->lock);
    pthread_mutex_destroy(&list->loading);
    free(list);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Check and copy the ids. */
static gw_status copy_ids(const gw_config_list *from, char ***ret_ids, gw_error *err)
{
    char **ids = calloc(from->n_items + 1, sizeof(*ids));
    if (ids == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for %s", VIP_LIST_KEY);
    }
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < from->n_items; i++) {
        if (!account_id_is_valid(from->items[i])) {
            st = gw_error_set(err, GW_E_INVALID, 0, "%s: '%.80s' is not an account id",
                              VIP_LIST_KEY, from->items[i]);
        } else if ((ids[i] = strdup(from->items[i])) == NULL) {
            st = gw_error_set(err, GW_E_NOMEM, 0, "no memory for %s", VIP_LIST_KEY);
        }
    }
    if (st != GW_OK) {
        free_ids(ids, from->n_items);
        return st;
    }
    qsort(ids, from->n_items, sizeof(*ids), compare);
    *ret_ids = ids;
    return GW_OK;
}

static gw_status read_list(const gw_config_snapshot *snapshot, char ***ret_ids, size_t *ret_n_ids,
                           gw_error *err)
{
    gw_config_list items = {0};
    gw_status st = gw_config_get_list(snapshot, VIP_LIST_KEY, &items, err);
    if (st == GW_E_NOT_FOUND) {
        static const char *const fallback[] = {VIP_LIST_DEFAULT};
        gw_config_list defaults = {.items = fallback, .n_items = 1};
        *ret_n_ids = 1;
        return copy_ids(&defaults, ret_ids, err);
    }
    if (st == GW_OK) {
        *ret_n_ids = items.n_items;
        st = copy_ids(&items, ret_ids, err);
    }
    gw_config_list_dispose(&items);
    return st;
}

static void swap(vip_list *list, char **ids, size_t n_ids)
{
    pthread_rwlock_wrlock(&list->lock);
    char **old_ids = list->ids;
    size_t n_old = list->n_ids;
    list->ids = ids;
    list->n_ids = n_ids;
    pthread_rwlock_unlock(&list->lock);
    free_ids(old_ids, n_old);
}

gw_status vip_list_load(vip_list *list, gw_config *config, gw_error *err)
{
    char **ids = NULL;
    size_t n_ids = 0;
    pthread_mutex_lock(&list->loading);
    const gw_config_snapshot *snapshot = gw_config_acquire(config);
    gw_status st = read_list(snapshot, &ids, &n_ids, err);
    if (st == GW_OK) {
        swap(list, ids, n_ids);
        gw_log_info("accounts", "VIP accounts: %zu", n_ids);
    }
    gw_config_release(snapshot);
    pthread_mutex_unlock(&list->loading);
    return st;
}

bool vip_list_has(vip_list *list, const char *id)
{
    pthread_rwlock_rdlock(&list->lock);
    bool found = list->n_ids > 0 &&
                 bsearch(&id, list->ids, list->n_ids, sizeof(*list->ids), compare) != NULL;
    pthread_rwlock_unlock(&list->lock);
    return found;
}
