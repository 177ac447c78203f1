/*
 * qt_key.c - how Qt finds a System V object by a text.
 *
 * Owns: names and numbers of key files, as Qt 5.15 and 6 make them.
 *
 *   letters = those of the key in A-Z and a-z, in their order; hash = SHA-1 of the key in UTF-8, in hex
 *   file    = TMPDIR (else /tmp), its links resolved, "/qipc_sharedmemory_" or "/qipc_systemsem_", letters, hash
 *   number  = ftok(file, project): 8 bits of the project ('Q'), 8 of the device, 16 of the inode
 *
 * Failure story: only 16 bits of the inode count, so two files may have one number. What is behind a number that a new
 * file has can be another's; whoever finds something there looks at whose it is (qt_memory.c).
 */
#include "qt_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../qshm.h"
#include "os.h"
#include "sha1.h"

enum { IS_FILE = 0100000, IS_LINK = 0120000, TYPE = 0170000 };

/* QDir::tempPath(): of a TMPDIR that leads nowhere it gives nothing, and the files stand in the root. */
static uint32_t temporary_directory(char *path)
{
    const char *wanted = qshm__os_environment("TMPDIR");
    return qshm__os_real_path(wanted == NULL || wanted[0] == '\0' ? "/tmp" : wanted, path, QSHM_QT_PATH);
}

static bool is_letter(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

int qshm__qt_key_file(bool semaphore, const uint8_t *key, uint32_t size, char path[QSHM_QT_PATH])
{
    if (size == 0) {
        return QSHM_E_KEY;
    }
    uint8_t digest[20];
    qshm__sha1(key, size, digest);
    uint32_t at = temporary_directory(path);
    const char *prefix = semaphore ? "/qipc_systemsem_" : "/qipc_sharedmemory_";
    const uint32_t rest = (uint32_t)strlen(prefix) + 2 * sizeof digest + 1;
    uint32_t letters = 0;
    for (uint32_t i = 0; i < size; i++) {
        letters += is_letter(key[i]);
    }
    if (letters > QSHM_QT_PATH || at + rest + letters > QSHM_QT_PATH) {
        return QSHM_E_RESOURCES;
    }
    memcpy(path + at, prefix, strlen(prefix));
    at += (uint32_t)strlen(prefix);
    for (uint32_t i = 0; i < size; i++) {
        if (is_letter(key[i])) {
            path[at++] = (char)key[i];
        }
    }
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(path + at + 2 * i, 3, "%02x", digest[i]);
    }
    return (int)(at + 2 * sizeof digest);
}

int qshm__qt_key_make(const struct qshm__qt_key *key, struct qshm__failure *failure)
{
    int made = qshm__os_make_key_file(key->path);
    if (made >= 0) {
        return made;
    }
    int error = qshm__fail_call(failure, "open", made);
    return error == QSHM_E_SYSTEM ? QSHM_E_KEY : error;
}

/* What stands at the path: 1; 0 if nothing does. */
static int look(const struct qshm__qt_key *key, struct qshm__stat *found, struct qshm__failure *failure)
{
    int r = qshm__os_stat_path(key->path, found);
    if (r == -ENOENT) {
        return 0;
    }
    if (r < 0) {
        int error = qshm__fail_call(failure, "statx", r);
        return error == QSHM_E_SYSTEM ? QSHM_E_KEY : error;
    }
    if ((found->mode & TYPE) == IS_LINK) {
        return qshm__fail_check(failure, QSHM_E_UNSAFE_FILE, "is a symbolic link");
    }
    return 1;
}

static int32_t number_of(const struct qshm__qt_key *key, const struct qshm__stat *found)
{
    return (int32_t)((key->project & 0xff) << 24 | (uint32_t)(found->device & 0xff) << 16 |
                     (uint32_t)(found->inode & 0xffff));
}

int qshm__qt_key_number(const struct qshm__qt_key *key, int32_t *number, struct qshm__failure *failure)
{
    struct qshm__stat found;
    int r = look(key, &found, failure);
    *number = r == 1 ? number_of(key, &found) : 0;
    return r;
}

void qshm__qt_key_remove(const struct qshm__qt_key *key, int32_t number)
{
    struct qshm__stat found;
    struct qshm__failure ignored;
    if (look(key, &found, &ignored) == 1 && number_of(key, &found) == number && (found.mode & TYPE) == IS_FILE &&
        found.size == 0) {
        qshm__os_unlink_path(key->path);
    }
}
