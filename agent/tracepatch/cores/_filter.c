/* What every call of every bystander pays for while anything records: a look at the ContextVar that says whether the
   calling Context is traced. Callbacks of sys.monitoring go through a Filter, which passes on what concerns a trace and
   drops the rest in C; without this extension the callbacks look for themselves (monitoring.py).

   Public API only. A Filter calls nothing but its callback; it holds references to the variable, the callback and one
   code object, all ours or compared by identity alone. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *variable;  /* a ContextVar whose default is None */
    PyObject *callback;
    PyObject *code;      /* its events are passed on in any Context; NULL or None: no code's */
    char everything;     /* all events are passed on */
    char counts;         /* events that were dropped are counted */
    unsigned long long counted;
} Filter;

static PyObject *
filter_vectorcall(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Filter *self = (Filter *)op;
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    PyObject *value;

    if (PyContextVar_Get(self->variable, NULL, &value) < 0) {
        return NULL;
    }
    int traced = value != NULL && value != Py_None;
    Py_XDECREF(value);
    if (!traced) {
        if (self->counts) {
            self->counted++;
        }
        if (!self->everything && (count == 0 || args[0] != self->code)) {
            Py_RETURN_NONE;
        }
    }
    PyObject *callback = self->callback;
    if (callback == NULL) {
        Py_RETURN_NONE; /* the collector has been here */
    }
    return PyObject_Vectorcall(callback, args, (size_t)count, names);
}

static PyObject *
filter_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"variable", "callback", NULL};
    PyObject *variable, *callback;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O:Filter", names, &PyContextVar_Type, &variable, &callback)) {
        return NULL;
    }
    Filter *self = (Filter *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->vectorcall = filter_vectorcall;
    self->variable = Py_NewRef(variable);
    self->callback = Py_NewRef(callback);
    return (PyObject *)self;
}

static int
filter_traverse(PyObject *op, visitproc visit, void *arg)
{
    Filter *self = (Filter *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->variable);
    Py_VISIT(self->callback);
    Py_VISIT(self->code);
    return 0;
}

static int
filter_clear(PyObject *op)
{
    Filter *self = (Filter *)op;
    /* The variable stays, without which a call could not look. */
    Py_CLEAR(self->callback);
    Py_CLEAR(self->code);
    return 0;
}

static void
filter_dealloc(PyObject *op)
{
    Filter *self = (Filter *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_CLEAR(self->variable);
    Py_CLEAR(self->callback);
    Py_CLEAR(self->code);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMemberDef filter_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Filter, vectorcall), READONLY, NULL},
    {"callback", T_OBJECT, offsetof(Filter, callback), READONLY, NULL},
    {"code", T_OBJECT, offsetof(Filter, code), 0, PyDoc_STR("its events are passed on in any Context; None: no code's")},
    {"everything", T_BOOL, offsetof(Filter, everything), 0, PyDoc_STR("all events are passed on")},
    {"counts", T_BOOL, offsetof(Filter, counts), 0, PyDoc_STR("events of Contexts that are not traced are counted")},
    {"counted", T_ULONGLONG, offsetof(Filter, counted), 0, PyDoc_STR("how many were")},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot filter_slots[] = {
    {Py_tp_doc, PyDoc_STR("Filter(variable, callback): calls the callback where the ContextVar is not None")},
    {Py_tp_new, filter_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, filter_traverse},
    {Py_tp_clear, filter_clear},
    {Py_tp_dealloc, filter_dealloc},
    {Py_tp_members, filter_members},
    {0, NULL},
};

static PyType_Spec filter_spec = {
    .name = "tracepatch.cores._filter.Filter",
    .basicsize = sizeof(Filter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = filter_slots,
};

static int
filter_exec(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &filter_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, filter_exec},
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {0, NULL},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_filter",
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__filter(void)
{
    return PyModuleDef_Init(&module);
}
