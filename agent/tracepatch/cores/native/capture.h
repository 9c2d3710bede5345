/* What the parts of capture share: packing of scalars, and how a trace captures (capture.c, reprs.c). */

#ifndef TRACEPATCH_CAPTURE_H
#define TRACEPATCH_CAPTURE_H

#include "names.h"
#include "native.h"
#include "plans.h"
#include "redactor.h"

#define NESTED 2 /* beside CAPTURED: not read here, and nothing appended */

/* How containers are shown in mode `repr`: `UsualReprs`. */
typedef struct {
    PyObject *keys, *inert; /* owned: what it remembers */
    Py_ssize_t items, depth;
} Reprs;

struct Capture {
    PyObject *capturer, *naming; /* owned; the latter is `NAME_KEYS` */
    Redactor redactor;
    int shows_repr;
    Py_ssize_t items, characters, depth, levels;
    size_t start; /* of the value that is being packed */
    int nodes;    /* values in it that were read */
    Plans plans;
    Names names;
    Reprs reprs;
};

int reprs_init(Reprs *reprs, PyObject *capturer); /* -1 with an exception set */
void reprs_free(Reprs *reprs);

/* Append the text that mode `repr` shows of a value, packed; as `capture_value`, but for what it leaves in `out`. */
int reprs_pack(Capture *capture, PyObject *value, Buffer *out);

/* Append a value of which nothing but a name is shown; NESTED for whatever else. */
int names_pack(Names *names, PyObject *value, Buffer *out);

/* Append the field `type` of a mark. */
int names_pack_type(Names *names, PyTypeObject *type, Buffer *out);

/* Append an ASCII text. */
int pack_ascii(PyObject *text, Buffer *out);

/* Begin a mark with room for its head; `end_mark` gets where that is. `kind` is packed, a short text. */
int begin_mark(const char *kind, int fields, Buffer *out, size_t *start);

/* Write the head of a mark, now that its size is known. */
int end_mark(Buffer *out, size_t start);

/* Read an integer attribute of ours; -1 with an exception set. */
int read_number(PyObject *object, const char *name, Py_ssize_t *number);

static inline int
pack_raw(const void *bytes, size_t size, Buffer *out)
{
    if (buffer_need(out, size) < 0) {
        return NO_MEMORY;
    }
    memcpy(out->bytes + out->length, bytes, size);
    out->length += size;
    return CAPTURED;
}

#define PACK_LITERAL(text, out) pack_raw(text, sizeof(text) - 1, out)

static inline int
pack_byte(unsigned char byte, Buffer *out)
{
    if (buffer_need(out, 1) < 0) {
        return NO_MEMORY;
    }
    out->bytes[out->length++] = byte;
    return CAPTURED;
}

#endif
