/* SPDX-License-Identifier: MIT */
#include "health.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* One with patterns is for some applications only: the others are served without it. */
static bool is_required(const cs_repo_state *repo)
{
    return !repo->has_patterns;
}

/* The first repository that is required and has nothing to serve. */
static bool find_missing(const cs_view *view, cs_repo_state *ret_repo)
{
    for (size_t i = 0; i < cs_view_n_repos(view); i++) {
        cs_view_repo(view, i, ret_repo);
        if (!ret_repo->is_ready && is_required(ret_repo)) {
            return true;
        }
    }
    return false;
}

void cs_health_update(gw_health *component, const cs_view *view)
{
    cs_repo_state repo;
    if (find_missing(view, &repo)) {
        gw_health_down(component, "%s: %s", repo.name,
                       repo.reason[0] != '\0' ? repo.reason : "not mirrored yet");
    } else {
        gw_health_up(component);
    }
}

static void add_member(gw_buf *out, const char *name, const char *value)
{
    gw_buf_addf(out, ",\"%s\":", name);
    gw_buf_add_json(out, value, strlen(value));
}

static void write_repo(gw_buf *out, const cs_repo_state *repo)
{
    gw_buf_add_str(out, "{\"name\":");
    gw_buf_add_json(out, repo->name, strlen(repo->name));
    add_member(out, "uri", repo->uri);
    add_member(out, "state", !repo->is_ready ? "missing" : repo->is_fresh ? "fresh" : "stale");
    if (repo->is_ready) {
        gw_buf_addf(out, ",\"ageSeconds\":%" PRIu64, repo->age_ms / 1000);
    }
    if (repo->default_commit[0] != '\0') {
        add_member(out, "version", repo->default_commit);
    }
    if (repo->n_faulty_files > 0) {
        gw_buf_addf(out, ",\"faultyFiles\":%zu", repo->n_faulty_files);
    }
    if (repo->reason[0] != '\0') {
        add_member(out, "reason", repo->reason);
    }
    gw_buf_add_char(out, '}');
}

static void write_config_server(gw_buf *out, const cs_view *view, bool is_up)
{
    gw_buf_addf(out, "\"configServer\":{\"status\":\"%s\",\"details\":{\"repositories\":[",
                is_up ? "UP" : "DOWN");
    for (size_t i = 0; i < cs_view_n_repos(view); i++) {
        cs_repo_state repo;
        cs_view_repo(view, i, &repo);
        gw_buf_add_str(out, i > 0 ? "," : "");
        write_repo(out, &repo);
    }
    gw_buf_add_str(out, "]}}");
}

/* The members of "components" that the program's registry writes; nothing if there are none. */
static void add_registry(gw_buf *out, const gw_buf *report)
{
    static const char begin[] = "\"components\":{";
    const char *at = memmem(report->data, report->len, begin, sizeof(begin) - 1);
    if (at != NULL) {
        at += sizeof(begin) - 1;
        size_t len = (size_t)(report->data + report->len - at) - 2; /* without "}}" */
        gw_buf_add_str(out, len > 0 ? "," : "");
        gw_buf_add(out, at, len);
    }
}

bool cs_health_write(gw_buf *out, const cs_view *view)
{
    gw_buf report;
    gw_buf_init(&report, 0);
    bool is_up = gw_health_write_json(&report, true);
    cs_repo_state missing;
    bool can_serve = !find_missing(view, &missing);
    is_up = is_up && can_serve && gw_buf_status(&report) == GW_OK;
    gw_buf_addf(out, "{\"status\":\"%s\",\"components\":{", is_up ? "UP" : "DOWN");
    write_config_server(out, view, can_serve);
    if (gw_buf_status(&report) == GW_OK) {
        add_registry(out, &report);
    }
    gw_buf_add_str(out, "}}");
    gw_buf_dispose(&report);
    return is_up;
}

/* ---- the watch ------------------------------------------------------------------------ */

struct cs_health_watch {
    cs_estate *estate;
    gw_health *component;
    pthread_t thread;
    pthread_mutex_t lock; /* of the two below */
    pthread_cond_t is_told;
    bool has_news;
    bool is_stopping;
};

static void look(cs_health_watch *watch)
{
    cs_health_update(watch->component, cs_estate_view(watch->estate));
    cs_estate_leave(watch->estate);
}

/* Whether there is something to look at; false at the end. */
static bool wait_for_news(cs_health_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    while (!watch->has_news && !watch->is_stopping) {
        pthread_cond_wait(&watch->is_told, &watch->lock);
    }
    watch->has_news = false;
    bool goes_on = !watch->is_stopping;
    pthread_mutex_unlock(&watch->lock);
    return goes_on;
}

static void *run(void *ctx)
{
    cs_health_watch *watch = ctx;
    while (wait_for_news(watch)) {
        look(watch);
    }
    return NULL;
}

gw_status cs_health_watch_start(cs_estate *estate, cs_health_watch **ret_watch, gw_error *err)
{
    cs_health_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    watch->estate = estate;
    watch->component = gw_health_add("repository", true);
    pthread_mutex_init(&watch->lock, NULL);
    pthread_cond_init(&watch->is_told, NULL);
    look(watch);
    int code = pthread_create(&watch->thread, NULL, run, watch);
    if (code != 0) {
        cs_health_watch_free(watch);
        return gw_error_set_errno(err, code, "the watch of the repositories");
    }
    *ret_watch = watch;
    return GW_OK;
}

void cs_health_watch_tell(cs_health_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    watch->has_news = true;
    pthread_cond_signal(&watch->is_told);
    pthread_mutex_unlock(&watch->lock);
}

void cs_health_watch_stop(cs_health_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    watch->is_stopping = true;
    pthread_cond_signal(&watch->is_told);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
}

void cs_health_watch_free(cs_health_watch *watch)
{
    if (watch != NULL) {
        gw_health_remove(watch->component);
        pthread_cond_destroy(&watch->is_told);
        pthread_mutex_destroy(&watch->lock);
        free(watch);
    }
}
