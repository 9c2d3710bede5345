/* Values of which nothing but a name is shown, however deep they lie: functions, classes, what runs, what is opaque.
   The twin of `Reader._read_function` and its like, and of the names in objects.py.

   A name is read from where the interpreter keeps it. What `objects.name_text` would change is UNUSUAL. */

#include "capture.h"

#define MAX_NAME 200 /* `objects.MAX_NAME` */
#define SEARCHED 8   /* `objects.module_name` looks at so many names of a module */

static PyObject *in_builtins, *dunder_module, *dunder_name, *dunder_qualname;

/* Whether `name_text` leaves a name as it is. */
static int
is_usual(PyObject *name)
{
    return name != NULL && PyUnicode_CheckExact(name) && PyUnicode_IS_COMPACT_ASCII(name)
           && PyUnicode_GET_LENGTH(name) <= MAX_NAME;
}

/* ---- classes ----------------------------------------------------------------------------------------------------- */

/* The module that a class names, of which nothing else in its namespace is asked; NULL where there is none to be had. */
static PyObject *
named_module(PyTypeObject *type)
{
    PyObject *members = PyType_GetDict(type), *found = NULL, *key, *value;
    Py_ssize_t place = 0;
    while (members != NULL && PyDict_Next(members, &place, &key, &value)) {
        if (!PyUnicode_CheckExact(key)) {
            found = NULL;
            break;
        }
        if (key == dunder_module || PyUnicode_Compare(key, dunder_module) == 0) {
            found = value;
        }
    }
    Py_XDECREF(members); /* the class has it as well */
    return found;
}

/* `objects.type_name` of a class that is made at run time; NULL where Python has to make it. A new reference. */
static PyObject *
name_heap_type(PyTypeObject *type)
{
    PyObject *module = named_module(type), *qualname = ((PyHeapTypeObject *)type)->ht_qualname;
    if (!is_usual(module) || !is_usual(qualname)) {
        return NULL;
    }
    if (PyUnicode_Compare(module, in_builtins) == 0) {
        return Py_NewRef(qualname);
    }
    return PyUnicode_FromFormat("%U.%U", module, qualname);
}

/* The same of a class that is written in C. */
static PyObject *
name_static_type(PyTypeObject *type)
{
    const char *dot = strrchr(type->tp_name, '.');
    int built_in = dot != NULL && dot - type->tp_name == 8 && strncmp(type->tp_name, "builtins", 8) == 0;
    PyObject *name = PyUnicode_FromString(built_in ? dot + 1 : type->tp_name);
    if (name != NULL && !is_usual(name)) {
        Py_CLEAR(name);
    }
    return name;
}

/* `objects.type_name`; borrowed, NULL where Python has to make it. Valid until the next call. */
static PyObject *
type_name(Names *names, PyTypeObject *type)
{
    TypeName *known = &names->known[((uintptr_t)type >> 5) & (TYPE_NAMES - 1)];
    PyObject *qualname = type->tp_flags & Py_TPFLAGS_HEAPTYPE ? ((PyHeapTypeObject *)type)->ht_qualname : NULL;
    if (known->type == type && known->version == type->tp_version_tag && known->version != 0
        && known->qualname == qualname) {
        return known->text;
    }
    PyObject *text = qualname == NULL ? name_static_type(type) : name_heap_type(type);
    PyErr_Clear();
    known->type = text == NULL ? NULL : type;
    known->version = type->tp_version_tag;
    Py_XSETREF(known->qualname, text == NULL ? NULL : Py_XNewRef(qualname)); /* no text of a class of the user's */
    Py_XSETREF(known->text, text);
    return text;
}

/* ---- marks ------------------------------------------------------------------------------------------------------- */

static int
pack_name(PyObject *name, Buffer *out)
{
    return is_usual(name) ? pack_ascii(name, out) : UNUSUAL;
}

/* Append a field: its name, packed, and a text. */
static int
pack_field(const char *field, PyObject *name, Buffer *out)
{
    if (!is_usual(name)) {
        return UNUSUAL;
    }
    int done = pack_raw(field, strlen(field), out);
    return done == CAPTURED ? pack_ascii(name, out) : done;
}

int
names_pack_type(Names *names, PyTypeObject *type, Buffer *out)
{
    return pack_field("\xa4type", type_name(names, type), out);
}

/* Append a mark that has one field. */
static int
pack_named_as(const char *kind, const char *field, PyObject *name, Buffer *out)
{
    size_t start;
    int done = begin_mark(kind, 1, out, &start);
    if (done == CAPTURED) {
        done = pack_field(field, name, out);
    }
    return done == CAPTURED ? end_mark(out, start) : done;
}

