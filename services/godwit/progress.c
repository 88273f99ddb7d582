/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <godwit/clock.h>

#define INTERVAL_MS 200u
#define RATE_MIN_MS 500u /* a rate and what is left are a guess before */
#define TEXT_MAX    128
#define CLEAR       "\r\x1b[K"

void progress_begin(progress *it, const char *what, bool is_shown, FILE *err)
{
    uint64_t now_ms = gw_clock_ms();
    *it = (progress){.err = err,
                     .what = what,
                     .is_shown = is_shown && isatty(fileno(err)) == 1,
                     .begin_ms = now_ms,
                     .next_ms = now_ms + INTERVAL_MS};
}

static void add_left(char *text, size_t size, uint64_t seconds)
{
    size_t len = strlen(text);
    if (seconds < 60) {
        snprintf(text + len, size - len, ", %" PRIu64 " s left", seconds);
    } else {
        snprintf(text + len, size - len, ", %" PRIu64 " min %" PRIu64 " s left", seconds / 60,
                 seconds % 60);
    }
}

void progress_format(char *ret_text, size_t size, const char *what, uint64_t count, uint64_t done,
                     uint64_t whole, uint64_t elapsed_ms)
{
    int len = snprintf(ret_text, size, "%" PRIu64 " %s", count, what);
    bool has_rate = elapsed_ms >= RATE_MIN_MS;
    if (has_rate && (size_t)len < size) {
        double rate = (double)count * 1000.0 / (double)elapsed_ms;
        len += snprintf(ret_text + len, size - (size_t)len, ", %.0f/s", rate);
    }
    if (whole == 0 || (size_t)len >= size) {
        return;
    }
    done = done > whole ? whole : done;
    double part = (double)done / (double)whole;
    snprintf(ret_text + len, size - (size_t)len, ", %d %%", (int)(part * 100.0));
    if (has_rate && done > 0) {
        double left_ms = (double)elapsed_ms * (1.0 - part) / part;
        add_left(ret_text, size, (uint64_t)((left_ms + 999.0) / 1000.0));
    }
}

void progress_say(progress *it, uint64_t count, uint64_t done, uint64_t whole)
{
    if (!it->is_shown) {
        return;
    }
    uint64_t now_ms = gw_clock_ms();
    if (now_ms < it->next_ms) {
        return;
    }
    char text[TEXT_MAX];
    progress_format(text, sizeof(text), it->what, count, done, whole, now_ms - it->begin_ms);
    it->next_ms = now_ms + INTERVAL_MS;
    it->has_line = true;
    fprintf(it->err, CLEAR "%s", text);
    fflush(it->err);
}

void progress_clear(progress *it)
{
    if (it->has_line) {
        it->has_line = false;
        fputs(CLEAR, it->err);
        fflush(it->err);
    }
}
