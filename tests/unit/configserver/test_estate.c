/* SPDX-License-Identifier: MIT */
/* What is served while repositories change, fail, hang and go. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "configserver/scripted_backend.h"
#include "files/bounds.h"
#include "repo/estate.h"
#include "repo/keeper.h"
#include "repo/parsed.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- an estate and what it tells ------------------------------------------------------ */

typedef struct events {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n_changes;
    unsigned n_done;
    gw_error done;
    unsigned n_told; /* of files */
    char files[256]; /* of the last time, with blanks between */
} events;

static events seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void on_change(void *ctx)
{
    events *all = ctx;
    pthread_mutex_lock(&all->lock);
    all->n_changes++;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

static void on_files(void *ctx, const cs_changed *changed)
{
    events *all = ctx;
    pthread_mutex_lock(&all->lock);
    all->files[0] = '\0';
    for (size_t i = 0; i < changed->n; i++) {
        size_t len = strlen(all->files);
        snprintf(all->files + len, sizeof(all->files) - len, "%s%s", i == 0 ? "" : " ",
                 changed->paths[i]);
    }
    all->n_told++;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

static void on_done(void *ctx, gw_status st, const gw_error *err)
{
    events *all = ctx;
    pthread_mutex_lock(&all->lock);
    all->n_done++;
    all->done = *err;
    all->done.status = st;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

static void wait_for(const unsigned *number, unsigned n)
{
    pthread_mutex_lock(&seen.lock);
    while (*number < n) {
        pthread_cond_wait(&seen.changed, &seen.lock);
    }
    pthread_mutex_unlock(&seen.lock);
}

static cs_estate *estate_of(const cs_repo_options *repos, size_t n_repos)
{
    seen.n_changes = 0;
    seen.n_done = 0;
    seen.n_told = 0;
    cs_estate_options options = {
        .repos = repos,
        .n_repos = n_repos,
        .open = script_open,
        .free_memo_value = free,
        .on_change = on_change,
        .on_files = on_files,
        .ctx = &seen,
    };
    cs_estate *estate = NULL;
    gw_error err = GW_ERROR_INIT;
    if (cs_estate_open(&options, &estate, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return estate;
}

static cs_estate *estate_of_one(script *s)
{
    cs_repo_options repo = {.uri = s->uri};
    return estate_of(&repo, 1);
}

/* Sync and wait until that is over. */
static gw_status sync_now(cs_estate *estate, const char *which)
{
    pthread_mutex_lock(&seen.lock);
    unsigned n = seen.n_done;
    pthread_mutex_unlock(&seen.lock);
    cs_estate_sync(estate, which, on_done, &seen);
    wait_for(&seen.n_done, n + 1);
    return seen.done.status;
}

/* ---- what is served ---------------------------------------------------------------------- */

static const char *text_of(const cs_place *place, const char *path, char *ret_text, size_t size)
{
    gw_error err = GW_ERROR_INIT;
    const cs_file *file = NULL;
    const cs_tree_entry *entry = cs_tree_find(place->tree, path);
    if (entry == NULL || cs_tree_parse(place->tree, entry, &file, &err) != GW_OK) {
        return NULL;
    }
    snprintf(ret_text, size, "%s", file->documents[0].items[0].value.bytes);
    cs_tree_release(file);
    return ret_text;
}

/* "main" as a request of now sees it: the value in a.yml, "-" for a failure. */
static const char *value_at(cs_estate *estate, const char *label, gw_error *err)
{
    static _Thread_local char text[128];
    cs_place place;
    gw_error why = GW_ERROR_INIT;
    gw_status st = cs_view_place(cs_estate_view(estate), "app", "dev", label, &place, &why);
    if (err != NULL) {
        *err = why;
    }
    if (st != GW_OK) {
        assert_int_equal(why.status, st);
        return "-";
    }
    const char *value = text_of(&place, "a.yml", text, sizeof(text));
    cs_place_dispose(&place);
    return value == NULL ? "?" : value;
}

static gw_status status_at(cs_estate *estate, const char *label)
{
    gw_error err = GW_ERROR_INIT;
    value_at(estate, label, &err);
    return err.status;
}

static cs_repo_state state_of(cs_estate *estate, size_t i)
{
    cs_repo_state state;
    cs_view_repo(cs_estate_view(estate), i, &state);
    return state;
}

static void finish(cs_estate *estate)
{
    cs_estate_close(estate);
    script_dispose_all();
    assert_int_equal(cs_parsed_bytes(), 0);
}

/* ---- tests -------------------------------------------------------------------------------- */

static void a_local_change_is_in_the_next_answer(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_push_text(&s, "main", "a: 0");
    cs_estate *estate = estate_of_one(&s);
    assert_string_equal(value_at(estate, NULL, NULL), "0");
    for (int i = 1; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof(text), "a: %d", i);
        const char *id = script_push_text(&s, "main", text);
        assert_string_equal(value_at(estate, NULL, NULL), text + 3);
        assert_string_equal(state_of(estate, 0).default_commit, id);
    }
    cs_repo_state now = state_of(estate, 0);
    assert_true(now.is_ready && now.is_fresh);
    assert_int_equal(now.age_ms, 0);
    assert_string_equal(now.reason, "");
    finish(estate);
}

static void labels_name_branches_and_commits(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    const char *first = script_push_text(&s, "master", "a: old");
    script_push_text(&s, "master", "a: new");
    script_push_text(&s, "dev", "a: dev");
    cs_estate *estate = estate_of_one(&s);
    assert_string_equal(value_at(estate, NULL, NULL), "new");
    assert_string_equal(value_at(estate, "main", NULL), "new");
    assert_string_equal(value_at(estate, "master", NULL), "new");
    assert_string_equal(value_at(estate, "dev", NULL), "dev");
    assert_string_equal(value_at(estate, first, NULL), "old");
    char prefix[16];
    snprintf(prefix, sizeof(prefix), "%.8s", first);
    assert_string_equal(value_at(estate, prefix, NULL), "old");
    snprintf(prefix, sizeof(prefix), "%.6s", first);
    gw_error err = GW_ERROR_INIT;
    value_at(estate, prefix, &err);
    assert_int_equal(err.status, GW_E_NOT_FOUND);
    assert_string_equal(err.text, "/srv/r: no branch, tag or commit 'abc000'");
    assert_int_equal(status_at(estate, "abcdefabcdef"), GW_E_NOT_FOUND);
    assert_int_equal(status_at(estate, "unknown"), GW_E_NOT_FOUND);
    /* A branch of a name comes before a commit, and goes when it is deleted. */
    script_push_text(&s, "abcdefabcdef", "a: branch");
    assert_string_equal(value_at(estate, "abcdefabcdef", NULL), "branch");
    script_delete(&s, "abcdefabcdef");
    assert_int_equal(status_at(estate, "abcdefabcdef"), GW_E_NOT_FOUND);
    finish(estate);
}

static void master_can_be_told_apart_from_main(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_push_text(&s, "master", "a: 1");
    cs_repo_options repo = {.uri = s.uri, .no_master = true};
    cs_estate *estate = estate_of(&repo, 1);
    assert_int_equal(status_at(estate, NULL), GW_E_NOT_FOUND);
    assert_string_equal(value_at(estate, "master", NULL), "1");
    finish(estate);
}

static void labels_in_use_are_read_before_they_are_asked_for(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_push_text(&s, "main", "a: 0");
    script_push_text(&s, "dev", "a: 0");
    cs_estate *estate = estate_of_one(&s);
    assert_int_equal(script_n_trees(&s), 1); /* the default label's */
    value_at(estate, "dev", NULL);
    assert_int_equal(script_n_trees(&s), 2);
    for (unsigned i = 1; i <= 5; i++) {
        char text[16];
        snprintf(text, sizeof(text), "a: %u", i);
        script_push_text(&s, "dev", text);
        (void)cs_estate_view(estate);
        assert_int_equal(script_n_trees(&s), 2 + i);
        assert_string_equal(value_at(estate, "dev", NULL), text + 3);
        assert_int_equal(script_n_trees(&s), 2 + i);
    }
    /* What is not asked for any more is not read any more. */
    for (unsigned i = 0; i < 40; i++) {
        char text[16];
        snprintf(text, sizeof(text), "a: %u", i);
        script_push_text(&s, "dev", text);
        (void)cs_estate_view(estate);
    }
    assert_in_range(script_n_trees(&s), 7 + 10, 7 + 20);
    assert_string_equal(value_at(estate, "dev", NULL), "39");
    finish(estate);
}

static void only_what_changed_is_parsed_again(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_file files[] = {{"a.yml", "a: 1"}, {"b.yml", "a: 2"}, {"c.yml", "a: 3"}};
    script_push(&s, "main", files, 3);
    cs_estate *estate = estate_of_one(&s);
    cs_place place;
    gw_error err = GW_ERROR_INIT;
    char text[32];
    assert_int_equal(cs_view_place(cs_estate_view(estate), "app", "dev", NULL, &place, &err),
                     GW_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(text_of(&place, files[i].path, text, sizeof(text)));
    }
    pthread_mutex_lock(&s.lock);
    unsigned n_reads = s.n_reads;
    pthread_mutex_unlock(&s.lock);
    cs_place_dispose(&place);
    files[1].text = "a: changed";
    script_push(&s, "main", files, 3);
    assert_int_equal(cs_view_place(cs_estate_view(estate), "app", "dev", NULL, &place, &err),
                     GW_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(text_of(&place, files[i].path, text, sizeof(text)));
    }
    cs_place_dispose(&place);
    finish(estate);
    /* Once by whoever came first; twice if the thread that looks for faults came at the same
     * moment. */
    assert_in_range(s.n_reads - n_reads, 1, 2);
}

static void a_remote_is_busy_then_ready(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "https://git.example.org/r.git", false);
    script_push_text(&s, "main", "a: 1");
    script_hang(&s, true);
    cs_estate *estate = estate_of_one(&s);
    script_wait_for_syncs(&s, 1);
    gw_error err = GW_ERROR_INIT;
    value_at(estate, NULL, &err);
    assert_int_equal(err.status, GW_E_BUSY);
    assert_string_equal(err.text, "repository default: is being read for the first time");
    assert_false(state_of(estate, 0).is_ready);
    script_hang(&s, false);
    wait_for(&seen.n_changes, 1);
    assert_string_equal(value_at(estate, NULL, NULL), "1");
    assert_true(state_of(estate, 0).is_ready);
    finish(estate);
}

static void a_remote_that_fails_is_unavailable(void **state)
{
    (void)state;
    static const struct {
        gw_status st;
        gw_status want;
    } cases[] = {
        {GW_E_TIMEOUT, GW_E_UNAVAILABLE},
        {GW_E_DENIED, GW_E_UNAVAILABLE},
        {GW_E_NOT_FOUND, GW_E_NOT_FOUND},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        static script s;
        script_init(&s, "https://git.example.org/r.git", false);
        script_push_text(&s, "main", "a: 1");
        script_fail(&s, cases[i].st, "no luck with git.example.org");
        cs_estate *estate = estate_of_one(&s);
        wait_for(&seen.n_changes, 1);
        gw_error err = GW_ERROR_INIT;
        value_at(estate, NULL, &err);
        assert_int_equal(err.status, cases[i].want);
        assert_string_equal(err.text, "repository default: no luck with git.example.org");
        cs_repo_state now = state_of(estate, 0);
        assert_false(now.is_ready || now.is_fresh);
        assert_string_equal(now.reason, "no luck with git.example.org");
        script_fail(&s, GW_OK, "");
        assert_int_equal(sync_now(estate, NULL), GW_OK);
        assert_string_equal(value_at(estate, NULL, NULL), "1");
        finish(estate);
    }
}

/* It is tried again by itself, soon as long as there is nothing to serve. */
static void a_remote_is_tried_again(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "https://git.example.org/r.git", false);
    script_push_text(&s, "main", "a: 1");
    script_fail(&s, GW_E_UNAVAILABLE, "down");
    cs_estate *estate = estate_of_one(&s);
    wait_for(&seen.n_changes, 1);
    script_fail(&s, GW_OK, "");
    wait_for(&seen.n_changes, 2);
    assert_string_equal(value_at(estate, NULL, NULL), "1");
    finish(estate);
}

static void a_remote_is_looked_at_again_and_again(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "https://git.example.org/r.git", false);
    script_push_text(&s, "main", "a: 1");
    cs_repo_options repo = {.uri = s.uri, .refresh_s = 1};
    cs_estate *estate = estate_of(&repo, 1);
    wait_for(&seen.n_changes, 1);
    assert_string_equal(value_at(estate, NULL, NULL), "1");
    script_push_text(&s, "main", "a: 2");
    wait_for(&seen.n_changes, 2);
    assert_string_equal(value_at(estate, NULL, NULL), "2");
    finish(estate);
}

static void failures_make_it_patient(void **state)
{
    (void)state;
    static const struct {
        unsigned refresh_s;
        unsigned n_failures;
        bool is_ready;
        uint64_t want_ms;
    } cases[] = {
        {30, 0, true, 30000},      {30, 1, true, 60000},     {30, 2, true, 120000},
        {30, 4, true, 300000},     {30, 1000, true, 300000}, {30, 0, false, 30000},
        {30, 1, false, 1000},      {30, 2, false, 2000},     {30, 5, false, 16000},
        {30, 1000, false, 300000}, {1, 3, true, 8000},       {1, 4, true, 10000},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(
            cs_keeper_delay_ms(cases[i].refresh_s, cases[i].n_failures, cases[i].is_ready),
            cases[i].want_ms);
    }
}

static void what_was_good_is_served_while_git_is_away(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "https://git.example.org/r.git", false);
    script_push_text(&s, "main", "a: 1");
    cs_estate *estate = estate_of_one(&s);
    wait_for(&seen.n_changes, 1);
    script_push_text(&s, "main", "a: 2");
    script_fail(&s, GW_E_UNAVAILABLE, "git.example.org: connection refused");
    assert_int_equal(sync_now(estate, NULL), GW_E_UNAVAILABLE);
    assert_string_equal(seen.done.text, "git.example.org: connection refused");
    cs_place place;
    gw_error err = GW_ERROR_INIT;
    char text[16];
    assert_int_equal(cs_view_place(cs_estate_view(estate), "app", "dev", NULL, &place, &err),
                     GW_OK);
    assert_string_equal(text_of(&place, "a.yml", text, sizeof(text)), "1");
    assert_true(place.is_stale);
    cs_place_dispose(&place);
    cs_repo_state now = state_of(estate, 0);
    assert_true(now.is_ready);
    assert_false(now.is_fresh);
    assert_string_equal(now.reason, "git.example.org: connection refused");
    uint64_t number = cs_view_number(cs_estate_view(estate));
    /* The same failure is no news. */
    assert_int_equal(sync_now(estate, NULL), GW_E_UNAVAILABLE);
    assert_int_equal(cs_view_number(cs_estate_view(estate)), number);
    uint64_t began = gw_clock_ms();
    while (gw_clock_ms() == began) {}
    assert_true(state_of(estate, 0).age_ms > 0);
    script_fail(&s, GW_OK, "");
    assert_int_equal(sync_now(estate, NULL), GW_OK);
    assert_string_equal(value_at(estate, NULL, NULL), "2");
    assert_true(state_of(estate, 0).is_fresh);
    /* Nothing new is no new view. */
    number = cs_view_number(cs_estate_view(estate));
    assert_int_equal(sync_now(estate, NULL), GW_OK);
    assert_int_equal(cs_view_number(cs_estate_view(estate)), number);
    finish(estate);
}

