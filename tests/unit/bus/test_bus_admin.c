/* SPDX-License-Identifier: MIT */
/* Copies of a bus that is used, and what is saved of one that is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <godwit/bus.h>

#include "bus/bus.h"
#include "support/child.h"

#define N_MOVING 64

static char dir[256]; /* of the test */
static char where[300];

static int set_up(void **state)
{
    (void)state;
    make_test_dir(dir, sizeof(dir));
    snprintf(where, sizeof(where), "%s/bus", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_test_dir(dir);
    return 0;
}

static gw__bus *open_bus(const char *path)
{
    static gw__bus_place place;
    place = (gw__bus_place){.must_exist = false};
    snprintf(place.dir, sizeof(place.dir), "%s", path);
    gw__bus *bus;
    gw_error err = GW_ERROR_INIT;
    if (gw__bus_open(&place, "test", &bus, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return bus;
}

static void publish(gw__bus *bus, const char *queue, unsigned delay_ms, const char *id,
                    uint8_t priority)
{
    gw__target target = {.exchange = "", .queue = queue, .delay_ms = delay_ms};
    gw_message *msg = gw_message_new(id, strlen(id));
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    gw_message_set_priority(msg, priority);
    gw__outgoing item = {.msg = msg, .target = &target, .routing_key = queue, .mandatory = true};
    gw__bus_url limits = {.max_messages = 0};
    size_t n_done;
    gw_error err = GW_ERROR_INIT;
    if (gw__bus_publish(bus, &item, 1, &limits, false, &n_done, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    gw_message_free(msg);
}

/* "id id id", with "+" before a delayed one. */
static bool add_id(void *ctx, const gw_bus_entry *entry)
{
    char *ids = ctx;
    strcat(ids, ids[0] != '\0' ? " " : "");
    strcat(ids, entry->part == GW_BUS_DELAYED ? "+" : "");
    strcat(ids, gw_message_id(entry->msg));
    return strlen(ids) < 900;
}

static void check_queue(const char *path, const char *queue, const char *want)
{
    char ids[1024] = "";
    gw_bus *bus;
    gw_error err = GW_ERROR_INIT;
    if (gw_bus_open(path, GW_BUS_LOOK, &bus, &err) != GW_OK ||
        gw_bus_visit(bus, queue, add_id, ids, &err) != GW_OK) {
        fail_msg("%s: %s", path, err.text);
    }
    gw_bus_close(bus);
    assert_string_equal(ids, want);
}

/* ---- backup ---------------------------------------------------------------------- */

static void test_backup_has_everything(void **state)
{
    (void)state;
    char copy[320];
    snprintf(copy, sizeof(copy), "%s/copy", dir);
    gw__bus *bus = open_bus(where);
    publish(bus, "q", 0, "a", 0);
    publish(bus, "q", 0, "b", 0);
    publish(bus, "q", 0, "c", 4);
    publish(bus, "q", 3600000, "d", 0);
    publish(bus, "q.dead", 0, "e", 0);
    gw__definitions *defs = gw__bus_definitions(bus);
    assert_int_equal(gw__definitions_exchange(defs, "x", GW_EXCHANGE_TOPIC, NULL), GW_OK);
    gw__binding_row binding = {.exchange = "x", .queue = "q", .key = "a.#"};
    assert_int_equal(gw__definitions_bind(defs, &binding, NULL), GW_OK);
    assert_int_equal(gw__definitions_limits(defs, "q", 10, 0, GW__OVERFLOW_DROP_OLDEST, NULL),
                     GW_OK);
    gw_bus *admin;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_bus_open(where, GW_BUS_CHANGE, &admin, &err), GW_OK);
    if (gw_bus_backup(admin, copy, -1, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    uint64_t n;
    assert_int_equal(gw_bus_purge(admin, "q", &n, NULL), GW_OK);
    assert_int_equal(n, 4);
    gw_bus_close(admin);
    gw__bus_close(bus);
    check_queue(where, "q", "");
    check_queue(copy, "q", "c a b +d");
    check_queue(copy, "q.dead", "e");
    bus = open_bus(copy);
    const gw__topology *topology;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    const gw__queue_row *row = gw__topology_queue(topology, "q");
    assert_true(row->max_messages == 10 && row->overflow == GW__OVERFLOW_DROP_OLDEST);
    size_t n_bindings;
    (void)gw__topology_bindings(topology, &n_bindings);
    assert_int_equal(n_bindings, 1);
    gw__topology_put(topology);
    publish(bus, "new", 0, "f", 0); /* gets a serial of its own */
    gw__bus_close(bus);
    check_queue(copy, "new", "f");
    check_queue(copy, "q.dead", "e");
}

/* Nothing is left of it. */
static void test_backup_is_interrupted(void **state)
{
    (void)state;
    char copy[320];
    snprintf(copy, sizeof(copy), "%s/copy", dir);
    gw__bus *bus = open_bus(where);
    publish(bus, "q", 0, "a", 0);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    gw_bus *admin;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_bus_open(where, GW_BUS_CHANGE, &admin, &err), GW_OK);
    assert_int_equal(gw_bus_backup(admin, copy, ends[0], &err), GW_E_CLOSED);
    gw_bus_close(admin);
    gw__bus_close(bus);
    close(ends[0]);
    close(ends[1]);
    remove_test_dir(where);
    assert_int_equal(rmdir(dir), 0); /* it was alone in there */
    assert_int_equal(mkdir(dir, 0700), 0);
}

/* Moves messages from one queue to the other and back, as dead letters and delays go: appended
 * there, then settled here. */
typedef struct shuttle {
    gw__bus *bus;
    atomic_bool ended;
    atomic_uint n_rounds;
} shuttle;

static gw__log *log_of(gw__bus *bus, const char *queue)
{
    const gw__topology *topology;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    const gw__queue_row *row = gw__topology_queue(topology, queue);
    gw__log *log;
    assert_int_equal(gw__bus_log(bus, row, &row->logs[0], &log, NULL), GW_OK);
    gw__topology_put(topology);
    return log;
}

static uint8_t *copy_record(const void *ctx, uint8_t *to)
{
    const gw__log_record *record = ctx;
    memcpy(to, record->bytes, record->len);
    return to + record->len;
}

static void move_all(gw__bus *bus, gw__log *from, gw__log *to)
{
    gw__log_record record;
    while (gw__log_take(from, gw__bus_member(bus), 0, 0, &record, 1) == 1) {
        gw__log_write write = {.len = record.len, .write = copy_record, .ctx = &record};
        assert_int_equal(gw__log_append(to, &write, 1, NULL, NULL, NULL), GW_OK);
        gw__log_settle(from, gw__bus_member(bus), &record.position, 1, GW__LOG_DONE);
    }
}

static void *run_shuttle(void *ctx)
{
    shuttle *it = ctx;
    gw__log *one = log_of(it->bus, "one");
    gw__log *two = log_of(it->bus, "two");
    while (!atomic_load(&it->ended)) {
        move_all(it->bus, one, two);
        move_all(it->bus, two, one);
        atomic_fetch_add(&it->n_rounds, 1);
    }
    return NULL;
}

static bool note_number(void *ctx, const gw_bus_entry *entry)
{
    unsigned *seen = ctx;
    seen[strtoul(gw_message_id(entry->msg), NULL, 10) % N_MOVING]++;
    return true;
}

/* However the moment falls, each message is in one of the two, at most one of them in both. */
static void test_backup_is_of_one_moment(void **state)
{
    (void)state;
    shuttle it = {.bus = open_bus(where)};
    publish(it.bus, "two", 0, "0", 0);
    for (unsigned i = 1; i < N_MOVING; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%u", i);
        publish(it.bus, "one", 0, id, 0);
    }
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_shuttle, &it), 0);
    for (unsigned round = 0; round < 10; round++) {
        char copy[320];
        gw_bus *admin;
        gw_error err = GW_ERROR_INIT;
        snprintf(copy, sizeof(copy), "%s/copy-%u", dir, round);
        assert_int_equal(gw_bus_open(where, GW_BUS_CHANGE, &admin, &err), GW_OK);
        if (gw_bus_backup(admin, copy, -1, &err) != GW_OK) {
            fail_msg("%s", err.text);
        }
        gw_bus_close(admin);
        unsigned seen[N_MOVING] = {0};
        unsigned n_twice = 0;
        assert_int_equal(gw_bus_open(copy, GW_BUS_LOOK, &admin, &err), GW_OK);
        assert_int_equal(gw_bus_visit(admin, "one", note_number, seen, &err), GW_OK);
        assert_int_equal(gw_bus_visit(admin, "two", note_number, seen, &err), GW_OK);
        gw_bus_close(admin);
        for (unsigned i = 0; i < N_MOVING; i++) {
            if (seen[i] == 0) {
                fail_msg("round %u: message %u is missing", round, i);
            }
            n_twice += seen[i] - 1;
        }
        assert_true(n_twice <= 1);
    }
    atomic_store(&it.ended, true);
    pthread_join(thread, NULL);
    gw__bus_close(it.bus);
}

/* ---- recover ------------------------------------------------------------------------ */

typedef struct found {
    char text[1024]; /* "queue:recovered/damaged " each */
} found;

static void note_found(void *ctx, const gw_bus_recovered *queue)
{
    found *it = ctx;
    size_t len = strlen(it->text);
    snprintf(it->text + len, sizeof(it->text) - len, "%s:%llu/%llu ",
             queue->queue != NULL ? queue->queue : "?", (unsigned long long)queue->n_recovered,
             (unsigned long long)queue->n_damaged);
}

static gw_bus_recovery recover(const char *want)
{
    found it = {.text = ""};
    gw_bus_recovery done;
    gw_error err = GW_ERROR_INIT;
    if (gw_bus_recover(where, note_found, &it, &done, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(it.text, want);
    struct stat info;
    assert_int_equal(stat(done.moved_to, &info), 0);
    return done;
}

static void fill(void)
{
    gw__bus *bus = open_bus(where);
    publish(bus, "q", 0, "a", 0);
    publish(bus, "q", 0, "b", 0);
    publish(bus, "q", 0, "c", 4);
    publish(bus, "q", 3600000, "d", 0);
    gw__queue_row temporary = {.name = "mine",
                               .temporary = true,
                               .member = gw__bus_member(bus),
                               .member_generation = atomic_load(
                                   &gw__bus_control(bus)->members[gw__bus_member(bus)].generation)};
    assert_int_equal(gw__bus_declare_queue(bus, &temporary, NULL), GW_OK);
    assert_int_equal(
        gw__definitions_exchange(gw__bus_definitions(bus), "x", GW_EXCHANGE_TOPIC, NULL), GW_OK);
    gw__binding_row binding = {.exchange = "x", .queue = "q", .key = "a.#"};
    assert_int_equal(gw__definitions_bind(gw__bus_definitions(bus), &binding, NULL), GW_OK);
    gw__bus_close(bus);
}

static void overwrite(const char *name, off_t offset, const char *bytes, size_t len)
{
    char path[400];
    snprintf(path, sizeof(path), "%s/%s", where, name);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, offset), (ssize_t)len);
    close(fd);
}

static void test_recover_what_is_whole(void **state)
{
    (void)state;
    fill();
    gw_bus_recovery done = recover("q:4/0 ");
    assert_false(done.definitions_lost);
    check_queue(where, "q", "c a b +d");
    gw__bus *bus = open_bus(where);
    const gw__topology *topology;
    size_t n_bindings;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    assert_non_null(gw__topology_exchange(topology, "x"));
    (void)gw__topology_bindings(topology, &n_bindings);
    assert_int_equal(n_bindings, 1);
    gw__topology_put(topology);
    gw__bus_close(bus);
}

/* Only root can try this. */
static void test_of_another_user(void **state)
{
    (void)state;
    char path[320];
    gw_bus *bus;
    gw_bus_recovery done;
    gw_error err = GW_ERROR_INIT;
    fill();
    snprintf(path, sizeof(path), "%s", where + (strncmp(where, "bus:", 4) == 0 ? 4 : 0));
    if (geteuid() != 0 || chown(path, 65534, (gid_t)-1) != 0) {
        skip();
    }
    assert_int_equal(gw_bus_open(where, GW_BUS_CHANGE, &bus, &err), GW_E_DENIED);
    assert_non_null(strstr(err.text, "belongs to another user"));
    assert_int_equal(gw_bus_recover(where, NULL, NULL, &done, &err), GW_E_DENIED);
    assert_int_equal(gw_bus_open(where, GW_BUS_LOOK, &bus, &err), GW_OK);
    gw_bus_close(bus);
    assert_int_equal(chown(path, 0, (gid_t)-1), 0);
}

/* Twice in a second. */
static void test_recover_again(void **state)
{
    (void)state;
    fill();
    gw_bus_recovery first = recover("q:4/0 ");
    gw_bus_recovery second = recover("q:4/0 ");
    assert_string_not_equal(first.moved_to, second.moved_to);
    assert_non_null(strstr(second.moved_to, ".damaged-"));
}

static void test_recover_a_bad_control_file(void **state)
{
    (void)state;
    fill();
    overwrite("control", 0, "nonsense", 8);
    gw_bus *admin;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_bus_open(where, GW_BUS_LOOK, &admin, &err), GW_E_PROTOCOL);
    recover("q:4/0 ");
    check_queue(where, "q", "c a b +d");
}

/* Each page of the store, so that LMDB meets all kinds of nonsense. */
static void test_recover_bad_definitions(void **state)
{
    (void)state;
    char nonsense[4096];
    memset(nonsense, 0xa5, sizeof(nonsense));
    for (unsigned page = 0; page < 24; page++) {
        fill();
        overwrite("definitions/data.mdb", (off_t)page * 4096, nonsense, sizeof(nonsense));
        found it = {.text = ""};
        gw_bus_recovery done;
        gw_error err = GW_ERROR_INIT;
        if (gw_bus_recover(where, note_found, &it, &done, &err) != GW_OK) {
            fail_msg("page %u: %s", page, err.text);
        }
        assert_string_equal(it.text, "q:4/0 ");
        check_queue(where, "q", done.definitions_lost ? "c a b d" : "c a b +d");
        remove_test_dir(where);
        remove_test_dir(done.moved_to);
    }
}

static void test_recover_is_refused(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    gw_bus_recovery done;
    assert_int_equal(gw_bus_recover(where, NULL, NULL, &done, &err), GW_E_NOT_FOUND);
    fill();
    gw__bus *bus = open_bus(where);
    assert_int_equal(gw_bus_recover(where, NULL, NULL, &done, &err), GW_E_BUSY);
    assert_non_null(strstr(err.text, where));
    gw__bus_close(bus);
    overwrite("control", 8, "\2", 1);
    assert_int_equal(gw_bus_recover(where, NULL, NULL, &done, &err), GW_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "version 2"));
}

/* ---- backup and making room ------------------------------------------------------------ */

typedef struct spilling {
    gw_bus *admin;
    gw__log_state *dead_state;
    gw__log *dead;
    pthread_t thread;
} spilling;

static void *back_up(void *ctx)
{
    char copy[300];
    snprintf(copy, sizeof(copy), "%s/copy", dir);
    return (void *)(intptr_t)gw_bus_backup(ctx, copy, -1, NULL);
}

static bool is_free(pthread_mutex_t *lock)
{
    bool got = pthread_mutex_trylock(lock) == 0;
    if (got) {
        pthread_mutex_unlock(lock);
    }
    return got;
}

static uint8_t *write_byte(const void *ctx, uint8_t *to)
{
    (void)ctx;
    *to = 'x';
    return to + 1;
}

/* With the lock of the queue that is too full; the backup waits for it. */
static bool spill(void *ctx, const gw__log_record *record)
{
    (void)record;
    spilling *it = ctx;
    assert_int_equal(pthread_create(&it->thread, NULL, back_up, it->admin), 0);
    while (is_free(&it->dead_state->take_lock)) {
        usleep(1000);
    }
    for (int i = 0; i < 50 && is_free(&it->dead_state->append_lock); i++) {
        usleep(1000); /* it is not to be taken before the other */
    }
    gw__log_write write = {.len = 1, .write = write_byte};
    return gw__log_append(it->dead, &write, 1, NULL, NULL, NULL) == GW_OK;
}

/* Who moves messages to the dead letters and a backup do not wait for each other. */
static void test_backup_while_room_is_made(void **state)
{
    (void)state;
    alarm(60); /* they would for ever */
    gw__bus *bus = open_bus(where);
    publish(bus, "q.dead", 0, "first", 0); /* its log has the lower number */
    publish(bus, "q", 0, "second", 0);
    spilling it = {.admin = NULL};
    assert_int_equal(gw_bus_open(where, GW_BUS_CHANGE, &it.admin, NULL), GW_OK);
    const gw__topology *topology;
    assert_int_equal(gw__topology_get(gw__bus_definitions(bus), &topology, NULL), GW_OK);
    const gw__queue_row *dead = gw__topology_queue(topology, "q.dead");
    const gw__queue_row *queue = gw__topology_queue(topology, "q");
    assert_true(dead->logs[0].log < queue->logs[0].log);
    gw__log *log;
    assert_int_equal(gw__bus_log(bus, dead, &dead->logs[0], &it.dead, NULL), GW_OK);
    assert_int_equal(gw__bus_log(bus, queue, &queue->logs[0], &log, NULL), GW_OK);
    it.dead_state = &gw__bus_control(bus)->logs[dead->logs[0].log];
    assert_int_equal(gw__log_drop(log, 1, spill, &it), 1);
    void *st;
    pthread_join(it.thread, &st);
    assert_int_equal((intptr_t)st, GW_OK);
    alarm(0);
    gw__topology_put(topology);
    gw_bus_close(it.admin);
    gw__bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_backup_has_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_backup_is_interrupted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_backup_is_of_one_moment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_backup_while_room_is_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recover_what_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_of_another_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recover_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recover_a_bad_control_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recover_bad_definitions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recover_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
