/*
 * outcome.c - see outcome.h.
 */
#include "outcome.h"

#include <stddef.h>
#include <string.h>

bool qshm__is_kind(uint32_t kind)
{
    return kind >= QSHM_KIND_MEMORY && kind <= QSHM_KIND_INSTANCE;
}

bool qshm__is_buffer(const void *pointer, uint32_t size)
{
    return pointer != NULL || size == 0;
}

static void copy_text(char *to, size_t capacity, const char *from)
{
    size_t length = from == NULL ? 0 : strlen(from);
    length = length < capacity - 1 ? length : capacity - 1;
    if (length > 0) {
        memcpy(to, from, length);
    }
    to[length] = '\0';
}

void qshm__outcome_set_path(struct qshm_outcome *outcome, const char *directory, const char *name)
{
    copy_text(outcome->path, sizeof outcome->path, directory);
    size_t length = strlen(outcome->path);
    if (name[0] != '\0' && length > 0) {
        if (outcome->path[length - 1] != '/') {
            outcome->path[length++] = '/';
        }
        copy_text(outcome->path + length, sizeof outcome->path - length, name);
    }
}

int qshm__outcome_finish(struct qshm_outcome *outcome, int result, const struct qshm__failure *failure)
{
    outcome->os_error = result < 0 ? failure->os_error : 0;
    outcome->pid = result < 0 ? failure->pid : 0;
    outcome->layout = result < 0 ? failure->layout : 0;
    copy_text(outcome->call, sizeof outcome->call, result < 0 ? failure->call : NULL);
    copy_text(outcome->why, sizeof outcome->why,
              result >= 0              ? NULL
              : failure->os_error != 0 ? strerror(failure->os_error)
                                       : failure->why);
    return result;
}

bool qshm__is_size(double value)
{
    return value >= 0 && value <= 9007199254740992.0 && value == (double)(uint64_t)value;
}

bool qshm__is_count(double value)
{
    return qshm__is_size(value) && value <= INT32_MAX;
}

void qshm__outcome_clear(struct qshm_outcome *outcome)
{
    memset(outcome, 0, offsetof(struct qshm_outcome, path) + 1);
}
