/*
 * What Debian's libstdc++ and libgcc_s want of glibc, for a process of musl: put in the place of glibc's loader, which they
 * name as a library. For tests only: Bun's musl build needs a libstdc++, and Debian has none for musl.
 */
#define _GNU_SOURCE
#include <locale.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

char __libc_single_threaded = 0;
unsigned __cpu_model[4];

int __cpu_indicator_init(void)
{
    return 0;
}

unsigned arc4random(void)
{
    unsigned number = 0;
    return getrandom(&number, sizeof number, 0) == sizeof number ? number : 0;
}

size_t __strftime_l(char *text, size_t size, const char *format, const struct tm *time, locale_t locale)
{
    return strftime_l(text, size, format, time, locale);
}

/* Destructors of thread-local objects do not run: the process ends without them. */
int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *handle)
{
    (void)destructor, (void)object, (void)handle;
    return 0;
}

/* libgcc_s then looks by dl_iterate_phdr. */
int _dl_find_object(void *address, void *result)
{
    (void)address, (void)result;
    return -1;
}
