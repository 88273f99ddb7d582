/* SPDX-License-Identifier: MIT */
#include "config/source.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/health.h>
#include <godwit/log.h>
#include <godwit/metrics.h>

#include "config/fetcher.h"
#include "config/kept.h"
#include "config/poller.h"
#include "config/refresher.h"
#include "config/secrets.h"

#define WAIT_MAX_S   30    /* of a call that waits for a change */
#define SAY_AGAIN_MS 30000 /* what is still wrong is logged no more often */

struct gw__source {
    gw__put put;
    void *ctx;
    gw__fetcher fetcher;
    gw_cipher *cipher; /* NULL: no key */
    gw__refresher *refresher;
    gw__poller *poller;

    pthread_mutex_t fetching; /* one load at a time; held during its calls */
    gw__kept kept;            /* under `fetching` */

    pthread_mutex_t lock; /* for what follows; held for moments, also under `fetching` */
    gw__known known;      /* of the last answer */
    uint64_t n_answers;
    bool from_cache;
    bool has_asked; /* the server, at least once */
    bool bus_up;

    bool reload_failing; /* the last one in the background; the refresher's thread alone */
    uint64_t said_ms;    /* when that was logged last; the same */
    bool look_failing;   /* the poller's thread alone */
    gw_health *health;   /* NULL until the cache had to be used; under `fetching` */
    gw_gauge *is_cached;
    gw_counter *loads_ok;
    gw_counter *loads_failed;
};

const char *gw__source_where(const gw__source *source)
{
    return gw__fetcher_where(&source->fetcher);
}

/* ---- what came --------------------------------------------------------------- */

static void set_from_cache(gw__source *source, bool from_cache)
{
    pthread_mutex_lock(&source->lock);
    source->from_cache = from_cache;
    pthread_mutex_unlock(&source->lock);
    gw_gauge_set(source->is_cached, from_cache);
}

static bool is_from_cache(gw__source *source)
{
    pthread_mutex_lock(&source->lock);
    bool from_cache = source->from_cache;
    pthread_mutex_unlock(&source->lock);
    return from_cache;
}

/* Put the server's answer in force. @locks source->fetching held */
static gw_status install(gw__source *source, const gw__answer *answer, gw__change *ret_change,
                         gw_error *err)
{
    gw_status st = gw__secrets_open(answer->env.properties, source->cipher, err);
    if (st == GW_OK) {
        st = source->put(source->ctx, &answer->env, gw_clock_unix_ns(), ret_change, err);
    }
    if (st != GW_OK) {
        return st;
    }
    memcpy(ret_change->version, answer->env.version, sizeof(ret_change->version));
    pthread_mutex_lock(&source->lock);
    source->known = answer->known;
    source->n_answers++;
    pthread_mutex_unlock(&source->lock);
    gw__kept_offer(&source->kept, &answer->body);
    if (is_from_cache(source)) {
        gw_log_info("config", "the config server answers again: the configuration is its own");
        gw_health_up(source->health);
        set_from_cache(source, false);
    }
    gw_error why = GW_ERROR_INIT;
    if (gw__poller_start(source->poller, &why) != GW_OK) {
        gw_log_error("config", "changes of the configuration are not looked for: %s", why.text);
    }
    return GW_OK;
}

/* ---- the cache ------------------------------------------------------------------ */

/* Whether the server was away or out of order, rather than against us. */
static bool is_away(gw_status st, int native)
{
    bool refused = native >= 400 && native < 500; /* an HTTP status; others are smaller */
    return st == GW_E_UNAVAILABLE || st == GW_E_TIMEOUT || (st == GW_E_PROTOCOL && !refused);
}

static gw_status put_kept(gw__source *source, char saved[GW_TIME_MS_LEN + 1], gw_error *err)
{
    gw__environment env = {.properties = NULL};
    gw__change change;
    uint64_t unix_ns = 0;
    gw_status st = gw__kept_read(&source->kept, &env, saved, &unix_ns, err);
    st = st == GW_OK ? gw__secrets_open(env.properties, source->cipher, err) : st;
    st = st == GW_OK ? source->put(source->ctx, &env, unix_ns, &change, err) : st;
    gw__properties_unref(env.properties);
    return st;
}

