/*
 * command.h - what the `qshm` command asks of an operating system beyond os.h: to be called byte for byte, and to run
 * another program that keeps a guard's name held.
 */
#ifndef QSHM_COMMAND_H
#define QSHM_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

/* Runs the program that the first string of the block names, with these arguments, this process's environment and
 * descriptors 0 to 2, and `inherited`. Until it ends, signals sent to this process are passed on to it. Its pid, or
 * -ENOENT: there is no such program; another negative errno: it cannot be run. */
int qshm__os_run_command(char *arguments, uint32_t size, int inherited);
/* Waits for its end; when it stops because this process was asked to, this process stops with it. Its exit status, or
 * 128 + the signal that ended it. */
int qshm__os_await_command(void);

/* The arguments that the kernel has for this process, each ended by a NUL: `*complete`, or without those of the runtime.
 * Returns the bytes needed. */
int qshm__os_arguments(void *bytes, uint32_t capacity, bool *complete);

#endif
