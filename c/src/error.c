/*
 * error.c - see error.h.
 */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../qshm.h"
#include "os.h"

static int error_of(int os_error)
{
    switch (os_error) {
    case EACCES:
    case EPERM:
    case EROFS:
        return QSHM_E_PERMISSION;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOLCK:
    case EFBIG:
        return QSHM_E_RESOURCES;
    default:
        return QSHM_E_SYSTEM;
    }
}

int qshm__fail_call(struct qshm__failure *failure, const char *call, int result)
{
    failure->os_error = -result;
    failure->call = call;
    failure->why[0] = '\0';
    return error_of(-result);
}

int qshm__fail_check(struct qshm__failure *failure, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->why, sizeof failure->why, format, arguments);
    va_end(arguments);
    failure->os_error = 0;
    failure->call = NULL;
    return error;
}

void qshm__trace(const char *format, ...)
{
    static _Atomic int wanted; /* 0 = not asked yet, 1 = no, 2 = yes */
    if (wanted == 0) {
        const char *value = qshm__os_environment("QSHM_DEBUG");
        wanted = value != NULL && strcmp(value, "1") == 0 ? 2 : 1;
    }
    if (wanted != 2) {
        return;
    }
    char line[512];
    int head = snprintf(line, sizeof line, "qshm[%u] ", qshm__os_pid());
    va_list arguments;
    va_start(arguments, format);
    int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, arguments);
    va_end(arguments);
    size_t size = (size_t)head + (size_t)(body < 0 ? 0 : body);
    if (size > sizeof line - 2) {
        size = sizeof line - 2;
    }
    line[size++] = '\n';
    qshm__os_print(line, size);
}
