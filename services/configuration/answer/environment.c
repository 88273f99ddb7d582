/* SPDX-License-Identifier: MIT */
#include "answer/environment.h"

#include <stdlib.h>
#include <string.h>

#include "answer/activation.h"
#include "files/properties_reader.h"
#include "files/yaml_reader.h"

#define SHARED "application"

typedef gw_status (*parse_fn)(cs_file *file, const char *text, size_t len, gw_error *err);

/* From the lowest precedence to the highest. */
static const struct {
    const char *extension;
    parse_fn parse;
} formats[] = {
    {"yaml", cs_yaml_read},
    {"yml", cs_yaml_read},
    {"properties", cs_properties_read},
};

#define N_FORMATS   (sizeof(formats) / sizeof(formats[0]))
#define N_NAMES_MAX (CS_APPLICATIONS_MAX + 1)

typedef struct builder {
    const cs_reader *reader;
    const cs_request *req;
    cs_environment *env;
    cs_text names[N_NAMES_MAX]; /* "application" first */
    size_t n_names;
    cs_profiles profiles;
    size_t n_plain; /* that many of env->files have no profile in their name */
    size_t n_bytes; /* read so far */
    gw_error *err;
} builder;

static gw_status out_of_memory(const builder *b)
{
    return gw_error_set(b->err, GW_E_NOMEM, 0, "out of memory");
}

static void free_file(cs_file *file)
{
    if (file != NULL) {
        cs_file_dispose(file);
        free(file);
    }
}

static gw_status add_file(builder *b, cs_file *file)
{
    cs_file **files = realloc(b->env->files, (b->env->n_files + 1) * sizeof(cs_file *));
    if (files == NULL) {
        return out_of_memory(b);
    }
    b->env->files = files;
    b->env->files[b->env->n_files++] = file;
    return GW_OK;
}

static gw_status parse_file(builder *b, const char *path, const gw_buf *text, parse_fn parse)
{
    cs_file *file = calloc(1, sizeof(*file));
    if (file == NULL || cs_file_init(file, path) != GW_OK) {
        free_file(file);
        return out_of_memory(b);
    }
    gw_status st = parse(file, text->len == 0 ? "" : text->data, text->len, b->err);
    if (st == GW_OK) {
        st = add_file(b, file);
    }
    if (st != GW_OK) {
        free_file(file);
    }
    return st;
}

/* A file that is not there is no failure: most of the possible names have none. */
static gw_status load_file(builder *b, const char *path, parse_fn parse)
{
    gw_buf text;
    gw_buf_init(&text, CS_FILE_BYTES_MAX);
    gw_status st = b->reader->read(b->reader->ctx, path, &text, b->err);
    if (st == GW_OK) {
        b->n_bytes += text.len;
        st = b->n_bytes <= CS_ENVIRONMENT_BYTES_MAX
                 ? parse_file(b, path, &text, parse)
                 : gw_error_set(b->err, GW_E_LIMIT, 0, "%s: the files are larger than %zu MiB",
                                path, CS_ENVIRONMENT_BYTES_MAX >> 20);
    }
    gw_buf_dispose(&text);
    return st == GW_E_NOT_FOUND ? GW_OK : st;
}

/* All files of one profile, or the plain ones: for each name, each format. */
static gw_status load_group(builder *b, const cs_text *profile)
{
    for (size_t i = 0; i < b->n_names; i++) {
        for (size_t j = 0; j < N_FORMATS; j++) {
            gw_buf path;
            gw_buf_init(&path, 0);
            gw_buf_add(&path, b->names[i].bytes, b->names[i].len);
            if (profile != NULL) {
                gw_buf_add_char(&path, '-');
                gw_buf_add(&path, profile->bytes, profile->len);
            }
            gw_buf_addf(&path, ".%s", formats[j].extension);
            gw_status st = gw_buf_status(&path) == GW_OK ? load_file(b, path.data, formats[j].parse)
                                                         : out_of_memory(b);
            gw_buf_dispose(&path);
            if (st != GW_OK) {
                return st;
            }
        }
    }
    return GW_OK;
}

