/*
 * message_file.h - the files that carry messages. What they are stands in message_file.c.
 */
#ifndef QSHM_MESSAGE_FILE_H
#define QSHM_MESSAGE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "handle.h"

bool qshm__is_message_name(const char *name);

/* Makes the file of a nonce, for those who may use the segment, and writes the request into it. Returns a descriptor
 * that marks the file as in use while it is open; or a negative errno, and nothing is there. */
int qshm__message_make(const struct qshm__attachment *attachment, uint64_t nonce, const void *bytes, uint64_t size);
/* Removes it; nothing if it is not there. */
void qshm__message_remove(const struct qshm__attachment *attachment, uint64_t nonce);
/* Opens somebody else's; a negative errno if what stands at its name is no such file. */
int qshm__message_open(const struct qshm__attachment *attachment, uint64_t nonce, bool writable);
/* Reads exactly `size` bytes; -EIO if there are fewer. */
int qshm__message_read(int fd, void *bytes, uint64_t size, uint64_t offset);

/* Removes one that its sender left behind. */
void qshm__message_sweep(int directory, const char *name);

#endif
