/* SPDX-License-Identifier: MIT */
#include "bus/forked.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* The list is this process's, as its descriptors are. */
static struct {
    pthread_mutex_t lock;
    int *fds;
    size_t n;
    size_t n_room;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void before_fork(void)
{
    pthread_mutex_lock(&all.lock);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&all.lock);
}

/* Only what a signal handler could do: the child has one thread of maybe many. */
static void in_child(void)
{
    int problem = errno;
    int null = all.n > 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
    for (size_t i = 0; i < all.n; i++) {
        if (null < 0 || dup3(null, all.fds[i], O_CLOEXEC) < 0) {
            close(all.fds[i]);
        }
    }
    if (null >= 0) {
        close(null);
    }
    all.n = 0;
    pthread_mutex_unlock(&all.lock);
    errno = problem;
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, in_parent, in_child);
}

void gw__forked_begin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&all.lock);
}

static bool make_room(void)
{
    if (all.n < all.n_room) {
        return true;
    }
    size_t n_room = all.n_room == 0 ? 16 : all.n_room * 2;
    int *fds = realloc(all.fds, n_room * sizeof(*fds));
    if (fds == NULL) {
        return false;
    }
    all.fds = fds;
    all.n_room = n_room;
    return true;
}

bool gw__forked_end(int fd)
{
    bool kept = fd < 0;
    if (fd >= 0 && make_room()) {
        all.fds[all.n++] = fd;
        kept = true;
    }
    pthread_mutex_unlock(&all.lock);
    return kept;
}

void gw__forked_close(int fd)
{
    if (fd < 0) {
        return;
    }
    pthread_mutex_lock(&all.lock);
    for (size_t i = 0; i < all.n; i++) {
        if (all.fds[i] == fd) {
            all.fds[i] = all.fds[--all.n];
            break;
        }
    }
    if (all.n == 0) {
        free(all.fds);
        all.fds = NULL;
        all.n_room = 0;
    }
    close(fd);
    pthread_mutex_unlock(&all.lock);
}
