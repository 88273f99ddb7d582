/* SPDX-License-Identifier: MIT */
#include "config_repo.h"

#include <string.h>

#include "answer/explain.h"
#include "answer/json.h"
#include "answer/lookup.h"
#include "config_files.h"
#include "repo/estate.h"

#define ANSWER_MAX (2 * CS_ENVIRONMENT_BYTES_MAX)

static gw_status parse(gw_buf *text, json_t **ret_json, gw_error *err)
{
    gw_status st = gw_buf_status(text);
    *ret_json = st == GW_OK ? json_loadb(text->data, text->len, 0, NULL) : NULL;
    gw_buf_dispose(text);
    if (*ret_json != NULL) {
        return GW_OK;
    }
    st = st == GW_OK ? GW_E_NOMEM : st;
    return gw_error_set(err, st, 0, "%s", gw_status_text(st));
}

static gw_status write_explanation(const cs_request *req, const cs_environment *env,
                                   const char *key, json_t **ret_json, gw_error *err)
{
    cs_explanation explanation = {.items = NULL};
    gw_status st = cs_explain(env, key, &explanation, err);
    if (st != GW_OK) {
        return st;
    }
    gw_buf text;
    gw_buf_init(&text, ANSWER_MAX);
    cs_explain_write_json(&text, req, env, &explanation);
    cs_explanation_dispose(&explanation);
    return parse(&text, ret_json, err);
}

static gw_status write_environment(const cs_request *req, const cs_environment *env,
                                   json_t **ret_json, gw_error *err)
{
    gw_buf text;
    gw_buf_init(&text, ANSWER_MAX);
    cs_json_write_environment(&text, req, env, false);
    return parse(&text, ret_json, err);
}

/* No key is asked for: what is encrypted stays so. */
static gw_status explain(const options *given, cs_estate *estate, const cs_request *req,
                         const char *key, json_t **ret_explanation, json_t **ret_environment,
                         gw_error *err)
{
    const cs_rules rules = {.keys = NULL};
    cs_environment env = {.sources = NULL};
    gw_status st = cs_environment_load(cs_estate_view(estate), &rules, req, &env, err);
    if (st != GW_OK) {
        return st;
    }
    st = write_explanation(req, &env, key, ret_explanation, err);
    if (st == GW_OK && given->config.show_secrets) {
        st = write_environment(req, &env, ret_environment, err);
    }
    cs_environment_dispose(&env);
    return st;
}

int config_repo_explain(const options *given, const cs_request *req, const char *key,
                        json_t **ret_explanation, json_t **ret_environment, FILE *err)
{
    const cs_repo_options repo = {
        .name = "default", .uri = given->config.repo, .is_directory = !req->has_label};
    const cs_estate_options estate_options = {.repos = &repo,
                                              .n_repos = 1,
                                              .open = cs_backend_open,
                                              .free_memo_value = cs_lookup_free_memo_value};
    cs_estate *estate = NULL;
    gw_error why = GW_ERROR_INIT;
    if (config_files_check_local(repo.uri, &why) != GW_OK) {
        return tool_fail(err, TOOL_USAGE, "--repo: %s", why.text);
    }
    gw_status st = cs_estate_open(&estate_options, &estate, &why);
    if (st == GW_OK) {
        st = explain(given, estate, req, key, ret_explanation, ret_environment, &why);
        cs_estate_close(estate);
    }
    return st == GW_OK ? TOOL_OK : tool_fail(err, TOOL_FAILED, "%s", why.text);
}