/* Append `objects.callable_name`. */
static int
pack_callable(Names *names, PyObject *value, Buffer *out)
{
    if (Py_IS_TYPE(value, &PyFunction_Type)) {
        PyObject *module = ((PyFunctionObject *)value)->func_module, *qualname = ((PyFunctionObject *)value)->func_qualname;
        if (!is_usual(module) || !is_usual(qualname)) {
            return UNUSUAL;
        }
        size_t size = (size_t)(PyUnicode_GET_LENGTH(module) + 1 + PyUnicode_GET_LENGTH(qualname));
        if (buffer_need(out, PACKED_HEADER) < 0) {
            return NO_MEMORY;
        }
        out->length = (size_t)(pack_text_head(out->bytes + out->length, size) - out->bytes);
        int done = pack_raw(PyUnicode_DATA(module), (size_t)PyUnicode_GET_LENGTH(module), out);
        done = done == CAPTURED ? pack_byte('.', out) : done;
        return done == CAPTURED ? pack_raw(PyUnicode_DATA(qualname), (size_t)PyUnicode_GET_LENGTH(qualname), out) : done;
    }
    if (Py_IS_TYPE(value, &PyCFunction_Type)) {
        const char *name = ((PyCFunctionObject *)value)->m_ml->ml_name;
        PyObject *text = PyUnicode_FromString(name);
        int done = pack_name(text, out);
        PyErr_Clear();
        Py_XDECREF(text);
        return done;
    }
    return pack_name(type_name(names, Py_TYPE(value)), out);
}

/* Append a function, or a method, that has one field more: whose it is. */
static int
pack_function(Names *names, PyObject *function, PyObject *self, Buffer *out)
{
    size_t start;
    int done = begin_mark("\xa8" "function", self == NULL ? 1 : 2, out, &start);
    if (done == CAPTURED) {
        done = PACK_LITERAL("\xa4name", out);
    }
    if (done == CAPTURED) {
        done = pack_callable(names, function, out);
    }
    if (done == CAPTURED && self != NULL) {
        done = pack_field("\xa5" "bound", type_name(names, Py_TYPE(self)), out);
    }
    return done == CAPTURED ? end_mark(out, start) : done;
}

/* Append a generator or coroutine, which is never resumed. */
static int
pack_running(PyObject *value, const char *kind, Buffer *out)
{
    PyObject *name = PyObject_GenericGetAttr(value, dunder_qualname);
    PyErr_Clear();
    size_t start;
    int done = begin_mark("\xa6object", 2, out, &start);
    if (done == CAPTURED) {
        done = PACK_LITERAL("\xa4type", out);
    }
    if (done == CAPTURED) {
        done = pack_raw(kind, strlen(kind), out);
    }
    if (done == CAPTURED) {
        done = pack_field("\xa4name", name, out);
    }
    Py_XDECREF(name); /* the generator has it as well */
    return done == CAPTURED ? end_mark(out, start) : done;
}

static int
pack_module(PyObject *value, Buffer *out)
{
    Py_ssize_t place = 0;
    PyObject *key, *name;
    for (int count = 0; count < SEARCHED && PyDict_Next(PyModule_GetDict(value), &place, &key, &name); count++) {
        if (PyUnicode_CheckExact(key) && PyUnicode_Compare(key, dunder_name) == 0) {
            return pack_named_as("\xa6module", "\xa4name", name, out);
        }
    }
    return UNUSUAL;
}

int
names_pack(Names *names, PyObject *value, Buffer *out)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyFunction_Type || type == &PyCFunction_Type) {
        return pack_function(names, value, NULL, out);
    }
    if (PyType_Check(value)) {
        return pack_named_as("\xa5" "class", "\xa4name", type_name(names, (PyTypeObject *)value), out);
    }
    if (type == &PyMethod_Type) {
        return pack_function(names, PyMethod_GET_FUNCTION(value), PyMethod_GET_SELF(value), out);
    }
    if (type == &PyCoro_Type) {
        return pack_running(value, "\xa9" "coroutine", out);
    }
    if (type == &PyGen_Type) {
        return pack_running(value, "\xa9generator", out);
    }
    if (type == &PyAsyncGen_Type) {
        return pack_running(value, "\xaf" "async_generator", out);
    }
    if (type == &PyModule_Type) {
        return pack_module(value, out);
    }
    if (PyWeakref_CheckRefExact(value) || PyWeakref_CheckProxy(value) || type == &PyDictProxy_Type) {
        return pack_named_as("\xa6object", "\xa4type", type_name(names, type), out);
    }
    return NESTED;
}

void
names_free(Names *names)
{
    for (int place = 0; place < TYPE_NAMES; place++) {
        names->known[place].type = NULL;
        Py_CLEAR(names->known[place].qualname);
        Py_CLEAR(names->known[place].text);
    }
}

int
names_exec(PyObject *Py_UNUSED(module))
{
    return (in_builtins = PyUnicode_InternFromString("builtins")) == NULL
           || (dunder_module = PyUnicode_InternFromString("__module__")) == NULL
           || (dunder_name = PyUnicode_InternFromString("__name__")) == NULL
           || (dunder_qualname = PyUnicode_InternFromString("__qualname__")) == NULL
               ? -1
               : 0;
}
