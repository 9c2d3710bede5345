/* How objects are read that have no reader of their own: `objects.Plan`, looked up fast (plans.c). */

#ifndef TRACEPATCH_PLANS_H
#define TRACEPATCH_PLANS_H

#include "native.h"

#define PLANS 64 /* a power of two */

#define MAX_SLOTS 32

typedef struct {
    PyObject *name; /* owned; exact text */
    Py_ssize_t offset;
} Slot;

/* What is known of one class for as long as nothing of it changes. */
typedef struct {
    PyTypeObject *type; /* not owned: only compared, along with its version */
    unsigned int version;
    PyObject *name;     /* owned, ours */
    enum { BY_PYTHON, IN_DICT, IN_SLOTS } fields; /* where they are; with no slots there are none to see */
    int count;          /* of the slots */
    Slot *slots;        /* owned */
} Plan;

typedef struct {
    PyObject *plans, *ordinary, *readers; /* owned: dicts by `id()` of a class */
    Plan known[PLANS];
} Plans;

int plans_exec(PyObject *module);
int plans_init(Plans *plans); /* -1 with an exception set */
void plans_free(Plans *plans);

/* The plan of a class whose instances `Reader._read_object` reads, and shows as `object`; NULL for any other, and where
   there is none yet; no exception set. Valid until the next call. */
const Plan *plans_find(Plans *plans, PyTypeObject *type);

#endif
