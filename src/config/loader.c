/* SPDX-License-Identifier: MIT */
#include "config/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>
#include <godwit/http_client.h>
#include <godwit/url.h>

#define DETAIL_MAX  256
#define WAIT_MAX_S  3600 /* more than that no server means */
#define CALL_MIN_MS 50   /* what a call gets at least when the time is nearly up */

/* Spring's servers tell places only to who asks for this; others answer with their plain JSON. */
#define ACCEPT "Accept: application/vnd.spring-cloud.config-server.v2+json, application/json;q=0.9"

/* ---- who asks ------------------------------------------------------------- */

static char *make_header(const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 1;
    char *header = malloc(size);
    if (header != NULL) {
        snprintf(header, size, "%s%s", name, value);
    }
    return header;
}

static gw_status set_token(gw__loader *loader, const gw_config_options *options, gw_error *err)
{
    const char *token = options->token;
    if (token == NULL || token[0] == '\0') {
        return GW_OK;
    }
    for (const char *p = token; *p != '\0'; p++) {
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "the config server's token holds a blank, or no ASCII");
        }
    }
    bool has_user = options->username != NULL && options->username[0] != '\0';
    for (size_t i = 0; i < loader->places.n_servers; i++) {
        has_user |= strchr(loader->places.urls[i], '@') != NULL; /* elsewhere it is encoded */
    }
    loader->token_header = make_header("X-Config-Token: ", token);
    loader->bearer_header = has_user ? NULL : make_header("Authorization: Bearer ", token);
    return loader->token_header != NULL && (has_user || loader->bearer_header != NULL)
               ? GW_OK
               : gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
}

gw_status gw__loader_init(gw__loader *loader, const gw_config_options *options, gw_error *err)
{
    *loader = (gw__loader){.connection_failures_only = options->connection_failures_only};
    atomic_init(&loader->preferred, 0);
    gw_status st = gw__places_init(&loader->places, options, err);
    return st == GW_OK ? set_token(loader, options, err) : st;
}

static void free_secret(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
    }
    free(text);
}

void gw__loader_dispose(gw__loader *loader)
{
    gw__places_dispose(&loader->places);
    free_secret(loader->token_header);
    free_secret(loader->bearer_header);
    loader->token_header = loader->bearer_header = NULL;
}

void gw__answer_dispose(gw__answer *answer)
{
    gw__properties_unref(answer->env.properties);
    gw_buf_dispose(&answer->body);
    *answer = (gw__answer){.unchanged = false};
}

/* ---- what went wrong --------------------------------------------------------- */

typedef struct meaning {
    gw_status status;
    bool again;
} meaning;

static meaning meaning_of(int http_status)
{
    switch (http_status) {
    case 401:
    case 403: return (meaning){GW_E_DENIED, false};
    case 404: return (meaning){GW_E_NOT_FOUND, false};
    case 408:
    case 429:
    case 502:
    case 503:
    case 504: return (meaning){GW_E_UNAVAILABLE, true};
    case 500: return (meaning){GW_E_UNAVAILABLE, false}; /* such as a file it cannot read */
    default: return (meaning){GW_E_PROTOCOL, false};
    }
}

static gw_status explain_status(const char *masked, const gw_http_reply *reply, bool *ret_again,
                                gw_error *err)
{
    meaning mean = meaning_of(reply->status);
    char detail[DETAIL_MAX];
    gw__problem_detail(reply->body.data, reply->body.len, detail, sizeof(detail));
    *ret_again = mean.again;
    return gw_error_set(err, mean.status, reply->status, "%s: the server answers %d%s%s", masked,
                        reply->status, detail[0] != '\0' ? ": " : "", detail);
}

/* The client's text names the URL first, in its own way. */
static gw_status explain_call(const char *masked, gw_status st, const gw_error *why,
                              bool *ret_again, gw_error *err)
{
    const char *reason = strstr(why->text, ": ");
    bool names_url = strncmp(why->text, "http", 4) == 0 && reason != NULL;
    *ret_again = st == GW_E_UNAVAILABLE || st == GW_E_TIMEOUT;
    return gw_error_set(err, st, why->native, "%s: %s", masked, names_url ? reason + 2 : why->text);
}

/* ---- one call ---------------------------------------------------------------- */

