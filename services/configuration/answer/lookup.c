/* SPDX-License-Identifier: MIT */
#include "answer/lookup.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>
#include <godwit/metrics.h>

#include "answer/explain.h"
#include "answer/flat.h"
#include "answer/json.h"
#include "answer/nearest.h"
#include "answer/profiles.h"
#include "answer/resource.h"

#define LOGGED_MAX    64                  /* different faults that are logged for one view */
#define KEPT_TEXT_MAX ((size_t)256 << 10) /* a larger file is read for each request */
#define KEY_BYTES_MAX (3 * (CS_NAME_BYTES_MAX + 1) + CS_PATH_BYTES_MAX + 8)

#define TYPE_JSON     "application/json"
#define TYPE_V2       "application/vnd.spring-cloud.config-server.v2+json"
#define TYPE_TEXT     "text/plain;charset=UTF-8"
#define TYPE_HTML     "text/html;charset=UTF-8"
#define TYPE_BYTES    "application/octet-stream"

struct cs_lookup {
    const cs_rules *rules;
    gw_counter *hits;
    gw_counter *misses;
    gw_counter *failures;
    pthread_mutex_t lock; /* of what was logged */
    uint64_t logged_view;
    uint64_t logged[LOGGED_MAX];
    size_t n_logged;
};

/* An answer in the making. */
typedef struct draft {
    gw_buf body;
    const char *content_type;
    const char *variant; /* of its ETag */
    char *version;       /* owned; may be NULL */
    uint64_t content;
    int64_t modified_s;
    bool is_stale;
    uint64_t age_ms;
    bool is_bad_request; /* what failed is the client's fault */
} draft;

cs_lookup *cs_lookup_new(const cs_rules *rules)
{
    cs_lookup *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL) {
        return NULL;
    }
    lookup->rules = rules;
    pthread_mutex_init(&lookup->lock, NULL);
    lookup->hits = gw_metrics_counter("godwit_config_cache_hits_total",
                                      "Environments answered from memory.", NULL);
    lookup->misses = gw_metrics_counter("godwit_config_cache_misses_total",
                                        "Environments read from the repository.", NULL);
    lookup->failures = gw_metrics_counter(
        "godwit_config_failures_total", "Environments that could not be read or are wrong.", NULL);
    return lookup;
}

void cs_lookup_free(cs_lookup *lookup)
{
    if (lookup != NULL) {
        pthread_mutex_destroy(&lookup->lock);
        free(lookup);
    }
}

void cs_lookup_free_memo_value(void *value)
{
    cs_answer_unref(value);
}

/* ---- making answers ---------------------------------------------------------------- */

static const struct {
    const char *content_type;
    const char *variant;
} forms[] = {
    [CS_FORM_ENVIRONMENT] = {TYPE_JSON, ""},
    [CS_FORM_ENVIRONMENT_ORIGINS] = {TYPE_V2, "-v2"},
    [CS_FORM_PROPERTIES] = {TYPE_TEXT, ""},
    [CS_FORM_YAML] = {TYPE_TEXT, ""},
    [CS_FORM_JSON] = {TYPE_JSON, ""},
    [CS_FORM_EXPLAIN_JSON] = {TYPE_JSON, ""},
    [CS_FORM_EXPLAIN_PAGE] = {TYPE_HTML, "-html"},
    [CS_FORM_TEXT] = {TYPE_TEXT, ""},
    [CS_FORM_BYTES] = {TYPE_BYTES, "-bytes"},
};

static bool is_explained(const cs_query *query)
{
    return query->form == CS_FORM_EXPLAIN_JSON || query->form == CS_FORM_EXPLAIN_PAGE;
}

static gw_status write_explanation(const cs_query *query, const cs_environment *env, gw_buf *out,
                                   gw_error *err)
{
    cs_explanation explanation = {.items = NULL};
    gw_status st = cs_explain(env, query->key, &explanation, err);
    if (st != GW_OK) {
        return st;
    }
    if (query->form == CS_FORM_EXPLAIN_PAGE) {
        cs_explain_write_page(out, &query->names, env, query->key, &explanation);
    } else {
        cs_explain_write_json(out, &query->names, env, &explanation);
    }
    cs_explanation_dispose(&explanation);
    return GW_OK;
}

static gw_status write_flat(const cs_query *query, const cs_environment *env, draft *d,
                            gw_error *err)
{
    cs_flat_format format = query->form == CS_FORM_YAML   ? CS_FLAT_YAML
                            : query->form == CS_FORM_JSON ? CS_FLAT_JSON
                                                          : CS_FLAT_PROPERTIES;
    gw_status st = cs_flat_write(&d->body, env, format, !query->keep_placeholders, err);
    d->is_bad_request = st == GW_E_INVALID;
    return st;
}

