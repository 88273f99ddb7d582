/* SPDX-License-Identifier: MIT */
#include "webhook.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <godwit/buf.h>
#include <godwit/url.h>
#include <jansson.h>

#include "branches.h"
#include "providers.h"
#include "signature.h"

void cs_push_init(cs_push *push)
{
    memset(push, 0, sizeof(*push));
    cs_names_init(&push->names);
}

void cs_push_dispose(cs_push *push)
{
    cs_names_dispose(&push->names);
    push->n_urls = 0;
}

/* Before anything of the body is believed, or taken apart. */
static gw_status check_signature(const cs_webhook *hook, const cs_webhook_rules *rules,
                                 cs_push *push, gw_error *err)
{
    if (rules->secret == NULL || rules->secret[0] == '\0') {
        return GW_OK;
    }
    const char *header = NULL;
    switch (cs_signature_check(hook, rules->secret, &header)) {
    case CS_SIGNATURE_GOOD: push->is_signed = true; return GW_OK;
    case CS_SIGNATURE_WRONG:
        return gw_error_set(err, GW_E_DENIED, 0,
                            "%s was not made with the secret that is configured for webhooks",
                            header);
    case CS_SIGNATURE_NONE: break;
    }
    return hook->is_authorised
               ? GW_OK
               : gw_error_set(err, GW_E_DENIED, 0,
                              "the body is not signed: configure the webhook's secret at the git "
                              "host too, or ask as a user who may refresh");
}

static gw_status read_push(const cs_host *host, const json_t *body, const cs_webhook_rules *rules,
                           cs_push *push)
{
    push->host = host->name;
    if ((rules->disabled & 1u << host->provider) != 0) {
        snprintf(push->reason, sizeof(push->reason), "pushes of %s are switched off", host->name);
        return GW_OK;
    }
    gw_status st = cs_push_add_urls(push, body);
    cs_branches branches = {.rules = rules};
    host->add_branches(&branches, body);
    if (st == GW_OK && !cs_branches_count(&branches)) {
        cs_branches_explain(&branches, push->reason, sizeof(push->reason));
        return GW_OK;
    }
    return st == GW_OK ? host->add_files(&push->names, body) : st;
}

static gw_status read_json(const cs_webhook *hook, cs_text text, const cs_webhook_rules *rules,
                           cs_push *push, gw_error *err)
{
    json_error_t where;
    json_t *body = json_loadb(text.bytes, text.len, JSON_REJECT_DUPLICATES, &where);
    if (body == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "the body is not JSON: line %d, column %d",
                            where.line, where.column);
    }
    const cs_host *host = cs_host_of(hook, body);
    gw_status st = host != NULL ? read_push(host, body, rules, push)
                                : cs_names_add_json(&push->names, json_object_get(body, "path"));
    json_decref(body);
    return st;
}

/* Take the next value of this name out of a form, as it is written; false at the end. */
static bool next_value(cs_text *form, const char *name, cs_text *ret_value)
{
    size_t name_len = strlen(name);
    while (form->len > 0) {
        const char *end = memchr(form->bytes, '&', form->len);
        cs_text field = {form->bytes, end == NULL ? form->len : (size_t)(end - form->bytes)};
        size_t taken = field.len + (end != NULL);
        *form = (cs_text){form->bytes + taken, form->len - taken};
        if (field.len > name_len && memcmp(field.bytes, name, name_len) == 0 &&
            field.bytes[name_len] == '=') {
            *ret_value = (cs_text){field.bytes + name_len + 1, field.len - name_len - 1};
            return true;
        }
    }
    return false;
}

/* Append a value as it was meant. */
static gw_status decode(cs_text value, gw_buf *out)
{
    gw_buf plain;
    gw_buf_init(&plain, 0);
    for (size_t i = 0; i < value.len; i++) {
        gw_buf_add_char(&plain, value.bytes[i] == '+' ? ' ' : value.bytes[i]);
    }
    gw_status st = gw_buf_status(&plain);
    if (st == GW_OK && plain.len > 0) {
        st = gw_url_decode(out, plain.data, plain.len);
    }
    gw_buf_dispose(&plain);
    return st;
}

