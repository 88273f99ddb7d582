/* SPDX-License-Identifier: MIT */
/* Which repository and which directories a request is about. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "configserver/scripted_backend.h"
#include "files/bounds.h"
#include "repo/estate.h"
#include "repo/pattern.h"
#include "repo/repo_uri.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static cs_estate *estate_of(const cs_repo_options *repos, size_t n_repos)
{
    cs_estate_options options = {
        .repos = repos, .n_repos = n_repos, .open = script_open, .free_memo_value = free};
    cs_estate *estate = NULL;
    gw_error err = GW_ERROR_INIT;
    if (cs_estate_open(&options, &estate, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return estate;
}

/* The name of the repository, or of the status. */
static const char *repo_for(cs_estate *estate, const char *application, const char *profiles,
                            const char *label)
{
    static char text[128];
    cs_place place;
    gw_error err = GW_ERROR_INIT;
    gw_status st =
        cs_view_place(cs_estate_view(estate), application, profiles, label, &place, &err);
    snprintf(text, sizeof(text), "%s", st == GW_OK ? place.repo_name : gw_status_name(st));
    if (st == GW_OK) {
        cs_place_dispose(&place);
    }
    return text;
}

/* The directories in one line, each with its '/': "[root] a/ b/". */
static const char *dirs_for(cs_estate *estate, const char *application, const char *profiles,
                            const char *label)
{
    static char text[4096];
    cs_place place;
    gw_error err = GW_ERROR_INIT;
    gw_status st =
        cs_view_place(cs_estate_view(estate), application, profiles, label, &place, &err);
    if (st != GW_OK) {
        snprintf(text, sizeof(text), "%s", err.text);
        return text;
    }
    char *p = text;
    for (size_t i = 0; i < place.n_dirs; i++) {
        p += sprintf(p, "%s%s", i == 0 ? "" : " ", place.dirs[i][0] == '\0' ? "." : place.dirs[i]);
    }
    cs_place_dispose(&place);
    return text;
}

static void finish(cs_estate *estate)
{
    cs_estate_close(estate);
    script_dispose_all();
}

/* ---- patterns ---------------------------------------------------------------------------------
 */

static void patterns_are_those_of_spring(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *application;
        const char *profiles;
        bool want;
    } cases[] = {
        {"simple", "simple", "dev", true},
        {"simple", "simple", "dev,prod", true},
        {"simple", "simpler", "dev", false},
        {"simple*", "simpler", "dev", true},
        {"*", "anything", "default", true},
        {"a*c", "abc", "dev", true},
        {"a*c", "abcd", "dev", false},
        {"*b*", "abc", "dev", true},
        {"app/dev", "app", "dev", true},
        {"app/dev", "app", "prod", false},
        {"app/dev", "app", "dev,cloud", true},
        {"app/dev", "app", "cloud,dev", true},
        {"app/dev", "app", "cloud,dev,x", true},
        {"app/dev", "app", "devel", false},
        {"app/dev*", "app", "devel", true},
        {"app/dev,cloud", "app", "dev,cloud", true},
        {"app/dev,cloud", "app", "dev", false},
        {"*/dev", "any", "dev", true},
        {"*/dev", "any", "prod", false},
        {"a*/d*", "abc", "prod,dev", true},
        {"App", "app", "dev", false},
        {"team/app", "team/app", "dev", false},
        {"team/*", "team/app", "dev", true},
        {"", "app", "dev", false},
        {"a?p", "app", "dev", false},
        {"foo", "foo,bar", "dev", false},
        {"foo*", "foo,bar", "dev", true},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        if (cs_pattern_is_for(cases[i].pattern, cases[i].application, cases[i].profiles) !=
            cases[i].want) {
            fail_msg("%s for %s/%s: want %d", cases[i].pattern, cases[i].application,
                     cases[i].profiles, cases[i].want);
        }
    }
    /* No pattern is slow. */
    char stars[] = "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b";
    char as[250];
    memset(as, 'a', sizeof(as) - 1);
    as[sizeof(as) - 1] = '\0';
    assert_false(cs_pattern_is_for(stars, as, "dev"));
}

