/* SPDX-License-Identifier: MIT */
/* A directory as containers have it mounted: what is in it, what is outside, and each change. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "files/bounds.h"
#include "repo/estate.h"
#include "repo/parsed.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- a directory of the test's own -------------------------------------------------------- */

static char top[64];     /* holds it, and what is outside of it */
static char served[128]; /* it */

static const char *at(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % N_OF(paths)];
    snprintf(path, sizeof(paths[0]), "%s/%s", served, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(at(name), "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void make_dir(const char *name)
{
    assert_int_equal(mkdir(at(name), 0755), 0);
}

static void put_link(const char *name, const char *to)
{
    assert_int_equal(symlink(to, at(name)), 0);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(top, "/tmp/godwit-cfg-XXXXXX");
    assert_non_null(mkdtemp(top));
    snprintf(served, sizeof(served), "%s/served", top);
    assert_int_equal(mkdir(served, 0755), 0);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* ---- what is served ------------------------------------------------------------------------- */

static cs_estate *open_served(void)
{
    cs_repo_options repo = {.uri = served, .is_directory = true};
    cs_estate_options options = {
        .repos = &repo, .n_repos = 1, .open = cs_directory_open, .free_memo_value = free};
    cs_estate *estate = NULL;
    gw_error err = GW_ERROR_INIT;
    if (cs_estate_open(&options, &estate, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return estate;
}

static void close_served(cs_estate *estate)
{
    cs_estate_close(estate);
    assert_int_equal(cs_parsed_bytes(), 0);
}

/* The bytes of a file as a request of now sees them, "-" when it is not there, "!" and the error
 * when it cannot be read. */
static const char *bytes_of(cs_estate *estate, const char *path)
{
    static char text[600];
    cs_place place;
    gw_error err = GW_ERROR_INIT;
    if (cs_view_place(cs_estate_view(estate), "app", "dev", NULL, &place, &err) != GW_OK) {
        snprintf(text, sizeof(text), "!%s", err.text);
        return text;
    }
    const cs_tree_entry *entry = cs_tree_find(place.tree, path);
    gw_buf out;
    gw_buf_init(&out, 0);
    if (entry == NULL) {
        strcpy(text, "-");
    } else if (cs_tree_read(place.tree, entry, &out, &err) != GW_OK) {
        snprintf(text, sizeof(text), "!%s", err.text);
    } else {
        snprintf(text, sizeof(text), "%.*s", (int)out.len, out.len == 0 ? "" : out.data);
    }
    gw_buf_dispose(&out);
    cs_place_dispose(&place);
    return text;
}

static size_t n_files(cs_estate *estate)
{
    cs_place place;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_view_place(cs_estate_view(estate), "a", "d", NULL, &place, &err), GW_OK);
    size_t n = cs_tree_n_entries(place.tree);
    cs_place_dispose(&place);
    return n;
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void files_at_any_depth_are_served(void **state)
{
    (void)state;
    put("a.yml", "a: 1");
    make_dir("b");
    make_dir("b/c");
    put("b/c/d.properties", "x=1");
    put("empty.txt", "");
    make_dir(".git");
    put(".git/config", "secret");
    assert_int_equal(mkfifo(at("pipe.yml"), 0644), 0);
    cs_estate *estate = open_served();
    assert_string_equal(bytes_of(estate, "a.yml"), "a: 1");
    assert_string_equal(bytes_of(estate, "b/c/d.properties"), "x=1");
    assert_string_equal(bytes_of(estate, "empty.txt"), "");
    assert_string_equal(bytes_of(estate, ".git/config"), "-");
    assert_int_equal(n_files(estate), 3);
    cs_place place;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_view_place(cs_estate_view(estate), "app", "dev", "any/label", &place, &err),
                     GW_OK);
    assert_true(place.is_directory);
    assert_string_equal(place.label, "any/label");
    assert_string_equal(cs_tree_version(place.tree), "");
    assert_int_equal(strncmp(cs_tree_uri(place.tree), "file:///tmp/godwit-cfg-", 23), 0);
    struct stat st;
    assert_int_equal(stat(at("b/c/d.properties"), &st), 0);
    assert_int_equal(cs_tree_find(place.tree, "b/c/d.properties")->modified_s, st.st_mtime);
    cs_place_dispose(&place);
    close_served(estate);
}

static void each_change_is_in_the_next_answer(void **state)
{
    (void)state;
    put("a.yml", "0");
    cs_estate *estate = open_served();
    for (int i = 1; i < 30; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        put("a.yml", text);
        assert_string_equal(bytes_of(estate, "a.yml"), text);
    }
    put("new.yml", "new");
    assert_string_equal(bytes_of(estate, "new.yml"), "new");
    put("next", "by rename");
    assert_int_equal(rename(at("next"), at("new.yml")), 0);
    assert_string_equal(bytes_of(estate, "new.yml"), "by rename");
    assert_int_equal(unlink(at("new.yml")), 0);
    assert_string_equal(bytes_of(estate, "new.yml"), "-");
    /* Directories that came later are watched as well. */
    make_dir("x");
    make_dir("x/y");
    put("x/y/z.yml", "1");
    assert_string_equal(bytes_of(estate, "x/y/z.yml"), "1");
    put("x/y/z.yml", "2");
    assert_string_equal(bytes_of(estate, "x/y/z.yml"), "2");
    assert_int_equal(rename(at("x/y"), at("moved")), 0);
    assert_string_equal(bytes_of(estate, "x/y/z.yml"), "-");
    assert_string_equal(bytes_of(estate, "moved/z.yml"), "2");
    put("moved/z.yml", "3");
    assert_string_equal(bytes_of(estate, "moved/z.yml"), "3");
    /* One that was moved out is no concern any more, and comes back as it is then. */
    char outside[128];
    snprintf(outside, sizeof(outside), "%s/outside", top);
    assert_int_equal(rename(at("moved"), outside), 0);
    assert_string_equal(bytes_of(estate, "moved/z.yml"), "-");
    assert_int_equal(rename(outside, at("back")), 0);
    assert_string_equal(bytes_of(estate, "back/z.yml"), "3");
    close_served(estate);
}

static void nothing_new_is_no_new_view(void **state)
{
    (void)state;
    put("a.yml", "a: 1");
    cs_estate *estate = open_served();
    uint64_t number = cs_view_number(cs_estate_view(estate));
    int fd = open(at("a.yml"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "a: 1", 4), 4);
    assert_int_equal(cs_view_number(cs_estate_view(estate)), number);
    assert_int_equal(pwrite(fd, "a: 2", 4, 0), 4);
    close(fd);
    assert_string_equal(bytes_of(estate, "a.yml"), "a: 2");
    assert_int_equal(cs_view_number(cs_estate_view(estate)), number + 1);
    close_served(estate);
}

/* A ConfigMap's mount, and how the kubelet exchanges it. */
static void write_version(const char *name, const char *a, const char *b)
{
    char path[128];
    make_dir(name);
    snprintf(path, sizeof(path), "%s/a.yml", name);
    put(path, a);
    snprintf(path, sizeof(path), "%s/sub", name);
    make_dir(path);
    snprintf(path, sizeof(path), "%s/sub/b.yml", name);
    put(path, b);
}

static void mounts_of_kubernetes_are_followed(void **state)
{
    (void)state;
    write_version("..2026_1", "1", "one");
    put_link("..data", "..2026_1");
    put_link("a.yml", "..data/a.yml");
    put_link("sub", "..data/sub");
    cs_estate *estate = open_served();
    assert_string_equal(bytes_of(estate, "a.yml"), "1");
    assert_string_equal(bytes_of(estate, "sub/b.yml"), "one");
    assert_int_equal(n_files(estate), 2);
    for (int i = 2; i < 20; i++) {
        char name[32];
        char text[16];
        snprintf(name, sizeof(name), "..2026_%d", i);
        snprintf(text, sizeof(text), "%d", i);
        write_version(name, text, text);
        put_link("..data_tmp", name);
        assert_int_equal(rename(at("..data_tmp"), at("..data")), 0);
        assert_string_equal(bytes_of(estate, "a.yml"), text);
        assert_string_equal(bytes_of(estate, "sub/b.yml"), text);
        assert_int_equal(n_files(estate), 2);
    }
    close_served(estate);
}

/* A server that is out of descriptors serves what it had, not files that it takes for bad links. */
static void running_out_of_descriptors_is_no_change(void **state)
{
    (void)state;
    write_version("..2026_1", "1", "one");
    put_link("..data", "..2026_1");
    put_link("a.yml", "..data/a.yml");
    put_link("b.yml", "..data/sub/b.yml");
    cs_estate *estate = open_served();
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = dup(0);
    close(lowest);
    put("new.yml", "x");
    for (int n_left = 0; n_left < 6; n_left++) {
        struct rlimit few = before;
        few.rlim_cur = (rlim_t)lowest + (rlim_t)n_left;
        assert_int_equal(utimensat(AT_FDCWD, at("new.yml"), NULL, 0), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        char one[16], two[16];
        snprintf(one, sizeof(one), "%.15s", bytes_of(estate, "a.yml"));
        snprintf(two, sizeof(two), "%.15s", bytes_of(estate, "b.yml"));
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_string_equal(one, "1");
        assert_string_equal(two, "one");
    }
    put("new.yml", "y");
    assert_string_equal(bytes_of(estate, "new.yml"), "y");
    close_served(estate);
}

static void nothing_outside_is_read(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/secret", top);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("secret", file);
    fclose(file);
    snprintf(path, sizeof(path), "%s/dir", top);
    assert_int_equal(mkdir(path, 0755), 0);
    make_dir("..v");
    put("..v/good.yml", "good");
    make_dir("deep");
    put_link("..data", "..v");
    put_link("good.yml", "..data/good.yml");
    static const char *const links[][2] = {
        {"absolute.yml", "/etc/passwd"},
        {"climbing.yml", "../secret"},
        {"through-data.yml", "..data/../../secret"},
        {"through-data-2.yml", "..data/../../../etc/passwd"},
        {"data-itself", "..data"},
        {"data-slash", "..data/"},
        {"outside-dir", "../dir"},
        {"loop", "."},
        {"dangling.yml", "..data/none.yml"},
        {"sibling.yml", "good.yml"},
        {"deep/data.yml", "..data/good.yml"},
        {"deep/up.yml", "../../secret"},
    };
    for (size_t i = 0; i < N_OF(links); i++) {
        put_link(links[i][0], links[i][1]);
    }
    cs_estate *estate = open_served();
    assert_string_equal(bytes_of(estate, "good.yml"), "good");
    for (size_t i = 0; i < N_OF(links); i++) {
        char want[128];
        snprintf(want, sizeof(want), "!%s: a symbolic link is not followed", links[i][0]);
        assert_string_equal(bytes_of(estate, links[i][0]), want);
    }
    assert_int_equal(n_files(estate), 1 + N_OF(links));
    /* "..data" itself may only lead to a directory beside it. */
    static const char *const wrong[] = {"..",   ".",    "../dir", "/etc",
                                        "..v/", "deep", "...",    "..none"};
    for (size_t i = 0; i < N_OF(wrong); i++) {
        put_link("..data_tmp", wrong[i]);
        assert_int_equal(rename(at("..data_tmp"), at("..data")), 0);
        assert_string_equal(bytes_of(estate, "good.yml"),
                            "!good.yml: a symbolic link is not followed");
    }
    close_served(estate);
}

/* Reading this much can take longer than a request waits. */
static void wait_for_reason(cs_estate *estate, const char *text)
{
    cs_repo_state now;
    do {
        usleep(1000);
        cs_view_repo(cs_estate_view(estate), 0, &now);
    } while (text[0] == '\0' ? now.reason[0] != '\0' : strstr(now.reason, text) == NULL);
    assert_int_equal(now.is_fresh, text[0] == '\0');
}

static void what_is_read_is_bounded(void **state)
{
    (void)state;
    put("small.yml", "a: 1");
    put("large.yml", "a: 1");
    assert_int_equal(truncate(at("large.yml"), CS_FILE_BYTES_MAX + 1), 0);
    cs_estate *estate = open_served();
    assert_string_equal(bytes_of(estate, "small.yml"), "a: 1");
    assert_string_equal(bytes_of(estate, "large.yml"), "!large.yml: larger than 4 MiB");
    /* All of it: what was good goes on being served. */
    for (int i = 0; i <= 16; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d.yml", i);
        put(name, "");
        assert_int_equal(truncate(at(name), CS_FILE_BYTES_MAX), 0);
    }
    assert_string_equal(bytes_of(estate, "small.yml"), "a: 1");
    wait_for_reason(estate, "all files together have more than 64 MiB");
    for (int i = 0; i <= 16; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d.yml", i);
        assert_int_equal(unlink(at(name)), 0);
    }
    put("small.yml", "a: 2");
    wait_for_reason(estate, "");
    while (strcmp(bytes_of(estate, "small.yml"), "a: 2") != 0) {
        usleep(1000);
    }
    char deep[200] = "d";
    make_dir(deep);
    for (int i = 0; i < 32; i++) {
        strcat(deep, "/d");
        make_dir(deep);
    }
    wait_for_reason(estate, "more than 32 directories deep");
    close_served(estate);
}

static void the_directory_itself_may_go_and_come(void **state)
{
    (void)state;
    char away[128];
    snprintf(away, sizeof(away), "%s/away", top);
    put("a.yml", "1");
    cs_estate *estate = open_served();
    assert_string_equal(bytes_of(estate, "a.yml"), "1");
    assert_int_equal(rename(served, away), 0);
    assert_string_equal(bytes_of(estate, "a.yml"), "1");
    cs_repo_state now;
    cs_view_repo(cs_estate_view(estate), 0, &now);
    assert_true(now.is_ready);
    assert_false(now.is_fresh);
    assert_non_null(strstr(now.reason, "No such file or directory"));
    assert_int_equal(mkdir(served, 0755), 0);
    put("a.yml", "2");
    assert_string_equal(bytes_of(estate, "a.yml"), "2");
    close_served(estate);
}

static void the_directory_may_be_named_by_a_link(void **state)
{
    (void)state;
    char first[128];
    char second[128];
    char other[128];
    snprintf(first, sizeof(first), "%s/first", top);
    snprintf(second, sizeof(second), "%s/second", top);
    snprintf(other, sizeof(other), "%s/other", top);
    put("a.yml", "1");
    assert_int_equal(rename(served, first), 0);
    assert_int_equal(mkdir(second, 0755), 0);
    assert_int_equal(symlink("first", served), 0);
    cs_estate *estate = open_served();
    assert_string_equal(bytes_of(estate, "a.yml"), "1");
    assert_int_equal(symlink("second", other), 0);
    assert_int_equal(rename(other, served), 0);
    assert_string_equal(bytes_of(estate, "a.yml"), "-");
    put("a.yml", "2");
    assert_string_equal(bytes_of(estate, "a.yml"), "2");
    close_served(estate);
}

static void what_is_no_directory_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        gw_status st;
    } cases[] = {{"none", GW_E_NOT_FOUND}, {"file", GW_E_INVALID}};
    put("file", "");
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_repo_options repo = {.uri = at(cases[i].name), .is_directory = true};
        cs_backend *backend = NULL;
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(cs_directory_open(&repo, &backend, &err), cases[i].st);
        assert_non_null(strstr(err.text, cases[i].name));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_at_any_depth_are_served),
        TEST(each_change_is_in_the_next_answer),
        TEST(nothing_new_is_no_new_view),
        TEST(mounts_of_kubernetes_are_followed),
        TEST(running_out_of_descriptors_is_no_change),
        TEST(nothing_outside_is_read),
        TEST(what_is_read_is_bounded),
        TEST(the_directory_itself_may_go_and_come),
        TEST(the_directory_may_be_named_by_a_link),
        TEST(what_is_no_directory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
