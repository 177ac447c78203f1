/*
 * qt_place.h - System V objects of a case's own, and what a Qt program would do to them.
 *
 * Invariant: a case that calls qt_place works in an IPC namespace of its own: nothing that it leaves behind outlives it, and
 * no number of its files leads to what is somebody else's.
 */
#ifndef QSHM_TEST_QT_PLACE_H
#define QSHM_TEST_QT_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "support.h"

/* From here on this process and its children have System V objects of their own, or the case is skipped. */
void qt_place(void);

/* --- the library, with fewer words -------------------------------------------------------------------------------- */

enum { QT_PROJECT = 'Q', QT_SIZE = 5000 };
/* The object of files "shm" and "sem" of the directory. */
int32_t qt_memory(void);
int32_t qt_memory_of(const char *file, const char *lock_file);
int32_t qt_semaphore(double initial, uint32_t create); /* of file "sem" */
int32_t qt_create(int32_t handle, double timeout_ms);  /* QT_SIZE bytes */
int32_t qt_attach(int32_t handle, double timeout_ms);
int32_t qt_detach(int32_t handle);
/* Closes it, whatever it is, and gives a view back. */
void qt_end(int32_t handle);
/* An object that has made the segment. */
int32_t qt_created(void);
int32_t qt_attached(void);

/* --- from outside ------------------------------------------------------------------------------------------------- */

/* The number of a file, -1 if there is none. */
int32_t qt_number(const char *file);
/* The ids behind it, -1 if there is nothing. */
int qt_segment_id(const char *file);
int qt_set_id(const char *file);
int qt_attachments(void); /* of the segment of "shm" */
int qt_value(void);       /* of the set of "sem" */
/* Makes the file. */
void qt_touch(const char *file);
int count_segments(void);
int count_sets(void);
/* Nothing is left: no segment, no set, no file. */
void qt_is_clean(void);

/* --- a process that does as it is told ----------------------------------------------------------------------------- */

enum qt_deed {
    QT_SET,       /* sets the value of the set: SETVAL */
    QT_ADD,       /* adds to it as Qt does, with SEM_UNDO; blocks if it has to */
    QT_ADD_PLAIN, /* the same without */
    QT_REMOVE,    /* the set, but not its file: IPC_RMID */
    QT_LOCK,      /* the library's, with a time-out of `argument` ms */
    QT_UNLOCK,
    QT_CREATE,
    QT_ATTACH,
    QT_END
};
struct qt_peer {
    pid_t pid;
    struct gate go, done;
    struct qt_order *order; /* shared */
};
struct qt_peer qt_peer_start(void);
/* Lets it do something, and waits until it is done; returns what came of it. */
int qt_do(struct qt_peer *peer, enum qt_deed deed, int argument);
/* It does so, and nobody waits for it. */
void qt_begin(struct qt_peer *peer, enum qt_deed deed, int argument);
int qt_finish(struct qt_peer *peer);
/* It ends without a destructor, so that the kernel takes back what there is. */
void qt_peer_end(struct qt_peer *peer);

#endif
