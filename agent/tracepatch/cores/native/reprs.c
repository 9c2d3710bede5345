/* Mode `repr`: the text of `repr` for scalars, and for the containers that `UsualReprs` (usual_reprs.py) copies.

   It is written where the packed text will be, behind room for its head, and then looked at as any text is. All other
   objects are left to Python: their `repr` is the user's. */

#include "capture.h"
#include "texts.h"

#define MAX_LENGTH 2800 /* `usual_reprs.MAX_LENGTH` */
#define LONGEST 64      /* `usual_reprs.LONGEST` */
#define MAX_NUMBER 1e12 /* `usual_reprs.MAX_NUMBER` */

static int show_item(Capture *capture, PyObject *item, Py_ssize_t level, Buffer *out);

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

static int
show_float(PyObject *value, Buffer *out)
{
    char *text = PyOS_double_to_string(PyFloat_AS_DOUBLE(value), 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL) {
        PyErr_Clear();
        return UNUSUAL;
    }
    int done = pack_raw(text, strlen(text), out);
    PyMem_Free(text);
    return done;
}

/* Append the figures of an integer between `Redactor.low` and `high`. */
static int
show_int(Capture *capture, PyObject *value, Buffer *out)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || !redactor_is_small(&capture->redactor, number)) {
        return UNUSUAL;
    }
    char figures[24];
    int size = PyOS_snprintf(figures, sizeof figures, "%lld", number);
    return pack_raw(figures, (size_t)size, out);
}

/* Append an ASCII text in single quotes; UNUSUAL where its `repr` is more than that. */
static int
show_quoted(PyObject *text, Buffer *out)
{
    if (!PyUnicode_IS_COMPACT_ASCII(text)) {
        return UNUSUAL;
    }
    size_t length = (size_t)PyUnicode_GET_LENGTH(text);
    const unsigned char *characters = PyUnicode_DATA(text);
    for (size_t index = 0; index < length; index++) {
        unsigned char character = characters[index];
        if (character < ' ' || character > '~' || character == '\'' || character == '\\') {
            return UNUSUAL;
        }
    }
    if (buffer_need(out, length + 2) < 0) {
        return NO_MEMORY;
    }
    unsigned char *to = out->bytes + out->length;
    *to++ = '\'';
    memcpy(to, characters, length);
    to[length] = '\'';
    out->length += length + 2;
    return CAPTURED;
}

/* ---- containers -------------------------------------------------------------------------------------------------- */

/* Whether a text that is not known yet is inert: `UsualReprs._is_inert`. */
static int
is_inert(const Reprs *reprs, PyObject *text)
{
    if (!PyUnicode_IS_COMPACT_ASCII(text) || PyUnicode_GET_LENGTH(text) > LONGEST) {
        return 0;
    }
    const unsigned char *characters = PyUnicode_DATA(text);
    size_t length = (size_t)PyUnicode_GET_LENGTH(text);
    int dashes = 0, spaces = 0;
    for (size_t index = 0; index < length; index++) {
        unsigned char character = characters[index], lower = character | 0x20;
        if (character == '-') {
            dashes = 1;
        }
        else if (character == ' ') {
            spaces = 1;
        }
        else if (!((lower >= 'a' && lower <= 'z') || (character >= '0' && character <= '9') || character == '_'
                   || character == '.' || character == '/')) {
            return 0;
        }
    }
    if (dashes && (spaces || characters[0] == '-' || memmem(characters, length, "form-data", 9) != NULL)) {
        return 0;
    }
    return text_is_harmless(characters, length) || set_has(reprs->inert, text);
}

/* Whether a key is shown as it is and makes no value secret, as was found out before. */
static int
is_key(const Capture *capture, PyObject *key, PyObject *item)
{
    const Reprs *reprs = &capture->reprs;
    if (!PyUnicode_CheckExact(key)) {
        return 0;
    }
    if (set_has(reprs->keys, key)) {
        return 1;
    }
    return set_has(capture->naming, key) && redactor_allows_name(&capture->redactor, key)
           && (!PyUnicode_CheckExact(item) || redactor_allows_name(&capture->redactor, item));
}

static int
show_dict(Capture *capture, PyObject *value, Py_ssize_t level, Buffer *out)
{
    Py_ssize_t place = 0;
    PyObject *key, *item;
    int done = pack_byte('{', out);
    for (int first = 1; done == CAPTURED && PyDict_Next(value, &place, &key, &item); first = 0) {
        if (!is_key(capture, key, item)) {
            return UNUSUAL;
        }
        if (!first) {
            done = PACK_LITERAL(", ", out);
        }
        if (done == CAPTURED) {
            done = show_quoted(key, out);
        }
        if (done == CAPTURED) {
            done = PACK_LITERAL(": ", out);
        }
        if (done == CAPTURED) {
            done = show_item(capture, item, level, out);
        }
    }
    return done == CAPTURED ? pack_byte('}', out) : done;
}

/* Whether the first item of a sequence names none of the others: `UsualReprs._starts_well`. */
static int
starts_well(const Capture *capture, PyObject *const *items, Py_ssize_t length)
{
    return length < 2 || !PyUnicode_CheckExact(items[0]) || (length > 3 && !PyUnicode_CheckExact(items[1]))
           || redactor_allows_name(&capture->redactor, items[0]);
}

