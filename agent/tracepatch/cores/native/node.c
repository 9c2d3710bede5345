/* Node: a call while it is open. Made and let go of once a call, so that those which are gone are used again.

   Those of the straight path are not the collector's: a runner holds its nodes and each of them its runner, and the log
   takes them apart when it goes (`log_release`). */

#include "recorder.h"
#include <structmember.h>

PyTypeObject *Node_Type;

#define MOST_FREE 256

static Node *unused[MOST_FREE];
static int unused_count;

Node *
node_new(PyObject *entry, PyObject *runner, uint64_t frame_id)
{
    Node *self;
    if (unused_count > 0) {
        self = unused[--unused_count]; /* it has kept its type */
        _Py_NewReference((PyObject *)self);
    } else {
        self = PyObject_GC_New(Node, Node_Type);
        if (self == NULL) {
            return NULL;
        }
    }
    self->entry = Py_NewRef(entry);
    self->runner = Py_NewRef(runner);
    self->saved = self->holder = self->along = NULL;
    self->frame_id = frame_id;
    self->elided = 0;
    self->number = -1;
    self->visible = 1;
    self->roams = self->delegate = 0;
    return self;
}

void
node_done(Node *self)
{
    if (Py_REFCNT(self) > 1 || unused_count == MOST_FREE || PyObject_GC_IsTracked((PyObject *)self) || is_set(self->saved)
        || is_set(self->holder) || is_set(self->along)) {
        Py_DECREF(self);
        return;
    }
    Py_CLEAR(self->saved);
    Py_CLEAR(self->holder);
    Py_CLEAR(self->along);
    PyObject *entry = self->entry, *runner = self->runner;
    unused[unused_count++] = self;
    Py_DECREF(entry);
    Py_DECREF(runner);
}

static PyObject *
node_type_new(PyTypeObject *Py_UNUSED(type), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"entry", "frame_id", "runner", NULL};
    PyObject *entry, *runner;
    unsigned long long frame_id;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OKO:Node", names, &entry, &frame_id, &runner)) {
        return NULL;
    }
    Node *self = node_new(entry, runner, frame_id);
    if (self != NULL) {
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

static int
node_traverse(PyObject *op, visitproc visit, void *arg)
{
    Node *self = (Node *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->entry);
    Py_VISIT(self->runner);
    Py_VISIT(self->saved);
    Py_VISIT(self->holder);
    Py_VISIT(self->along);
    return 0;
}

static int
node_clear(PyObject *op)
{
    Node *self = (Node *)op;
    Py_CLEAR(self->entry);
    Py_CLEAR(self->runner);
    Py_CLEAR(self->saved);
    Py_CLEAR(self->holder);
    Py_CLEAR(self->along);
    return 0;
}

static void
node_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    node_clear(op);
    if (unused_count < MOST_FREE) {
        unused[unused_count++] = (Node *)op;
    } else {
        type->tp_free(op);
        Py_DECREF(type);
    }
}

static PyMemberDef node_members[] = {
    {"entry", T_OBJECT_EX, offsetof(Node, entry), READONLY, NULL},
    {"runner", T_OBJECT_EX, offsetof(Node, runner), 0, NULL},
    {"saved", T_OBJECT, offsetof(Node, saved), 0, NULL},
    {"holder", T_OBJECT, offsetof(Node, holder), 0, NULL},
    {"along", T_OBJECT, offsetof(Node, along), 0, NULL},
    {"frame_id", T_ULONGLONG, offsetof(Node, frame_id), READONLY, NULL},
    {"elided", T_PYSSIZET, offsetof(Node, elided), 0, NULL},
    {"number", T_PYSSIZET, offsetof(Node, number), 0, NULL},
    {"visible", T_BOOL, offsetof(Node, visible), 0, NULL},
    {"roams", T_BOOL, offsetof(Node, roams), 0, NULL},
    {"delegate", T_BOOL, offsetof(Node, delegate), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot node_slots[] = {
    {Py_tp_doc, PyDoc_STR("Node(entry, frame_id, runner): see runners.Node")},
    {Py_tp_new, node_type_new},
    {Py_tp_members, node_members},
    {Py_tp_traverse, node_traverse},
    {Py_tp_clear, node_clear},
    {Py_tp_dealloc, node_dealloc},
    {0, NULL},
};

static PyType_Spec node_spec = {
    .name = "tracepatch.cores._native.Node",
    .basicsize = sizeof(Node),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = node_slots,
};

int
node_exec(PyObject *module)
{
    Node_Type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &node_spec, NULL);
    return Node_Type == NULL ? -1 : PyModule_AddType(module, Node_Type);
}
