/* What the parts of the native core share: bytes that grow, msgpack, and what a value becomes.

   All of this runs on application threads, inside callbacks of the interpreter, with the GIL held from the beginning to
   the end: nothing here calls into Python, except where it says so. */

#ifndef TRACEPATCH_NATIVE_H
#define TRACEPATCH_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- what 3.12 made part of the API ------------------------------------------------------------------------------ */

#if PY_VERSION_HEX < 0x030c0000
#if PY_VERSION_HEX < 0x030b0000
#include <longintrepr.h>
#endif

static inline int
PyUnstable_Long_IsCompact(const PyLongObject *number)
{
    return Py_SIZE(number) >= -1 && Py_SIZE(number) <= 1;
}

static inline Py_ssize_t
PyUnstable_Long_CompactValue(const PyLongObject *number)
{
    return Py_SIZE(number) * (Py_ssize_t)number->ob_digit[0];
}

static inline PyObject *
PyType_GetDict(PyTypeObject *type)
{
    return Py_XNewRef(type->tp_dict);
}
#endif

/* ---- bytes that grow ------------------------------------------------------------------------------------------- */

typedef struct {
    unsigned char *bytes;
    size_t length;
    size_t room;
} Buffer;

int buffer_grow(Buffer *buffer, size_t more); /* 0; -1 where there is no memory, no exception set */

/* Make room for `more` bytes behind the last one; 0 or -1 as above. */
static inline int
buffer_need(Buffer *buffer, size_t more)
{
    return buffer->room - buffer->length >= more ? 0 : buffer_grow(buffer, more);
}

static inline void
buffer_free(Buffer *buffer)
{
    PyMem_RawFree(buffer->bytes);
    buffer->bytes = NULL;
    buffer->length = buffer->room = 0;
}

/* ---- msgpack: each returns where the next byte goes; the smallest form, as msgpack's own Packer chooses it --------- */

#define PACKED_NUMBER 9 /* bytes that a number takes at the most */
#define PACKED_HEADER 5 /* and the head of a text, an array or a map */

static inline unsigned char *
pack_big(unsigned char *to, unsigned char tag, uint64_t value, int bytes)
{
    *to++ = tag;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
        *to++ = (unsigned char)(value >> shift);
    }
    return to;
}

static inline unsigned char *
pack_unsigned(unsigned char *to, uint64_t value)
{
    if (value < 0x80) {
        *to++ = (unsigned char)value;
        return to;
    }
    if (value < 0x100) {
        return pack_big(to, 0xcc, value, 1);
    }
    if (value < 0x10000) {
        return pack_big(to, 0xcd, value, 2);
    }
    return value < 0x100000000ULL ? pack_big(to, 0xce, value, 4) : pack_big(to, 0xcf, value, 8);
}

static inline unsigned char *
pack_signed(unsigned char *to, int64_t value)
{
    if (value >= 0) {
        return pack_unsigned(to, (uint64_t)value);
    }
    if (value >= -0x20) {
        *to++ = (unsigned char)value;
        return to;
    }
    if (value >= -0x80) {
        return pack_big(to, 0xd0, (uint64_t)value, 1);
    }
    if (value >= -0x8000) {
        return pack_big(to, 0xd1, (uint64_t)value, 2);
    }
    return value >= -0x80000000LL ? pack_big(to, 0xd2, (uint64_t)value, 4) : pack_big(to, 0xd3, (uint64_t)value, 8);
}

static inline unsigned char *
pack_double(unsigned char *to, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return pack_big(to, 0xcb, bits, 8);
}

/* The head of an array, a map, a text: `fixed` is the tag of the short form, which holds up to `most`. */
static inline unsigned char *
pack_head(unsigned char *to, size_t count, unsigned char fixed, size_t most, unsigned char tag16)
{
    if (count <= most) {
        *to++ = (unsigned char)(fixed | count);
        return to;
    }
    return count < 0x10000 ? pack_big(to, tag16, count, 2) : pack_big(to, (unsigned char)(tag16 + 1), count, 4);
}

static inline unsigned char *
pack_array(unsigned char *to, size_t count)
{
    return pack_head(to, count, 0x90, 15, 0xdc);
}

static inline unsigned char *
pack_map(unsigned char *to, size_t count)
{
    return pack_head(to, count, 0x80, 15, 0xde);
}

static inline unsigned char *
pack_text_head(unsigned char *to, size_t bytes)
{
    if (bytes > 31 && bytes < 0x100) {
        return pack_big(to, 0xd9, bytes, 1);
    }
    return pack_head(to, bytes, 0xa0, 31, 0xda);
}

/* ---- slots of Python objects ----------------------------------------------------------------------------------- */

/* The objects of the Python part are classes with `__slots__`: where a slot lies is asked once, of its descriptor. */
Py_ssize_t slot_offset(PyObject *type, const char *name); /* -1 with an exception set */

static inline PyObject *
slot_get(PyObject *object, Py_ssize_t offset) /* borrowed; NULL where it was never set */
{
    return *(PyObject **)((char *)object + offset);
}

static inline void
slot_set(PyObject *object, Py_ssize_t offset, PyObject *value)
{
    PyObject **slot = (PyObject **)((char *)object + offset);
    PyObject *before = *slot;
    *slot = Py_NewRef(value);
    Py_XDECREF(before);
}

/* ---- values (capture.c) ---------------------------------------------------------------------------------------- */

/* What one trace captures, and how: made from its `Capturer`. */
typedef struct Capture Capture;

Capture *capture_new(PyObject *capturer); /* NULL with an exception set */
void capture_free(Capture *capture);
int capture_traverse(Capture *capture, visitproc visit, void *arg);

enum { CAPTURED = 0, UNUSUAL = 1, NO_MEMORY = -1 };

/* Append the plain form of a value, packed, where it can be had without calling into Python: byte for byte what msgpack
   makes of `Capturer.value(value)`. UNUSUAL, and `out` as it was, where Python has to read it. No exception is set. */
int capture_value(Capture *capture, PyObject *value, Buffer *out);

/* Whether an exact `str` is shown as it is (then its characters are ASCII); otherwise Python has to look at it. */
int capture_is_plain_text(Capture *capture, PyObject *text);

/* Add `capture_*` test functions to the module: `encode(capturer, value) -> bytes | None`. */
int capture_exec(PyObject *module);

#endif