static void the_first_pattern_that_knows_the_label_wins(void **state)
{
    (void)state;
    static script one;
    static script two;
    static script rest;
    script_init(&one, "/srv/one", true);
    script_init(&two, "/srv/two", true);
    script_init(&rest, "/srv/rest", true);
    script_push_text(&one, "main", "a: 1");
    script_push_text(&two, "main", "a: 2");
    script_push_text(&two, "only-two", "a: 2");
    script_push_text(&rest, "main", "a: 3");
    script_push_text(&rest, "only-rest", "a: 3");
    const char *first[] = {"team*", "billing/dev"};
    const char *second[] = {"team-b*"};
    cs_repo_options repos[] = {
        {.uri = rest.uri},
        {.name = "one", .uri = one.uri, .patterns = first, .n_patterns = 2},
        {.name = "two", .uri = two.uri, .patterns = second, .n_patterns = 1},
    };
    cs_estate *estate = estate_of(repos, N_OF(repos));
    assert_string_equal(repo_for(estate, "team-a", "dev", NULL), "one");
    assert_string_equal(repo_for(estate, "team-b", "dev", NULL), "one");
    assert_string_equal(repo_for(estate, "team-b", "dev", "only-two"), "two");
    assert_string_equal(repo_for(estate, "team-b", "dev", "only-rest"), "default");
    assert_string_equal(repo_for(estate, "team-b", "dev", "nowhere"), "GW_E_NOT_FOUND");
    assert_string_equal(repo_for(estate, "billing", "dev", NULL), "one");
    assert_string_equal(repo_for(estate, "billing", "prod,dev", NULL), "one");
    assert_string_equal(repo_for(estate, "billing", "prod", NULL), "default");
    assert_string_equal(repo_for(estate, "other", "dev", NULL), "default");
    finish(estate);
}

static void one_that_is_being_read_is_waited_for(void **state)
{
    (void)state;
    static script remote;
    static script rest;
    script_init(&remote, "https://git.example.org/r.git", false);
    script_init(&rest, "/srv/rest", true);
    script_push_text(&rest, "main", "a: 3");
    script_push_text(&remote, "main", "a: 1");
    script_hang(&remote, true);
    const char *patterns[] = {"team*"};
    cs_repo_options repos[] = {
        {.name = "one", .uri = remote.uri, .patterns = patterns, .n_patterns = 1},
        {.uri = rest.uri},
    };
    cs_estate *estate = estate_of(repos, N_OF(repos));
    /* The default one would answer, wrongly. */
    assert_string_equal(repo_for(estate, "team-a", "dev", NULL), "GW_E_BUSY");
    assert_string_equal(repo_for(estate, "other", "dev", NULL), "default");
    script_fail(&remote, GW_E_UNAVAILABLE, "down");
    script_hang(&remote, false);
    while (strcmp(repo_for(estate, "team-a", "dev", NULL), "GW_E_BUSY") == 0) {
        usleep(1000);
    }
    /* As in Spring, one that cannot be read is passed over. */
    assert_string_equal(repo_for(estate, "team-a", "dev", NULL), "default");
    /* But where no other knows the label, that says more than "not found". */
    assert_string_equal(repo_for(estate, "team-a", "dev", "nowhere"), "GW_E_UNAVAILABLE");
    finish(estate);
}

/* ---- placeholders in URIs -----------------------------------------------------------------------
 */

static const char *when_read(cs_estate *estate, const char *application, const char *profiles,
                             const char *label)
{
    const char *name = repo_for(estate, application, profiles, label);
    while (strcmp(name, "GW_E_BUSY") == 0) {
        usleep(1000);
        name = repo_for(estate, application, profiles, label);
    }
    return name;
}

static void placeholders_stand_for_many_repositories(void **state)
{
    (void)state;
    static script foo;
    static script bar;
    static script labelled;
    script_init(&foo, "https://git.example.org/foo/dev.git", false);
    script_init(&bar, "https://git.example.org/team/bar/prod.git", false);
    script_init(&labelled, "/srv/main/x", true);
    script_push_text(&foo, "main", "a: 1");
    script_push_text(&bar, "main", "a: 2");
    script_push_text(&labelled, "main", "a: 3");
    const char *patterns[] = {"x*"};
    cs_repo_options repos[] = {
        {.uri = "https://git.example.org/{application}/{profile}.git"},
        {.name = "by-label",
         .uri = "/srv/{label}/{application}",
         .patterns = patterns,
         .n_patterns = 1},
    };
    cs_estate *estate = estate_of(repos, N_OF(repos));
    assert_int_equal(cs_view_n_repos(cs_estate_view(estate)), 0);
    assert_string_equal(repo_for(estate, "foo", "dev", NULL), "GW_E_BUSY");
    assert_string_equal(when_read(estate, "foo", "dev", NULL), "default:foo/dev");
    assert_string_equal(when_read(estate, "team/bar", "prod", NULL), "default:team/bar/prod");
    /* From the last profile to the first. */
    assert_string_equal(when_read(estate, "foo", "dev,none", NULL), "default:foo/dev");
    assert_string_equal(when_read(estate, "none", "dev", NULL), "GW_E_NOT_FOUND");
    /* The default label stands for none. */
    assert_string_equal(when_read(estate, "x", "dev", NULL), "by-label:x/main");
    cs_repo_state now;
    cs_view_repo(cs_estate_view(estate), 0, &now);
    assert_true(now.is_expanded);
    assert_false(now.has_patterns);
    assert_string_equal(now.uri, "https://git.example.org/foo/dev.git");
    finish(estate);
}

