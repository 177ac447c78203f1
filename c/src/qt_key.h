/*
 * qt_key.h - the files that stand for a key of Qt's, and the numbers that stand for those files.
 */
#ifndef QSHM_QT_KEY_H
#define QSHM_QT_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

enum { QSHM_QT_PATH = 4096 }; /* with its NUL */

/* What a key leads to: a System V object has the number of this file and project. */
struct qshm__qt_key {
    char path[QSHM_QT_PATH];
    uint32_t project;
};

/* The file of a key in Qt's old form ("legacy key"), for a segment or for a semaphore: returns its length. KEY if the key is
 * empty, RESOURCES if the path does not fit. */
int qshm__qt_key_file(bool semaphore, const uint8_t *key, uint32_t size, char path[QSHM_QT_PATH]);

/* Makes the file, unless it is there: 1 or 0. KEY if it cannot be made. */
int qshm__qt_key_make(const struct qshm__qt_key *key, struct qshm__failure *failure);
/* The number: 1; 0 if there is no file. */
int qshm__qt_key_number(const struct qshm__qt_key *key, int32_t *number, struct qshm__failure *failure);
/* Removes the file if it still leads to this number: it may have been made anew for another object. And only if it is empty, as
 * those are that were made here: a native key may name any file. */
void qshm__qt_key_remove(const struct qshm__qt_key *key, int32_t number);

#endif
