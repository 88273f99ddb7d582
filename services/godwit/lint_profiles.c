/* SPDX-License-Identifier: MIT */
#include "lint_profiles.h"

#include <string.h>

#include "answer/activation.h"
#include "answer/import.h"
#include "answer/request.h"
#include "lint_file.h"

/* Names in expressions of one document whose every combination is tried: 4,096 at most. */
#define NAMES_MAX 12u

/* The line of a document's first property: where people look for it. */
static unsigned line_of(const cs_document *doc)
{
    return doc->n_items > 0 ? doc->items[0].line : 0;
}

static bool is_name_char(char c)
{
    return strchr("!&|(), \t\r\n", c) == NULL;
}

/* Whether a client may ask for it. */
static bool can_be_asked_for(cs_text name)
{
    char profile[CS_NAME_BYTES_MAX + 1];
    cs_request req;
    if (name.len > CS_NAME_BYTES_MAX) {
        return false;
    }
    memcpy(profile, name.bytes, name.len);
    profile[name.len] = '\0';
    return cs_request_init(&req, "app", profile, NULL, NULL) == GW_OK;
}

/* Add the names of an expression that a request can have. False when they are too many. */
static bool add_names(cs_profiles *names, cs_text expression)
{
    for (size_t i = 0; i < expression.len;) {
        size_t n = 0;
        while (i + n < expression.len && is_name_char(expression.bytes[i + n])) {
            n++;
        }
        const cs_text name = {expression.bytes + i, n};
        if (n > 0 && can_be_asked_for(name) && !cs_profiles_contain(names, name)) {
            if (names->n == NAMES_MAX) {
                return false;
            }
            names->items[names->n++] = name;
        }
        i += n > 0 ? n : 1;
    }
    return true;
}

static bool is_condition(cs_text key)
{
    static const char prefix[] = "spring.config.activate.";
    return key.len > sizeof(prefix) - 1 && strncmp(key.bytes, prefix, sizeof(prefix) - 1) == 0;
}

/* Whether some set of the names makes the document apply; also true when there are too many to
 * try. False with `err` set when an expression is malformed. */
static bool may_apply(const cs_file *file, const cs_document *doc, gw_error *err)
{
    cs_profiles names = {.n = 0};
    for (size_t i = 0; i < doc->n_items; i++) {
        if (is_condition(doc->items[i].key) && !add_names(&names, doc->items[i].value)) {
            return true;
        }
    }
    for (unsigned set = 0; set < 1u << names.n; set++) {
        cs_profiles chosen = {.n = 0};
        bool is_active = false;
        for (size_t i = 0; i < names.n; i++) {
            if ((set >> i & 1) != 0) {
                chosen.items[chosen.n++] = names.items[i];
            }
        }
        gw_status st = cs_document_is_active(file, doc, &chosen, &is_active, err);
        if (st != GW_OK || is_active) {
            return st == GW_OK;
        }
    }
    return false;
}

/* spring.config.import leads to files of the repository. */
static void lint_imports(lint_findings *findings, const cs_file *file, const cs_document *doc)
{
    const cs_property *item;
    for (size_t at = 0; (item = cs_document_next(doc, CS_DIRECTIVE_IMPORT, &at)) != NULL;) {
        cs_text rest = item->value;
        cs_text location;
        while (cs_list_next(&rest, &location)) {
            char path[CS_PATH_BYTES_MAX + 1];
            gw_error err = GW_ERROR_INIT;
            if (cs_import_resolve(file, item, location, path, &err) != GW_OK) {
                lint_fault(findings, file->path, &err);
            }
        }
    }
}

void lint_profiles(lint_findings *findings, const cs_file *file, const cs_document *doc)
{
    if (!cs_document_has_directives(doc)) {
        return;
    }
    gw_error err = GW_ERROR_INIT;
    if (cs_document_check(file, doc, false, &err) != GW_OK) {
        lint_fault(findings, file->path, &err);
        return;
    }
    /* "foo-bar.yml" may be the application foo-bar, or foo with the profile bar. */
    const char *slash = strrchr(file->path, '/');
    if (strchr(slash != NULL ? slash : file->path, '-') != NULL &&
        cs_document_check(file, doc, true, &err) != GW_OK) {
        lint_add(findings, LINT_WARNING, file->path, line_of(doc),
                 "refused where what follows the '-' in the file's name is a profile: "
                 "spring.profiles.active, include and default are for files of all profiles");
    }
    err = (gw_error)GW_ERROR_INIT;
    if (!may_apply(file, doc, &err)) {
        if (err.text[0] != '\0') {
            lint_fault(findings, file->path, &err);
        } else {
            lint_add(findings, LINT_WARNING, file->path, line_of(doc),
                     "this document never applies: its spring.config.activate contradicts itself, "
                     "or asks for what no client can");
        }
    }
    lint_imports(findings, file, doc);
}
