/* Table: a dict of numbers to objects, of which looking one up is all that matters. Open addressing, no tombstones. */

#include "recorder.h"

PyTypeObject *Table_Type;

#define FIRST_CELLS 16

Table *
table_new(void)
{
    Table *self = PyObject_GC_New(Table, Table_Type);
    if (self == NULL) {
        return NULL;
    }
    self->count = 0;
    self->mask = FIRST_CELLS - 1;
    self->cells = PyMem_RawCalloc(FIRST_CELLS, sizeof(Cell));
    if (self->cells == NULL) {
        self->mask = 0;
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    PyObject_GC_Track(self);
    return self;
}

static void
put(Table *self, uint64_t key, PyObject *value)
{
    size_t at = table_place(self, key);
    while (self->cells[at].value != NULL) {
        at = (at + 1) & self->mask;
    }
    self->cells[at].key = key;
    self->cells[at].value = value;
}

static int
grow(Table *self)
{
    size_t before = self->mask + 1;
    Cell *cells = self->cells, *larger = PyMem_RawCalloc(2 * before, sizeof(Cell));
    if (larger == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->cells = larger;
    self->mask = 2 * before - 1;
    for (size_t at = 0; at < before; at++) {
        if (cells[at].value != NULL) {
            put(self, cells[at].key, cells[at].value);
        }
    }
    PyMem_RawFree(cells);
    return 0;
}

int
table_set(Table *self, uint64_t key, PyObject *value)
{
    for (size_t at = table_place(self, key); self->cells[at].value != NULL; at = (at + 1) & self->mask) {
        if (self->cells[at].key == key) {
            PyObject *before = self->cells[at].value;
            self->cells[at].value = Py_NewRef(value);
            Py_DECREF(before);
            return 0;
        }
    }
    if (2 * (self->count + 1) > self->mask && grow(self) < 0) {
        return -1;
    }
    put(self, key, Py_NewRef(value));
    self->count++;
    return 0;
}

int
table_add(Table *self, uint64_t key, PyObject *value)
{
    if (2 * (self->count + 1) > self->mask && grow(self) < 0) {
        return -1;
    }
    size_t at = table_place(self, key);
    for (; self->cells[at].value != NULL; at = (at + 1) & self->mask) {
        if (self->cells[at].key == key) {
            return 0;
        }
    }
    self->cells[at].key = key;
    self->cells[at].value = Py_NewRef(value);
    self->count++;
    return 1;
}

PyObject *
table_take(Table *self, uint64_t key)
{
    size_t at = table_place(self, key);
    while (self->cells[at].value != NULL && self->cells[at].key != key) {
        at = (at + 1) & self->mask;
    }
    PyObject *taken = self->cells[at].value;
    if (taken == NULL) {
        return NULL;
    }
    self->count--;
    /* What stands behind it may have to move up: a search ends at the first empty cell. */
    size_t empty = at;
    for (size_t next = (at + 1) & self->mask; self->cells[next].value != NULL; next = (next + 1) & self->mask) {
        size_t home = table_place(self, self->cells[next].key);
        if (((next - home) & self->mask) >= ((next - empty) & self->mask)) {
            self->cells[empty] = self->cells[next];
            empty = next;
        }
    }
    self->cells[empty].value = NULL;
    return taken;
}

void
table_clear(Table *self)
{
    /* Emptied first: what goes with the last reference to a value must not find it here. */
    for (size_t at = 0; self->count > 0 && at <= self->mask; at++) {
        PyObject *value = self->cells[at].value;
        if (value != NULL) {
            uint64_t key = self->cells[at].key;
            Py_XDECREF(table_take(self, key));
            at--; /* another one may have moved up */
        }
    }
}

/* ---- as Python sees it ------------------------------------------------------------------------------------------- */

static int
key_of(PyObject *number, uint64_t *key)
{
    *key = PyLong_AsUnsignedLongLongMask(number);
    return *key == (uint64_t)-1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *
table_method_get(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    uint64_t key;
    if (count < 1 || key_of(args[0], &key) < 0) {
        return count < 1 ? PyErr_Format(PyExc_TypeError, "get(number, default=None)") : NULL;
    }
    PyObject *found = table_get((Table *)op, key);
    return Py_NewRef(found != NULL ? found : count > 1 ? args[1] : Py_None);
}

static PyObject *
table_method_pop(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    uint64_t key;
    if (count != 2 || key_of(args[0], &key) < 0) {
        return count != 2 ? PyErr_Format(PyExc_TypeError, "pop(number, default)") : NULL;
    }
    PyObject *taken = table_take((Table *)op, key);
    return taken != NULL ? taken : Py_NewRef(args[1]);
}

static PyObject *
listed(Table *self, int keys)
{
    PyObject *list = PyList_New(0);
    for (size_t at = 0; list != NULL && at <= self->mask; at++) {
        PyObject *value = self->cells[at].value;
        if (value == NULL) {
            continue;
        }
        PyObject *item = keys ? Py_BuildValue("KO", (unsigned long long)self->cells[at].key, value) : Py_NewRef(value);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    return list;
}

PyObject *
table_values(Table *self)
{
    return listed(self, 0);
}

static PyObject *
table_method_values(PyObject *op, PyObject *Py_UNUSED(none))
{
    return listed((Table *)op, 0);
}

static PyObject *
table_method_items(PyObject *op, PyObject *Py_UNUSED(none))
{
    return listed((Table *)op, 1);
}

static PyObject *
table_method_clear(PyObject *op, PyObject *Py_UNUSED(none))
{
    table_clear((Table *)op);
    Py_RETURN_NONE;
}

static PyObject *
table_subscript(PyObject *op, PyObject *number)
{
    uint64_t key;
    if (key_of(number, &key) < 0) {
        return NULL;
    }
    PyObject *found = table_get((Table *)op, key);
    if (found == NULL) {
        PyErr_SetObject(PyExc_KeyError, number);
        return NULL;
    }
    return Py_NewRef(found);
}

static int
table_assign(PyObject *op, PyObject *number, PyObject *value)
{
    uint64_t key;
    if (key_of(number, &key) < 0) {
        return -1;
    }
    if (value != NULL) {
        return table_set((Table *)op, key, value);
    }
    PyObject *taken = table_take((Table *)op, key);
    if (taken == NULL) {
        PyErr_SetObject(PyExc_KeyError, number);
        return -1;
    }
    Py_DECREF(taken);
    return 0;
}

static int
table_contains(PyObject *op, PyObject *number)
{
    uint64_t key;
    return key_of(number, &key) < 0 ? -1 : table_get((Table *)op, key) != NULL;
}

static Py_ssize_t
table_length(PyObject *op)
{
    return (Py_ssize_t)((Table *)op)->count;
}

static int
table_traverse(PyObject *op, visitproc visit, void *arg)
{
    Table *self = (Table *)op;
    Py_VISIT(Py_TYPE(op));
    for (size_t at = 0; self->cells != NULL && at <= self->mask; at++) {
        Py_VISIT(self->cells[at].value);
    }
    return 0;
}

static int
table_gc_clear(PyObject *op)
{
    if (((Table *)op)->cells != NULL) {
        table_clear((Table *)op);
    }
    return 0;
}

static void
table_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    table_gc_clear(op);
    PyMem_RawFree(((Table *)op)->cells);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef table_methods[] = {
    {"get", (PyCFunction)(void (*)(void))table_method_get, METH_FASTCALL, NULL},
    {"pop", (PyCFunction)(void (*)(void))table_method_pop, METH_FASTCALL, NULL},
    {"values", table_method_values, METH_NOARGS, PyDoc_STR("a list: a moment's view")},
    {"items", table_method_items, METH_NOARGS, PyDoc_STR("a list: a moment's view")},
    {"clear", table_method_clear, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot table_slots[] = {
    {Py_tp_doc, PyDoc_STR("what a dict of numbers is, for those that the hot path reads; of a log")},
    {Py_tp_methods, table_methods},
    {Py_mp_subscript, table_subscript},
    {Py_mp_ass_subscript, table_assign},
    {Py_mp_length, table_length},
    {Py_sq_contains, table_contains},
    {Py_tp_traverse, table_traverse},
    {Py_tp_clear, table_gc_clear},
    {Py_tp_dealloc, table_dealloc},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "tracepatch.cores._native.Table",
    .basicsize = sizeof(Table),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = table_slots,
};

int
table_exec(PyObject *module)
{
    Table_Type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &table_spec, NULL);
    return Table_Type == NULL ? -1 : PyModule_AddType(module, Table_Type);
}
