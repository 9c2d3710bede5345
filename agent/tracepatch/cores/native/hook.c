/* The evaluation hook (PEP 523), for 3.10 and 3.11: ordinary functions are taken before the trace hook is told of them.

   The trace hook of cores/profile.py stays where it is, on the threads where it is, and stays what is right. The
   evaluation hook looks at the frames that begin on those threads while a trace is live: an ordinary function in the
   Context of a trace takes the straight path (recorder.c), one in another Context is passed over, and both are
   evaluated with the thread's tracing masked, so that the interpreter does not ask at each instruction whether the
   trace hook wants it. Whatever else begins there is evaluated unmasked, and Python is told of it as without this:
   generators and coroutines, code that was not met before, whatever the recorder leaves to Python.

   The mask is one flag of the interpreter's C frame, which is copied to each frame that it evaluates, and back when
   that ends. Each evaluation here puts its caller's back, unless the trace hook was put on meanwhile: then frames that
   run already may have to be told of, and all of the callers go on unmasked. An unmasked frame costs time, no more.

   Where little is left of the C stack the hook is taken out until that frame ends: on 3.11 a function that calls another
   one takes none without it.

   Concurrency: on application threads, with the GIL; what is kept here is one per process. */

#include "recorder.h"

#if !MONITORING

#include <pthread.h>

#define SUSPENDS (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR | CO_ITERABLE_COROUTINE)

static char nobody; /* an address that is no object's */

static struct {
    void *thread_hook; /* evaluated here is what begins on threads with this trace hook; `nobody`'s: on none */
    unsigned long put_on; /* how often the trace hook was put on, anywhere */
    PyObject *trace_hook, *variable, *parked, *leaving, *returned, *raised, *arrived, *contain;
} state = {.thread_hook = &nobody};

/* ---- the C stack ---------------------------------------------------------------------------------------------------- */

/* Below this address the thread has used what this hook may help to use: a quarter. */
static _Thread_local uintptr_t deepest = UINTPTR_MAX;

static void
measure_stack(void)
{
    void *lowest = NULL;
    size_t size = 0;
#ifdef __APPLE__
    size = pthread_get_stacksize_np(pthread_self());
    lowest = (char *)pthread_get_stackaddr_np(pthread_self()) - size;
#else
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &lowest, &size) != 0) {
            size = 0;
        }
        pthread_attr_destroy(&attributes);
    }
#endif
    if (size > 0) {
        deepest = (uintptr_t)lowest + size / 4 * 3;
    } else {
        deepest = UINTPTR_MAX - 1; /* not known: never */
    }
}

/* ---- masks ---------------------------------------------------------------------------------------------------------- */

/* What the interpreter itself would have in the flag. */
static inline int
unmasked(PyThreadState *thread)
{
    return thread->c_tracefunc != NULL || thread->c_profilefunc != NULL ? TRACED : 0;
}

static inline void
put_back(PyThreadState *thread, int mask, unsigned long put_on)
{
    int ours = thread->c_traceobj == state.thread_hook && thread->c_profilefunc == NULL && state.put_on == put_on;
    thread->cframe->use_tracing = (Mask)(ours ? mask : unmasked(thread));
}

/* From here on every frame that runs is told of, on all threads. */
static void
unmask_all(void)
{
    state.put_on++;
    for (PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get()); thread != NULL;
         thread = PyThreadState_Next(thread)) {
        if (thread->c_traceobj == state.trace_hook && thread->tracing == 0) {
            thread->cframe->use_tracing = (Mask)unmasked(thread);
        }
    }
}

/* Around what may run Python of ours: nobody is told of that, and it has room where the application has none left. */
static inline void
enter(PyThreadState *thread)
{
    thread->cframe->use_tracing = 0;
    thread->tracing++;
    MORE_RECURSION(thread, 50);
}

static inline void
leave(PyThreadState *thread)
{
    MORE_RECURSION(thread, -50);
    thread->tracing--;
}

/* ---- the end of a frame --------------------------------------------------------------------------------------------- */

/* An exception of our code: 0 where it was an error of ours, which is swallowed; one of the application's, a signal
   handler's, passes, and takes the trace hook off this thread, as it does inside that hook. */
