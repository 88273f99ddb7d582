/* SPDX-License-Identifier: MIT */
/*
 * A program that does with a git repository what it is told, line by line, so that tests in Python
 * can play the other side:
 *
 *     set NAME VALUE   before "open": an option, as set() names them; "\n" ends a line of it
 *     open             ok | STATUS TEXT
 *     begin            starts a sync; "end" waits for it:
 *     end              ok N | STATUS TEXT
 *     recall           the same, of what an earlier process left
 *     refs             KIND NAME COMMIT, a line each, then "."
 *     read LABEL PATH  ok TEXT | STATUS TEXT
 *     stop
 *     close            ok
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend.h"
#include "repo/git_helper.h"

#define VALUES_MAX 32

typedef struct probe {
    cs_repo_options options;
    char *values[VALUES_MAX]; /* that the options point to */
    size_t n_values;
    cs_backend *repo;
    cs_refs *refs;
    pthread_t thread;
    gw_status st;
    gw_error err;
} probe;

static void say(gw_status st, const gw_error *err)
{
    printf("%s %s\n", gw_status_name(st), err->text);
}

/* "\n" in the text becomes the end of a line. */
static char *with_lines(const char *text)
{
    char *copy = strdup(text);
    char *to = copy;
    for (const char *p = text; *p != '\0'; p++) {
        bool is_end = p[0] == '\\' && p[1] == 'n';
        *to++ = is_end ? '\n' : *p;
        p += is_end;
    }
    *to = '\0';
    return copy;
}

static void set(probe *it, const char *name, const char *text)
{
    cs_repo_options *o = &it->options;
    char *value = with_lines(text);
    if (it->n_values == VALUES_MAX) {
        exit(2);
    }
    it->values[it->n_values++] = value;
    const struct {
        const char *name;
        const char **field;
    } texts[] = {{"uri", &o->uri},
                 {"name", &o->name},
                 {"basedir", &o->basedir},
                 {"username", &o->username},
                 {"password", &o->password},
                 {"private-key", &o->private_key},
                 {"private-key-file", &o->private_key_file},
                 {"passphrase", &o->passphrase},
                 {"known-hosts-file", &o->known_hosts_file},
                 {"ca-file", &o->ca_file}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(texts[i].name, name) == 0) {
            *texts[i].field = value;
            return;
        }
    }
    if (strcmp(name, "timeout") == 0) {
        o->timeout_s = (unsigned)atoi(value);
    } else if (strcmp(name, "any-host-key") == 0) {
        o->any_host_key = true;
    } else if (strcmp(name, "skip-tls") == 0) {
        o->skip_tls_verification = true;
    } else {
        fprintf(stderr, "git_probe: %s is nothing to set\n", name);
        exit(2);
    }
}

static void open_repo(probe *it)
{
    gw_error err = GW_ERROR_INIT;
    gw_status st = cs_git_open(&it->options, &it->repo, &err);
    if (st == GW_OK) {
        printf("ok\n");
    } else {
        say(st, &err);
    }
}

static void take_refs(probe *it, gw_status st, cs_refs *refs, const gw_error *err)
{
    if (st == GW_OK) {
        cs_refs_unref(it->refs);
        it->refs = refs;
        printf("ok %zu\n", cs_refs_count(refs));
    } else {
        say(st, err);
    }
}

static void *sync_repo(void *arg)
{
    probe *it = arg;
    cs_refs *refs = NULL;
    it->err = (gw_error)GW_ERROR_INIT;
    it->st = it->repo->class->sync(it->repo, &refs, &it->err);
    return refs;
}

static void end_sync(probe *it)
{
    void *refs = NULL;
    pthread_join(it->thread, &refs);
    take_refs(it, it->st, refs, &it->err);
}

static void recall(probe *it)
{
    cs_refs *refs = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = it->repo->class->recall(it->repo, &refs, &err);
    take_refs(it, st, refs, &err);
}

static void list_refs(const probe *it)
{
    for (size_t i = 0; it->refs != NULL && i < cs_refs_count(it->refs); i++) {
        const cs_ref *ref = cs_refs_at(it->refs, i);
        printf("%s %s %s\n", ref->kind == CS_REF_TAG ? "tag" : "branch", ref->name, ref->commit.id);
    }
    printf(".\n");
}

static gw_status find_tree(probe *it, const char *label, cs_tree **ret_tree, gw_error *err)
{
    const cs_ref *ref = it->refs == NULL ? NULL : cs_refs_find(it->refs, label);
    cs_commit commit;
    gw_status st = GW_OK;
    if (ref != NULL) {
        commit = ref->commit;
    } else {
        st = it->repo->class->find_commit(it->repo, label, &commit, err);
    }
    return st == GW_OK ? it->repo->class->tree(it->repo, &commit, NULL, ret_tree, err) : st;
}

static void read_file(probe *it, const char *label, const char *path)
{
    cs_tree *tree = NULL;
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 0);
    gw_status st = find_tree(it, label, &tree, &err);
    if (st == GW_OK) {
        const cs_tree_entry *entry = cs_tree_find(tree, path);
        st = entry == NULL ? GW_E_NOT_FOUND : cs_tree_read(tree, entry, &out, &err);
    }
    if (st == GW_OK) {
        printf("ok %.*s\n", (int)strcspn(out.data == NULL ? "" : out.data, "\n"),
               out.data == NULL ? "" : out.data);
    } else {
        say(st, &err);
    }
    gw_buf_dispose(&out);
    cs_tree_unref(tree);
}

static void close_repo(probe *it)
{
    if (it->repo != NULL) {
        it->repo->class->stop(it->repo);
        it->repo->class->free(it->repo);
    }
    cs_refs_unref(it->refs);
    it->repo = NULL;
    it->refs = NULL;
    printf("ok\n");
}

static void obey(probe *it, char *line)
{
    char *rest = line;
    const char *word = strsep(&rest, " ");
    if (strcmp(word, "set") == 0) {
        const char *name = strsep(&rest, " ");
        set(it, name, rest == NULL ? "" : rest);
    } else if (strcmp(word, "open") == 0) {
        open_repo(it);
    } else if (strcmp(word, "begin") == 0) {
        pthread_create(&it->thread, NULL, sync_repo, it);
    } else if (strcmp(word, "end") == 0) {
        end_sync(it);
    } else if (strcmp(word, "recall") == 0) {
        recall(it);
    } else if (strcmp(word, "refs") == 0) {
        list_refs(it);
    } else if (strcmp(word, "read") == 0) {
        const char *label = strsep(&rest, " ");
        read_file(it, label, rest);
    } else if (strcmp(word, "stop") == 0) {
        it->repo->class->stop(it->repo);
    } else if (strcmp(word, "close") == 0) {
        close_repo(it);
    }
}

int main(int argc, char **argv)
{
    int code = cs_git_helper(argc, argv);
    if (code >= 0) {
        return code;
    }
    static char line[65536];
    probe it = {.options = {.name = "default"}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        obey(&it, line);
    }
    for (size_t i = 0; i < it.n_values; i++) {
        free(it.values[i]);
    }
    return 0;
}
