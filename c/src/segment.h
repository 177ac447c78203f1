/*
 * segment.h - the life of a segment: create, attach, detach, remove, sweep. The protocol stands in segment.c.
 */
#ifndef QSHM_SEGMENT_H
#define QSHM_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "directory.h"
#include "handle.h"

struct qshm__request {
    uint32_t kind, how, mode;
    uint64_t size; /* of the payload; 0 with ATTACH: whatever is there */
    bool any_size; /* what is there may have another size */
    struct {
        uint64_t largest;
        char codec[QSHM_CODEC_NAME];
    } value; /* of a segment that is created, as `permits` */
    struct {
        uint32_t initial, max;
    } permits;
    const uint8_t *key;
    uint32_t key_size;
    char name[QSHM_NAME_CAPACITY];
};

/* What came out, beyond the attachment. */
struct qshm__result {
    uint32_t flags; /* enum qshm_outcome_flag */
    uint64_t size;
};

/* Fills in a reserved attachment; the directory's descriptor becomes the attachment's on success. */
int qshm__segment_open(struct qshm__attachment *attachment, struct qshm__directory *directory,
                       const struct qshm__request *request, struct qshm__result *result, struct qshm__failure *failure);
/* Lets go of the file; memory stays mapped. At the exit of the process nobody is waited for, and a lock that is still
 * held counts as its owner's death. */
void qshm__segment_leave(struct qshm__attachment *attachment, bool at_exit);
/* Gives the mappings back. */
void qshm__segment_unmap(struct qshm__attachment *attachment);

#endif
