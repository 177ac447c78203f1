/*
 * directory.h - the directory in which segments live, opened and found safe.
 *
 * Invariants: a directory that is a link, belongs to somebody else, or can be written by anybody is never used. The
 * default one is made on demand, 0700. One that was named explicitly must exist; it may be writable by a group, then
 * files of that group are accepted whatever their owner.
 */
#ifndef QSHM_DIRECTORY_H
#define QSHM_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "os.h"

enum { QSHM_PATH_CAPACITY = 4096 };

/* How long (ms) a call waits for others at most: a stopped process must never hang another one. */
#define QSHM_PATIENCE 1000.0

struct qshm__directory {
    int fd;
    double deadline; /* until when a call waits for others, all its waits together */
    bool group_shared;
    uint32_t gid;
    char path[QSHM_PATH_CAPACITY];
};

/* Opens `path`; if that is empty, what QSHM_DIRECTORY says; else the default one, which is made if `make`. Fails with
 * NOT_FOUND if the default one is not there and not to be made. */
int qshm__directory_open(struct qshm__directory *directory, const void *path, uint32_t size, bool make,
                         struct qshm__failure *failure);
void qshm__directory_close(struct qshm__directory *directory);

/* Is a file of this directory ours to use? 0, or UNSAFE_FILE with the reason. */
int qshm__directory_check_file(const struct qshm__directory *directory, const struct qshm__stat *file,
                               struct qshm__failure *failure);

#endif