/* Start with what was good last. `why` says what became of the server, and gets the reason when
 * this does not work either. @locks source->fetching held */
static gw_status fall_back(gw__source *source, gw_error *why)
{
    char saved[GW_TIME_MS_LEN + 1];
    gw_error err = GW_ERROR_INIT;
    if (put_kept(source, saved, &err) != GW_OK) {
        return gw_error_set(why, why->status, why->native, "%s; %s", why->text, err.text);
    }
    gw_log_error("config",
                 "NO CONFIG SERVER: running with the configuration of %s from %s, which may be out "
                 "of date: %s",
                 saved, gw__kept_path(&source->kept), why->text);
    source->health = gw_health_add("config", false);
    gw_health_down(source->health, "from the cache file, of %s: %s", saved, why->text);
    set_from_cache(source, true);
    return GW_OK;
}

/* ---- loading ----------------------------------------------------------------------- */

/* Before the server is asked. */
static void copy_known(gw__source *source, gw__known *ret_known, uint64_t *ret_n_answers)
{
    pthread_mutex_lock(&source->lock);
    *ret_known = source->known;
    *ret_n_answers = source->n_answers;
    source->has_asked = true;
    pthread_mutex_unlock(&source->lock);
}

/* @locks source->fetching held */
static gw_status load_locked(gw__source *source, bool patiently, bool *ret_again,
                             gw__change *ret_change, gw_error *err)
{
    gw__known known;
    uint64_t n_answers;
    gw__answer answer = {.unchanged = false};
    *ret_change = (gw__change){.n = 0};
    *ret_again = false;
    copy_known(source, &known, &n_answers);
    gw_status st = gw__fetcher_fetch(&source->fetcher, patiently, &known, &answer, ret_again, err);
    if (st == GW_OK) {
        st = install(source, &answer, ret_change, err);
        gw__answer_dispose(&answer);
    }
    gw_counter_add(st == GW_OK ? source->loads_ok : source->loads_failed, 1);
    return st;
}

static bool has_server(const gw__source *source)
{
    return gw__fetcher_has_server(&source->fetcher);
}

gw_status gw__source_load(gw__source *source, gw_error *err)
{
    if (!has_server(source)) {
        return gw__fetcher_check_open(&source->fetcher, err);
    }
    bool again;
    gw__change change;
    gw_error why = GW_ERROR_INIT;
    pthread_mutex_lock(&source->fetching);
    gw_status st = load_locked(source, true, &again, &change, &why);
    if (is_away(st, why.native) && gw__kept_path(&source->kept) != NULL) {
        st = fall_back(source, &why);
    }
    pthread_mutex_unlock(&source->fetching);
    if (st == GW_OK && is_from_cache(source)) {
        gw__source_request_reload(source);
    } else if (st != GW_OK && err != NULL) {
        *err = why;
    }
    return st;
}

gw_status gw__source_reload(gw__source *source, gw_error *err)
{
    if (!has_server(source)) {
        return gw__fetcher_check_open(&source->fetcher, err);
    }
    bool again;
    gw__change change;
    pthread_mutex_lock(&source->fetching);
    gw_status st = load_locked(source, false, &again, &change, err);
    pthread_mutex_unlock(&source->fetching);
    return st;
}

/* ---- in the background -------------------------------------------------------------- */

static void log_change(const gw__source *source, const gw__change *change)
{
    bool faulty = gw__kept_is_faulty(&source->kept);
    gw_log_at(faulty ? GW_LOG_WARN : GW_LOG_INFO, "config", "reloaded%s%.12s, %zu changed%s%s%s",
              change->version[0] != '\0' ? " version " : "", change->version, change->n,
              change->n > 0 ? ": " : "", change->names,
              faulty ? "; settings are wrong in it, so they stay as they were" : "");
}

