/*
 * file.h - the file that stands at a segment's name: opening it safely, and what it says of itself.
 */
#ifndef QSHM_FILE_H
#define QSHM_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "directory.h"
#include "handle.h"
#include "error.h"
#include "os.h"

/* Opens a segment's file and checks its type and owner. `*fd` is -1, and the result 0, if there is none. */
int qshm__file_open(const struct qshm__directory *directory, const char *name, bool writable, int *fd,
                    struct qshm__stat *file, struct qshm__failure *failure);
/* Is the name still, or again, the file behind this descriptor? 1, 0, or an error. */
int qshm__file_is_named(int directory, const char *name, const struct qshm__stat *file, struct qshm__failure *failure);
/* Frees R by name, and closes: close() alone would not free it while a child of this process stands between fork and
 * exec. */
void qshm__file_let_go(int *fd);

/* What a file says of itself, checked against its size. */
struct qshm__contents {
    uint32_t state; /* LIVE for any sound one (who uses it is not asked), FOREIGN, or CORRUPT */
    uint32_t layout;
    bool persistent;
    bool clean; /* all who attached have left in order */
    uint64_t size;
};
int qshm__file_classify(int fd, const struct qshm__stat *file, uint32_t kind, struct qshm__contents *seen,
                        struct qshm__failure *failure);
/* The error for contents that cannot be used. */
int qshm__file_incompatible(const struct qshm__contents *seen, struct qshm__failure *failure);

/* A regular file of one name. */
bool qshm__file_is_plain(const struct qshm__stat *file);
/* Does a file that stands beside a segment belong to somebody who may use that segment? */
bool qshm__file_is_of_a_user(const struct qshm__attachment *attachment, const struct qshm__stat *file);

#endif