static void a_commit_that_cannot_be_read_leaves_the_old_one(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_push_text(&s, "main", "a: 1");
    cs_estate *estate = estate_of_one(&s);
    script_break_trees(&s, true);
    script_push_text(&s, "main", "a: 2");
    assert_string_equal(value_at(estate, NULL, NULL), "1");
    assert_string_equal(state_of(estate, 0).reason, "an object is missing");
    script_break_trees(&s, false);
    assert_int_equal(sync_now(estate, NULL), GW_OK);
    assert_string_equal(value_at(estate, NULL, NULL), "2");
    finish(estate);
}

static void a_branch_that_cannot_be_read_holds_up_no_other(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_push_text(&s, "main", "a: 1");
    script_push_text(&s, "dev", "a: dev");
    cs_estate *estate = estate_of_one(&s);
    assert_string_equal(value_at(estate, "dev", NULL), "dev");
    script_break_label(&s, "dev");
    script_push_text(&s, "dev", "a: broken");
    script_push_text(&s, "main", "a: 2");
    assert_string_equal(value_at(estate, NULL, NULL), "2");
    assert_true(state_of(estate, 0).is_fresh);
    assert_int_equal(status_at(estate, "dev"), GW_E_LIMIT);
    script_break_label(&s, "");
    assert_string_equal(value_at(estate, "dev", NULL), "broken");
    finish(estate);
}

