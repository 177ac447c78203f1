/*
 * command.c - the entry points of the `qshm` command. The system's part stands in os_linux_command.c.
 */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../qshm.h"
#include "bell.h"
#include "change.h"
#include "error.h"
#include "handle.h"
#include "message.h"
#include "os.h"
#include "outcome.h"
#include "takeover.h"

int32_t qshm_arguments(void *bytes, uint32_t capacity, void *outcome)
{
    struct qshm_outcome *out = outcome;
    if (out == NULL || !qshm__is_buffer(bytes, capacity)) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(out);
    struct qshm__failure failure = {0};
    bool complete;
    int r = qshm__os_arguments(bytes, capacity, &complete);
    out->flags = complete ? QSHM_WITH_RUNTIME : 0;
    return r < 0 ? qshm__outcome_finish(out, qshm__fail_call(&failure, "open", r), &failure) : r;
}

int32_t qshm_run(uint32_t handle, const void *arguments, uint32_t size, void *outcome)
{
    struct qshm_outcome *out = outcome;
    if (out == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(out);
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    if (arguments == NULL || size == 0 || ((const char *)arguments)[size - 1] != '\0') {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    if (a->guards) { /* nobody here answers: at once, so that senders need not wait to learn it */
        qshm__messages_refuse(a);
    }
    char *copy = malloc(size); /* it stays ours while the child, in our memory, reads it */
    if (copy == NULL) {
        return qshm__outcome_finish(out, qshm__fail_check(&failure, QSHM_E_RESOURCES, "memory is out"), &failure);
    }
    memcpy(copy, arguments, size);
    int r = qshm__os_run_command(copy, size, a->fd);
    free(copy);
    if (r == -ENOENT) {
        qshm__fail_call(&failure, "execve", r);
        return qshm__outcome_finish(out, QSHM_E_NOT_FOUND, &failure);
    }
    return r < 0 ? qshm__outcome_finish(out, qshm__fail_call(&failure, "execve", r), &failure) : r;
}

int32_t qshm_exit(uint32_t status)
{
    qshm__os_exit((int)status);
    return 0;
}

static const double longest_sleep = 500; /* ms: whoever was to ring may have been killed */

int32_t qshm_await(uint32_t handle)
{
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    struct qshm__failure ignored;
    int bell = a->bell != NULL ? -1 : qshm__bell_open(a, QSHM_BELL_FIFO, &ignored);
    bool asked = false;
    int r = -EAGAIN;
    while (r == -EAGAIN) {
        uint32_t revision = qshm__change_revision(a);
        if (!asked && qshm__is_wanted(a)) {
            asked = true;
            qshm__trace("was asked to leave %s: ends the command", a->name);
            qshm__os_end_command();
        }
        if (qshm__change_expect(a, revision) == QSHM_ARMED) {
            r = qshm__os_await_command(bell, longest_sleep);
        }
    }
    if (bell >= 0) {
        qshm__bell_close(a);
        qshm__os_close(bell);
    }
    return r == -ECHILD ? QSHM_E_ARGUMENT : r < 0 ? QSHM_E_SYSTEM : r;
}
