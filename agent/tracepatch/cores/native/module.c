/* The module `tracepatch.cores._native`. One per process: where the slots of our classes lie is kept here. */

#include "recorder.h"

static PyObject *
frame_id(PyObject *Py_UNUSED(module), PyObject *frame)
{
    if (PyFrame_Check(frame)) {
        return PyLong_FromUnsignedLongLong(FRAME_ID((PyFrameObject *)frame));
    }
    return PyLong_FromVoidPtr(frame);
}

static PyObject *
bind(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *recording, *runner, *entry;
    if (!PyArg_ParseTuple(args, "O!O!O!:bind", &PyType_Type, &recording, &PyType_Type, &runner, &PyType_Type, &entry)) {
        return NULL;
    }
    const struct {
        PyObject *type;
        const char *name;
        Py_ssize_t *offset;
    } wanted[] = {
        {recording, "done", &slots.done},
        {recording, "straight", &slots.straight},
        {recording, "local", &slots.local},
        {recording, "outer", &slots.outer},
        {recording, "_calls", &slots.calls},
        {recording, "_look_at", &slots.look_at},
        {recording, "_max_depth", &slots.max_depth},
        {recording, "events", &slots.events},
        {recording, "root_node", &slots.root_node},
        {recording, "status", &slots.status},
        {recording, "reason", &slots.reason},
        {recording, "_suspensions", &slots.suspensions},
        {runner, "stack", &slots.stack},
        {runner, "shown", &slots.shown},
        {runner, "running", &slots.running},
        {runner, "thrown", &slots.thrown},
        {runner, "visited", &slots.visited},
        {runner, "number", &slots.number},
        {runner, "kind", &slots.kind},
        {runner, "name", &slots.name},
        {runner, "parent", &slots.parent},
        {runner, "link", &slots.link},
        {entry, "simple", &slots.simple},
        {entry, "silent", &slots.silent},
        {entry, "suspends", &slots.suspends},
        {entry, "coroutine", &slots.coroutine},
        {entry, "items", &slots.items},
        {entry, "library", &slots.library},
        {entry, "arguments", &slots.names},
        {entry, "recorded", &slots.recorded},
        {entry, "harmless_for", &slots.harmless_for},
        {entry, "open_for", &slots.open_for},
        {entry, "code", &slots.code},
    };
    for (size_t index = 0; index < sizeof wanted / sizeof *wanted; index++) {
        *wanted[index].offset = slot_offset(wanted[index].type, wanted[index].name);
        if (*wanted[index].offset < 0) {
            return NULL;
        }
    }
    Py_XSETREF(slots.recording, (PyTypeObject *)Py_NewRef(recording));
    Py_RETURN_NONE;
}

static PyObject *
clock_method(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    return PyLong_FromLongLong(clock_ns());
}

/* Types, slots and nodes that are used again are the process's: a second interpreter (mod_wsgi) does without this core. */
static int
once_exec(PyObject *Py_UNUSED(module))
{
    static int loaded;
    if (loaded || PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "the native core is for the first interpreter of a process, and loaded once");
        return -1;
    }
    loaded = 1;
    return 0;
}

static int
clock_exec(PyObject *Py_UNUSED(module))
{
    clock_init();
    return 0;
}

#if MONITORING
/* Whether the caller's frame is where it is thought to be, with this code and these variables: nothing is followed that was
   not compared before. */
static PyObject *
reads_frames(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *code, *values;
    if (!PyArg_ParseTuple(args, "O!O!:reads_frames", &PyCode_Type, &code, &PyTuple_Type, &values)) {
        return NULL;
    }
    Running *frame = running_frame(PyThreadState_GET());
    int same = frame != NULL && running_code(frame) == code;
    for (int index = 0; same && index < PyTuple_GET_SIZE(values); index++) {
        same = local_at(running_locals(frame), index) == PyTuple_GET_ITEM(values, index);
    }
    return PyBool_FromLong(same);
}
#endif

static PyMethodDef methods[] = {
#if MONITORING
    {"reads_frames", reads_frames, METH_VARARGS,
     PyDoc_STR("reads_frames(code, values): tell whether that is what the caller's frame runs, and its first variables")},
#endif
    {"clock_ns", clock_method, METH_NOARGS, PyDoc_STR("return what `time.perf_counter_ns` does")},
    {"frame_id", frame_id, METH_O, PyDoc_STR("return what tells a frame that runs, or waits, from all others")},
    {"bind", bind, METH_VARARGS, PyDoc_STR("bind(Recording, Runner, Entry): ask where their slots lie")},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, once_exec},
    {Py_mod_exec, clock_exec},
    {Py_mod_exec, table_exec},
    {Py_mod_exec, node_exec},
    {Py_mod_exec, log_exec},
    {Py_mod_exec, recorder_exec},
    {Py_mod_exec, callback_exec},
    {Py_mod_exec, capture_exec},
    {Py_mod_exec, hook_exec},
    {Py_mod_exec, wait_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_methods = methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&module);
}
