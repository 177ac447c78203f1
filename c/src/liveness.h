/*
 * liveness.h - who lives, as the kernel tells it; and the registry lock.
 *
 * Owns: the byte ranges that attachments lock on a segment's file. Their offsets are frozen for all versions.
 *
 *   R  registry   one byte: decisions about the name (create, attach, detach, remove) are taken by its holder only
 *   P  primary    one byte: a guard is held
 *   A  attached   byte A+id is locked exclusively while attachment `id` lives
 *   B  observers  bytes locked (shared) by attachments that may only read the file, and so can lock nothing else
 *
 * All lie above 2^62, where no data is; the ranges are far apart, so that the kernel merges no two locks.
 *
 * Invariants: a byte is locked before its id is stored anywhere, and freed after the id was taken out everywhere
 * (test: "id_is_stored_after_its_byte"). A query never shows a description's own locks, so `my id` is answered here.
 *
 * Failure story: the kernel frees all bytes of a description when its last holder goes, killed or not. A stopped
 * holder of R keeps it: the wait is bounded, and ends in BUSY with its pid (tests: "faults_stop_...").
 */
#ifndef QSHM_LIVENESS_H
#define QSHM_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "layout.h"
#include "os.h"

#define QSHM_RANGE_R (UINT64_C(1) << 62)
#define QSHM_RANGE_P (QSHM_RANGE_R + 16)
#define QSHM_RANGE_A (QSHM_RANGE_R + (UINT64_C(1) << 33))
#define QSHM_RANGE_B (QSHM_RANGE_R + (UINT64_C(1) << 34))
#define QSHM_IDS (UINT64_C(1) << 31)

/* Takes R, or waits for it until `deadline` (0: a single try). BUSY names the holder, unless it was a single try. */
int qshm__registry_lock(int fd, double deadline, struct qshm__failure *failure);
void qshm__registry_unlock(int fd);
/* For a descriptor that cannot lock R: waits until nobody holds it. */
int qshm__registry_pass(int fd, double deadline, struct qshm__failure *failure);

/* Does anybody but this description use the file? 1, 0, or an error. */
int qshm__anybody_attached(int fd, struct qshm__failure *failure);

/* Draws an id that nobody has and no word names, and locks its byte. Under R, or before the file is published. */
int qshm__draw_id(int fd, struct qshm__control *control, uint32_t kind, uint32_t *id, struct qshm__failure *failure);
/* Marks an observer: a shared lock on a byte of range B. */
int qshm__draw_observer(int fd, struct qshm__failure *failure);

/* Does the attachment `id` live? A failing query says yes: nothing is taken from an owner whose death is not proved. */
bool qshm__is_alive(int fd, uint32_t my_id, uint32_t id);

enum { QSHM_MOST_LISTED = 2048 };
/* Lists the ids that are alive, at most `capacity` and QSHM_MOST_LISTED: asking costs more the more there are. */
int qshm__living_ids(int fd, uint32_t *ids, uint32_t capacity, uint32_t *count, struct qshm__failure *failure);

#endif
