/* Values of which nothing but a name is shown (names.c). */

#ifndef TRACEPATCH_NAMES_H
#define TRACEPATCH_NAMES_H

#include "native.h"

#define TYPE_NAMES 64 /* a power of two */

/* The name of a class, for as long as nothing of it changes. */
typedef struct {
    PyTypeObject *type; /* not owned: only compared, along with its version */
    unsigned int version;
    PyObject *qualname, *text; /* owned, exact texts */
} TypeName;

typedef struct {
    TypeName known[TYPE_NAMES];
} Names;

void names_free(Names *names);
int names_exec(PyObject *module);

#endif