/* A watch that rings at once again after every sync, as that of a file that is written to. */
static void *ring_on(void *arg)
{
    script *s = arg;
    const uint64_t one = 1;
    for (unsigned n = 0; n < 300;) {
        if (write(s->watch_fd, &one, sizeof(one)) < 0) {
            break;
        }
        pthread_mutex_lock(&s->lock);
        n = s->n_syncs;
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static void what_is_written_without_end_is_read_now_and_then(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_push_text(&s, "main", "a: 1");
    cs_estate *estate = estate_of_one(&s);
    pthread_t writer;
    uint64_t began = gw_clock_ms();
    assert_int_equal(pthread_create(&writer, NULL, ring_on, &s), 0);
    pthread_join(writer, NULL);
    assert_true(gw_clock_ms() - began >= 290);
    finish(estate);
}

static void a_hung_repository_holds_up_no_other(void **state)
{
    (void)state;
    static script hung;
    static script other;
    script_init(&hung, "/srv/hung", true);
    script_init(&other, "/srv/other", true);
    script_push_text(&hung, "main", "a: hung");
    script_push_text(&other, "main", "a: 0");
    const char *patterns[] = {"other*"};
    cs_repo_options repos[] = {
        {.name = "other", .uri = other.uri, .patterns = patterns, .n_patterns = 1},
        {.uri = hung.uri},
    };
    cs_estate *estate = estate_of(repos, 2);
    script_hang(&hung, true);
    script_push_text(&hung, "main", "a: never");
    script_wait_for_syncs(&hung, 2);
    for (int i = 1; i < 20; i++) {
        char text[16];
        char value[16];
        snprintf(text, sizeof(text), "a: %d", i);
        script_push_text(&other, "main", text);
        cs_place place;
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(cs_view_place(cs_estate_view(estate), "other1", "dev", NULL, &place, &err),
                         GW_OK);
        assert_string_equal(text_of(&place, "a.yml", value, sizeof(value)), text + 3);
        cs_place_dispose(&place);
    }
    /* The hung one serves what it had. */
    assert_string_equal(value_at(estate, NULL, NULL), "hung");
    finish(estate);
}

static void many_that_hang_are_waited_for_once(void **state)
{
    (void)state;
    enum { N = 8 };
    static script hung[N];
    const char *patterns[] = {"x*"};
    cs_repo_options repos[N] = {{.name = NULL}};
    for (size_t i = 0; i < N; i++) {
        char uri[32];
        snprintf(uri, sizeof(uri), "/srv/hung%zu", i);
        script_init(&hung[i], uri, true);
        script_push_text(&hung[i], "main", "a: 1");
        repos[i] = (cs_repo_options){
            .name = "x", .uri = hung[i].uri, .patterns = patterns, .n_patterns = i > 0};
    }
    cs_estate *estate = estate_of(repos, N);
    for (size_t i = 0; i < N; i++) {
        script_hang(&hung[i], true);
        script_push_text(&hung[i], "main", "a: never");
    }
    uint64_t began = gw_clock_ms();
    assert_string_equal(value_at(estate, NULL, NULL), "1");
    assert_true(gw_clock_ms() - began < N * CS_CATCH_UP_MS / 2);
    finish(estate);
}

static void what_hangs_is_not_fresh(void **state)
{
    (void)state;
    cs_keeper keeper = {.watch_fd = 3};
    atomic_init(&keeper.began_ms, 5000);
    atomic_init(&keeper.n_begun, 2);
    atomic_init(&keeper.n_done, 1);
    assert_false(cs_keeper_is_hung(&keeper, 5000 + CS_HUNG_MS - 1));
    assert_true(cs_keeper_is_hung(&keeper, 5000 + CS_HUNG_MS));
    keeper.watch_fd = -1; /* a fetch may take its time */
    assert_false(cs_keeper_is_hung(&keeper, 5000 + CS_HUNG_MS));
    keeper.watch_fd = 3;
    atomic_store(&keeper.n_done, 2);
    assert_false(cs_keeper_is_hung(&keeper, 5000 + CS_HUNG_MS));
}

static void it_stops_while_a_sync_hangs(void **state)
{
    (void)state;
    static script local;
    static script remote;
    script_init(&local, "/srv/r", true);
    script_init(&remote, "https://git.example.org/r.git", false);
    script_push_text(&local, "main", "a: 0");
    script_hang(&remote, true);
    const char *patterns[] = {"x*"};
    cs_repo_options repos[] = {
        {.name = "x", .uri = remote.uri, .patterns = patterns, .n_patterns = 1},
        {.uri = local.uri},
    };
    cs_estate *estate = estate_of(repos, 2);
    script_wait_for_syncs(&remote, 1);
    script_hang(&local, true);
    cs_estate_sync(estate, "default", on_done, &seen);
    script_wait_for_syncs(&local, 2);
    cs_estate_sync(estate, NULL, on_done, &seen);
    finish(estate);
    /* Whoever waits for a sync is told. */
    assert_int_equal(seen.n_done, 2);
    assert_int_equal(seen.done.status, GW_E_CLOSED);
    cs_estate_close(NULL);
}

static void syncs_are_for_what_they_name(void **state)
{
    (void)state;
    static script a;
    static script b;
    static script local;
    script_init(&a, "https://user:secret@Git.Example.org/team/a.git", false);
    script_init(&b, "git@git.example.org:team/b.git", false);
    script_init(&local, "/srv/r", true);
    script_push_text(&local, "main", "a: 0");
    const char *patterns[] = {"x*"};
    cs_repo_options repos[] = {
        {.name = "a", .uri = a.uri, .patterns = patterns, .n_patterns = 1},
        {.name = "b", .uri = b.uri, .patterns = patterns, .n_patterns = 1},
        {.uri = local.uri},
    };
    cs_estate *estate = estate_of(repos, 3);
    static const struct {
        const char *which;
        size_t n;
    } cases[] = {
        {NULL, 3},
        {"a", 1},
        {"default", 1},
        {"nobody", 0},
        {"https://git.example.org/team/a", 1},
        {"https://git.example.org/team/a.git/", 1},
        {"git@git.example.org:team/a.git", 1},
        {"ssh://git@git.example.org:2222/team/b.git", 1},
        {"http://GIT.example.org/team/b", 1},
        {"https://git.example.org/team/c", 0},
        {"https://other.example.org/team/a", 0},
        {"file:///srv/r", 1},
        {"file:/srv/r/", 1},
        {"/srv/r/.git", 1},
        {"/srv/rr", 0},
        {"", 0},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        size_t n = cs_estate_sync(estate, cases[i].which, NULL, NULL);
        if (n != cases[i].n) {
            fail_msg("%s: got %zu, want %zu", cases[i].which, n, cases[i].n);
        }
    }
    assert_int_equal(sync_now(estate, "nobody"), GW_OK);
    assert_int_equal(sync_now(estate, NULL), GW_OK);
    assert_string_equal(state_of(estate, 0).uri, "https://Git.Example.org/team/a.git");
    finish(estate);
}

static void faults_are_counted_on_load(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_file files[] = {{"a.yml", "a: 1"},
                           {"bad.yml", "a: ["},
                           {"worse.yaml", "a: 1\na: [2"},
                           {"text.txt", "a: ["},
                           {".github/workflow.yml", "a: ["},
                           {"x/.hidden/b.yml", "a: ["}};
    script_push(&s, "main", files, N_OF(files));
    cs_estate *estate = estate_of_one(&s);
    while (state_of(estate, 0).n_faulty_files != 2) {
        usleep(1000);
    }
    files[1].text = "a: good";
    script_push(&s, "main", files, N_OF(files));
    while (state_of(estate, 0).n_faulty_files != 1) {
        usleep(1000);
    }
    finish(estate);
}

/* What is told of a change sees it, and does not wait for the sync that tells it. */
typedef struct looker {
    _Atomic(cs_estate *) estate;
    _Atomic(uint64_t) number;
    _Atomic(uint64_t) longest_ms;
} looker;

static void look_at_change(void *ctx)
{
    looker *look = ctx;
    cs_estate *estate = atomic_load(&look->estate);
    if (estate == NULL) {
        return;
    }
    uint64_t began = gw_clock_ms();
    atomic_store(&look->number, cs_view_number(cs_estate_view(estate)));
    cs_estate_leave(estate);
    uint64_t took = gw_clock_ms() - began;
    if (took > atomic_load(&look->longest_ms)) {
        atomic_store(&look->longest_ms, took);
    }
}

static void who_is_told_may_look(void **state)
{
    (void)state;
    static script s;
    static looker look;
    script_init(&s, "/srv/r", true);
    script_push_text(&s, "main", "a: 0");
    cs_repo_options repo = {.uri = s.uri};
    cs_estate_options options = {
        .repos = &repo,
        .n_repos = 1,
        .open = script_open,
        .free_memo_value = free,
        .on_change = look_at_change,
        .ctx = &look,
    };
    cs_estate *estate = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_estate_open(&options, &estate, &err), GW_OK);
    atomic_store(&look.estate, estate);
    script_push_text(&s, "main", "a: 1");
    assert_int_equal(sync_now(estate, NULL), GW_OK);
    assert_int_equal(atomic_load(&look.number), cs_view_number(cs_estate_view(estate)));
    assert_true(atomic_load(&look.longest_ms) < 1000); /* so long a request waits for a sync */
    finish(estate);
}

static void files_that_change_unasked_are_told(void **state)
{
    (void)state;
    script s;
    script_init(&s, "/local", true);
    static const script_file first[] = {{"a.yml", "a: 1"}, {"b.yml", "b: 1"}, {"c.yml", "c: 1"}};
    static const script_file second[] = {{"a.yml", "a: 1"}, {"b.yml", "b: 2"}, {"d.yml", "d: 1"}};
    script_push(&s, "main", first, 3);
    script_push(&s, "dev", first, 1);
    cs_estate *estate = estate_of_one(&s);
    assert_string_equal(value_at(estate, "main", NULL), "1");
    assert_int_equal(seen.n_told, 0);  /* what is there at the start is no change */
    script_push(&s, "dev", second, 1); /* nobody asked for this label */
    script_push(&s, "main", second, 3);
    wait_for(&seen.n_told, 1);
    assert_string_equal(seen.files, "b.yml c.yml d.yml");
    cs_estate_close(estate);
    script_dispose_all();
}

static void who_has_it_synced_is_not_told_of_files(void **state)
{
    (void)state;
    script s;
    script_init(&s, "https://host/repo.git", false);
    script_push_text(&s, "main", "a: 1");
    cs_estate *estate = estate_of_one(&s);
    assert_int_equal(sync_now(estate, NULL), GW_OK);
    script_push_text(&s, "main", "a: 2");
    assert_int_equal(sync_now(estate, NULL), GW_OK);
    assert_string_equal(value_at(estate, "main", NULL), "2");
    assert_int_equal(seen.n_told, 0);
    cs_estate_close(estate);
    script_dispose_all();
}

/* A push of which a webhook told while the remote was away: it is told when it is there. */
static void what_a_failed_sync_missed_is_told_later(void **state)
{
    (void)state;
    script s;
    script_init(&s, "https://host/repo.git", false);
    script_push_text(&s, "main", "a: 1");
    cs_repo_options repo = {.uri = s.uri, .refresh_s = 1};
    cs_estate *estate = estate_of(&repo, 1);
    assert_int_equal(sync_now(estate, NULL), GW_OK);
    script_fail(&s, GW_E_UNAVAILABLE, "away");
    script_push_text(&s, "main", "a: 2");
    assert_int_equal(sync_now(estate, NULL), GW_E_UNAVAILABLE);
    assert_int_equal(seen.n_told, 0);
    script_fail(&s, GW_OK, "");
    wait_for(&seen.n_told, 1);
    assert_string_equal(seen.files, "a.yml");
    cs_estate_close(estate);
    script_dispose_all();
}

static void a_full_memo_begins_anew(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_push_text(&s, "main", "a: 1");
    cs_estate *estate = estate_of_one(&s);
    uint64_t began = gw_clock_ms();
    uint64_t first = cs_view_number(cs_estate_view(estate));
    unsigned n_changes = seen.n_changes;
    for (int i = 0; i < 20; i++) {
        const cs_view *view = cs_estate_view(estate);
        cs_memo *memo = cs_view_memo(view);
        void *kept = NULL;
        for (int k = 0; !cs_memo_is_full(memo); k++) {
            void *value = malloc(1);
            if (!cs_memo_put(memo, &k, sizeof(k), value, 1 << 20, &kept)) {
                free(value);
            }
        }
    }
    uint64_t n_renewed = cs_view_number(cs_estate_view(estate)) - first;
    assert_in_range(n_renewed, 1, 2 + (gw_clock_ms() - began) / 1000);
    assert_int_equal(seen.n_changes, n_changes);
    assert_string_equal(value_at(estate, NULL, NULL), "1");
    finish(estate);
}

static void old_views_are_freed(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "/srv/r", true);
    script_push_text(&s, "main", "a: 0");
    cs_estate *estate = estate_of_one(&s);
    for (int i = 1; i < 50; i++) {
        char text[16];
        snprintf(text, sizeof(text), "a: %d", i);
        script_push_text(&s, "main", text);
        assert_string_equal(value_at(estate, NULL, NULL), text + 3);
        cs_estate_leave(estate);
    }
    /* One that is in force, and one that was looked through for faults last. */
    pthread_mutex_lock(&s.lock);
    while (s.n_alive > 2) {
        pthread_cond_wait(&s.changed, &s.lock);
    }
    pthread_mutex_unlock(&s.lock);
    cs_estate_leave(estate);
    cs_estate_leave(estate);
    finish(estate);
}

