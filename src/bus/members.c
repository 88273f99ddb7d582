/* SPDX-License-Identifier: MIT */
/*
 * Joining, watching the others, leaving. Why no dead member goes unnoticed:
 *
 *  - A member joins under members_lock from its first look at the others until it has a connection
 *    to each of them. So of two members the later one has connected to the earlier one when it is
 *    done, and each of them sees the other's end: whether a connection was accepted yet or not, the
 *    kernel closes it with the process. (It does so after it has let go of the process's memory and
 *    locks: whoever is seen dead changes nothing any more.)
 *  - Each one that sees a connection end takes members_lock and looks whether the slot still has
 *    the generation that it knew. If so nobody has cleaned up after it yet, and it does so itself.
 *    The generation is changed only when died() has returned.
 *  - When the one that cleans up is killed meanwhile, the next holder of members_lock is told that
 *    its owner died with it, and looks after every slot (sweep()). There is a next one if there is
 *    any other member: it sees the end of the killed one.
 *  - When one is killed while it joins, it has nothing yet that would have to be given back. Its
 *    slot, if it is in use already, is found by the same look after all, or by the next to join.
 *  - When nobody is left, the next to open the bus is the first (control.c), or, if it comes just
 *    too early for that, finds the dead when it joins.
 *
 * Whether a member is dead is asked of the kernel by connecting to its socket, never believed: the
 * end of a connection alone is no proof, and what is said on it is only used to know which slot to
 * ask about. So one that says nonsense, or claims to be somebody else, costs a look.
 *
 * A free slot (even generation) may have leftovers of any kind; all is set anew when it is used.
 */
#include "bus/members.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "base/text.h"
#include "bus/forked.h"
#include "bus/members_socket.h"
#include "bus/robust.h"

/* More than one connection to each other member is a passing state. */
#define WATCHES_MAX  (4 * GW__BUS_MEMBERS_MAX)
#define EVENTS_MAX   64

#define ASK_AGAIN_MS 50

#define NOT_YET      ECANCELED /* what a dead member had cannot be given back at present */

/* A connection: whose end it tells. */
typedef struct watch {
    struct watch *next;
    int fd;
    bool known; /* has said who it is; from us: always */
    bool ours;  /* we have connected to its socket: it is who it should be */
    uint32_t slot;
    uint64_t generation;
} watch;

/* Used by whoever joins, then by the watcher's thread alone, then by whoever leaves. */
struct gw__members {
    gw__members_options options;
    gw__control *control;
    pid_t pid; /* to notice a forked child */
    uint32_t own;
    uint64_t generation;
    int folder_fd;
    int listen_fd;
    int epoll_fd;
    int stop_fd;
    bool joined;
    bool running;
    bool unsure; /* whether all that seem to be there live */
    pthread_t thread;
    watch *watches;
    size_t n_watches;
};

/* ---- watches ---------------------------------------------------------------------- */

