/* SPDX-License-Identifier: MIT */
/* The segments of a path, a line each, then headers and the query: whatever passes cannot leave a
 * directory or be an option. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "answer/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* It stays below where it is put. */
static void check_path(const char *path)
{
    if (path[0] == '/' || path[0] == '\0' || strstr(path, "..") != NULL ||
        strstr(path, "//") != NULL || strpbrk(path, "\\%#:?*\n\r\t") != NULL ||
        path[strlen(path) - 1] == '/') {
        abort();
    }
}

/* A name or a label might become an argument, too. */
static void check_name(const char *name)
{
    if (name[0] == '-' || strpbrk(name, "~^") != NULL) {
        abort();
    }
    check_path(name);
}

static void check_names(cs_request *req)
{
    char *names = req->name;
    for (char *part = strsep(&names, ","); part != NULL; part = strsep(&names, ",")) {
        check_name(part);
    }
    char *labels = req->has_label ? req->label : NULL;
    for (char *part = strsep(&labels, ","); part != NULL; part = strsep(&labels, ",")) {
        check_name(part);
    }
    if (strpbrk(req->profiles, "/\\%#()") != NULL) {
        abort();
    }
}

static void check_query(gw_status st, cs_query *query, const gw_error *err)
{
    if (st == GW_OK) {
        check_names(&query->names);
        if (query->path[0] != '\0') {
            check_path(query->path);
        }
    } else if (err->text[0] == '\0' || (st != GW_E_INVALID && st != GW_E_NOT_FOUND)) {
        abort();
    }
}

static const char *next_line(char **rest)
{
    return *rest == NULL ? NULL : strsep(rest, "\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cs_query query;
    char *text = strndup((const char *)data, size);
    if (text == NULL) {
        return 0;
    }
    char *rest = text;
    cs_asked asked = {.first = next_line(&rest), .second = next_line(&rest)};
    asked.third = next_line(&rest);
    asked.rest = next_line(&rest);
    asked.accept = next_line(&rest);
    asked.accept_charset = asked.accept;
    asked.resolve_placeholders = next_line(&rest);
    gw_error err = GW_ERROR_INIT;
    check_query(cs_query_read(&query, &asked, &err), &query, &err);
    asked.rest = NULL;
    asked.use_default_label = "";
    check_query(cs_query_read(&query, &asked, &err), &query, &err);
    if (asked.second != NULL) {
        asked.key = asked.accept;
        check_query(cs_query_read_explain(&query, &asked, &err), &query, &err);
    }
    free(text);
    return 0;
}