/* Fill the memo of the view in force with values that are counted. */
static atomic_uint n_values;

static void free_value(void *value)
{
    atomic_fetch_sub(&n_values, 1);
    free(value);
}

static void fill_memo(cs_estate *estate)
{
    cs_memo *memo = cs_view_memo(cs_estate_view(estate));
    void *kept = NULL;
    for (int k = 0; !cs_memo_is_full(memo); k++) {
        void *value = malloc(1);
        atomic_fetch_add(&n_values, 1);
        if (!cs_memo_put(memo, &k, sizeof(k), value, 1 << 20, &kept)) {
            free_value(value);
        }
    }
}

/* The only thread that frees views hangs, and clients ask for ever new things. */
static void old_answers_are_freed_while_git_hangs(void **state)
{
    (void)state;
    static script s;
    script_init(&s, "https://git.example.org/r.git", false);
    script_push_text(&s, "main", "a: 0");
    cs_repo_options repo = {.uri = s.uri};
    cs_estate_options options = {
        .repos = &repo, .n_repos = 1, .open = script_open, .free_memo_value = free_value};
    cs_estate *estate = NULL;
    assert_int_equal(cs_estate_open(&options, &estate, NULL), GW_OK);
    assert_int_equal(sync_now(estate, NULL), GW_OK);
    script_hang(&s, true);
    unsigned n_syncs = s.n_syncs;
    cs_estate_sync(estate, NULL, NULL, NULL);
    script_wait_for_syncs(&s, n_syncs + 1);
    unsigned n_before = 0;
    do {
        fill_memo(estate);
        n_before = atomic_load(&n_values);
        usleep(10000);
        cs_estate_view(estate);
    } while (atomic_load(&n_values) >= n_before);
    cs_estate_close(estate);
    script_dispose_all();
    assert_int_equal(atomic_load(&n_values), 0);
}

