/* SPDX-License-Identifier: MIT */
/* The note of what is being handled: processes die by SIGKILL here, and the file is tampered with.
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/log.h>

#include "messaging/guard.h"
#include "support/child.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

typedef struct fixture {
    char dir[200];
    char path[256];
} fixture;

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));
    make_test_dir(fix->dir, sizeof(fix->dir));
    snprintf(fix->path, sizeof(fix->path), "%s/" GW__GUARD_FILE, fix->dir);
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    fixture *fix = *state;
    remove_test_dir(fix->dir);
    free(fix);
    return 0;
}

static gw_message *new_message(const char *id, const char *body)
{
    gw_message *msg = gw_message_new(body, strlen(body));
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    return msg;
}

static gw__guard *open_guard(const fixture *fix)
{
    gw__guard *guard = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw__guard_open(fix->dir, &guard, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return guard;
}

static unsigned crashes_of(gw__guard *guard, const char *queue, const char *id, const char *body)
{
    gw_message *msg = new_message(id, body);
    unsigned crashes = gw__guard_crashes(guard, queue, msg);
    gw_message_free(msg);
    return crashes;
}

/* Run `handle` in a process that opens the guard and is killed by it. */
static void die_in(const fixture *fix, void (*handle)(gw__guard *guard, void *ctx), void *ctx)
{
    pid_t pid = fork();
    if (pid == 0) {
        gw__guard *guard = NULL;
        if (gw__guard_open(fix->dir, &guard, NULL) != GW_OK) {
            _exit(1);
        }
        handle(guard, ctx);
        raise(SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void handle_one(gw__guard *guard, void *id)
{
    gw__guard_enter(gw__guard_claim(guard, "q"), new_message(id, "body"));
}

/* As many workers as are watched, each with a message of its own. */
static void handle_as_many_as_can_be(gw__guard *guard, void *ctx)
{
    (void)ctx;
    char id[16];
    for (int i = 0; i < GW__GUARD_SLOTS; i++) {
        snprintf(id, sizeof(id), "%d", i);
        gw__guard_enter(gw__guard_claim(guard, "q"), new_message(id, "body"));
    }
}

static void handle_several(gw__guard *guard, void *ctx)
{
    (void)ctx;
    gw__guard_slot *slots[4];
    for (size_t i = 0; i < 4; i++) {
        slots[i] = gw__guard_claim(guard, i == 3 ? "other" : "q");
    }
    gw__guard_enter(slots[0], new_message("finished", "body"));
    gw__guard_leave(slots[0]);
    gw__guard_enter(slots[1], new_message("before", "body"));
    gw__guard_leave(slots[1]);
    gw__guard_enter(slots[1], new_message("kills", "body"));
    gw__guard_enter(slots[2], new_message(NULL, "without an id"));
    gw__guard_enter(slots[3], new_message("kills too", "body"));
}

static void test_death(void **state)
{
    fixture *fix = *state;
    die_in(fix, handle_several, NULL);
    static const struct {
        const char *queue, *id, *body;
        unsigned expected;
    } cases[] = {
        {"q", "kills", "body", 1},
        {"q", "kills", "another body", 1}, /* the id says which */
        {"q", NULL, "without an id", 1},
        {"other", "kills too", "body", 1},
        {"other", "kills", "body", 0},
        {"q", "kills too", "body", 0},
        {"q", "finished", "body", 0},
        {"q", "before", "body", 0},
        {"q", NULL, "another one without", 0},
        {"q", "kill", "body", 0},
        {"q", "", "body", 0},
    };
    for (int round = 0; round < 2; round++) { /* and again after an orderly end */
        gw__guard *guard = open_guard(fix);
        for (size_t i = 0; i < N_OF(cases); i++) {
            unsigned got = crashes_of(guard, cases[i].queue, cases[i].id, cases[i].body);
            if (got != cases[i].expected) {
                fail_msg("case %zu: got %u, expected %u", i, got, cases[i].expected);
            }
        }
        gw__guard_close(guard);
    }
}

static void test_count_and_forget(void **state)
{
    fixture *fix = *state;
    for (unsigned i = 1; i <= 3; i++) {
        die_in(fix, handle_one, (char[]){"one"});
        gw__guard *guard = open_guard(fix);
        assert_int_equal(crashes_of(guard, "q", "one", ""), i);
        gw__guard_close(guard);
    }
    gw__guard *guard = open_guard(fix);
    gw_message *msg = new_message("one", "");
    gw__guard_forget(guard, "other", msg);
    assert_int_equal(crashes_of(guard, "q", "one", ""), 3);
    gw__guard_forget(guard, "q", msg);
    gw__guard_forget(guard, "q", msg);
    assert_int_equal(crashes_of(guard, "q", "one", ""), 0);
    gw__guard_close(guard);
    guard = open_guard(fix);
    assert_int_equal(crashes_of(guard, "q", "one", ""), 0);
    gw__guard_close(guard);
    gw_message_free(msg);
}

/* Bodies without an id differ by size, beginning and end. */
static void test_bodies(void **state)
{
    fixture *fix = *state;
    static char body[5000];
    memset(body, 'b', sizeof(body));
    gw_message *msg = gw_message_new(body, sizeof(body));
    pid_t pid = fork();
    if (pid == 0) {
        gw__guard *guard = NULL;
        if (gw__guard_open(fix->dir, &guard, NULL) == GW_OK) {
            gw__guard_enter(gw__guard_claim(guard, "q"), msg);
        }
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
    gw__guard *guard = open_guard(fix);
    assert_int_equal(gw__guard_crashes(guard, "q", msg), 1);
    gw_message_free(msg);
    static const size_t changed[] = {0, 511, 4999, 4999 - 511};
    for (size_t i = 0; i < N_OF(changed); i++) {
        body[changed[i]] = 'c';
        msg = gw_message_new(body, sizeof(body));
        assert_int_equal(gw__guard_crashes(guard, "q", msg), 0);
        gw_message_free(msg);
        body[changed[i]] = 'b';
    }
    msg = gw_message_new(body, sizeof(body) - 1);
    assert_int_equal(gw__guard_crashes(guard, "q", msg), 0);
    gw_message_free(msg);
    msg = gw_message_new("", 0);
    assert_int_equal(gw__guard_crashes(guard, "q", msg), 0);
    gw_message_free(msg);
    gw__guard_close(guard);
}

static void test_longest_names(void **state)
{
    fixture *fix = *state;
    char id[GW_MESSAGE_TEXT_MAX + 1];
    memset(id, 'i', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    die_in(fix, handle_one, id);
    gw__guard *guard = open_guard(fix);
    assert_int_equal(crashes_of(guard, "q", id, ""), 1);
    gw__guard_close(guard);
}

static void test_one_at_a_time(void **state)
{
    fixture *fix = *state;
    gw__guard *guard = open_guard(fix);
    gw__guard *second = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__guard_open(fix->dir, &second, &err), GW_E_BUSY);
    assert_non_null(strstr(err.text, "handling is in use"));
    assert_null(second);
    gw__guard_close(guard);
    gw__guard_close(open_guard(fix));
    gw__guard_close(NULL);
}

static void test_more_workers_than_places(void **state)
{
    fixture *fix = *state;
    gw__guard *guard = open_guard(fix);
    gw__guard_slot *slots[GW__GUARD_SLOTS];
    for (size_t i = 0; i < GW__GUARD_SLOTS; i++) {
        slots[i] = gw__guard_claim(guard, "q");
        assert_non_null(slots[i]);
    }
    assert_null(gw__guard_claim(guard, "q"));
    gw_message *msg = new_message("x", "");
    gw__guard_enter(NULL, msg);
    gw__guard_leave(NULL);
    gw__guard_release(guard, NULL);
    gw__guard_release(guard, slots[7]);
    assert_ptr_equal(gw__guard_claim(guard, "other"), slots[7]);
    for (size_t i = 0; i < GW__GUARD_SLOTS; i++) {
        gw__guard_release(guard, slots[i]);
    }
    gw__guard_close(guard);
    assert_null(gw__guard_claim(NULL, "q"));
    assert_int_equal(gw__guard_crashes(NULL, "q", msg), 0);
    gw__guard_forget(NULL, "q", msg);
    gw_message_free(msg);
}

static void handle_many(gw__guard *guard, void *first)
{
    for (unsigned i = 0; i < 100; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%u", *(unsigned *)first + i);
        gw__guard_enter(gw__guard_claim(guard, "q"), new_message(id, ""));
    }
}

/* The oldest are forgotten. */
static void test_more_suspects_than_places(void **state)
{
    fixture *fix = *state;
    for (unsigned first = 0; first < 300; first += 100) {
        die_in(fix, handle_many, &first);
    }
    gw__guard *guard = open_guard(fix);
    for (unsigned i = 0; i < 300; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%u", i);
        unsigned got = crashes_of(guard, "q", id, "");
        if (got != (i >= 300 - GW__GUARD_SUSPECTS ? 1 : 0)) {
            fail_msg("message %u: %u", i, got);
        }
    }
    gw__guard_close(guard);
}

/* ---- tampering ----------------------------------------------------------------------- */

static size_t read_file(const char *path, unsigned char *bytes, size_t size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, size, file);
    fclose(file);
    return len;
}

static void write_file(const char *path, const unsigned char *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

/* Whatever is in it, it opens, and works. */
static void expect_works(const fixture *fix)
{
    gw__guard *guard = open_guard(fix);
    (void)crashes_of(guard, "q", "kills", "");
    (void)crashes_of(guard, "q", NULL, "without an id");
    gw__guard_close(guard);
    die_in(fix, handle_one, (char[]){"next"});
    guard = open_guard(fix);
    assert_true(crashes_of(guard, "q", "next", "") >= 1);
    gw__guard_close(guard);
}

static void test_tampered_with(void **state)
{
    fixture *fix = *state;
    die_in(fix, handle_several, NULL);
    gw__guard_close(open_guard(fix));  /* has suspects, ... */
    die_in(fix, handle_several, NULL); /* ... and workers that died */
    static unsigned char good[1 << 20], bad[1 << 20];
    size_t len = read_file(fix->path, good, sizeof(good));
    assert_in_range(len, 1000, sizeof(good) - 1);
    static const size_t lens[] = {0, 1, 7, 8, 63, 64, 4096, 100000};
    for (size_t i = 0; i < N_OF(lens); i++) {
        write_file(fix->path, good, lens[i]);
        expect_works(fix);
    }
    write_file(fix->path, good, len);
    assert_int_equal(truncate(fix->path, (off_t)len + 1), 0);
    expect_works(fix);
    for (size_t at = 0; at < 64; at++) { /* each byte of the head */
        memcpy(bad, good, len);
        bad[at] ^= 0xff;
        write_file(fix->path, bad, len);
        expect_works(fix);
    }
    static const unsigned char fills[] = {0x00, 0x01, 0x7f, 0xff};
    for (size_t i = 0; i < N_OF(fills); i++) {
        memcpy(bad, good, len);
        memset(bad + 64, fills[i], len - 64);
        write_file(fix->path, bad, len);
        expect_works(fix);
    }
    srandom(7);
    for (int round = 0; round < 200; round++) {
        memcpy(bad, good, len);
        for (int i = 0; i < 300; i++) {
            bad[64 + (size_t)random() % (len - 64)] = (unsigned char)random();
        }
        for (int i = 0; i < 20; i++) { /* where the slots in use are */
            bad[64 + (size_t)random() % 3000] = (unsigned char)random();
        }
        write_file(fix->path, bad, len);
        gw__guard *guard = open_guard(fix);
        (void)crashes_of(guard, "q", "kills", "");
        gw__guard_close(guard);
    }
}

/* What is there is no file of ours. */
static void test_other_things(void **state)
{
    fixture *fix = *state;
    gw__guard *guard = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(mkdir(fix->path, 0700), 0);
    assert_int_not_equal(gw__guard_open(fix->dir, &guard, &err), GW_OK);
    assert_non_null(strstr(err.text, fix->path));
    assert_int_equal(rmdir(fix->path), 0);
    assert_int_equal(mkfifo(fix->path, 0600), 0);
    assert_int_equal(gw__guard_open(fix->dir, &guard, &err), GW_E_IO);
    assert_non_null(strstr(err.text, "is not a regular file"));
    assert_int_equal(unlink(fix->path), 0);
    assert_int_equal(symlink("/dev/null", fix->path), 0);
    assert_int_not_equal(gw__guard_open(fix->dir, &guard, &err), GW_OK);
    assert_int_equal(unlink(fix->path), 0);
    assert_int_not_equal(gw__guard_open("/nowhere/at/all", &guard, &err), GW_OK);
    assert_non_null(strstr(err.text, "outbox_dir '/nowhere/at/all'"));
    static char long_name[PATH_MAX + 10];
    memset(long_name, 'n', sizeof(long_name) - 1);
    assert_int_equal(gw__guard_open(long_name, &guard, &err), GW_E_LIMIT);
    assert_null(guard);
    gw__guard_close(open_guard(fix));
    struct stat st;
    assert_int_equal(stat(fix->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* Whichever of them it was, it is known. */
static void test_as_many_as_can_be(void **state)
{
    fixture *fix = *state;
    for (unsigned n = 1; n <= 2; n++) {
        die_in(fix, handle_as_many_as_can_be, NULL);
        gw__guard *guard = open_guard(fix);
        char id[16];
        for (int i = 0; i < GW__GUARD_SLOTS; i++) {
            snprintf(id, sizeof(id), "%d", i);
            assert_int_equal(crashes_of(guard, "q", id, "body"), n);
        }
        gw__guard_close(guard);
    }
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        TEST(test_death),
        TEST(test_count_and_forget),
        TEST(test_bodies),
        TEST(test_longest_names),
        TEST(test_one_at_a_time),
        TEST(test_as_many_as_can_be),
        TEST(test_more_workers_than_places),
        TEST(test_more_suspects_than_places),
        TEST(test_tampered_with),
        TEST(test_other_things),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