static void names_cannot_lead_elsewhere(void **state)
{
    (void)state;
    cs_repo_options repos[] = {{.uri = "https://git.example.org/{application}.git"}};
    cs_estate *estate = estate_of(repos, 1);
    static const char *const names[] = {
        "..",    "../x", "a/../b", "-x",   "a/-x", ".git", "a:b",     "a?b", "a#b", "a b",
        "a%2fb", "a\\b", "/etc",   "a//b", "",     "a\nb", "{label}", "a;b", "$a",
    };
    for (size_t i = 0; i < N_OF(names); i++) {
        const char *got = repo_for(estate, names[i], "dev", NULL);
        if (strcmp(got, "GW_E_NOT_FOUND") != 0) {
            fail_msg("'%s': %s", names[i], got);
        }
    }
    assert_int_equal(cs_view_n_repos(cs_estate_view(estate)), 0);
    finish(estate);
}

static void the_repositories_on_demand_are_bounded(void **state)
{
    (void)state;
    enum { N_GOOD = 20, N_NAMES = 150 };
    static script good[N_GOOD];
    for (size_t i = 0; i < N_GOOD; i++) {
        char uri[64];
        snprintf(uri, sizeof(uri), "/srv/good%zu", i);
        script_init(&good[i], uri, true);
        script_push_text(&good[i], "main", "a: 1");
    }
    cs_repo_options repos[] = {{.uri = "/srv/{application}"}};
    cs_estate *estate = estate_of(repos, 1);
    for (size_t i = 0; i < N_GOOD; i++) {
        char name[32];
        char want[48];
        snprintf(name, sizeof(name), "good%zu", i);
        snprintf(want, sizeof(want), "default:%s", name);
        assert_string_equal(when_read(estate, name, "dev", NULL), want);
    }
    for (size_t i = 0; i < N_NAMES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "invented%zu", i);
        assert_string_equal(when_read(estate, name, "dev", NULL), "GW_E_NOT_FOUND");
        assert_in_range(cs_view_n_repos(cs_estate_view(estate)), 1, CS_REPOS_MAX);
    }
    /* Names that nobody knows have not driven out those that are there. */
    for (size_t i = 0; i < N_GOOD; i++) {
        char name[32];
        char want[48];
        snprintf(name, sizeof(name), "good%zu", i);
        snprintf(want, sizeof(want), "default:%s", name);
        assert_string_equal(repo_for(estate, name, "dev", NULL), want);
        assert_int_equal(good[i].n_opened, 1);
    }
    finish(estate);
}

/* Names that somebody invents, at a host that is slow to say that it does not know them. */
static void only_so_many_are_read_at_once(void **state)
{
    (void)state;
    enum { N_SLOW = CS_REPOS_MAX + 4 };
    static script good;
    static script slow[N_SLOW];
    script_init(&good, "/srv/good", true);
    script_push_text(&good, "main", "a: 1");
    cs_repo_options repos[] = {{.uri = "/srv/{application}"}};
    cs_estate *estate = estate_of(repos, 1);
    assert_string_equal(when_read(estate, "good", "dev", NULL), "default:good");
    for (size_t i = 0; i < N_SLOW; i++) {
        char uri[64];
        snprintf(uri, sizeof(uri), "/srv/slow%zu", i);
        script_init(&slow[i], uri, false);
        script_push_text(&slow[i], "main", "a: 1");
        script_hang(&slow[i], true);
    }
    for (size_t i = 0; i < N_SLOW; i++) {
        char name[32];
        snprintf(name, sizeof(name), "slow%zu", i);
        assert_string_equal(repo_for(estate, name, "dev", NULL), "GW_E_BUSY");
        if (i < CS_FIRST_READS_MAX) {
            script_wait_for_syncs(&slow[i], 1);
        }
    }
    assert_string_equal(repo_for(estate, "good", "dev", NULL), "default:good");
    assert_int_equal(slow[CS_FIRST_READS_MAX].n_opened, 0);
    /* When one is there, the next may be read. */
    script_hang(&slow[0], false);
    script_hang(&slow[CS_FIRST_READS_MAX], false);
    char name[32];
    char want[48];
    snprintf(name, sizeof(name), "slow%u", CS_FIRST_READS_MAX);
    snprintf(want, sizeof(want), "default:%s", name);
    assert_string_equal(when_read(estate, name, "dev", NULL), want);
    finish(estate);
}

