/* SPDX-License-Identifier: MIT */
#include "answer/lookup.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>
#include <godwit/metrics.h>

#include "answer/environment.h"
#include "answer/json.h"
#include "answer/request.h"

#define KEY_BYTES_MAX (CS_COMMIT_LEN + 3 * (CS_NAME_BYTES_MAX + 1) + 1)

struct cs_lookup {
    cs_repository *repo;
    cs_cache *cache;
    char default_label[CS_NAME_BYTES_MAX + 1];
    gw_counter *hits;
    gw_counter *misses;
    gw_counter *failures;
};

gw_status cs_lookup_new(cs_repository *repo, const char *default_label, cs_lookup **ret_lookup,
                        gw_error *err)
{
    if (default_label[0] == '\0' || strlen(default_label) > CS_NAME_BYTES_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0, "the default label must have 1 to %u bytes",
                            CS_NAME_BYTES_MAX);
    }
    cs_lookup *lookup = calloc(1, sizeof(*lookup));
    cs_cache *cache = cs_cache_new(0, 0);
    if (lookup == NULL || cache == NULL) {
        free(lookup);
        cs_cache_free(cache);
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    lookup->repo = repo;
    lookup->cache = cache;
    strcpy(lookup->default_label, default_label);
    lookup->hits = gw_metrics_counter("godwit_config_cache_hits_total",
                                      "Environments answered from memory.", NULL);
    lookup->misses = gw_metrics_counter("godwit_config_cache_misses_total",
                                        "Environments read from the repository.", NULL);
    lookup->failures = gw_metrics_counter(
        "godwit_config_failures_total", "Environments that could not be read or are wrong.", NULL);
    *ret_lookup = lookup;
    return GW_OK;
}

void cs_lookup_free(cs_lookup *lookup)
{
    if (lookup != NULL) {
        cs_cache_free(lookup->cache);
        free(lookup);
    }
}

/* The label's form is part of the key, since the answer repeats it. */
static size_t make_key(const cs_request *req, const cs_commit *commit, char *ret_key)
{
    char *p = mempcpy(ret_key, commit->id, CS_COMMIT_LEN);
    p = stpcpy(p, req->name) + 1;
    p = stpcpy(p, req->profiles) + 1;
    *p++ = req->has_label ? 'l' : '-';
    p = stpcpy(p, req->label);
    return (size_t)(p - ret_key);
}

/* Whether the files of the commit are at fault, so that the same failure comes every time. */
static bool is_fault_of_files(gw_status st)
{
    return st == GW_E_INVALID || st == GW_E_LIMIT || st == GW_E_DENIED || st == GW_E_UNSUPPORTED;
}

static cs_answer *answer_error(int status, const gw_error *err)
{
    return cs_answer_new(status, err->text, strlen(err->text));
}

static gw_status write_environment(cs_lookup *lookup, const cs_request *req,
                                   const cs_commit *commit, gw_buf *out, gw_error *err)
{
    cs_snapshot *snapshot = NULL;
    gw_status st = cs_snapshot_open(lookup->repo, commit, &snapshot, err);
    if (st != GW_OK) {
        return st;
    }
    cs_reader reader = {cs_snapshot_read, snapshot};
    cs_environment env = {.sources = NULL};
    st = cs_environment_load(&reader, req, &env, err);
    cs_snapshot_close(snapshot);
    if (st == GW_OK) {
        cs_json_write_environment(out, req, cs_repository_uri(lookup->repo), commit->id, &env);
        cs_environment_dispose(&env);
        st = gw_buf_status(out);
        if (st != GW_OK) {
            gw_error_set(err, st, 0, "the environment: %s", gw_status_text(st));
        }
    }
    return st;
}

/* Make the answer from the commit's files. A fault of the files is remembered like an answer, so it
 * is logged once a commit however often clients ask. */
static cs_answer *make_answer(cs_lookup *lookup, const cs_request *req, const cs_commit *commit,
                              bool *ret_keep)
{
    gw_error err = GW_ERROR_INIT;
    gw_buf out;
    gw_buf_init(&out, CS_ENVIRONMENT_BYTES_MAX);
    gw_status st = write_environment(lookup, req, commit, &out, &err);
    cs_answer *answer = NULL;
    if (st == GW_OK) {
        answer = cs_answer_new(200, out.data, out.len);
    } else {
        gw_counter_add(lookup->failures, 1);
        gw_log_error("config", "%s/%s at %.12s: %s", req->name, req->profiles, commit->id,
                     err.text);
        answer = answer_error(is_fault_of_files(st) ? 500 : 503, &err);
    }
    *ret_keep = st == GW_OK || is_fault_of_files(st);
    gw_buf_dispose(&out);
    return answer;
}

static cs_answer *find_or_make(cs_lookup *lookup, const cs_request *req, const cs_commit *commit)
{
    char key[KEY_BYTES_MAX + 8];
    size_t key_len = make_key(req, commit, key);
    cs_answer *answer = cs_cache_get(lookup->cache, key, key_len);
    if (answer != NULL) {
        gw_counter_add(lookup->hits, 1);
        return answer;
    }
    gw_counter_add(lookup->misses, 1);
    bool keep = false;
    answer = make_answer(lookup, req, commit, &keep);
    if (answer != NULL && keep) {
        cs_cache_put(lookup->cache, key, key_len, answer);
    }
    return answer;
}

cs_answer *cs_lookup_environment(cs_lookup *lookup, const char *name, const char *profiles,
                                 const char *label)
{
    gw_error err = GW_ERROR_INIT;
    cs_request req;
    if (cs_request_init(&req, name, profiles, label, &err) != GW_OK) {
        return answer_error(400, &err);
    }
    cs_commit commit;
    const char *wanted = req.has_label ? req.label : lookup->default_label;
    gw_status st = cs_repository_resolve(lookup->repo, wanted, &commit, &err);
    if (st == GW_E_NOT_FOUND) {
        return answer_error(404, &err);
    }
    if (st != GW_OK) {
        gw_counter_add(lookup->failures, 1);
        gw_log_error("config", "%s", err.text);
        return answer_error(503, &err);
    }
    return find_or_make(lookup, &req, &commit);
}

gw_status cs_lookup_check(cs_lookup *lookup, gw_error *err)
{
    cs_commit commit;
    return cs_repository_resolve(lookup->repo, lookup->default_label, &commit, err);
}
