/*
 * abi_program.c - a program that loads the release library by dlopen, as the adapters do, and uses it. It is built once
 * for each libc; test/abi.c runs it. Arguments: the library, a directory ("" as for qshm_open). Status 0 if all went
 * well.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "../qshm.h"

static void *library;

static void *symbol(const char *name)
{
    void *found = dlsym(library, name);
    if (found == NULL) {
        printf("no symbol %s: %s\n", name, dlerror());
    }
    return found;
}

static int expect(const char *what, long result, long wanted)
{
    if (result != wanted) {
        printf("%s: %ld against %ld\n", what, result, wanted);
    }
    return result == wanted;
}

int main(int count, char **arguments)
{
    library = count == 3 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library == NULL) {
        printf("dlopen: %s\n", count == 3 ? dlerror() : "two arguments are needed");
        return 1;
    }
    uint32_t (*version)(void);
    int32_t (*open)(uint32_t, uint32_t, uint32_t, double, const void *, uint32_t, const void *, uint32_t, void *);
    int32_t (*try_lock)(double), (*unlock)(double), (*detach)(uint32_t);
    /* POSIX: a void * from dlsym is a function's address; ISO C has no cast for it. */
    *(void **)&version = symbol("qshm_abi_version");
    *(void **)&open = symbol("qshm_open");
    *(void **)&try_lock = symbol("qshm_try_lock");
    *(void **)&unlock = symbol("qshm_unlock");
    *(void **)&detach = symbol("qshm_detach");
    if (!version || !open || !try_lock || !unlock || !detach) {
        return 1;
    }
    static struct qshm_outcome outcome;
    uint32_t size = (uint32_t)strlen(arguments[2]);
    int32_t handle = open(QSHM_KIND_MEMORY, QSHM_CREATE, 0, 4096, "abi", 3, arguments[2], size, &outcome);
    if (handle <= 0) {
        printf("open: %d, %s, errno %d, %s\n", handle, outcome.call, outcome.os_error, outcome.why);
        return 1;
    }
    int good = expect("version", (long)version(), QSHM_ABI_VERSION) && expect("try", try_lock(handle), 1) &&
               expect("unlock", unlock(handle), 0) && expect("detach", detach((uint32_t)handle), 0) &&
               expect("dlclose", dlclose(library), 0);
    return !good;
}
