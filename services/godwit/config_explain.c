/* SPDX-License-Identifier: MIT */
/* "godwit config explain": the explanation of a server, or of a repository, for people. */
#include <stdlib.h>
#include <string.h>

#include <godwit/url.h>

#include "config_commands.h"
#include "config_repo.h"
#include "config_server.h"
#include "config_show.h"
#include "text.h"

/* What is shown. */
typedef struct explanation {
    const options *given;
    json_t *root;        /* see docs/config-server.md */
    json_t *environment; /* with the secrets, if these are to be shown; otherwise NULL */
    gw_buf text;
} explanation;

/* The value that a source has for a key, as the environment has it; NULL if it is not there. */
static const json_t *find_value(const json_t *environment, const char *source, const char *key)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(environment, "propertySources"), i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name != NULL && strcmp(name, source) == 0) {
            return json_object_get(json_object_get(item, "source"), key);
        }
    }
    return NULL;
}

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL ? text : "";
}

/* "  (foo.yml:3)" */
static void write_place(explanation *it, const json_t *bearer, const json_t *line)
{
    const char *file = text_of(bearer, "file");
    file = file[0] != '\0' ? file : text_of(bearer, "source");
    gw_buf_add_str(&it->text, "  (");
    text_add_safe(&it->text, file, strlen(file), TEXT_LINE);
    if (json_is_integer(line)) {
        gw_buf_addf(&it->text, ":%lld", (long long)json_integer_value(line));
    }
    gw_buf_add_str(&it->text, ")\n");
}

static void write_value(explanation *it, const json_t *bearer, const char *key, const json_t *value)
{
    const json_t *plain = it->environment != NULL
                              ? find_value(it->environment, text_of(bearer, "source"), key)
                              : NULL;
    config_value_show(key, plain != NULL ? plain : value, it->given->config.show_secrets,
                      &it->text);
}

/* What a source has for a key: a value, or the items of a list. */
static void write_bearer(explanation *it, const char *key, const json_t *bearer)
{
    const json_t *items = json_object_get(bearer, "items");
    if (!json_is_array(items)) {
        write_value(it, bearer, key, json_object_get(bearer, "value"));
        write_place(it, bearer, json_object_get(bearer, "line"));
        return;
    }
    size_t n = json_array_size(items);
    gw_buf_addf(&it->text, "a list, %zu %s", n, n == 1 ? "value" : "values");
    write_place(it, bearer, json_object_get(json_array_get(items, 0), "line"));
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        const char *name = text_of(item, "key");
        gw_buf_add_str(&it->text, "        ");
        text_add_safe(&it->text, name, strlen(name), TEXT_LINE);
        gw_buf_add_str(&it->text, " = ");
        write_value(it, bearer, name, json_object_get(item, "value"));
        gw_buf_add_char(&it->text, '\n');
    }
}

static void write_property(explanation *it, const json_t *property)
{
    const char *key = text_of(property, "key");
    size_t i;
    json_t *hidden;
    text_add_safe(&it->text, key, strlen(key), TEXT_LINE);
    gw_buf_add_str(&it->text, " = ");
    write_bearer(it, key, property);
    json_array_foreach(json_object_get(property, "shadows"), i, hidden)
    {
        gw_buf_add_str(&it->text, "    hides ");
        write_bearer(it, key, hidden);
    }
}

static int write_json(const explanation *it, FILE *out, FILE *err)
{
    char *text = json_dumps(it->root, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    if (text == NULL) {
        return tool_fail(err, TOOL_FAILED, "out of memory");
    }
    fprintf(out, "%s\n", text);
    free(text);
    return tool_flush(out, err);
}

static int write_text(explanation *it, FILE *out, FILE *err)
{
    const json_t *properties = json_object_get(it->root, "properties");
    size_t i;
    json_t *property;
    json_array_foreach(properties, i, property)
    {
        write_property(it, property);
    }
    if (gw_buf_status(&it->text) != GW_OK) {
        return tool_fail(err, TOOL_FAILED, "out of memory");
    }
    if (json_array_size(properties) == 0) {
        return tool_fail(err, TOOL_FAILED, "%s",
                         it->given->n_words > 1 ? "no key holds this text"
                                                : "no file has anything for these names");
    }
    fwrite(it->text.data, 1, it->text.len, out);
    return tool_flush(out, err);
}

/* ---- where it comes from ---------------------------------------------------------- */

static int ask_server(explanation *it, const cs_request *req, const char *key, FILE *err)
{
    gw_buf path;
    gw_buf_init(&path, 0);
    gw_buf_add_str(&path, "/explain");
    config_names_write(req, &path);
    if (key != NULL) {
        gw_buf_add_str(&path, "?key=");
        gw_url_encode(&path, key, strlen(key));
    }
    int status = config_server_get_json(it->given, path.data, &it->root, err);
    if (status == TOOL_OK && it->given->config.show_secrets) {
        gw_buf_clear(&path);
        config_names_write(req, &path);
        status = config_server_get_json(it->given, path.data, &it->environment, err);
    }
    gw_buf_dispose(&path);
    return status;
}

int config_explain(const options *given, FILE *out, FILE *err)
{
    explanation it = {.given = given};
    cs_request req;
    gw_error fault = GW_ERROR_INIT;
    const char *key = given->n_words > 1 ? given->words[1] : NULL;
    if (!config_names_read(given->words[0], &req, &fault)) {
        return tool_fail(err, TOOL_USAGE, "%s", fault.text);
    }
    gw_buf_init(&it.text, 0);
    int status = given->config.repo != NULL
                     ? config_repo_explain(given, &req, key, &it.root, &it.environment, err)
                     : ask_server(&it, &req, key, err);
    if (status == TOOL_OK) {
        status = given->json ? write_json(&it, out, err) : write_text(&it, out, err);
    }
    json_decref(it.root);
    json_decref(it.environment);
    gw_buf_dispose(&it.text);
    return status;
}
