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
    enum { BY_PYTHON, AS_OBJECT, AS_MEMBER } how; /* the last by its name, in its `__dict__` */
    enum { NOTHING, HOLDS_DICT, HOLDS_LIST, HOLDS_TUPLE, HOLDS_FIELDS } holds; /* what it is itself; a named tuple the last */
    int has_dict;
    PyObject *items;    /* owned, ours: the names of `HOLDS_FIELDS` */
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

/* The plan of a class whose instances `Reader._read_object` reads, and shows as `object` or by a member's name; NULL for any other, and where
   there is none yet; no exception set. Valid until the next call. */
const Plan *plans_find(Plans *plans, PyTypeObject *type);

#endif
