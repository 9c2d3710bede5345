/* Bytes that grow, and where slots lie. */

#include "native.h"
#include <structmember.h>

int
buffer_grow(Buffer *buffer, size_t more)
{
    size_t room = buffer->room < 256 ? 256 : buffer->room;
    while (room - buffer->length < more) {
        if (room > SIZE_MAX / 4) {
            return -1;
        }
        room *= 2;
    }
    unsigned char *bytes = PyMem_RawRealloc(buffer->bytes, room);
    if (bytes == NULL) {
        return -1;
    }
    buffer->bytes = bytes;
    buffer->room = room;
    return 0;
}

Py_ssize_t
slot_offset(PyObject *type, const char *name)
{
    PyObject *found = PyObject_GetAttrString(type, name);
    if (found == NULL) {
        return -1;
    }
    Py_ssize_t offset = -1;
    if (Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        if (member->type == T_OBJECT_EX) {
            offset = member->offset;
        }
    }
    Py_DECREF(found);
    if (offset < 0) {
        PyErr_Format(PyExc_TypeError, "%s is no slot of %R", name, type);
    }
    return offset;
}
