/* SPDX-License-Identifier: MIT */
#include "vip_list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "settings.h"

struct vip_list {
    pthread_mutex_t loading; /* one load at a time, so that the newest settings win */
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

static gw_status copy_ids(const gw_config_list *from, char ***ret_ids, gw_error *err)
{
    char **ids = calloc(from->n_items + 1, sizeof(*ids));
    bool ok = ids != NULL;
    for (size_t i = 0; ok && i < from->n_items; i++) {
        ids[i] = strdup(from->items[i]);
        ok = ids[i] != NULL;
    }
    if (!ok) {
        free_ids(ids, ids != NULL ? from->n_items : 0);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the VIP accounts");
    }
    qsort(ids, from->n_items, sizeof(*ids), compare);
    *ret_ids = ids;
    return GW_OK;
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

/* @locks list->loading held */
static gw_status set_locked(vip_list *list, const gw_config_list *from, gw_error *err)
{
    char **ids = NULL;
    gw_status st = copy_ids(from, &ids, err);
    if (st == GW_OK) {
        swap(list, ids, from->n_items);
        gw_log_info("accounts", "VIP accounts: %zu", from->n_items);
    }
    return st;
}

gw_status vip_list_set(vip_list *list, const gw_config_list *ids, gw_error *err)
{
    pthread_mutex_lock(&list->loading);
    gw_status st = set_locked(list, ids, err);
    pthread_mutex_unlock(&list->loading);
    return st;
}

gw_status vip_list_load(vip_list *list, gw_settings *settings, gw_error *err)
{
    pthread_mutex_lock(&list->loading);
    const account_settings *now = gw_settings_acquire(settings);
    gw_status st = set_locked(list, &now->vip_accounts, err);
    gw_settings_release(now);
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