static void a_view_is_freed_while_another_repository_hangs(void **state)
{
    (void)state;
    static script hung;
    static script other;
    script_init(&hung, "https://git.example.org/hung.git", false);
    script_init(&other, "https://git.example.org/other.git", false);
    script_push_text(&hung, "main", "a: hung");
    script_push_text(&other, "main", "a: 0");
    const char *patterns[] = {"x*"};
    cs_repo_options repos[] = {
        {.name = "hung", .uri = hung.uri, .patterns = patterns, .n_patterns = 1},
        {.uri = other.uri, .refresh_s = 3600},
    };
    script_hang(&hung, true);
    cs_estate *estate = estate_of(repos, 2);
    script_wait_for_syncs(&hung, 1);
    assert_int_equal(sync_now(estate, "default"), GW_OK);
    assert_string_equal(value_at(estate, NULL, NULL), "0");
    script_push_text(&other, "main", "a: 1");
    assert_int_equal(sync_now(estate, "default"), GW_OK);
    cs_estate_leave(estate);
    pthread_mutex_lock(&other.lock);
    while (other.n_alive > 1) {
        pthread_cond_wait(&other.changed, &other.lock);
    }
    pthread_mutex_unlock(&other.lock);
    finish(estate);
}

/* ---- many threads -------------------------------------------------------------------------- */

