/* Callback: what sys.monitoring calls for every call of everybody while anything records.

   Those in Contexts that carry no trace are dropped after a look at the ContextVar; those of a trace take the straight
   path where they can. The rest is passed on to the Python callback, which is the same as without this. */

#include "recorder.h"
#include <structmember.h>

#if MONITORING

typedef enum { START, RETURNED, UNWIND, YIELDED, RESUMED } Kind;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *variable; /* a ContextVar whose default is None */
    PyObject *callback;
    PyObject *contain;  /* contain(error, recording): what becomes of an exception */
    PyObject *parked;   /* dicts: where one is not empty, Python looks at each start */
    PyObject *aimed;    /* (where the trace is a block's) */
    PyObject *live;     /* the set of recordings that go on */
    PyObject *code;     /* its events are passed on in any Context; NULL or None: no code's */
    int kind;
    char everything;    /* all events are passed on */
    char counts;        /* events that were dropped are counted */
    unsigned long long counted;
} Callback;

/* An exception in the straight path: an error of ours is swallowed, a signal handler's passes. */
static PyObject *
contained(Callback *self, PyObject *recording)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL && error != NULL) {
        PyException_SetTraceback(error, traceback);
    }
    PyObject *result = NULL;
    if (error != NULL) {
        result = PyObject_CallFunctionObjArgs(self->contain, error, recording, NULL);
        if (result == NULL && is_lack_of_memory(error)) {
            PyErr_Clear(); /* not even that could be done: the trace ends with its next event */
            result = Py_NewRef(Py_None);
        }
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return result;
}

static int
straight(Callback *self, PyObject *recording, PyObject *const *args, Py_ssize_t count)
{
    PyThreadState *thread = PyThreadState_GET();
    Running *frame = running_frame(thread);
    if (frame == NULL || running_code(frame) != args[0]) {
        return PYTHON;
    }
    uint64_t frame_id = (uint64_t)(uintptr_t)frame;
    if (self->kind == START) {
        if (PyDict_GET_SIZE(self->parked) > 0
            || (PyDict_GET_SIZE(self->aimed) > 0 && slot_get(recording, slots.local) == Py_True)) {
            return PYTHON;
        }
        return recorder_called(recording, thread, (PyCodeObject *)args[0], frame_id, running_locals(frame),
                               is_awaited(frame));
    }
    if (self->kind == RETURNED) {
        return args[0] == self->code || count < 3
                   ? PYTHON
                   : recorder_returned(recording, thread, (PyCodeObject *)args[0], frame_id, args[2]);
    }
    if (self->kind == UNWIND) {
        return recorder_follows(recording, frame_id) ? PYTHON : DONE;
    }
    if (PyDict_GET_SIZE(self->parked) > 0 || PySet_GET_SIZE(self->live) != 1) {
        return PYTHON;
    }
    return self->kind == YIELDED ? recorder_yielded(recording, frame_id)
                                 : recorder_resumed(recording, thread, frame_id);
}

static PyObject *
callback_vectorcall(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Callback *self = (Callback *)op;
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    PyObject *recording, *result = NULL;

    if (PyContextVar_Get(self->variable, NULL, &recording) < 0) {
        return NULL;
    }
    if (recording == NULL || recording == Py_None) {
        Py_XDECREF(recording);
        if (self->counts) {
            self->counted++;
        }
        if (!self->everything && (count == 0 || args[0] != self->code)) {
            Py_RETURN_NONE;
        }
        recording = NULL;
    } else if (count > 0 && PyObject_TypeCheck(recording, slots.recording)) {
        int how = straight(self, recording, args, count);
        if (how == DONE) {
            Py_DECREF(recording);
            Py_RETURN_NONE;
        }
        if (how == RAISED || recorder_settle(recording) < 0) {
            result = contained(self, recording);
            Py_DECREF(recording);
            return result;
        }
    }
    PyObject *callback = self->callback;
    if (callback == NULL) {
        Py_XDECREF(recording);
        Py_RETURN_NONE; /* the collector has been here */
    }
    result = PyObject_Vectorcall(callback, args, (size_t)count, names);
    Py_XDECREF(recording);
    return result;
}