static int
contained(PyObject *recording)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
    }
    PyObject *done = PyObject_CallFunctionObjArgs(state.contain, error, recording, NULL);
    if (done == NULL && is_lack_of_memory(error)) {
        PyErr_Clear(); /* not even that could be done: the trace ends with its next event */
        done = Py_NewRef(Py_None);
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    if (done == NULL) {
        PyEval_SetTrace(NULL, NULL);
        return -1;
    }
    Py_DECREF(done);
    return 0;
}

/* Have Python look at the end of a frame. 0, or -1 with an exception set. */
static int
told_of_end(PyObject *callback, PyObject *recording, PyCodeObject *code, uint64_t frame_id, PyObject *what)
{
    if (recorder_settle(recording) < 0) {
        return contained(recording);
    }
    PyObject *id = PyLong_FromUnsignedLongLong(frame_id);
    PyObject *done = NULL;
    if (id != NULL) {
        done = PyObject_CallFunctionObjArgs(callback, recording, code, id, what, NULL);
        Py_DECREF(id);
    }
    if (done == NULL) {
        return contained(recording);
    }
    Py_DECREF(done);
    return 0;
}

static int
is_raised(PyObject *recording, PyCodeObject *code, uint64_t frame_id)
{
    PyObject *type, *exception, *traceback;
    PyErr_Fetch(&type, &exception, &traceback);
    PyErr_NormalizeException(&type, &exception, &traceback);
    int failed = told_of_end(state.raised, recording, code, frame_id, exception);
    if (failed) {
        Py_XDECREF(type);
        Py_XDECREF(exception);
        Py_XDECREF(traceback);
        return -1;
    }
    PyErr_Restore(type, exception, traceback);
    return 0;
}

/* What leaves frames on this thread has arrived in one that Python is not told of. */
static int
has_arrived(PyObject *recording)
{
    PyObject *type, *exception, *traceback;
    PyErr_Fetch(&type, &exception, &traceback);
    PyObject *done = PyObject_CallNoArgs(state.arrived);
    if (done == NULL && contained(recording) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(exception);
        Py_XDECREF(traceback);
        return -1;
    }
    Py_XDECREF(done);
    PyErr_Restore(type, exception, traceback);
    return 0;
}

/* A frame of the straight path has ended; return its result, NULL with an exception set. */
static PyObject *
ended(PyThreadState *thread, PyObject *recording, PyCodeObject *code, uint64_t frame_id, PyObject *result)
{
    int failed = 0;
    enter(thread);
    if (PyDict_GET_SIZE(state.leaving) > 0) {
        failed = has_arrived(recording);
    }
    if (result != NULL && !failed) {
        int how = recorder_returned(recording, thread, code, frame_id, result);
        if (how == PYTHON) {
            failed = told_of_end(state.returned, recording, code, frame_id, result);
        } else if (how == RAISED) {
            failed = contained(recording);
        }
    } else if (result == NULL && !failed && recorder_follows(recording, frame_id)) {
        failed = is_raised(recording, code, frame_id);
    }
    leave(thread);
    if (failed) {
        Py_CLEAR(result);
    }
    return result;
}

/* ---- frames --------------------------------------------------------------------------------------------------------- */

/* A frame of which the trace hook is told. */
static PyObject *
told(PyThreadState *thread, Running *frame, int throwing)
{
    int mask = thread->cframe->use_tracing;
    if (mask != 0) {
        return _PyEval_EvalFrameDefault(thread, frame, throwing);
    }
    unsigned long put_on = state.put_on;
    thread->cframe->use_tracing = TRACED;
    PyObject *result = _PyEval_EvalFrameDefault(thread, frame, throwing);
    put_back(thread, mask, put_on);
    return result;
}

/* A frame of a bystander's. */
static PyObject *
passed_over(PyThreadState *thread, Running *frame, int throwing)
{
    int mask = thread->cframe->use_tracing;
    if (mask == 0) {
        return _PyEval_EvalFrameDefault(thread, frame, throwing);
    }
    unsigned long put_on = state.put_on;
    thread->cframe->use_tracing = 0;
    PyObject *result = _PyEval_EvalFrameDefault(thread, frame, throwing);
    put_back(thread, mask, put_on);
    return result;
}

