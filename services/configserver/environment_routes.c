/* SPDX-License-Identifier: MIT */
/* The path of nearly every request: names are checked, the view in force is looked at, and the
 * bytes of an answer that is there already are sent. */
#include "environment_routes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <godwit/clock.h>

#include "app.h"
#include "files/bounds.h"
#include "poll.h"
#include "problem.h"

typedef gw_status (*read_fn)(cs_query *query, const cs_asked *asked, gw_error *err);

static void ask(const gw_http_request *req, cs_asked *ret)
{
    *ret = (cs_asked){
        .first = gw_http_var(req, "first"),
        .second = gw_http_var(req, "second"),
        .third = gw_http_var(req, "third"),
        .rest = gw_http_var(req, "rest"), /* the last: it joins what is left of the path */
        .use_default_label = gw_http_query(req, "useDefaultLabel"),
        .resolve_placeholders = gw_http_query(req, "resolvePlaceholders"),
        .key = gw_http_query(req, "key"),
        .accept = gw_http_header(req, "Accept"),
        .accept_charset = gw_http_header(req, "Accept-Charset"),
    };
}

static bool is_file(const cs_query *query)
{
    return query->form == CS_FORM_TEXT || query->form == CS_FORM_BYTES;
}

static cs_action action_of(const cs_query *query)
{
    switch (query->form) {
    case CS_FORM_EXPLAIN_JSON:
    case CS_FORM_EXPLAIN_PAGE: return CS_ACTION_EXPLAIN;
    case CS_FORM_TEXT:
    case CS_FORM_BYTES: return CS_ACTION_FILES;
    default: return CS_ACTION_READ;
    }
}

/* ---- sending ------------------------------------------------------------------------ */

/* So a client learns that it can wait here for a change, and how long. */
static void set_wait(gw_http_response *res)
{
    char most_s[24];
    snprintf(most_s, sizeof(most_s), "%u", CS_WAIT_MAX_S);
    gw_http_set_header(res, "X-Godwit-Wait", most_s);
}

/* What a client or a cache keeps with the answer; the same for 200 and 304. */
static void set_validators(const cs_query *query, gw_http_response *res, const cs_answer *answer,
                           const char *date)
{
    gw_http_set_header(res, "ETag", answer->etag);
    gw_http_set_header(res, "Cache-Control", "no-cache");
    gw_http_set_header(res, "Vary", is_file(query) ? "Accept, Accept-Charset" : "Accept");
    if (date[0] != '\0') {
        gw_http_set_header(res, "Last-Modified", date);
    }
}

static void set_staleness(gw_http_response *res, const cs_answer *answer)
{
    if (answer->is_stale) {
        char age_s[24];
        uint64_t age_ms = answer->age_ms + gw_clock_ms() - answer->made_ms;
        snprintf(age_s, sizeof(age_s), "%" PRIu64, age_ms / 1000);
        gw_http_set_header(res, "X-Godwit-Stale", age_s);
    }
}

/* A browser is to take nothing in a repository for a page of ours. */
static void set_guards(const cs_query *query, gw_http_response *res)
{
    if (is_file(query)) {
        gw_http_set_header(res, "X-Content-Type-Options", "nosniff");
    } else if (query->form == CS_FORM_EXPLAIN_PAGE) {
        gw_http_set_header(res, "Content-Security-Policy",
                           "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
                           "base-uri 'none'; frame-ancestors 'none'");
        gw_http_set_header(res, "X-Content-Type-Options", "nosniff");
        gw_http_set_header(res, "Referrer-Policy", "no-referrer");
    }
}

/* Without an ETag a file's date has to do. It must be the very one: a branch can be set back. */
static bool is_unmodified(const gw_http_request *req, const cs_query *query, const cs_poll *poll,
                          const char *date)
{
    const char *since = is_file(query) ? gw_http_header(req, "If-Modified-Since") : NULL;
    return since != NULL && poll->etags == NULL && date[0] != '\0' && strcmp(since, date) == 0;
}

static void send_answer(const gw_http_request *req, gw_http_response *res, const cs_query *query,
                        const cs_poll *poll, const cs_answer *answer)
{
    set_staleness(res, answer);
    if (answer->status != 200) {
        cs_problem(req, res, answer->status, answer->body);
        if (answer->status == 503) {
            gw_http_set_header(res, "Retry-After", answer->is_busy ? "2" : "5");
        }
        return;
    }
    char date[GW_HTTP_DATE_SIZE] = "";
    if (answer->modified_s > 0) {
        gw_http_format_date(answer->modified_s, date);
    }
    set_validators(query, res, answer, date);
    set_wait(res);
    if (cs_poll_has(poll, answer) || is_unmodified(req, query, poll, date)) {
        gw_http_set_status(res, 304);
        return;
    }
    set_guards(query, res);
    gw_http_set_content_type(res, answer->content_type);
    gw_buf_add(gw_http_response_body(res), answer->body, answer->body_len);
}

/* ---- the handlers --------------------------------------------------------------------- */

static bool waits(const cs_app *app, const gw_http_request *req, gw_http_response *res,
                  const cs_poll *poll, const cs_answer *answer, uint64_t ticket)
{
    unsigned wait_ms = cs_poll_wait_ms(poll, answer);
    if (wait_ms == 0 || gw_http_wait_is_over(req)) {
        return false;
    }
    gw_http_wait(res, app->channel, ticket, wait_ms);
    return true;
}

static void answer(const cs_app *app, const gw_http_request *req, gw_http_response *res,
                   const cs_query *query, const cs_poll *poll)
{
    uint64_t ticket = gw_http_channel_ticket(app->channel);
    cs_answer *found = cs_lookup_answer(app->lookup, cs_estate_view(app->estate), query);
    cs_estate_leave(app->estate);
    if (found == NULL) {
        cs_problem(req, res, 503, "out of memory");
        return;
    }
    if (!waits(app, req, res, poll, found, ticket)) {
        send_answer(req, res, query, poll, found);
    }
    cs_answer_unref(found);
}

static void serve(const cs_app *app, const gw_http_request *req, gw_http_response *res,
                  read_fn read)
{
    cs_query query;
    cs_asked asked;
    cs_poll poll;
    gw_error err;
    ask(req, &asked);
    gw_status st = read(&query, &asked, &err);
    if (st == GW_OK) {
        st = cs_poll_read(req, &poll, &err);
    }
    if (st != GW_OK) {
        cs_problem(req, res, st == GW_E_NOT_FOUND ? 404 : 400, err.text);
        return;
    }
    if (cs_access_allow(app->access, req, res, action_of(&query), query.names.name,
                        query.names.profiles)) {
        answer(app, req, res, &query, &poll);
    }
}

void cs_get_environment(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    serve(ctx, req, res, cs_query_read);
}

void cs_get_explanation(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    serve(ctx, req, res, cs_query_read_explain);
}
