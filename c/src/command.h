/*
 * command.h - what the `qshm` command asks of an operating system beyond os.h: to be called byte for byte, and to run
 * another program that keeps a guard's name held.
 */
#ifndef QSHM_COMMAND_H
#define QSHM_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

/* Runs the program that the first string of the block names, with these arguments. It gets this process's environment and
 * descriptors as they were when this process was started, and `inherited`. Until it ends, signals sent to this process
 * are passed on to it. Its pid, or -ENOENT: there is no such program; another negative errno: it cannot be run. */
int qshm__os_run_command(char *arguments, uint32_t size, int inherited);
/* Waits `ms` at most for its end, or until `bell` (-1: none) is rung; when it stops because this process was asked to, this
 * process stops with it. Its exit status, or 128 + the signal that ended it; -EAGAIN: it lives; -ECHILD: there is none. */
int qshm__os_await_command(int bell, double ms);
/* Asks it to end: SIGTERM. */
void qshm__os_end_command(void);

/* Ends this process at once: the runtimes' own ends undo what the command did to the terminal. */
void qshm__os_exit(int status);

/* --- what this process was started with, before its runtime changed it: os_linux_start.c -------------------------- */

/* Bit n-1: signal n was ignored. */
uint64_t qshm__start_ignored_signals(void);
/* In the child: makes descriptors inheritable and blocking again that were so. */
void qshm__start_restore_descriptors(void);
/* In the child: the soft limit of open files. */
void qshm__start_restore_limits(void);
/* The environment without what the launcher noted there; to be freed. NULL: memory is out. */
char **qshm__start_environment(void);

/* The arguments that the kernel has for this process, each ended by a NUL: `*complete`, or without those of the runtime.
 * Returns the bytes needed. */
int qshm__os_arguments(void *bytes, uint32_t capacity, bool *complete);

#endif
