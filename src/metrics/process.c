/* SPDX-License-Identifier: MIT */
#include "metrics/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <godwit/clock.h>

/* The start of a small file of /proc, as a string. */
static bool read_file(const char *path, char *ret_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, ret_text, size - 1);
    close(fd);
    if (n <= 0) {
        return false;
    }
    ret_text[n] = '\0';
    return true;
}

/* Field `index` (0 is the first) of words that a blank separates. */
static bool read_field(const char *text, int index, uint64_t *ret_value)
{
    while (index > 0 && text != NULL) {
        text = strchr(text, ' ');
        text = text != NULL ? text + 1 : NULL;
        index--;
    }
    if (text == NULL || *text < '0' || *text > '9') {
        return false;
    }
    *ret_value = strtoull(text, NULL, 10);
    return true;
}

static bool read_clock(clockid_t id, uint64_t *ret_ns)
{
    struct timespec now;
    if (clock_gettime(id, &now) != 0) {
        return false;
    }
    *ret_ns = (uint64_t)now.tv_sec * GW_NS_PER_S + (uint64_t)now.tv_nsec;
    return true;
}

bool gw__process_cpu_ns(uint64_t *ret_ns)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID, ret_ns);
}

bool gw__process_resident_bytes(uint64_t *ret_bytes)
{
    char text[128];
    uint64_t pages;
    if (!read_file("/proc/self/statm", text, sizeof(text)) || !read_field(text, 1, &pages)) {
        return false;
    }
    *ret_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

bool gw__process_open_fds(uint64_t *ret_n)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return false;
    }
    uint64_t n = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    *ret_n = n > 0 ? n - 1 : 0; /* without the one that reads the directory */
    return true;
}

/* The kernel tells the start in clock ticks since the machine's own start. */
static bool find_start(uint64_t *ret_ns)
{
    char text[1024];
    uint64_t ticks;
    uint64_t boot_ns;
    if (!read_file("/proc/self/stat", text, sizeof(text))) {
        return false;
    }
    const char *after_name = strrchr(text, ')'); /* the name, field 2, may hold blanks and ')' */
    if (after_name == NULL || after_name[1] != ' ' || !read_field(after_name + 2, 19, &ticks) ||
        !read_clock(CLOCK_BOOTTIME, &boot_ns)) {
        return false;
    }
    uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    *ret_ns = gw_clock_unix_ns() - boot_ns + ticks * (GW_NS_PER_S / per_second);
    return true;
}

static struct {
    pthread_once_t once;
    bool known;
    uint64_t ns;
} start = {.once = PTHREAD_ONCE_INIT};

static void find_start_once(void)
{
    start.known = find_start(&start.ns);
}

bool gw__process_start_ns(uint64_t *ret_ns)
{
    pthread_once(&start.once, find_start_once);
    *ret_ns = start.ns;
    return start.known;
}
