/* What the `Redactor` of a trace knows (redactor.c). */

#ifndef TRACEPATCH_REDACTOR_H
#define TRACEPATCH_REDACTOR_H

#include "native.h"

typedef struct {
    PyObject *object;                   /* owned */
    PyObject *low_number, *high_number; /* owned: what `low` and `high` were made of */
    int64_t low, high;
} Redactor;

/* Where its slots lie. What they hold is read each time: it is replaced whenever a secret is remembered. */
typedef struct {
    Py_ssize_t enabled, wary, numeric, low, high, clean, plain, plain_names, plain_naming, names;
    Py_ssize_t whole, words, parts, cores, numbers;
} RedactorSlots;

extern RedactorSlots redactor_at;

int redactor_init(Redactor *redactor, PyObject *object); /* -1 with an exception set */
void redactor_free(Redactor *redactor);

static inline PyObject *
redactor_slot(const Redactor *redactor, Py_ssize_t offset)
{
    return slot_get(redactor->object, offset);
}

static inline int
redactor_is(const Redactor *redactor, Py_ssize_t flag)
{
    return redactor_slot(redactor, flag) == Py_True;
}

/* Whether an exact `str` is in a set of ours. */
int set_has(PyObject *set, PyObject *text);

/* Whether `Redactor.names_secret` was asked about an exact `str` and said no. */
int redactor_allows_name(const Redactor *redactor, PyObject *name);

/* The same of a name that is bytes. */
int redactor_allows_latin(const Redactor *redactor, const char *name, Py_ssize_t size);

/* Whether nothing in a text that is short enough to be shown whole is secret: it is shown as it is, by `UsualReader`
   where it is ASCII and `suspect` has nothing against it, else by `Reader`. `characters` are its UTF-8; where there is
   no object for them, `text` is NULL, and they are ASCII. */
int redactor_allows_text(Redactor *redactor, PyObject *text, const unsigned char *characters, size_t size);

/* Whether `Redactor.seen` is false of an ASCII text for sure. */
int redactor_never_saw(const Redactor *redactor, const unsigned char *characters, size_t size);

/* Whether an integer is between `low` and `high`. */
int redactor_is_small(Redactor *redactor, long long number);

/* Whether `Redactor.number` is false of an integer. */
int redactor_allows_number(Redactor *redactor, int negative, unsigned long long magnitude);

#endif