/* A frame in the Context of a trace, to which this takes over the reference. */
static PyObject *
recorded(PyThreadState *thread, Running *frame, PyObject *recording)
{
    PyCodeObject *code = frame->f_code;
    int mask = thread->cframe->use_tracing;
    unsigned long put_on = state.put_on;
    enter(thread);
    int how = recorder_called(recording, thread, code, (uint64_t)(uintptr_t)frame, running_locals(frame), 0);
    if ((how == RAISED || (how == PYTHON && recorder_settle(recording) < 0)) && contained(recording) < 0) {
        leave(thread);
        put_back(thread, mask, put_on);
        Py_DECREF(recording);
        return NULL;
    }
    leave(thread);
    if (how == PYTHON) {
        put_back(thread, mask, put_on);
        Py_DECREF(recording);
        return told(thread, frame, 0);
    }
    put_back(thread, 0, put_on);
    PyObject *result = _PyEval_EvalFrameDefault(thread, frame, 0);
    result = ended(thread, recording, code, (uint64_t)(uintptr_t)frame, result);
    put_back(thread, mask, put_on);
    Py_DECREF(recording);
    return result;
}

static PyObject *deep(PyThreadState *thread, Running *frame, int throwing);

/* What the interpreter calls for each frame that begins or goes on, on any thread. */
static PyObject *
evaluate(PyThreadState *thread, Running *frame, int throwing)
{
    if ((uintptr_t)__builtin_frame_address(0) < deepest) {
        return deep(thread, frame, throwing);
    }
    if (thread->c_traceobj != state.thread_hook || thread->tracing) {
        return _PyEval_EvalFrameDefault(thread, frame, throwing);
    }
    if (thread->c_profilefunc != NULL || PyDict_GET_SIZE(state.parked) > 0 || AT_RECURSION_LIMIT(thread)) {
        return told(thread, frame, throwing);
    }
    PyObject *recording;
    if (PyContextVar_Get(state.variable, NULL, &recording) < 0) {
        return NULL;
    }
    int suspends = throwing || frame->f_code->co_flags & SUSPENDS;
    if (recording == NULL || recording == Py_None) {
        Py_XDECREF(recording);
        return suspends && is_followed(frame) ? told(thread, frame, throwing) : passed_over(thread, frame, throwing);
    }
    if (slots.recording == NULL || !PyObject_TypeCheck(recording, slots.recording)) {
        Py_DECREF(recording);
        return told(thread, frame, throwing);
    }
    if (suspends) {
        int failed = recorder_settle(recording) < 0 && contained(recording) < 0;
        Py_DECREF(recording);
        return failed ? NULL : told(thread, frame, throwing);
    }
    return recorded(thread, frame, recording);
}

static int
take_out(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (_PyInterpreterState_GetEvalFrameFunc(interpreter) != evaluate) {
        return 0; /* somebody has put another one in front of it */
    }
    _PyInterpreterState_SetEvalFrameFunc(interpreter, _PyEval_EvalFrameDefault);
    unmask_all();
    return 1;
}

static int
put_in(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    _PyFrameEvalFunction there = _PyInterpreterState_GetEvalFrameFunc(interpreter);
    if (there == _PyEval_EvalFrameDefault) {
        _PyInterpreterState_SetEvalFrameFunc(interpreter, evaluate);
    }
    return there == _PyEval_EvalFrameDefault || there == evaluate;
}

/* A frame far down the C stack, or the first one on its thread. */
static PyObject *
deep(PyThreadState *thread, Running *frame, int throwing)
{
    if (deepest == UINTPTR_MAX) {
        measure_stack();
        return evaluate(thread, frame, throwing);
    }
    PyObject *recording = NULL;
    if (PyContextVar_Get(state.variable, NULL, &recording) < 0) {
        return NULL;
    }
    int failed = slots.recording != NULL && recording != NULL && PyObject_TypeCheck(recording, slots.recording)
                 && recorder_settle(recording) < 0 && contained(recording) < 0; /* Python counts from here on */
    Py_XDECREF(recording);
    if (failed) {
        return NULL;
    }
    if (!take_out()) {
        return _PyEval_EvalFrameDefault(thread, frame, throwing);
    }
    PyObject *result = _PyEval_EvalFrameDefault(thread, frame, throwing);
    if (state.thread_hook != &nobody) {
        put_in();
    }
    return result;
}

