/* SPDX-License-Identifier: MIT */
/*
 * The second life of a program that reads git repositories: it starts the git program under rules,
 * and answers what git and ssh ask. They are told to run the program itself for that.
 */
#ifndef CS_GIT_HELPER_H
#define CS_GIT_HELPER_H

/* What of a process's environment makes it a helper, and what it has to know. */
#define CS_GIT_ROLE      "GODWIT_GIT_ROLE"    /* "start" or "answer" */
#define CS_GIT_PARENT    "GODWIT_GIT_PARENT"  /* the pid that "start" must not outlive */
#define CS_GIT_FDS       "GODWIT_GIT_FDS"     /* "/proc/<pid>/fd": where the grants are */
#define CS_GIT_SSH_RULES "GODWIT_GIT_SSH"     /* see below */
#define CS_GIT_TIMEOUT   "GODWIT_GIT_TIMEOUT" /* of ssh's connection, in seconds */

/* Letters of CS_GIT_SSH_RULES. */
#define CS_GIT_RULE_KEY      'k' /* there is a key: use no other */
#define CS_GIT_RULE_HOSTS    'h' /* there is a file of known hosts: use no other */
#define CS_GIT_RULE_ANY_HOST 'a' /* let any server be the one */
#define CS_GIT_RULE_ASK      'p' /* there is a passphrase */
#define CS_GIT_RULE_PASSWORD 'w' /* there is a password */

/*
 * To be called first by the main() of each program that calls cs_git_open(), before it makes
 * threads or opens anything:
 *
 *     int code = cs_git_helper(argc, argv);
 *     if (code >= 0) {
 *         return code;
 *     }
 *
 * @return -1 when this is an ordinary start of the program; otherwise its exit status.
 */
int cs_git_helper(int argc, char **argv);

#endif
