/* SPDX-License-Identifier: MIT */
/* "godwit config lint". */
#include <string.h>
#include <strings.h>

#include <godwit/cipher.h>

#include "answer/keys.h"
#include "config_commands.h"
#include "config_files.h"
#include "config_key.h"
#include "files/bounds.h"
#include "files/format.h"
#include "lint_file.h"
#include "lint_lists.h"

#define OUTPUT_MAX ((size_t)256 << 20)

/* One run. */
typedef struct lint {
    const options *given;
    gw_cipher *cipher; /* NULL: none is given */
    cs_tree *tree;
    lint_findings findings;
    lint_lists lists;
    size_t n_files;
} lint;

/* "foo.YML", "bar.Properties": written as a server does not look for them. */
static bool is_nearly_known(const char *path)
{
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && cs_format_extension(i) != NULL; i++) {
        if (strcasecmp(dot + 1, cs_format_extension(i)) == 0) {
            return true;
        }
    }
    return false;
}

static void lint_bytes(lint *it, const cs_tree_entry *entry, const gw_buf *text)
{
    const char *bytes = text->data != NULL ? text->data : "";
    cs_file file = {.path = ""};
    gw_error err = GW_ERROR_INIT;
    if (!it->given->config.utf8_properties) {
        lint_charset(&it->findings, entry->path, bytes, text->len);
    }
    if (cs_format_read(&file, entry->path, bytes, text->len, &err) == GW_OK) {
        lint_parsed(&it->findings, &file, it->cipher);
        if (!lint_lists_add(&it->lists, &file)) {
            it->findings.is_out_of_memory = true;
        }
    } else {
        lint_unread(&it->findings, entry->path, bytes, text->len, &err);
    }
    cs_file_dispose(&file);
}

static void lint_entry(lint *it, const cs_tree_entry *entry)
{
    if (!cs_format_is_known(entry->path)) {
        if (is_nearly_known(entry->path)) {
            lint_add(&it->findings, LINT_WARNING, entry->path, 0,
                     "not read: extensions are written in lower case");
        }
        return;
    }
    it->n_files++;
    lint_name(&it->findings, entry->path);
    if (entry->kind == CS_ENTRY_LINK) {
        lint_add(&it->findings, LINT_ERROR, entry->path, 0,
                 "a symbolic link, which a server never follows");
        return;
    }
    gw_buf text;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&text, CS_FILE_BYTES_MAX + 1);
    if (cs_tree_read(it->tree, entry, &text, &err) == GW_OK) {
        lint_bytes(it, entry, &text);
    } else {
        lint_fault(&it->findings, entry->path, &err);
    }
    gw_buf_dispose(&text);
}

static int report(lint *it, FILE *out, FILE *err)
{
    gw_buf text;
    gw_buf_init(&text, OUTPUT_MAX);
    lint_findings_sort(&it->findings);
    if (it->given->json) {
        lint_findings_write_json(&it->findings, it->n_files, &text);
    } else {
        lint_findings_write(&it->findings, it->n_files, &text);
    }
    int status = it->findings.n_by_level[LINT_ERROR] > 0 ? TOOL_FAILED : TOOL_OK;
    if (it->findings.is_out_of_memory || gw_buf_status(&text) != GW_OK) {
        status = tool_fail(err, TOOL_FAILED, "out of memory: this is not all");
    }
    if (text.len > 0) {
        fwrite(text.data, 1, text.len, out);
    }
    gw_buf_dispose(&text);
    int flushed = tool_flush(out, err);
    return status != TOOL_OK ? status : flushed;
}

static gw_status begin(lint *it, gw_error *err)
{
    const char *dir = it->given->words[0];
    const char *label = it->given->config.label;
    gw_status st = GW_OK;
    if (config_key_is_given(it->given)) {
        st = config_key_open(it->given, &it->cipher, err);
    }
    if (st != GW_OK) {
        return st;
    }
    cs_format_set_utf8_properties(it->given->config.utf8_properties);
    return label != NULL ? config_files_of_label(dir, label, &it->tree, err)
                         : config_files_of_directory(dir, &it->tree, err);
}

int config_lint(const options *given, FILE *out, FILE *err)
{
    lint it = {.given = given};
    gw_error why = GW_ERROR_INIT;
    int status = TOOL_FAILED;
    if (begin(&it, &why) == GW_OK) {
        for (size_t i = 0; i < cs_tree_n_entries(it.tree); i++) {
            lint_entry(&it, cs_tree_at(it.tree, i));
        }
        lint_lists_compare(&it.lists, &it.findings);
        status = report(&it, out, err);
    } else {
        tool_fail(err, TOOL_FAILED, "%s", why.text);
    }
    lint_lists_dispose(&it.lists);
    lint_findings_dispose(&it.findings);
    cs_tree_unref(it.tree);
    gw_cipher_free(it.cipher);
    return status;
}