static bool poll_for(gw__members *members, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(members->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Takes `fd`, closes it when there is no room. */
static watch *add_watch(gw__members *members, int fd)
{
    watch *one = members->n_watches < WATCHES_MAX ? calloc(1, sizeof(*one)) : NULL;
    if (one == NULL || !poll_for(members, fd, one)) {
        free(one);
        gw__forked_close(fd);
        return NULL;
    }
    one->fd = fd;
    one->next = members->watches;
    members->watches = one;
    members->n_watches++;
    return one;
}

static void drop_watch(gw__members *members, watch *one)
{
    watch **at = &members->watches;
    while (*at != one) {
        at = &(*at)->next;
    }
    *at = one->next;
    members->n_watches--;
    epoll_ctl(members->epoll_fd, EPOLL_CTL_DEL, one->fd, NULL);
    gw__forked_close(one->fd);
    free(one);
}

static bool has_own_watch(const gw__members *members, uint32_t slot, uint64_t generation)
{
    for (const watch *one = members->watches; one != NULL; one = one->next) {
        if (one->ours && one->slot == slot && one->generation == generation) {
            return true;
        }
    }
    return false;
}

static void say_hello(const gw__members *members, int fd)
{
    gw__member_hello hello = {
        .magic = GW__MEMBER_HELLO_MAGIC, .slot = members->own, .generation = members->generation};
    if (send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) < 0) {
        /* It has just ended: the watch tells. */
    }
}

/* ---- the dead ------------------------------------------------------------------------ */

/* False when it is to be tried again. @locks members_lock */
static bool clean_up(gw__members *members, uint32_t slot, uint64_t generation)
{
    if (!members->options.died(members->options.ctx, slot, generation)) {
        return false;
    }
    atomic_store(&members->control->members[slot].generation, generation + 1);
    gw__member_unlink(members->folder_fd, slot);
    return true;
}

/* Ask whether a member lives: watch it, or clean up after it. Returns 0, or an errno value when it
 * cannot be told. @locks members_lock */
static int look_after(gw__members *members, uint32_t slot, bool *cleaned)
{
    uint64_t generation = atomic_load(&members->control->members[slot].generation);
    if (generation % 2 == 0 || (members->joined && slot == members->own)) {
        return 0;
    }
    int fd;
    int problem = gw__member_connect(members->folder_fd, slot, &fd);
    if (problem == ECONNREFUSED || problem == ENOENT) {
        *cleaned = true; /* of some of it at least */
        return clean_up(members, slot, generation) ? 0 : NOT_YET;
    }
    if (problem != 0) {
        return problem;
    }
    if (has_own_watch(members, slot, generation)) {
        gw__forked_close(fd);
        return 0;
    }
    watch *one = add_watch(members, fd);
    if (one == NULL) {
        return ENOMEM;
    }
    one->known = true;
    one->ours = true;
    one->slot = slot;
    one->generation = generation;
    if (members->joined) {
        say_hello(members, fd);
    }
    return 0;
}

/* Look after all. Returns 0, or an errno value of one that cannot be told. @locks members_lock */
static int sweep(gw__members *members, bool *cleaned)
{
    int problem = 0;
    for (uint32_t slot = 0; slot < GW__BUS_MEMBERS_MAX; slot++) {
        int rc = look_after(members, slot, cleaned);
        problem = rc != 0 ? rc : problem;
    }
    return problem;
}

/* A connection has ended, or it is time to ask again. Without descriptors or memory it cannot be
 * told whether a member lives: it is asked about until it can. @thread the watcher's */
static void look_again(gw__members *members, const watch *gone)
{
    pthread_mutex_t *lock = &members->control->members_lock;
    bool cleaned = false;
    int problem = 0;
    bool owner_died = gw__robust_lock(lock);
    if (owner_died || members->unsure) {
        problem = sweep(members, &cleaned);
    } else if (gone != NULL && gone->known &&
               atomic_load(&members->control->members[gone->slot].generation) == gone->generation) {
        problem = look_after(members, gone->slot, &cleaned);
    }
    if (owner_died) {
        gw__robust_repaired(lock);
    }
    gw__robust_unlock(lock);
    if (problem != 0 && !members->unsure) {
        gw_log_error("bus",
                     problem == NOT_YET
                         ? "cannot give back all that a dead member had (errno %d): trying on"
                         : "cannot ask whether a member lives (errno %d): trying on",
                     problem);
    }
    members->unsure = problem != 0;
    if (cleaned || (gone != NULL && gone->known)) {
        members->options.look_again(members->options.ctx);
    }
}

/* ---- the watcher's thread -------------------------------------------------------------- */

static void accept_all(gw__members *members)
{
    int fd;
    int problem;
    while ((problem = gw__member_accept(members->listen_fd, &fd)) == 0) {
        add_watch(members, fd); /* one that is turned away asks again, as if we were gone */
    }
    if (problem != EAGAIN && problem != EINTR && problem != ECONNABORTED) {
        poll(NULL, 0, ASK_AGAIN_MS); /* without descriptors it would be told of at once again */
    }
}

/* Whether it is from a member that is there; else the connection is of no use. */
static bool check_hello(const gw__members *members, const gw__member_hello *hello)
{
    return hello->magic == GW__MEMBER_HELLO_MAGIC && hello->slot < GW__BUS_MEMBERS_MAX &&
           hello->slot != members->own && hello->generation % 2 == 1;
}

static void read_watch(gw__members *members, watch *one)
{
    gw__member_hello hello;
    uint8_t more[sizeof(hello) + 1] = {0};
    ssize_t n = recv(one->fd, more, sizeof(more), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    memcpy(&hello, more, sizeof(hello));
    if (n == (ssize_t)sizeof(hello) && !one->known && check_hello(members, &hello)) {
        one->known = true; /* an old generation does no harm: nobody has it */
        one->slot = hello.slot;
        one->generation = hello.generation;
        return;
    }
    watch gone = *one;
    drop_watch(members, one);
    look_again(members, &gone);
}

static void *run(void *arg)
{
    gw__members *members = arg;
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int n =
            epoll_wait(members->epoll_fd, events, EVENTS_MAX, members->unsure ? ASK_AGAIN_MS : -1);
        if (n == 0) {
            look_again(members, NULL);
        }
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &members->stop_fd) {
                return NULL;
            }
            if (events[i].data.ptr == &members->listen_fd) {
                accept_all(members);
            } else {
                read_watch(members, events[i].data.ptr);
            }
        }
    }
}

static int start_thread(gw__members *members)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&members->thread, NULL, run, members);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        members->running = true;
        pthread_setname_np(members->thread, "gw-members");
    }
    return rc;
}

/* ---- joining and leaving ---------------------------------------------------------------- */