typedef struct crowd {
    cs_estate *estate;
    atomic_bool is_over;
    atomic_uint n_wrong;
    atomic_uint n_started;
    bool leaves;
} crowd;

/* Each view is whole: commit and text belong together; numbers grow, and so do texts. */
static void *read_on(void *arg)
{
    crowd *all = arg;
    uint64_t last_number = 0;
    int last_value = -1;
    atomic_fetch_add(&all->n_started, 1);
    while (!atomic_load(&all->is_over)) {
        const cs_view *view = cs_estate_view(all->estate);
        cs_place place;
        gw_error err = GW_ERROR_INIT;
        char text[16];
        int value = -1;
        if (cs_view_number(view) < last_number ||
            cs_view_place(view, "app", "dev", NULL, &place, &err) != GW_OK) {
            atomic_fetch_add(&all->n_wrong, 1);
            return NULL;
        }
        if (text_of(&place, "a.yml", text, sizeof(text)) != NULL) {
            value = atoi(text);
        }
        char id[16];
        snprintf(id, sizeof(id), "%08x", 0xabc00000u + (unsigned)value);
        if (value < last_value || strncmp(cs_tree_version(place.tree), id, 8) != 0) {
            atomic_fetch_add(&all->n_wrong, 1);
        }
        last_value = value;
        last_number = cs_view_number(view);
        cs_place_dispose(&place);
        if (all->leaves) {
            cs_estate_leave(all->estate);
        }
    }
    return NULL;
}

