/* SPDX-License-Identifier: MIT */
/* Views: how they come into force, which thread has which, and when they are freed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "repo/estate_inside.h"

#define ESTATES_A_THREAD 4
#define RENEW_EVERY_MS   1000u
#define RETIRED_MAX      1u /* views that wait for a keeper, while requests make new ones */

enum pin_state {
    PIN_IDLE,
    PIN_BUSY, /* its thread uses the view */
    PIN_TAKEN /* somebody takes an old view away */
};

/* The view that a thread has. In the thread's own memory; in the estate's list until one of the two
 * ends. */
typedef struct cs_pin {
    _Atomic(cs_estate *) estate; /* NULL: free. Written under pins_lock */
    struct cs_pin *next;
    atomic_int state;
    cs_view *view; /* a reference; whose turn it is says the state */
} cs_pin;

static pthread_mutex_t pins_lock = PTHREAD_MUTEX_INITIALIZER; /* of all estates' lists of pins */
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* to be told of a thread's end */
static _Thread_local cs_pin own_pins[ESTATES_A_THREAD];

/* ---- freeing ------------------------------------------------------------------------ */

static void free_view(cs_view *view)
{
    cs_memo_free(view->memo);
    for (size_t i = 0; i < view->n_moments; i++) {
        cs_moment_unref(view->moments[i]);
    }
    free(view);
}

/* A view holds many answers: whoever is the last to use it serves requests, and leaves the freeing
 * to a keeper. */
