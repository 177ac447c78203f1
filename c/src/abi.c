/*
 * abi.c - the library describes itself: version, symbols, errors. See abi.def.
 */
#include <string.h>

#include "../qshm.h"

/* The words of abi.def as C types; the redeclarations below then must agree with qshm.h. */
typedef uint32_t u32;
typedef int32_t i32;
typedef double f64;
typedef const void *in;
typedef void *out;
typedef void *address;

#define QSHM_SYMBOL(name, result, parameters) result name parameters;
#include "abi.def"
#undef QSHM_SYMBOL

#define TEXT(...) #__VA_ARGS__

static const char description[] =
#define QSHM_SYMBOL(name, result, parameters) #name " " #result " " TEXT parameters "\n"
#include "abi.def"
#undef QSHM_SYMBOL
#define X(number, name, sentence) "error " #number " " #name " " sentence "\n"
    QSHM_ERRORS(X)
#undef X
    ;

uint32_t qshm_abi_version(void)
{
    return QSHM_ABI_VERSION;
}

int32_t qshm_describe(void *text, uint32_t capacity)
{
    if (text != NULL && capacity >= sizeof description - 1) {
        memcpy(text, description, sizeof description - 1);
    }
    return (int32_t)(sizeof description - 1);
}