static gw_status write_form(const cs_query *query, const cs_environment *env, draft *d,
                            gw_error *err)
{
    switch (query->form) {
    case CS_FORM_ENVIRONMENT:
    case CS_FORM_ENVIRONMENT_ORIGINS:
        cs_json_write_environment(&d->body, &query->names, env,
                                  query->form == CS_FORM_ENVIRONMENT_ORIGINS);
        return GW_OK;
    case CS_FORM_EXPLAIN_JSON:
    case CS_FORM_EXPLAIN_PAGE: return write_explanation(query, env, &d->body, err);
    default: return write_flat(query, env, d, err);
    }
}

static gw_status draft_environment(const cs_lookup *lookup, const cs_view *view,
                                   const cs_query *query, draft *d, gw_error *err)
{
    cs_rules rules = *lookup->rules;
    if (is_explained(query)) {
        rules.keys = NULL; /* no secret gets as far as there */
    }
    cs_environment env = {.sources = NULL};
    gw_status st = cs_environment_load(view, &rules, &query->names, &env, err);
    if (st != GW_OK) {
        return st;
    }
    st = write_form(query, &env, d, err);
    d->content = cs_hash_environment(&env);
    if (env.version != NULL && (d->version = strdup(env.version)) == NULL && st == GW_OK) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    d->modified_s = env.modified_s;
    d->is_stale = env.is_stale;
    d->age_ms = env.age_ms;
    cs_environment_dispose(&env);
    return st;
}

static gw_status draft_resource(const cs_lookup *lookup, const cs_view *view, const cs_query *query,
                                draft *d, gw_error *err)
{
    cs_resource resource = {.is_text = false};
    gw_status st = cs_resource_load(view, lookup->rules, query, &resource, err);
    if (st != GW_OK) {
        return st;
    }
    d->version = strdup(resource.version);
    d->content = cs_hash_bytes(resource.body.data, resource.body.len);
    d->content_type = resource.is_text ? TYPE_TEXT : TYPE_BYTES;
    d->modified_s = resource.modified_s;
    d->is_stale = resource.is_stale;
    d->age_ms = resource.age_ms;
    gw_buf_dispose(&d->body);
    d->body = resource.body;
    return d->version == NULL ? gw_error_set(err, GW_E_NOMEM, 0, "out of memory") : GW_OK;
}

static cs_answer *finish(const draft *d)
{
    cs_answer *answer = cs_answer_new(200, d->body.data, d->body.len);
    if (answer != NULL) {
        answer->content_type = d->content_type;
        answer->modified_s = d->modified_s;
        answer->is_stale = d->is_stale;
        answer->age_ms = d->age_ms;
        cs_answer_set_etag(answer, d->version, d->variant, d->content);
    }
    return answer;
}

/* ---- failures ----------------------------------------------------------------------- */

static int status_of(gw_status st)
{
    switch (st) {
    case GW_E_NOT_FOUND: return 404;
    case GW_E_INVALID:
    case GW_E_LIMIT:
    case GW_E_DENIED:
    case GW_E_UNSUPPORTED: return 500; /* a file is at fault */
    default: return 503;
    }
}

/* The first name of a list, NUL-terminated. */
static void first_of(const char *list, char ret[CS_NAME_BYTES_MAX + 1])
{
    size_t len = strcspn(list, ",");
    memcpy(ret, list, len);
    ret[len] = '\0';
}

/* Say which applications may have been meant, if the label is there and the application is not. */
static void add_nearest(const cs_view *view, const cs_query *query, gw_error *err)
{
    char label[CS_NAME_BYTES_MAX + 1];
    first_of(query->names.label, label);
    cs_place place = {.tree = NULL};
    if (cs_view_place(view, query->names.name, query->names.profiles,
                      query->names.has_label ? label : NULL, &place, NULL) != GW_OK) {
        return;
    }
    cs_nearest nearest = {.n = 0};
    cs_text rest = {query->names.name, strlen(query->names.name)};
    cs_text name;
    while (cs_list_next(&rest, &name)) {
        if (!cs_place_knows(&place, name)) {
            cs_nearest_find(&place, name, &nearest);
            break;
        }
    }
    cs_place_dispose(&place);
    for (size_t i = 0; i < nearest.n; i++) {
        const char *joint = i == 0 ? "; did you mean " : i + 1 < nearest.n ? ", " : " or ";
        gw_error_set(err, err->status, err->native, "%s%s%s", err->text, joint, nearest.names[i]);
    }
    if (nearest.n > 0) {
        gw_error_set(err, err->status, err->native, "%s?", err->text);
    }
}

/* Whether this fault is new to the view: clients ask often, and a shared file is in every answer.
 */