static void unref_view(cs_view *view)
{
    if (view == NULL || atomic_fetch_sub_explicit(&view->n_refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    cs_estate *estate = view->estate;
    atomic_fetch_add_explicit(&estate->n_retired, 1, memory_order_relaxed);
    view->next_retired = atomic_load_explicit(&estate->retired, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&estate->retired, &view->next_retired, view,
                                                  memory_order_release, memory_order_relaxed)) {}
    for (size_t i = 0; i < estate->n_sites; i++) {
        if (estate->sites[i].keeper != NULL) {
            cs_keeper_wake(estate->sites[i].keeper); /* each: one may hang */
        }
    }
}

void cs_view_free_retired(cs_estate *estate)
{
    if (atomic_load_explicit(&estate->retired, memory_order_relaxed) == NULL) {
        return;
    }
    cs_view *next = NULL;
    cs_view *view = atomic_exchange_explicit(&estate->retired, NULL, memory_order_acquire);
    for (; view != NULL; view = next) {
        next = view->next_retired;
        free_view(view);
        atomic_fetch_sub_explicit(&estate->n_retired, 1, memory_order_relaxed);
    }
}

/* ---- pins ---------------------------------------------------------------------------- */

static void unlink_pin_locked(cs_pin *pin)
{
    cs_pin **link = &pin->estate->pins;
    while (*link != pin) {
        link = &(*link)->next;
    }
    *link = pin->next;
    pin->estate = NULL;
}

/* @thread the one that ends */
static void on_thread_end(void *pins)
{
    (void)pins;
    pthread_mutex_lock(&pins_lock);
    for (size_t i = 0; i < ESTATES_A_THREAD; i++) {
        cs_pin *pin = &own_pins[i];
        if (pin->estate != NULL) {
            unlink_pin_locked(pin);
            unref_view(pin->view);
            pin->view = NULL;
        }
    }
    pthread_mutex_unlock(&pins_lock);
}

static void make_key(void)
{
    pthread_key_create(&key, on_thread_end);
}

static cs_pin *add_pin(cs_estate *estate)
{
    pthread_once(&key_once, make_key);
    pthread_setspecific(key, own_pins);
    pthread_mutex_lock(&pins_lock);
    cs_pin *pin = NULL;
    for (size_t i = 0; pin == NULL && i < ESTATES_A_THREAD; i++) {
        pin = own_pins[i].estate == NULL ? &own_pins[i] : NULL;
    }
    assert(pin != NULL);
    pin->estate = estate;
    pin->view = NULL;
    atomic_store(&pin->state, PIN_IDLE);
    pin->next = estate->pins;
    estate->pins = pin;
    pthread_mutex_unlock(&pins_lock);
    return pin;
}

static cs_pin *find_pin(const cs_estate *estate)
{
    for (size_t i = 0; i < ESTATES_A_THREAD; i++) {
        if (own_pins[i].estate == estate) {
            return &own_pins[i];
        }
    }
    return NULL;
}

static void enter(cs_pin *pin)
{
    int expected = PIN_IDLE;
    while (!atomic_compare_exchange_strong_explicit(&pin->state, &expected, PIN_BUSY,
                                                    memory_order_acquire, memory_order_relaxed) &&
           expected != PIN_BUSY) {
        pthread_mutex_lock(&pins_lock); /* until it has been taken away */
        pthread_mutex_unlock(&pins_lock);
        expected = PIN_IDLE;
    }
}

/* Threads that wait for a request shall not keep an old view alive. */
static void take_from_idle(cs_estate *estate)
{
    pthread_mutex_lock(&pins_lock);
    for (cs_pin *pin = estate->pins; pin != NULL; pin = pin->next) {
        int expected = PIN_IDLE;
        if (atomic_compare_exchange_strong(&pin->state, &expected, PIN_TAKEN)) {
            unref_view(pin->view);
            pin->view = NULL;
            atomic_store_explicit(&pin->state, PIN_IDLE, memory_order_release);
        }
    }
    pthread_mutex_unlock(&pins_lock);
}

void cs_view_close(cs_estate *estate)
{
    pthread_mutex_lock(&pins_lock);
    for (cs_pin *pin = estate->pins; pin != NULL; pin = pin->next) {
        unref_view(pin->view);
        pin->view = NULL;
        pin->estate = NULL;
    }
    estate->pins = NULL;
    pthread_mutex_unlock(&pins_lock);
    unref_view(estate->view);
    estate->view = NULL;
    cs_view_free_retired(estate);
}

/* ---- a new view ------------------------------------------------------------------------ */

static void add_moment(cs_view *view, cs_moment *moment)
{
    cs_keeper *keeper = moment->keeper;
    view->moments[view->n_moments++] = cs_moment_ref(moment);
    if (keeper->watch_fd >= 0) {
        view->watched[view->n_watched] = (struct pollfd){.fd = keeper->watch_fd, .events = POLLIN};
        view->watchers[view->n_watched++] = keeper;
    }
}

static cs_view *view_new(cs_estate *estate)
{
    cs_view *view = calloc(1, sizeof(*view));
    cs_memo *memo = cs_memo_new(CS_MEMO_BYTES_MAX, estate->free_memo_value);
    if (view == NULL || memo == NULL) {
        free(view);
        cs_memo_free(memo);
        return NULL;
    }
    atomic_init(&view->n_refs, 1);
    view->estate = estate;
    view->memo = memo;
    view->number = atomic_load(&estate->number) + 1;
    return view;
}

gw_status cs_view_first(cs_estate *estate, gw_error *err)
{
    cs_view *view = view_new(estate);
    if (view == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    estate->view = view;
    for (size_t i = 0; i < estate->n_keepers; i++) {
        cs_moment *moment = cs_moment_new(estate->keepers[i], NULL, GW_E_BUSY, "is being read");
        if (moment == NULL) {
            return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
        }
        add_moment(view, moment);
        cs_moment_unref(moment);
    }
    atomic_store(&estate->number, view->number);
    return GW_OK;
}

gw_status cs_view_change_locked(cs_estate *estate, cs_moment *moment, const cs_keeper *dropped,
                                gw_error *err)
{
    cs_view *before = estate->view;
    cs_view *view = view_new(estate);
    if (view == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    bool is_there = moment == NULL;
    for (size_t i = 0; i < before->n_moments; i++) {
        cs_moment *old = before->moments[i];
        bool is_replaced = moment != NULL && old->keeper == moment->keeper;
        if (old->keeper != dropped) {
            add_moment(view, is_replaced ? moment : old);
        }
        is_there = is_there || is_replaced;
    }
    if (!is_there) {
        add_moment(view, moment);
    }
    estate->view = view;
    atomic_store_explicit(&estate->number, view->number, memory_order_release);
    unref_view(before);
    take_from_idle(estate);
    return GW_OK;
}

/* ---- readers ------------------------------------------------------------------------------ */

static void refresh(cs_pin *pin)
{
    cs_estate *estate = pin->estate;
    uint64_t number = atomic_load_explicit(&estate->number, memory_order_acquire);
    if (pin->view != NULL && pin->view->number == number) {
        return;
    }
    cs_view *old = pin->view;
    pthread_mutex_lock(&estate->lock);
    pin->view = estate->view;
    atomic_fetch_add_explicit(&pin->view->n_refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&estate->lock);
    unref_view(old);
}

/* Whether a local repository may have been changed since. */
static bool is_behind(const cs_view *view)
{
    if (view->n_watched == 0) {
        return false;
    }
    struct pollfd watched[CS_REPOS_MAX];
    memcpy(watched, view->watched, view->n_watched * sizeof(watched[0]));
    if (poll(watched, (nfds_t)view->n_watched, 0) != 0) {
        return true;
    }
    for (size_t i = 0; i < view->n_watched; i++) {
        if (cs_keeper_is_behind(view->watchers[i])) {
            return true;
        }
    }
    return false;
}

/* A memo that is full begins anew, but not so often that nothing would be found in it. */
static void renew(cs_estate *estate)
{
    uint64_t now = gw_clock_ms();
    uint64_t last = atomic_load(&estate->renewed_ms);
    if (now - last < RENEW_EVERY_MS ||
        !atomic_compare_exchange_strong(&estate->renewed_ms, &last, now)) {
        return;
    }
    pthread_mutex_lock(&estate->lock);
    (void)cs_view_change_locked(estate, NULL, NULL, NULL);
    pthread_mutex_unlock(&estate->lock);
    if (atomic_load_explicit(&estate->n_retired, memory_order_relaxed) > RETIRED_MAX) {
        cs_view_free_retired(estate); /* every keeper is busy: git may hang */
    }
}

const cs_view *cs_estate_view(cs_estate *estate)
{
    cs_pin *pin = find_pin(estate);
    if (pin == NULL) {
        pin = add_pin(estate);
    }
    enter(pin);
    refresh(pin);
    /* on_change() is called by a keeper, whose sync is not over. */
    if (!cs_keeper_is_here() && is_behind(pin->view)) {
        uint64_t deadline_ms = gw_clock_ms() + CS_CATCH_UP_MS;
        for (size_t i = 0; i < pin->view->n_watched; i++) {
            cs_keeper_catch_up(pin->view->watchers[i], deadline_ms);
        }
    }
    refresh(pin); /* also if nothing is behind any more: what was may be in force since */
    if (cs_memo_is_full(pin->view->memo)) {
        renew(estate);
        refresh(pin);
    }
    return pin->view;
}

void cs_estate_leave(cs_estate *estate)
{
    cs_pin *pin = find_pin(estate);
    if (pin == NULL || atomic_load_explicit(&pin->state, memory_order_relaxed) != PIN_BUSY) {
        return;
    }
    uint64_t number = atomic_load_explicit(&estate->number, memory_order_acquire);
    cs_view *old = pin->view->number == number ? NULL : pin->view;
    pin->view = old == NULL ? pin->view : NULL;
    atomic_store_explicit(&pin->state, PIN_IDLE, memory_order_release);
    unref_view(old);
}

uint64_t cs_view_number(const cs_view *view)
{
    return view->number;
}

cs_memo *cs_view_memo(const cs_view *view)
{
    return view->memo;
}

size_t cs_view_n_repos(const cs_view *view)
{
    return view->n_moments;
}

void cs_view_repo(const cs_view *view, size_t i, cs_repo_state *ret_state)
{
    const cs_moment *moment = view->moments[i];
    const cs_keeper *keeper = moment->keeper;
    const cs_ref *ref = cs_moment_find_ref(moment, keeper->options->default_label);
    *ret_state = (cs_repo_state){
        .name = keeper->options->name,
        .uri = keeper->uri,
        .has_patterns = keeper->options->n_patterns > 0,
        .is_expanded = keeper->is_expanded,
        .is_ready = moment->refs != NULL,
        .is_fresh = cs_moment_is_fresh(moment),
        .age_ms = cs_moment_age_ms(moment),
        .n_faulty_files = atomic_load(&((cs_moment *)(uintptr_t)moment)->n_faulty),
    };
    strcpy(ret_state->reason, moment->st == GW_OK && !ret_state->is_fresh
                                  ? "its file system does not answer"
                                  : moment->reason);
    if (ref != NULL) {
        strcpy(ret_state->default_commit, ref->commit.id);
    }
}
