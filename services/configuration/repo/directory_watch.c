/* SPDX-License-Identifier: MIT */
#include "repo/directory_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define EVENTS                                                                                     \
    (IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |            \
     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_EXCL_UNLINK | IN_ONLYDIR)

/* The kernel's numbers of watched directories. */
typedef struct numbers {
    int *items;
    size_t n;
    size_t cap;
} numbers;

struct cs_directory_watch {
    int fd;
    numbers before; /* watched since the last look, sorted */
    numbers now;    /* watched in this one */
    bool is_partial;
};

gw_status cs_directory_watch_new(cs_directory_watch **ret_watch, gw_error *err)
{
    cs_directory_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0) {
        gw_status st = errno == EMFILE ? gw_error_set(err, GW_E_LIMIT, errno,
                                                      "too many inotify instances: raise "
                                                      "fs.inotify.max_user_instances")
                                       : gw_error_set_errno(err, errno, "inotify");
        free(watch);
        return st;
    }
    *ret_watch = watch;
    return GW_OK;
}

void cs_directory_watch_free(cs_directory_watch *watch)
{
    if (watch != NULL) {
        close(watch->fd);
        free(watch->before.items);
        free(watch->now.items);
        free(watch);
    }
}

int cs_directory_watch_fd(const cs_directory_watch *watch)
{
    return watch->fd;
}

void cs_directory_watch_drain(cs_directory_watch *watch)
{
    char events[16384];
    while (read(watch->fd, events, sizeof(events)) > 0) {}
    watch->now.n = 0;
    watch->is_partial = false;
}

/* Without room it stays watched for nothing, which does no harm. */
static void push(numbers *list, int number)
{
    if (list->n == list->cap) {
        size_t cap = list->cap == 0 ? 16 : list->cap * 2;
        int *items = realloc(list->items, cap * sizeof(*items));
        if (items == NULL) {
            return;
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n++] = number;
}

static void add_path(cs_directory_watch *watch, const char *path)
{
    int number = inotify_add_watch(watch->fd, path, EVENTS);
    if (number >= 0) {
        push(&watch->now, number);
    } else if (errno != ENOENT && errno != ENOTDIR) {
        watch->is_partial = true;
    }
}

/* By its descriptor: its path may lead elsewhere by now. */
void cs_directory_watch_add(cs_directory_watch *watch, int dir_fd)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
    add_path(watch, path);
}

void cs_directory_watch_add_parent(cs_directory_watch *watch, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent =
        slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (parent != NULL) {
        add_path(watch, parent);
        free(parent);
    }
}

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a;
    int y = *(const int *)b;
    return (x > y) - (x < y);
}

static void sort(numbers *list)
{
    if (list->n > 0) {
        qsort(list->items, list->n, sizeof(int), compare);
    }
}

bool cs_directory_watch_settle(cs_directory_watch *watch, bool is_whole)
{
    sort(&watch->now);
    size_t n = watch->now.n;
    for (size_t i = 0; i < watch->before.n; i++) {
        int number = watch->before.items[i];
        if (n > 0 && bsearch(&number, watch->now.items, n, sizeof(int), compare) != NULL) {
            continue;
        }
        if (is_whole) {
            inotify_rm_watch(watch->fd, number); /* the kernel may have done so */
        } else {
            push(&watch->now, number);
        }
    }
    sort(&watch->now);
    numbers kept = watch->before;
    watch->before = watch->now;
    watch->now = kept;
    watch->now.n = 0;
    return !watch->is_partial;
}