/* ---- for Python ----------------------------------------------------------------------------------------------------- */

static PyObject *
prepare(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"trace_hook", "variable", "parked", "leaving", "returned",
                            "raised",     "arrived",  "contain", NULL};
    PyObject *trace_hook, *variable, *parked, *leaving, *returned, *raised, *arrived, *contain;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$OO!O!O!OOOO:prepare", names, &trace_hook, &PyContextVar_Type,
                                     &variable, &PyDict_Type, &parked, &PyDict_Type, &leaving, &returned, &raised,
                                     &arrived, &contain)) {
        return NULL;
    }
    if (state.thread_hook != &nobody) {
        return PyErr_Format(PyExc_RuntimeError, "stop() first");
    }
    Py_XSETREF(state.trace_hook, Py_NewRef(trace_hook));
    Py_XSETREF(state.variable, Py_NewRef(variable));
    Py_XSETREF(state.parked, Py_NewRef(parked));
    Py_XSETREF(state.leaving, Py_NewRef(leaving));
    Py_XSETREF(state.returned, Py_NewRef(returned));
    Py_XSETREF(state.raised, Py_NewRef(raised));
    Py_XSETREF(state.arrived, Py_NewRef(arrived));
    Py_XSETREF(state.contain, Py_NewRef(contain));
    Py_RETURN_NONE;
}

static PyObject *
start(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    if (state.trace_hook == NULL) {
        return PyErr_Format(PyExc_RuntimeError, "prepare() first");
    }
    if (!put_in()) {
        Py_RETURN_FALSE;
    }
    state.thread_hook = state.trace_hook;
    Py_RETURN_TRUE;
}

static PyObject *
stop(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    state.thread_hook = &nobody;
    take_out();
    Py_RETURN_NONE;
}

static PyObject *
put_on(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    state.put_on++;
    Py_RETURN_NONE;
}

static long counted;

static PyObject *
count(PyThreadState *thread, Running *frame, int throwing)
{
    counted++;
    return _PyEval_EvalFrameDefault(thread, frame, throwing);
}

static PyObject *
evaluations(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *function, *argument;
    if (!PyArg_ParseTuple(args, "OO:evaluations", &function, &argument)) {
        return NULL;
    }
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (_PyInterpreterState_GetEvalFrameFunc(interpreter) != _PyEval_EvalFrameDefault) {
        return PyLong_FromLong(-1);
    }
    counted = 0;
    _PyInterpreterState_SetEvalFrameFunc(interpreter, count);
    PyObject *done = PyObject_CallOneArg(function, argument);
    _PyInterpreterState_SetEvalFrameFunc(interpreter, _PyEval_EvalFrameDefault);
    if (done == NULL) {
        return NULL;
    }
    Py_DECREF(done);
    return PyLong_FromLong(counted);
}

static PyMethodDef methods[] = {
    {"evaluations", evaluations, METH_VARARGS,
     PyDoc_STR("call a function with an argument; return how many frames were evaluated, -1 where another tool does that")},
    {"prepare", (PyCFunction)(void (*)(void))prepare, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("whose frames are evaluated, and whom Python asks about their ends")},
    {"start", start, METH_NOARGS, PyDoc_STR("put the hook in; return whether nobody else's is there")},
    {"stop", stop, METH_NOARGS, PyDoc_STR("take the hook out; idempotent")},
    {"put_on", put_on, METH_NOARGS, PyDoc_STR("the trace hook was put on: frames that run may have to be told of")},
    {NULL, NULL, 0, NULL},
};

int
hook_exec(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

#else

int
hook_exec(PyObject *Py_UNUSED(module))
{
    return 0;
}

#endif