static void the_least_recently_used_is_dropped(void **state)
{
    (void)state;
    static script good[CS_REPOS_MAX + 2];
    for (size_t i = 0; i < N_OF(good); i++) {
        char uri[64];
        snprintf(uri, sizeof(uri), "/srv/good%zu", i);
        script_init(&good[i], uri, true);
        script_push_text(&good[i], "main", "a: 1");
    }
    cs_repo_options repos[] = {{.uri = "/srv/{application}"}};
    cs_estate *estate = estate_of(repos, 1);
    char name[32];
    for (size_t i = 0; i < N_OF(good); i++) {
        if (i == CS_REPOS_MAX) {
            usleep(2000); /* the clock that says who is older counts milliseconds */
            assert_string_equal(repo_for(estate, "good0", "dev", NULL), "default:good0");
        }
        snprintf(name, sizeof(name), "good%zu", i);
        when_read(estate, name, "dev", NULL);
        if (i == 0 || i == 1) {
            usleep(2000);
        }
    }
    assert_int_equal(cs_view_n_repos(cs_estate_view(estate)), CS_REPOS_MAX);
    assert_string_equal(repo_for(estate, "good0", "dev", NULL), "default:good0");
    assert_int_equal(good[0].n_opened, 1);
    assert_string_equal(when_read(estate, "good1", "dev", NULL), "default:good1");
    assert_int_equal(good[1].n_opened, 2);
    finish(estate);
}

static void uris_are_shown_without_secrets(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"https://user:p@ss@git.example.org/a.git", "https://git.example.org/a.git"},
        {"https://git.example.org/a@b.git", "https://git.example.org/a@b.git"},
        {"ssh://git@git.example.org:22/a", "ssh://git.example.org:22/a"},
        {"git@git.example.org:a.git", "git@git.example.org:a.git"},
        {"file:///srv/a@b", "file:///srv/a@b"},
        {"/srv/a@b", "/srv/a@b"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf out;
        gw_buf_init(&out, 0);
        cs_repo_uri_public(cases[i][0], &out);
        assert_string_equal(out.data, cases[i][1]);
        gw_buf_dispose(&out);
    }
}

/* ---- search paths -------------------------------------------------------------------------------
 */

static const script_file TREE[] = {
    {"application.yml", "a: 1"},   {"foo/a.yml", "a: 1"},           {"foo-x/a.yml", "a: 1"},
    {"foobar/dev/a.yml", "a: 1"},  {"bar/a.yml", "a: 1"},           {"bar/dev/a.yml", "a: 1"},
    {"bar/dev/x/a.yml", "a: 1"},   {"bar/prod/a.yml", "a: 1"},      {"main/bar/a.yml", "a: 1"},
    {"config/main/a.yml", "a: 1"}, {"feature/x/bar/a.yml", "a: 1"},
};