static void hundreds_read_while_it_changes(void **state)
{
    (void)state;
    enum { N_THREADS = 200, N_CHANGES = 12 };
    static script s;
    script_init(&s, "/srv/r", true);
    script_push_text(&s, "main", "a: 0");
    cs_estate *estate = estate_of_one(&s);
    crowd some = {.estate = estate};
    crowd others = {.estate = estate, .leaves = true};
    pthread_t threads[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, i % 2 == 0 ? &some : &others),
                         0);
    }
    while (atomic_load(&some.n_started) + atomic_load(&others.n_started) < N_THREADS) {
        usleep(1000);
    }
    for (int i = 1; i <= N_CHANGES; i++) {
        char text[16];
        snprintf(text, sizeof(text), "a: %d", i);
        script_push_text(&s, "main", text);
        assert_string_equal(value_at(estate, NULL, NULL), text + 3);
    }
    atomic_store(&some.is_over, true);
    atomic_store(&others.is_over, true);
    for (size_t i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&some.n_wrong) + atomic_load(&others.n_wrong), 0);
    /* Threads that ended have let go of their views. */
    cs_estate_leave(estate);
    pthread_mutex_lock(&s.lock);
    while (s.n_alive > 2) {
        pthread_cond_wait(&s.changed, &s.lock);
    }
    pthread_mutex_unlock(&s.lock);
    finish(estate);
}