static int
show_sequence(Capture *capture, PyObject *value, Py_ssize_t level, Buffer *out)
{
    int is_list = PyList_CheckExact(value);
    Py_ssize_t length = Py_SIZE(value);
    PyObject *const *items = is_list ? ((PyListObject *)value)->ob_item : ((PyTupleObject *)value)->ob_item;
    if (!starts_well(capture, items, length)) {
        return UNUSUAL;
    }
    int done = pack_byte(is_list ? '[' : '(', out);
    for (Py_ssize_t index = 0; done == CAPTURED && index < length; index++) {
        if (index > 0) {
            done = PACK_LITERAL(", ", out);
        }
        if (done == CAPTURED) {
            done = show_item(capture, items[index], level, out);
        }
    }
    if (done == CAPTURED && !is_list && length == 1) {
        done = pack_byte(',', out);
    }
    return done == CAPTURED ? pack_byte(is_list ? ']' : ')', out) : done;
}

static int
show_container(Capture *capture, PyObject *value, Py_ssize_t level, Buffer *out)
{
    int is_dict = PyDict_CheckExact(value);
    Py_ssize_t length = is_dict ? PyDict_GET_SIZE(value) : Py_SIZE(value);
    if (level >= capture->reprs.depth || length > capture->reprs.items || out->length - capture->start > 2 * MAX_LENGTH) {
        return UNUSUAL;
    }
    return is_dict ? show_dict(capture, value, level, out) : show_sequence(capture, value, level, out);
}

/* Append what a container holds `level` levels deep. */
static int
show_item(Capture *capture, PyObject *item, Py_ssize_t level, Buffer *out)
{
    PyTypeObject *type = Py_TYPE(item);
    if (type == &PyUnicode_Type) {
        return is_inert(&capture->reprs, item) ? show_quoted(item, out) : UNUSUAL;
    }
    if (type == &PyLong_Type) {
        return show_int(capture, item, out);
    }
    if (type == &PyFloat_Type) {
        double number = PyFloat_AS_DOUBLE(item);
        int shown = (number > -MAX_NUMBER && number < MAX_NUMBER) || number - number != 0.0;
        return shown ? show_float(item, out) : UNUSUAL;
    }
    if (item == Py_None) {
        return PACK_LITERAL("None", out);
    }
    if (type == &PyBool_Type) {
        return item == Py_True ? PACK_LITERAL("True", out) : PACK_LITERAL("False", out);
    }
    if (type == &PyDict_Type || type == &PyList_Type || type == &PyTuple_Type) {
        return show_container(capture, item, level + 1, out);
    }
    return UNUSUAL;
}

/* ---- the text ---------------------------------------------------------------------------------------------------- */

/* Append the `repr` of a value, checked and cut: `Capturer._shown`. */
static int
show(Capture *capture, PyObject *value, Buffer *out)
{
    size_t start = out->length;
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyDict_Type || type == &PyList_Type || type == &PyTuple_Type) {
        int done = show_container(capture, value, 0, out);
        size_t size = out->length - start, most = (size_t)capture->characters;
        if (done != CAPTURED) {
            return done;
        }
        if (size > MAX_LENGTH || !redactor_never_saw(&capture->redactor, out->bytes + start, size)) {
            return UNUSUAL;
        }
        if (size > most) {
            size_t dots = most < 3 ? most : 3;
            memset(out->bytes + start + most - dots, '.', dots);
            out->length = start + most;
        }
        return CAPTURED;
    }
    if (type == &PyUnicode_Type) {
        if (PyUnicode_GET_LENGTH(value) + 2 > capture->characters) {
            return UNUSUAL;
        }
        int done = show_quoted(value, out);
        if (done == CAPTURED
            && !redactor_allows_text(&capture->redactor, NULL, out->bytes + start, out->length - start)) {
            return UNUSUAL;
        }
        return done;
    }
    if (type == &PyFloat_Type) {
        return show_float(value, out);
    }
    if (type == &PyLong_Type && redactor_slot(&capture->redactor, redactor_at.numeric) != Py_False) {
        return UNUSUAL;
    }
    return show_item(capture, value, 0, out);
}

int
reprs_pack(Capture *capture, PyObject *value, Buffer *out)
{
    static const char room[PACKED_HEADER] = {0};
    size_t start = out->length;
    int done = pack_raw(room, sizeof room, out);
    if (done == CAPTURED) {
        done = show(capture, value, out);
    }
    if (done != CAPTURED) {
        return done;
    }
    size_t size = out->length - start - PACKED_HEADER;
    unsigned char *to = pack_text_head(out->bytes + start, size);
    memmove(to, out->bytes + start + PACKED_HEADER, size);
    out->length = (size_t)(to - out->bytes) + size;
    return CAPTURED;
}

int
reprs_init(Reprs *reprs, PyObject *capturer)
{
    PyObject *usual = PyObject_GetAttrString(capturer, "_reprs");
    int failed = usual == NULL || read_number(usual, "_items", &reprs->items) < 0
                 || read_number(usual, "_depth", &reprs->depth) < 0
                 || (reprs->keys = PyObject_GetAttrString(usual, "_keys")) == NULL
                 || (reprs->inert = PyObject_GetAttrString(usual, "_inert")) == NULL;
    if (!failed && !(PySet_Check(reprs->keys) && PySet_Check(reprs->inert))) {
        PyErr_SetString(PyExc_TypeError, "UsualReprs remembers texts in sets");
        failed = 1;
    }
    Py_XDECREF(usual);
    return failed ? -1 : 0;
}

void
reprs_free(Reprs *reprs)
{
    Py_CLEAR(reprs->keys);
    Py_CLEAR(reprs->inert);
}