static bool has_name(const builder *b, cs_text name)
{
    for (size_t i = 0; i < b->n_names; i++) {
        if (cs_text_equal(b->names[i], name)) {
            return true;
        }
    }
    return false;
}

static void collect_names(builder *b)
{
    b->names[b->n_names++] = (cs_text){SHARED, strlen(SHARED)};
    cs_text rest = {b->req->name, strlen(b->req->name)};
    cs_text name;
    while (b->n_names < N_NAMES_MAX && cs_list_next(&rest, &name)) {
        if (!has_name(b, name)) {
            b->names[b->n_names++] = name;
        }
    }
}

/* spring.profiles.include in plain files adds profiles after those of the request; for the profile
 * "default" it is ignored, as in Spring. */
static gw_status collect_included_profiles(builder *b)
{
    if (cs_text_is(b->profiles.items[0], "default")) {
        return GW_OK;
    }
    for (size_t i = 0; i < b->n_plain; i++) {
        const cs_file *file = b->env->files[i];
        for (size_t j = 0; j < file->n_documents; j++) {
            bool is_active = false;
            gw_status st =
                cs_document_is_active(file, &file->documents[j], &b->profiles, &is_active, b->err);
            if (st == GW_OK && is_active) {
                st = cs_document_add_includes(file, &file->documents[j], &b->profiles, b->err);
            }
            if (st != GW_OK) {
                return st;
            }
        }
    }
    return GW_OK;
}

static gw_status add_document(builder *b, size_t file_index, size_t number)
{
    const cs_file *file = b->env->files[file_index];
    const cs_document *doc = &file->documents[number];
    bool is_active = false;
    gw_status st = cs_document_is_active(file, doc, &b->profiles, &is_active, b->err);
    if (st != GW_OK || !is_active) {
        return st;
    }
    st = cs_document_check(file, doc, file_index >= b->n_plain, b->err);
    if (st == GW_OK) {
        b->env->sources[b->env->n_sources++] =
            (cs_source){file, doc, number, file->n_documents == 1};
    }
    return st;
}

/* The documents that apply, from the highest precedence to the lowest. */
static gw_status collect_sources(builder *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->env->n_files; i++) {
        n += b->env->files[i]->n_documents;
    }
    b->env->sources = calloc(n + 1, sizeof(*b->env->sources));
    if (b->env->sources == NULL) {
        return out_of_memory(b);
    }
    for (size_t i = b->env->n_files; i > 0; i--) {
        for (size_t j = b->env->files[i - 1]->n_documents; j > 0; j--) {
            gw_status st = add_document(b, i - 1, j - 1);
            if (st != GW_OK) {
                return st;
            }
        }
    }
    return GW_OK;
}

static gw_status load_all(builder *b)
{
    collect_names(b);
    gw_status st =
        cs_profiles_add_list(&b->profiles, (cs_text){b->req->profiles, strlen(b->req->profiles)});
    if (st != GW_OK || b->profiles.n == 0) {
        return gw_error_set(b->err, GW_E_INVALID, 0, "no usable list of profiles");
    }
    st = load_group(b, NULL);
    b->n_plain = b->env->n_files;
    if (st == GW_OK) {
        st = collect_included_profiles(b);
    }
    for (size_t i = 0; st == GW_OK && i < b->profiles.n; i++) {
        st = load_group(b, &b->profiles.items[i]);
    }
    return st == GW_OK ? collect_sources(b) : st;
}

gw_status cs_environment_load(const cs_reader *reader, const cs_request *req,
                              cs_environment *ret_env, gw_error *err)
{
    cs_environment env = {.sources = NULL};
    builder b = {.reader = reader, .req = req, .env = &env, .err = err};
    gw_status st = load_all(&b);
    if (st != GW_OK) {
        cs_environment_dispose(&env);
        return st;
    }
    *ret_env = env;
    return GW_OK;
}

void cs_environment_dispose(cs_environment *env)
{
    for (size_t i = 0; i < env->n_files; i++) {
        free_file(env->files[i]);
    }
    free(env->files);
    free(env->sources);
    *env = (cs_environment){.sources = NULL};
}