static void search_paths_are_those_of_spring(void **state)
{
    (void)state;
    static const struct {
        const char *paths; /* a comma list */
        const char *application;
        const char *profiles;
        const char *want;
    } cases[] = {
        {"", "bar", "dev", "."},
        {"bar", "x", "dev", ". bar/"},
        {"/bar/", "x", "dev", ". bar/"},
        {"./bar//dev", "x", "dev", ". bar/dev/"},
        {"none,bar", "x", "dev", ". bar/"},
        {"bar,foo", "x", "dev", ". bar/ foo/"},
        {"foo,bar,foo", "x", "dev", ". foo/ bar/"},
        {"{application}", "bar", "dev", ". bar/"},
        {"{application}", "none", "dev", "."},
        {"{application}", "foo,bar", "dev", ". foo/ bar/"},
        {"{application}/{profile}", "bar", "dev,prod", ". bar/dev/ bar/prod/"},
        {"{application}/{profile}", "bar", "prod,dev", ". bar/prod/ bar/dev/"},
        {"{profile}", "bar", "dev", "."},
        {"{application}/{profile}", "foobar,bar", "dev,prod", ". foobar/dev/ bar/dev/ bar/prod/"},
        {"{label}/{application}", "bar", "dev", ". main/bar/"},
        {"{application}/{profile},{application}", "bar", "dev", ". bar/dev/ bar/"},
        {"foo*", "x", "dev", ". foo/ foo-x/ foobar/"},
        {"foo?x", "x", "dev", ". foo-x/"},
        {"*", "x", "dev", ". bar/ config/ feature/ foo/ foo-x/ foobar/ main/"},
        {"*/dev", "x", "dev", ". bar/dev/ foobar/dev/"},
        {"*/{profile}", "x", "dev,prod", ". bar/dev/ foobar/dev/ bar/prod/"},
        {"bar/**", "x", "dev", ". bar/ bar/dev/ bar/dev/x/ bar/prod/"},
        {"**/bar", "x", "dev", ". bar/ feature/x/bar/ main/bar/"},
        {"**/dev/**", "x", "dev", ". bar/dev/ bar/dev/x/ foobar/dev/"},
        {"b*r/d*", "x", "dev", ". bar/dev/"},
        {"[b]ar", "x", "dev", "."},
        {"{other}", "x", "dev", "."},
    };
    static script s;
    for (size_t i = 0; i < N_OF(cases); i++) {
        char text[64];
        const char *paths[8];
        size_t n_paths = 0;
        char *rest = text;
        snprintf(text, sizeof(text), "%s", cases[i].paths);
        while (text[0] != '\0' && rest != NULL) {
            paths[n_paths++] = strsep(&rest, ",");
        }
        script_init(&s, "/srv/r", true);
        script_push(&s, "main", TREE, N_OF(TREE));
        cs_repo_options repo = {.uri = s.uri, .search_paths = paths, .n_search_paths = n_paths};
        cs_estate *estate = estate_of(&repo, 1);
        const char *got = dirs_for(estate, cases[i].application, cases[i].profiles, NULL);
        if (strcmp(got, cases[i].want) != 0) {
            fail_msg("%s for %s/%s: got '%s', want '%s'", cases[i].paths, cases[i].application,
                     cases[i].profiles, got, cases[i].want);
        }
        finish(estate);
    }
}

static void a_label_is_part_of_search_paths(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_push(&s, "feature/x", TREE, N_OF(TREE));
    const char *paths[] = {"{label}/{application}"};
    cs_repo_options repo = {.uri = s.uri, .search_paths = paths, .n_search_paths = 1};
    cs_estate *estate = estate_of(&repo, 1);
    assert_string_equal(dirs_for(estate, "bar", "dev", "feature/x"), ". feature/x/bar/");
    finish(estate);
}

/* A directory has no labels: those of requests are directories in it, above all others. */
static void labels_of_a_directory_are_directories(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_push(&s, "main", TREE, N_OF(TREE));
    const char *paths[] = {"config", "bar"};
    cs_repo_options repo = {
        .uri = s.uri, .is_directory = true, .search_paths = paths, .n_search_paths = 2};
    cs_estate *estate = estate_of(&repo, 1);
    assert_string_equal(dirs_for(estate, "x", "dev", "main"), ". config/ bar/ main/ config/main/");
    assert_string_equal(dirs_for(estate, "x", "dev", NULL), ". config/ bar/ main/ config/main/");
    finish(estate);
}

static void search_directories_are_bounded(void **state)
{
    (void)state;
    static script s;
    script_file files[SCRIPT_FILES_MAX];
    char names[SCRIPT_FILES_MAX][64];
    script_init(&s, "/srv/r", true);
    for (size_t i = 0; i < N_OF(files); i++) {
        snprintf(names[i], sizeof(names[i]), "%zu/a/b/c/d/e/f/g/h/i/j/k.yml", i);
        files[i] = (script_file){names[i], "a: 1"};
    }
    script_push(&s, "main", files, N_OF(files));
    const char *paths[] = {"**"};
    cs_repo_options repo = {.uri = s.uri, .search_paths = paths, .n_search_paths = 1};
    cs_estate *estate = estate_of(&repo, 1);
    assert_string_equal(dirs_for(estate, "bar", "dev", NULL),
                        "repository default: the search paths come to more than 128 directories");
    finish(estate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_those_of_spring),
        cmocka_unit_test(the_first_pattern_that_knows_the_label_wins),
        cmocka_unit_test(one_that_is_being_read_is_waited_for),
        cmocka_unit_test(placeholders_stand_for_many_repositories),
        cmocka_unit_test(names_cannot_lead_elsewhere),
        cmocka_unit_test(the_repositories_on_demand_are_bounded),
        cmocka_unit_test(only_so_many_are_read_at_once),
        cmocka_unit_test(the_least_recently_used_is_dropped),
        cmocka_unit_test(uris_are_shown_without_secrets),
        cmocka_unit_test(search_paths_are_those_of_spring),
        cmocka_unit_test(a_label_is_part_of_search_paths),
        cmocka_unit_test(labels_of_a_directory_are_directories),
        cmocka_unit_test(search_directories_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