static gw_status find_slot(gw__members *members, gw_error *err)
{
    for (uint32_t slot = 0; slot < GW__BUS_MEMBERS_MAX; slot++) {
        if (atomic_load(&members->control->members[slot].generation) % 2 == 0) {
            members->own = slot;
            return GW_OK;
        }
    }
    char dir[256];
    gw__member_dir_name(members->options.file, dir, sizeof(dir));
    return gw_error_set(err, GW_E_LIMIT, 0, "%d processes have the bus in %s open: no more can",
                        GW__BUS_MEMBERS_MAX, dir);
}

/* The slot is ours from the last store on. @locks members_lock */
static gw_status take_slot(gw__members *members, gw_error *err)
{
    gw_status st = find_slot(members, err);
    if (st == GW_OK) {
        st = gw__member_listen(members->options.file, members->folder_fd, members->own,
                               &members->listen_fd, err);
    }
    if (st == GW_OK && !poll_for(members, members->listen_fd, &members->listen_fd)) {
        st = gw_error_set_errno(err, errno, "cannot watch the members of the bus");
    }
    if (st != GW_OK) {
        return st;
    }
    gw__member_state *state = &members->control->members[members->own];
    state->pid = members->pid;
    state->since_ms = gw_clock_unix_ns() / GW_NS_PER_MS;
    gw__text_copy(state->name, sizeof(state->name), members->options.name);
    atomic_store(&state->asleep, 0);
    members->generation = atomic_load(&state->generation) + 1;
    members->joined = true;
    atomic_store(&state->generation, members->generation);
    return GW_OK;
}

/* @locks members_lock */
static gw_status join_locked(gw__members *members, gw_error *err)
{
    bool cleaned = false;
    int problem = sweep(members, &cleaned);
    members->unsure = problem == NOT_YET; /* the watcher goes on with it */
    if (problem != 0 && !members->unsure) {
        return gw_error_set_errno(err, problem, "cannot connect to the other members of the bus");
    }
    gw_status st = take_slot(members, err);
    for (const watch *one = members->watches; st == GW_OK && one != NULL; one = one->next) {
        say_hello(members, one->fd);
    }
    return st;
}

static gw_status open_fds(gw__members *members, gw_error *err)
{
    members->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    members->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (members->epoll_fd < 0 || members->stop_fd < 0 ||
        !poll_for(members, members->stop_fd, &members->stop_fd)) {
        return gw_error_set_errno(err, errno, "cannot watch the members of the bus");
    }
    return gw__member_open_folder(members->options.file, &members->folder_fd, err);
}

gw_status gw__members_join(const gw__members_options *options, gw__members **ret_members,
                           gw_error *err)
{
    gw__members *members = calloc(1, sizeof(*members));
    if (members == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory to join the bus");
    }
    members->options = *options;
    members->options.name = options->name != NULL ? options->name : "";
    members->control = options->file->control;
    members->pid = getpid();
    members->folder_fd = members->listen_fd = members->epoll_fd = members->stop_fd = -1;
    gw_status st = open_fds(members, err);
    if (st == GW_OK) {
        pthread_mutex_t *lock = &members->control->members_lock;
        bool owner_died = gw__robust_lock(lock);
        st = join_locked(members, err);
        if (owner_died) { /* a failed join leaves what is left to the next */
            gw__robust_repaired(lock);
        }
        gw__robust_unlock(lock);
    }
    members->options.name = NULL; /* was borrowed */
    if (st == GW_OK) {
        int rc = start_thread(members);
        st = rc == 0 ? GW_OK : gw_error_set_errno(err, rc, "cannot start a thread for the bus");
    }
    if (st != GW_OK) {
        gw__members_leave(members);
        return st;
    }
    *ret_members = members;
    return GW_OK;
}

/* Nothing is cleaned up here any more: the others do, who see the same ends as we did. */
static void free_slot(gw__members *members)
{
    pthread_mutex_t *lock = &members->control->members_lock;
    if (gw__robust_lock(lock)) {
        gw__robust_repaired(lock);
    }
    atomic_store(&members->control->members[members->own].generation, members->generation + 1);
    gw__member_unlink(members->folder_fd, members->own);
    gw__robust_unlock(lock);
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void gw__members_leave(gw__members *members)
{
    if (members == NULL) {
        return;
    }
    bool forked = members->pid != getpid(); /* the parent is the member, and has the thread */
    if (members->running && !forked) {
        eventfd_write(members->stop_fd, 1);
        pthread_join(members->thread, NULL);
    }
    if (members->joined && !forked) {
        free_slot(members);
    }
    while (members->watches != NULL) {
        watch *one = members->watches;
        members->watches = one->next;
        gw__forked_close(one->fd);
        free(one);
    }
    gw__forked_close(members->listen_fd);
    close_fd(members->epoll_fd);
    close_fd(members->stop_fd);
    close_fd(members->folder_fd);
    free(members);
}

uint32_t gw__members_own(const gw__members *members)
{
    return members->own;
}