static bool is_news(cs_lookup *lookup, const cs_view *view, const char *text)
{
    uint64_t hash = cs_hash_bytes(text, strlen(text));
    uint64_t number = cs_view_number(view);
    bool is_new = true;
    pthread_mutex_lock(&lookup->lock);
    if (lookup->logged_view < number) {
        lookup->logged_view = number;
        lookup->n_logged = 0;
    }
    for (size_t i = 0; is_new && i < lookup->n_logged; i++) {
        is_new = lookup->logged[i] != hash;
    }
    is_new = is_new && lookup->n_logged < LOGGED_MAX;
    if (is_new) {
        lookup->logged[lookup->n_logged++] = hash;
    }
    pthread_mutex_unlock(&lookup->lock);
    return is_new;
}

static cs_answer *answer_failure(cs_lookup *lookup, const cs_view *view, const cs_query *query,
                                 gw_status st, bool is_bad_request, gw_error *err)
{
    int status = is_bad_request ? 400 : status_of(st);
    bool may_refuse = lookup->rules->refuse_empty || lookup->rules->refuse_unknown;
    if (status == 404 && may_refuse && query->path[0] == '\0') {
        add_nearest(view, query, err);
    }
    if (status >= 500 && st != GW_E_BUSY) {
        gw_counter_add(lookup->failures, 1);
        if (is_news(lookup, view, err->text)) {
            gw_log_error("config", "%s/%s%s%s: %s", query->names.name, query->names.profiles,
                         query->names.has_label ? "/" : "", query->names.label, err->text);
        }
    }
    cs_answer *answer = cs_answer_new(status, err->text, strlen(err->text));
    if (answer != NULL) {
        answer->is_busy = st == GW_E_BUSY;
    }
    return answer;
}

/* ---- the memo ------------------------------------------------------------------------ */

static cs_answer *make_answer(cs_lookup *lookup, const cs_view *view, const cs_query *query)
{
    gw_error err = GW_ERROR_INIT;
    draft d = {.content_type = forms[query->form].content_type,
               .variant = forms[query->form].variant};
    gw_buf_init(&d.body, CS_ENVIRONMENT_BYTES_MAX);
    gw_status st = query->path[0] != '\0' ? draft_resource(lookup, view, query, &d, &err)
                                          : draft_environment(lookup, view, query, &d, &err);
    if (st == GW_OK && gw_buf_status(&d.body) != GW_OK) {
        st = gw_buf_status(&d.body);
        gw_error_set(&err, st, 0, "the answer: %s", gw_status_text(st));
    }
    cs_answer *answer =
        st == GW_OK ? finish(&d) : answer_failure(lookup, view, query, st, d.is_bad_request, &err);
    gw_buf_dispose(&d.body);
    free(d.version);
    return answer;
}

/* What is asked for, as a key. The label's form is part of it, since the answer repeats it. */
static size_t make_key(const cs_query *query, char *ret_key)
{
    const cs_request *names = &query->names;
    char *p = ret_key;
    *p++ = (char)('a' + query->form);
    *p++ = (char)('0' + query->keep_placeholders + 2 * query->is_latin1 + 4 * names->has_label);
    p = stpcpy(p, names->name) + 1;
    p = stpcpy(p, names->profiles) + 1;
    p = stpcpy(p, names->label) + 1;
    p = stpcpy(p, query->path);
    return (size_t)(p - ret_key);
}

/* Not what passes, nor what clients can make up without end; a fault of the files like an answer.
 */
static bool is_worth_keeping(const cs_query *query, const cs_answer *answer)
{
    bool is_settled = answer->status == 200 || answer->status == 500 || answer->status == 400;
    return is_settled && (query->path[0] == '\0' || answer->body_len <= KEPT_TEXT_MAX);
}

/* Returns the answer, or another thread's that came first. */
static cs_answer *keep(cs_memo *memo, const char *key, size_t key_len, cs_answer *answer)
{
    void *kept = NULL;
    size_t size = sizeof(*answer) + answer->body_len + 1;
    cs_answer_ref(answer);
    if (!cs_memo_put(memo, key, key_len, answer, size, &kept)) {
        cs_answer_unref(answer);
        return answer;
    }
    if (kept != answer) {
        cs_answer_unref(answer);
        return cs_answer_ref(kept);
    }
    return answer;
}

cs_answer *cs_lookup_answer(cs_lookup *lookup, const cs_view *view, const cs_query *query)
{
    if (is_explained(query)) {
        return make_answer(lookup, view, query); /* for people, who are few */
    }
    char key[KEY_BYTES_MAX];
    size_t key_len = make_key(query, key);
    cs_memo *memo = cs_view_memo(view);
    cs_answer *answer = cs_memo_find(memo, key, key_len);
    if (answer != NULL) {
        gw_counter_add(lookup->hits, 1);
        return cs_answer_ref(answer);
    }
    gw_counter_add(lookup->misses, 1);
    answer = make_answer(lookup, view, query);
    return answer != NULL && is_worth_keeping(query, answer) ? keep(memo, key, key_len, answer)
                                                             : answer;
}
