/* SPDX-License-Identifier: MIT */
/* Repositories that come and go: what a URI with placeholders stands for, made when it is asked
 * for, dropped for others. */
#include <string.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "repo/estate_inside.h"

/* Those that have ended need no more waiting for. */
static void join_finished_locked(cs_estate *estate)
{
    size_t n = 0;
    for (size_t i = 0; i < estate->n_leaving; i++) {
        cs_keeper *keeper = estate->leaving[i];
        if (atomic_load(&keeper->is_finished)) {
            cs_keeper_join(keeper);
            cs_keeper_unref(keeper);
        } else {
            estate->leaving[n++] = keeper;
        }
    }
    estate->n_leaving = n;
}

static bool has_moment_locked(const cs_estate *estate, const cs_keeper *keeper)
{
    for (size_t i = 0; i < estate->view->n_moments; i++) {
        if (estate->view->moments[i]->keeper == keeper) {
            return true;
        }
    }
    return false;
}

/* Made on demand, and neither there nor known to fail. */
static bool is_being_read_locked(const cs_estate *estate, const cs_keeper *keeper)
{
    return keeper->is_expanded && keeper->failed.status == GW_OK &&
           !has_moment_locked(estate, keeper);
}

/* Each has a thread and runs git, and may be a name that somebody invents. They wait for each
 * other, so that they do not drive out those that are there. */
static bool are_enough_being_read_locked(const cs_estate *estate)
{
    unsigned n = 0;
    for (size_t i = 0; i < estate->n_keepers; i++) {
        n += is_being_read_locked(estate, estate->keepers[i]);
    }
    return n >= CS_FIRST_READS_MAX;
}

/*
 * Which one to drop: of those that cannot be read the one that was not needed for longest, else of
 * those that can. So names that somebody invents drive out each other. One that is being read for
 * the first time stays.
 */
static cs_keeper *least_needed_locked(cs_estate *estate)
{
    cs_keeper *found = NULL;
    bool found_is_ready = false;
    for (size_t i = 0; i < estate->n_keepers; i++) {
        cs_keeper *keeper = estate->keepers[i];
        if (!keeper->is_expanded || is_being_read_locked(estate, keeper)) {
            continue;
        }
        bool is_ready = has_moment_locked(estate, keeper);
        bool is_older =
            found == NULL || atomic_load(&keeper->used_ms) < atomic_load(&found->used_ms);
        if (found == NULL || (found_is_ready && !is_ready) ||
            (found_is_ready == is_ready && is_older)) {
            found = keeper;
            found_is_ready = is_ready;
        }
    }
    return found;
}

static gw_status make_room_locked(cs_estate *estate, cs_keeper **ret_dropped, gw_error *err)
{
    *ret_dropped = NULL;
    join_finished_locked(estate);
    if (estate->n_keepers < CS_REPOS_MAX) {
        return GW_OK;
    }
    cs_keeper *keeper = least_needed_locked(estate);
    if (keeper == NULL || estate->n_leaving == CS_REPOS_MAX) {
        return gw_error_set(err, GW_E_UNAVAILABLE, 0, "more than %u repositories at once",
                            CS_REPOS_MAX);
    }
    gw_status st = GW_OK;
    if (has_moment_locked(estate, keeper)) {
        st = cs_view_change_locked(estate, NULL, keeper, err);
    }
    if (st != GW_OK) {
        return st;
    }
    size_t i = 0;
    while (estate->keepers[i] != keeper) {
        i++;
    }
    memmove(&estate->keepers[i], &estate->keepers[i + 1],
            (estate->n_keepers - i - 1) * sizeof(estate->keepers[0]));
    estate->n_keepers--;
    estate->leaving[estate->n_leaving++] = keeper;
    *ret_dropped = cs_keeper_ref(keeper);
    return GW_OK;
}

static cs_keeper *find_expanded_locked(const cs_estate *estate, size_t index, const char *uri)
{
    for (size_t i = 0; i < estate->n_keepers; i++) {
        cs_keeper *keeper = estate->keepers[i];
        if (keeper->is_expanded && keeper->index == index &&
            strcmp(keeper->options->uri, uri) == 0) {
            return keeper;
        }
    }
    return NULL;
}

static gw_status add_expanded_locked(cs_estate *estate, size_t index, const char *name,
                                     const char *uri, gw_error *err)
{
    cs_keeper *keeper = NULL;
    gw_status st = cs_keeper_new(estate->sites[index].options, name, uri, index, &estate->events,
                                 NULL, &keeper, err);
    if (st != GW_OK) {
        return st;
    }
    keeper->is_expanded = true;
    atomic_store(&keeper->used_ms, gw_clock_ms());
    estate->keepers[estate->n_keepers++] = keeper;
    st = cs_keeper_start(keeper, err);
    if (st != GW_OK) {
        estate->n_keepers--;
        cs_keeper_unref(keeper);
    }
    return st;
}

/* GW_OK when it is still being read, or when it has been and a newer view has it. */
static gw_status fail_as(const cs_keeper *keeper, gw_error *err)
{
    if (keeper->failed.status == GW_OK) {
        return GW_OK;
    }
    gw_status st = keeper->failed.status == GW_E_NOT_FOUND ? GW_E_NOT_FOUND : GW_E_UNAVAILABLE;
    return gw_error_set(err, st, 0, "repository %s: %s", keeper->options->name,
                        keeper->failed.text);
}

gw_status cs_estate_expand(cs_estate *estate, size_t index, const char *name, const char *uri,
                           gw_error *err)
{
    cs_keeper *dropped = NULL;
    gw_status st = GW_OK;
    pthread_mutex_lock(&estate->lock);
    cs_keeper *keeper = find_expanded_locked(estate, index, uri);
    if (keeper != NULL) {
        atomic_store(&keeper->used_ms, gw_clock_ms());
        st = fail_as(keeper, err);
    } else if (are_enough_being_read_locked(estate)) {
        st = gw_error_set(err, GW_E_BUSY, 0,
                          "repository %s: waits for %u others, which are being read for the first "
                          "time",
                          name, CS_FIRST_READS_MAX);
    } else if (!estate->is_closing) {
        st = make_room_locked(estate, &dropped, err);
        if (st == GW_OK) {
            st = add_expanded_locked(estate, index, name, uri, err);
        }
    }
    pthread_mutex_unlock(&estate->lock);
    if (dropped != NULL) {
        gw_log_debug("repository", "%s: dropped, for others that are asked for",
                     dropped->options->name);
        cs_keeper_stop(dropped);
        cs_keeper_unref(dropped);
    }
    if (st != GW_OK) {
        return st;
    }
    return gw_error_set(err, GW_E_BUSY, 0, "repository %s: is being read for the first time", name);
}