/* Once, not with every try; but what runs from a cache is said now and then. @thread the
 * refresher's */
static void log_failed_reload(gw__source *source, bool again, const char *why)
{
    uint64_t now_ms = gw_clock_ms();
    bool cached = is_from_cache(source);
    bool repeat = cached && now_ms - source->said_ms >= SAY_AGAIN_MS;
    if (source->reload_failing && again && !repeat) {
        return;
    }
    source->said_ms = now_ms;
    gw_log_error("config", "the configuration stays %s: %s%s",
                 cached ? "that of the cache file" : "as it is", why,
                 again ? "; trying again" : "");
}

/* @thread the refresher's */
static bool reload_in_background(void *ctx)
{
    gw__source *source = ctx;
    bool again;
    gw__change change;
    gw_error why = GW_ERROR_INIT;
    pthread_mutex_lock(&source->fetching);
    gw_status st = load_locked(source, false, &again, &change, &why);
    pthread_mutex_unlock(&source->fetching);
    if (st == GW_E_CLOSED) {
        return true;
    }
    if (st != GW_OK) {
        again |= is_from_cache(source); /* until there is an answer, whatever it was now */
        log_failed_reload(source, again, why.text);
        source->reload_failing = true;
        return !again;
    }
    source->reload_failing = false;
    log_change(source, &change);
    return true;
}

void gw__source_note_faulty(gw__source *source, bool faulty)
{
    gw__kept_note_faulty(&source->kept, faulty);
}

void gw__source_keep(gw__source *source)
{
    pthread_mutex_lock(&source->fetching);
    gw__kept_catch_up(&source->kept);
    pthread_mutex_unlock(&source->fetching);
}

void gw__source_request_reload(gw__source *source)
{
    gw_error err = GW_ERROR_INIT;
    if (has_server(source) && gw__refresher_request(source->refresher, &err) != GW_OK) {
        gw_log_error("config", "cannot reload: %s", err.text);
    }
}

/* An answer that came while somebody else loaded may be older than what is in force. */
static gw_status take_look(gw__source *source, const gw__answer *answer, uint64_t n_answers,
                           gw_error *err)
{
    gw__change change = {.n = 0};
    bool again;
    pthread_mutex_lock(&source->fetching);
    gw__known known;
    uint64_t n_now;
    copy_known(source, &known, &n_now);
    gw_status st = GW_OK;
    if (n_now == n_answers) {
        st = install(source, answer, &change, err);
        gw_counter_add(st == GW_OK ? source->loads_ok : source->loads_failed, 1);
    } else {
        st = load_locked(source, false, &again, &change, err);
    }
    pthread_mutex_unlock(&source->fetching);
    if (st == GW_OK && change.n > 0) {
        log_change(source, &change);
    }
    return st;
}

/* @thread the poller's */
static gw__sight look_for_changes(void *ctx)
{
    gw__source *source = ctx;
    gw__known known;
    uint64_t n_answers;
    copy_known(source, &known, &n_answers);
    unsigned wait_s = known.wait_s < WAIT_MAX_S ? known.wait_s : WAIT_MAX_S;
    bool waits = wait_s > 0 && known.etag[0] != '\0';
    gw__answer answer = {.unchanged = false};
    bool again;
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw__fetcher_poll(&source->fetcher, &known, wait_s, &answer, &again, &why);
    if (st == GW_OK && !answer.unchanged) {
        st = take_look(source, &answer, n_answers, &why);
    }
    gw__answer_dispose(&answer);
    if (st != GW_OK && st != GW_E_CLOSED && !source->look_failing) {
        gw_log_error("config", "cannot look for changes of the configuration: %s; trying again",
                     why.text);
    }
    source->look_failing = st != GW_OK;
    return st == GW_E_CLOSED ? GW__SIGHT_CLOSED
           : st != GW_OK     ? GW__SIGHT_FAILED
           : waits           ? GW__SIGHT_WAITED
                             : GW__SIGHT_NOTHING;
}