/* A thread may use several, and go on when one is closed. */
static void estates_stand_beside_each_other(void **state)
{
    (void)state;
    static script a;
    static script b;
    script_init(&a, "/srv/a", true);
    script_init(&b, "/srv/b", true);
    script_push_text(&a, "main", "a: a");
    script_push_text(&b, "main", "a: b");
    cs_estate *second = estate_of_one(&b);
    for (int i = 0; i < 10; i++) {
        cs_estate *first = estate_of_one(&a);
        assert_string_equal(value_at(first, NULL, NULL), "a");
        assert_string_equal(value_at(second, NULL, NULL), "b");
        cs_estate_close(first);
    }
    assert_string_equal(value_at(second, NULL, NULL), "b");
    finish(second);
}

static void options_are_checked(void **state)
{
    (void)state;
    const char *patterns[] = {"x"};
    const char *climbing[] = {"a/../../b"};
    const cs_repo_options repos[] = {
        {.uri = "/none"},
        {.uri = ""},
        {.uri = "/srv/r", .patterns = patterns, .n_patterns = 1},
        {.uri = "/srv/r", .search_paths = climbing, .n_search_paths = 1},
        {.uri = "https://{application}.example.org/r.git"},
        {.uri = "{application}"},
        {.uri = "{label}://example.org/r.git"},
        {.uri = "git@{application}:r.git"},
        {.uri = "https://{profile}@example.org/r.git"},
        {.uri = "file://{application}/r.git"},
        {.uri = "/srv/r", .search_paths = climbing, .n_search_paths = CS_SEARCH_PATHS_MAX + 1},
        {.uri = "/srv/r", .default_label = ""},
    };
    static const char *const texts[] = {
        "repository default: /none: no repository",
        "repository default: no URI",
        "0 repositories without a pattern; there must be one, for what no pattern is for",
        "repository default: search path 'a/../../b': leads out of the repository",
        "clients would choose the host",
        "clients would choose the host",
        "clients would choose the host",
        "clients would choose the host",
        "clients would choose the host",
        "clients would choose the host",
        "repository default: more than 32 search paths",
        "repository default: the default label must have 1 to 256 bytes",
    };
    for (size_t i = 0; i < N_OF(repos); i++) {
        cs_estate_options options = {.repos = &repos[i], .n_repos = 1, .open = script_open};
        cs_estate *estate = NULL;
        gw_error err = GW_ERROR_INIT;
        assert_int_not_equal(cs_estate_open(&options, &estate, &err), GW_OK);
        if (strstr(err.text, texts[i]) == NULL) {
            fail_msg("got '%s', want '%s'", err.text, texts[i]);
        }
        assert_null(estate);
    }
    cs_repo_options many[CS_REPOS_MAX + 1] = {{.uri = "/srv/r"}};
    cs_estate_options options = {.repos = many, .n_repos = CS_REPOS_MAX + 1, .open = script_open};
    cs_estate *estate = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_estate_open(&options, &estate, &err), GW_E_INVALID);
    assert_string_equal(err.text, "65 repositories; 1 to 64 are possible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_local_change_is_in_the_next_answer),
        cmocka_unit_test(labels_name_branches_and_commits),
        cmocka_unit_test(master_can_be_told_apart_from_main),
        cmocka_unit_test(labels_in_use_are_read_before_they_are_asked_for),
        cmocka_unit_test(only_what_changed_is_parsed_again),
        cmocka_unit_test(a_remote_is_busy_then_ready),
        cmocka_unit_test(a_remote_that_fails_is_unavailable),
        cmocka_unit_test(a_remote_is_tried_again),
        cmocka_unit_test(a_remote_is_looked_at_again_and_again),
        cmocka_unit_test(failures_make_it_patient),
        cmocka_unit_test(what_was_good_is_served_while_git_is_away),
        cmocka_unit_test(a_commit_that_cannot_be_read_leaves_the_old_one),
        cmocka_unit_test(a_branch_that_cannot_be_read_holds_up_no_other),
        cmocka_unit_test(what_is_written_without_end_is_read_now_and_then),
        cmocka_unit_test(a_hung_repository_holds_up_no_other),
        cmocka_unit_test(many_that_hang_are_waited_for_once),
        cmocka_unit_test(what_hangs_is_not_fresh),
        cmocka_unit_test(it_stops_while_a_sync_hangs),
        cmocka_unit_test(syncs_are_for_what_they_name),
        cmocka_unit_test(faults_are_counted_on_load),
        cmocka_unit_test(who_is_told_may_look),
        cmocka_unit_test(files_that_change_unasked_are_told),
        cmocka_unit_test(who_has_it_synced_is_not_told_of_files),
        cmocka_unit_test(what_a_failed_sync_missed_is_told_later),
        cmocka_unit_test(a_full_memo_begins_anew),
        cmocka_unit_test(old_views_are_freed),
        cmocka_unit_test(old_answers_are_freed_while_git_hangs),
        cmocka_unit_test(a_view_is_freed_while_another_repository_hangs),
        cmocka_unit_test(hundreds_read_while_it_changes),
        cmocka_unit_test(estates_stand_beside_each_other),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