static gw_status read_paths(cs_text form, cs_names *names)
{
    gw_status st = GW_OK;
    cs_text value;
    while (st == GW_OK && next_value(&form, "path", &value)) {
        if (value.len > 3 * CS_WEBHOOK_PATH_MAX) {
            return GW_E_LIMIT;
        }
        gw_buf path;
        gw_buf_init(&path, 0);
        st = decode(value, &path);
        if (st == GW_OK && path.len > 0) {
            st = cs_names_add_path(names, (cs_text){path.data, path.len});
        }
        gw_buf_dispose(&path);
    }
    return st;
}

/* GitHub, Gitea and Gogs can be told to send their JSON in a form. */
static gw_status read_payload(const cs_webhook *hook, cs_text value, const cs_webhook_rules *rules,
                              cs_push *push, gw_error *err)
{
    gw_buf json;
    gw_buf_init(&json, 0);
    gw_status st = decode(value, &json);
    if (st == GW_OK) {
        st = read_json(hook, (cs_text){json.data, json.len}, rules, push, err);
    } else if (st == GW_E_INVALID) {
        gw_error_set(err, st, 0, "the form's 'payload' has a broken escape or a NUL");
    }
    gw_buf_dispose(&json);
    return st;
}

/* Many a script sends JSON as what curl -d calls it, so the body has a say too. */
static bool is_form(const cs_webhook *hook)
{
    static const char type[] = "application/x-www-form-urlencoded";
    const char *found = hook->header(hook->ctx, "Content-Type");
    return found != NULL && strncasecmp(found, type, sizeof(type) - 1) == 0 &&
           (hook->body_len == 0 || hook->body[0] != '{');
}

static gw_status read_body(const cs_webhook *hook, const cs_webhook_rules *rules, cs_push *push,
                           gw_error *err)
{
    cs_text body = {hook->body, hook->body_len};
    cs_text form = body;
    cs_text payload;
    if (!is_form(hook)) {
        return read_json(hook, body, rules, push, err);
    }
    if (next_value(&form, "payload", &payload) && payload.len > 0) {
        return read_payload(hook, payload, rules, push, err);
    }
    gw_status st = read_paths(body, &push->names);
    return st == GW_E_INVALID
               ? gw_error_set(err, st, 0, "the form's 'path' has a broken escape or a NUL")
               : st;
}

static void explain_silence(const cs_webhook *hook, cs_push *push)
{
    const char *event = cs_event_of(hook);
    if (push->names.n_paths > 0) {
        snprintf(push->reason, sizeof(push->reason),
                 "no application reads the files that the body names");
    } else if (event != NULL && push->host == NULL) {
        snprintf(push->reason, sizeof(push->reason), "the host tells of '%.64s', which is no push",
                 event);
    } else {
        snprintf(push->reason, sizeof(push->reason),
                 "the body names no file, neither as a push of a git host that is known nor with a "
                 "'path'");
    }
}

gw_status cs_webhook_read(const cs_webhook *hook, cs_push *push, gw_error *err)
{
    static const cs_webhook_rules no_rules;
    const cs_webhook_rules *rules = hook->rules != NULL ? hook->rules : &no_rules;
    gw_status st = check_signature(hook, rules, push, err);
    if (st == GW_OK) {
        st = read_body(hook, rules, push, err);
    }
    if (st == GW_OK && push->names.n == 0 && push->reason[0] == '\0') {
        explain_silence(hook, push);
    }
    if (st == GW_E_LIMIT) {
        return gw_error_set(err, st, 0, "a path of more than %u bytes", CS_WEBHOOK_PATH_MAX);
    }
    if (st == GW_E_NOMEM) {
        return gw_error_set(err, st, 0, "out of memory");
    }
    return st;
}