void gw__source_note_bus(gw__source *source, bool up)
{
    pthread_mutex_lock(&source->lock);
    bool missed = up && !source->bus_up && source->has_asked; /* events, since it was asked */
    source->bus_up = up;
    pthread_mutex_unlock(&source->lock);
    gw__poller_note_bus(source->poller, up);
    if (missed) {
        gw__source_request_reload(source);
    }
}

/* ---- lifecycle ------------------------------------------------------------------------ */

static gw_status check_watch(const gw_config_options *options, gw_error *err)
{
    return options->watch_interval_ms >= 10
               ? GW_OK
               : gw_error_set(err, GW_E_INVALID, 0,
                              "configuration: the interval of the watch is at least 10 ms");
}

static gw_status make_threads(gw__source *source, const gw_config_options *options, gw_error *err)
{
    gw__refresher_options refresher = {.quiet_ms = options->refresh_quiet_ms,
                                       .max_ms = options->refresh_max_ms,
                                       .reload = reload_in_background,
                                       .ctx = source};
    gw__poller_options poller = {.mode = options->watch,
                                 .interval_ms = options->watch_interval_ms,
                                 .bus_away_ms = options->watch_bus_away_ms,
                                 .look = look_for_changes,
                                 .ctx = source};
    source->refresher = gw__refresher_new(&refresher);
    source->poller = gw__poller_new(&poller);
    return source->refresher != NULL && source->poller != NULL
               ? GW_OK
               : gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
}

static void register_metrics(gw__source *source)
{
    source->loads_ok =
        gw_metrics_counter("godwit_config_loads_total",
                           "Loads of the configuration from the config server.", "result=\"ok\"");
    source->loads_failed = gw_metrics_counter("godwit_config_loads_total",
                                              "Loads of the configuration from the config server.",
                                              "result=\"failed\"");
    source->is_cached = gw_metrics_gauge(
        "godwit_config_from_cache",
        "1 while the configuration is that of the cache file, since no config server answers.",
        NULL);
}

gw_status gw__source_new(const gw_config_options *options, gw__put put, void *ctx,
                         gw__source **ret_source, gw_error *err)
{
    gw__source *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
    }
    source->put = put;
    source->ctx = ctx;
    pthread_mutex_init(&source->fetching, NULL);
    pthread_mutex_init(&source->lock, NULL);
    register_metrics(source);
    gw_status st = gw__fetcher_init(&source->fetcher, options, err);
    st = st == GW_OK ? check_watch(options, err) : st;
    st = st == GW_OK ? gw__kept_init(&source->kept, options, err) : st;
    st = st == GW_OK ? make_threads(source, options, err) : st;
    if (st == GW_OK && gw__secrets_has_key(&options->cipher)) {
        st = gw_cipher_new(&options->cipher, &source->cipher, err);
    }
    if (st != GW_OK) {
        gw__source_free(source);
        return st;
    }
    *ret_source = source;
    return GW_OK;
}

void gw__source_stop(gw__source *source)
{
    gw__fetcher_stop(&source->fetcher);
    gw__refresher_stop(source->refresher);
    gw__poller_stop(source->poller);
}

void gw__source_free(gw__source *source)
{
    if (source == NULL) {
        return;
    }
    if (source->refresher != NULL && source->poller != NULL) {
        gw__source_stop(source);
    }
    gw__refresher_free(source->refresher);
    gw__poller_free(source->poller);
    if (source->from_cache) { /* the component stays: another configuration may have the same */
        gw_health_up(source->health);
        gw_gauge_set(source->is_cached, 0);
    }
    gw_cipher_free(source->cipher);
    gw__kept_dispose(&source->kept);
    gw__fetcher_dispose(&source->fetcher);
    pthread_mutex_destroy(&source->lock);
    pthread_mutex_destroy(&source->fetching);
    free(source);
}