static PyObject *
callback_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"kind", "variable", "callback", "contain", "parked", "aimed", "live", NULL};
    PyObject *variable, *callback, *contain, *parked, *aimed, *live;
    const char *kind;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!OOO!O!O!:Callback", names, &kind, &PyContextVar_Type, &variable,
                                     &callback, &contain, &PyDict_Type, &parked, &PyDict_Type, &aimed, &PySet_Type,
                                     &live)) {
        return NULL;
    }
    if (slots.recording == NULL) {
        return PyErr_Format(PyExc_RuntimeError, "bind() first");
    }
    Callback *self = (Callback *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->vectorcall = callback_vectorcall;
    static const char *const kinds[] = {"start", "return", "unwind", "yield", "resume"};
    for (self->kind = START; self->kind <= RESUMED && strcmp(kind, kinds[self->kind]) != 0;) {
        self->kind++;
    }
    if (self->kind > RESUMED) {
        Py_DECREF(self);
        return PyErr_Format(PyExc_ValueError, "no kind of event: %s", kind);
    }
    self->variable = Py_NewRef(variable);
    self->callback = Py_NewRef(callback);
    self->contain = Py_NewRef(contain);
    self->parked = Py_NewRef(parked);
    self->aimed = Py_NewRef(aimed);
    self->live = Py_NewRef(live);
    return (PyObject *)self;
}

static int
callback_traverse(PyObject *op, visitproc visit, void *arg)
{
    Callback *self = (Callback *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->variable);
    Py_VISIT(self->callback);
    Py_VISIT(self->contain);
    Py_VISIT(self->parked);
    Py_VISIT(self->aimed);
    Py_VISIT(self->live);
    Py_VISIT(self->code);
    return 0;
}

static int
callback_clear(PyObject *op)
{
    Callback *self = (Callback *)op;
    /* The others stay, without which a call could not look. */
    Py_CLEAR(self->callback);
    Py_CLEAR(self->code);
    return 0;
}

static void
callback_dealloc(PyObject *op)
{
    Callback *self = (Callback *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_CLEAR(self->variable);
    Py_CLEAR(self->callback);
    Py_CLEAR(self->contain);
    Py_CLEAR(self->parked);
    Py_CLEAR(self->aimed);
    Py_CLEAR(self->live);
    Py_CLEAR(self->code);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMemberDef callback_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Callback, vectorcall), READONLY, NULL},
    {"callback", T_OBJECT, offsetof(Callback, callback), READONLY, NULL},
    {"code", T_OBJECT, offsetof(Callback, code), 0, PyDoc_STR("its events are passed on in any Context; None: no code's")},
    {"everything", T_BOOL, offsetof(Callback, everything), 0, PyDoc_STR("all events are passed on")},
    {"counts", T_BOOL, offsetof(Callback, counts), 0, PyDoc_STR("events of Contexts that are not traced are counted")},
    {"counted", T_ULONGLONG, offsetof(Callback, counted), 0, PyDoc_STR("how many were")},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot callback_slots[] = {
    {Py_tp_doc, PyDoc_STR("Callback(kind, variable, callback, contain, parked, aimed, live): start, return, unwind, yield or resume")},
    {Py_tp_new, callback_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, callback_traverse},
    {Py_tp_clear, callback_clear},
    {Py_tp_dealloc, callback_dealloc},
    {Py_tp_members, callback_members},
    {0, NULL},
};

static PyType_Spec callback_spec = {
    .name = "tracepatch.cores._native.Callback",
    .basicsize = sizeof(Callback),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = callback_slots,
};

int
callback_exec(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &callback_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}

#else

int
callback_exec(PyObject *Py_UNUSED(module))
{
    return 0;
}

#endif