static unsigned read_wait(const char *text)
{
    char *end;
    unsigned long seconds = strtoul(text, &end, 10);
    bool good = text[0] >= '0' && text[0] <= '9' && (*end == '\0' || strcmp(end, "s") == 0);
    return !good ? 0 : seconds < WAIT_MAX_S ? (unsigned)seconds : WAIT_MAX_S;
}

static gw_status read_answer(const char *masked, const gw__ask *ask, gw_http_reply *reply,
                             gw__answer *ret_answer, bool *ret_again, gw_error *err)
{
    gw__answer answer = {.unchanged = reply->status == 304};
    bool expected = reply->status == 200 || (reply->status == 304 && ask->if_changed);
    if (!expected) {
        return explain_status(masked, reply, ret_again, err);
    }
    *ret_again = false;
    if (answer.unchanged) {
        answer.known = *ask->known;
    } else {
        gw_error why = GW_ERROR_INIT;
        gw_status st = gw__environment_parse(reply->body.data != NULL ? reply->body.data : "",
                                             reply->body.len, &answer.env, &why);
        if (st != GW_OK) {
            return gw_error_set(err, st, why.native, "%s: %s", masked, why.text);
        }
        snprintf(answer.known.etag, sizeof(answer.known.etag), "%s", reply->etag);
        memcpy(answer.known.state, answer.env.state, sizeof(answer.known.state));
        answer.env.place = masked;
    }
    answer.known.wait_s = read_wait(reply->kept);
    answer.body = reply->body;
    gw_buf_init(&reply->body, 0); /* taken */
    *ret_answer = answer;
    return GW_OK;
}

/* The URL with the question for a change in it. */
static gw_status write_url(gw_buf *out, const char *url, const gw__ask *ask, gw_error *err)
{
    gw_buf_add_str(out, url);
    if (ask->wait_s > 0) {
        gw_buf_addf(out, "?wait=%us&etag=", ask->wait_s);
        gw_url_encode(out, ask->known->etag, strlen(ask->known->etag));
    }
    gw_status st = gw_buf_status(out);
    return st == GW_OK ? GW_OK : gw_error_set(err, st, 0, "the URL of the configuration");
}

typedef struct head {
    const char *lines[6]; /* ending in NULL */
    char state[GW__STATE_MAX + 32];
    char match[GW__ETAG_MAX + 32];
} head;

static void write_head(head *self, const gw__loader *loader, const gw__ask *ask)
{
    size_t n = 0;
    self->lines[n++] = ACCEPT;
    if (loader->token_header != NULL) {
        self->lines[n++] = loader->token_header;
    }
    if (loader->bearer_header != NULL) {
        self->lines[n++] = loader->bearer_header;
    }
    if (ask->known != NULL && ask->known->state[0] != '\0') {
        snprintf(self->state, sizeof(self->state), "X-Config-State: %s", ask->known->state);
        self->lines[n++] = self->state;
    }
    if (ask->if_changed && ask->known->etag[0] != '\0') {
        snprintf(self->match, sizeof(self->match), "If-None-Match: %s", ask->known->etag);
        self->lines[n++] = self->match;
    }
    self->lines[n] = NULL;
}

static gw_status call_server(gw__loader *loader, size_t place, const gw__ask *ask,
                             unsigned timeout_ms, gw__answer *ret_answer, bool *ret_again,
                             gw_error *err)
{
    const char *masked = loader->places.masked[place];
    unsigned connect_ms = ask->connect_timeout_ms;
    head headers;
    gw_buf url;
    gw_buf_init(&url, 4 * GW_URL_MAX);
    *ret_again = false;
    write_head(&headers, loader, ask);
    gw_status st = write_url(&url, loader->places.urls[place], ask, err);
    gw_http_reply reply = {0};
    if (st == GW_OK) {
        gw_http_call call = {.url = url.data,
                             .headers = headers.lines,
                             .connect_timeout_ms =
                                 timeout_ms < connect_ms ? timeout_ms : connect_ms,
                             .timeout_ms = timeout_ms + ask->wait_s * 1000,
                             .keep_header = "X-Godwit-Wait",
                             .cancel_fd = ask->cancel_fd};
        gw_error why = GW_ERROR_INIT;
        st = gw_http_perform(&call, &reply, &why);
        st = st == GW_OK ? read_answer(masked, ask, &reply, ret_answer, ret_again, err)
                         : explain_call(masked, st, &why, ret_again, err);
    }
    gw_http_reply_dispose(&reply);
    if (url.data != NULL) {
        explicit_bzero(url.data, url.len);
    }
    gw_buf_dispose(&url);
    return st;
}

