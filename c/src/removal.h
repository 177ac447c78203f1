/*
 * removal.h - removing files that somebody names, and sweeping up those that crashes left.
 */
#ifndef QSHM_REMOVAL_H
#define QSHM_REMOVAL_H

#include <stdbool.h>

#include "directory.h"
#include "error.h"

/* 1 removed, 0 not there. IN_USE unless `force`; a held guard always. */
int qshm__remove(const struct qshm__directory *directory, const char *name, bool force, struct qshm__failure *failure);
/* Removes dead files, except the one named, that are not persistent. Waits for nobody, and reports nothing. */
void qshm__sweep(const struct qshm__directory *directory, const char *except);

#endif
