/* SPDX-License-Identifier: MIT */
/* What the log says in between: standard error of this process, to a file in memory. */
#ifndef GW_TEST_LOG_CAPTURE_H
#define GW_TEST_LOG_CAPTURE_H

void log_capture_start(void);

/* The text; the caller frees it. Standard error is what it was. */
char *log_capture_stop(void);

#endif