/* ---- all of them ---------------------------------------------------------------- */

/* What the calls of one try came to. */
typedef struct failures {
    gw_error
        err; /* with the texts of all, and the status of one that can pass, else of the first */
    bool again;
} failures;

static void note_failure(failures *all, const gw_error *why, bool again)
{
    char before[GW_ERROR_TEXT_MAX];
    bool first = all->err.status == GW_OK;
    bool weighs_more = first || (again && !all->again);
    snprintf(before, sizeof(before), "%s", all->err.text);
    gw_error_set(&all->err, weighs_more ? why->status : all->err.status,
                 weighs_more ? why->native : all->err.native, "%s%s%s", before, first ? "" : "; ",
                 why->text);
    all->again |= again;
}

/* The server that answered last, then the others in their order. */
static size_t nth_server(size_t n, size_t preferred)
{
    return n == 0 ? preferred : n <= preferred ? n - 1 : n;
}

/* So that a server that hangs leaves time for those after it. */
static unsigned share_of_time(const gw__ask *ask, size_t n_left)
{
    uint64_t now_ms = gw_clock_ms();
    uint64_t left_ms = ask->deadline_ms > now_ms ? ask->deadline_ms - now_ms : 0;
    uint64_t share_ms = left_ms / n_left;
    share_ms = share_ms > CALL_MIN_MS || n_left == 1 ? share_ms : CALL_MIN_MS;
    share_ms = share_ms < ask->timeout_ms ? share_ms : ask->timeout_ms;
    return share_ms > 0 ? (unsigned)share_ms : 1;
}

static bool is_connection_failure(gw_status st, const gw_error *why)
{
    bool http_status = why->native >= 400 && (st == GW_E_UNAVAILABLE || st == GW_E_DENIED);
    return !http_status && (st == GW_E_UNAVAILABLE || st == GW_E_TIMEOUT);
}

/* Ask the servers for one label. `ret_absent`: one says that it is not there. */
static gw_status try_label(gw__loader *loader, size_t label, const gw__ask *ask,
                           gw__answer *ret_answer, failures *all, bool *ret_absent)
{
    size_t n_servers = loader->places.n_servers;
    size_t preferred = atomic_load_explicit(&loader->preferred, memory_order_relaxed);
    gw_status st = GW_OK;
    *ret_absent = false;
    for (size_t i = 0; i < n_servers; i++) {
        size_t server = nth_server(i, preferred);
        unsigned timeout_ms = share_of_time(ask, n_servers - i);
        bool again;
        gw_error why = GW_ERROR_INIT;
        st = call_server(loader, label * n_servers + server, ask, timeout_ms, ret_answer, &again,
                         &why);
        if (st == GW_OK) {
            atomic_store_explicit(&loader->preferred, server, memory_order_relaxed);
            return GW_OK;
        }
        note_failure(all, &why, again);
        *ret_absent |= st == GW_E_NOT_FOUND;
        bool ours = st == GW_E_CLOSED || st == GW_E_NOMEM || st == GW_E_UNSUPPORTED;
        if (ours || (loader->connection_failures_only && !is_connection_failure(st, &why))) {
            break;
        }
    }
    return st;
}

gw_status gw__loader_fetch(gw__loader *loader, const gw__ask *ask, gw__answer *ret_answer,
                           bool *ret_again, gw_error *err)
{
    failures all = {.err = GW_ERROR_INIT};
    bool absent = true; /* only what is not there makes the next label's turn */
    for (size_t label = 0; absent && label < loader->places.n_labels; label++) {
        gw_status st = try_label(loader, label, ask, ret_answer, &all, &absent);
        if (st == GW_OK || st == GW_E_CLOSED) {
            *ret_again = false;
            return st == GW_OK ? st : gw_error_set(err, st, 0, "%s", all.err.text);
        }
    }
    *ret_again = all.again;
    if (err != NULL) {
        *err = all.err;
    }
    return all.err.status;
}
