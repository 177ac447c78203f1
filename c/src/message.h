/*
 * message.h - messages to the holder of a guard, and their replies. The protocol stands in message.c.
 */
#ifndef QSHM_MESSAGE_H
#define QSHM_MESSAGE_H

#include "handle.h"

enum { QSHM_MESSAGE_MOST = (1 << 30) + 4096 }; /* bytes of a message, or of a reply: 1 GiB and what is around it */

/* --- the holder ---------------------------------------------------------------------------------------------------- */

/* At an election, before `holder` names the new one: what the former holder took and did not answer is lost. `largest`
 * is what a message may have in bytes. */
void qshm__messages_begin(struct qshm__attachment *attachment, uint32_t largest);
/* Refuses what comes from now on, and what waits. */
void qshm__messages_refuse(struct qshm__attachment *attachment);
/* At the release: refuses, and what was taken and not answered is lost. */
void qshm__messages_end(struct qshm__attachment *attachment);

/* Is this the state of a message that waits for the holder, or for its reply? For listings. */
bool qshm__is_pending(uint64_t state);

/* --- senders ------------------------------------------------------------------------------------------------------ */

/* Gives up whatever this attachment sent; part of detaching. */
void qshm__messages_leave(struct qshm__attachment *attachment);
/* In a forked child: closes the parent's descriptors. */
void qshm__messages_forget(struct qshm__attachment *attachment);

#endif
