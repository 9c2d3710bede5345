/* What the native core needs of the interpreter's inside, by version; nothing else includes its private headers. */

#ifndef TRACEPATCH_COMPAT_H
#define TRACEPATCH_COMPAT_H

#include "native.h"

#if PY_VERSION_HEX < 0x030a0000 || PY_VERSION_HEX >= 0x030f0000
#error "the frames of this CPython are not known"
#endif
#ifdef Py_GIL_DISABLED
#error "the native core relies on the GIL"
#endif

#define MONITORING (PY_VERSION_HEX >= 0x030c0000)

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif
#undef HAVE_STD_ATOMIC /* 3.11 and 3.12 declare it in a way that C11 compilers refuse */
#undef _PyGC_FINALIZED /* and define this twice */
#if PY_VERSION_HEX >= 0x030c0000
#include "internal/pycore_interp.h"
#else
#include "internal/pycore_runtime.h"
#endif
#if PY_VERSION_HEX >= 0x030e0000
#include "internal/pycore_frame.h"
#include "internal/pycore_interpframe.h"
#include "internal/pycore_stackref.h"
#elif PY_VERSION_HEX >= 0x030b0000
#include "internal/pycore_frame.h"
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#include <frameobject.h>
#include <time.h>

/* Where the switch interval stands, in µs (`sys.setswitchinterval`). */
static inline unsigned long *
switch_interval(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    return &PyInterpreterState_Get()->ceval.gil->interval;
#else
    return &_PyRuntime.ceval.gil.interval;
#endif
}

/* The address of what runs a frame: of two that run at the same time each has its own; the frame object need not exist. */
#if PY_VERSION_HEX >= 0x030b0000
#define FRAME_ID(frame) ((uint64_t)(uintptr_t)((frame)->f_frame))
#else
#define FRAME_ID(frame) ((uint64_t)(uintptr_t)(frame))
#endif

/* The variables of a frame, arguments first. */
#if PY_VERSION_HEX >= 0x030e0000
typedef _PyStackRef *Locals;
#else
typedef PyObject **Locals;
#endif

/* A variable (borrowed), NULL where it has no value. */
static inline PyObject *
local_at(Locals locals, int index)
{
#if PY_VERSION_HEX >= 0x030e0000
    return PyStackRef_IsNull(locals[index]) ? NULL : PyStackRef_AsPyObjectBorrow(locals[index]);
#else
    return locals[index];
#endif
}

#if MONITORING
typedef _PyInterpreterFrame Running;

static inline Running *
running_frame(PyThreadState *thread)
{
#if PY_VERSION_HEX >= 0x030d0000
    return thread->current_frame;
#else
    return thread->cframe->current_frame;
#endif
}

/* The code that a frame runs (borrowed), to be compared with what the interpreter says it runs. */
static inline PyObject *
running_code(Running *frame)
{
#if PY_VERSION_HEX >= 0x030e0000
    return PyStackRef_AsPyObjectBorrow(frame->f_executable);
#elif PY_VERSION_HEX >= 0x030d0000
    return frame->f_executable;
#else
    return (PyObject *)frame->f_code;
#endif
}

/* Whether a coroutine or a generator is the caller: what such a frame calls itself, with nothing of C in between. */
static inline int
is_awaited(Running *frame)
{
    return frame->previous != NULL && frame->previous->owner == FRAME_OWNED_BY_GENERATOR;
}

static inline Locals
running_locals(Running *frame)
{
    return frame->localsplus;
}
#else /* what the evaluation hook needs (hook.c) */
#if PY_VERSION_HEX >= 0x030b0000
typedef _PyInterpreterFrame Running;
typedef uint8_t Mask;
#define TRACED 255
#define MORE_RECURSION(thread, calls) ((thread)->recursion_remaining += (calls))
#define AT_RECURSION_LIMIT(thread) ((thread)->recursion_remaining <= 0)
#else
typedef PyFrameObject Running;
typedef int Mask;
#define TRACED 1
#define MORE_RECURSION(thread, calls) ((thread)->recursion_depth -= (calls))
#define AT_RECURSION_LIMIT(thread) ((thread)->recursion_depth >= Py_GetRecursionLimit())
#endif

static inline Locals
running_locals(Running *frame)
{
#if PY_VERSION_HEX >= 0x030b0000
    return frame->localsplus;
#else
    return frame->f_localsplus;
#endif
}

/* Whether a frame that goes on was told of before. */
static inline int
is_followed(Running *frame)
{
#if PY_VERSION_HEX >= 0x030b0000
    return frame->frame_obj != NULL && frame->frame_obj->f_trace != NULL;
#else
    return frame->f_trace != NULL;
#endif
}
#endif

/* Whether an argument stands in a cell, because an inner function uses it. */
static inline int
is_cell(PyCodeObject *code, int index)
{
#if PY_VERSION_HEX >= 0x030b0000
    return PyBytes_AS_STRING(code->co_localspluskinds)[index] & 0x40; /* CO_FAST_CELL */
#else
    for (Py_ssize_t cell = 0; code->co_cell2arg != NULL && cell < PyTuple_GET_SIZE(code->co_cellvars); cell++) {
        if (code->co_cell2arg[cell] == index) {
            return 1;
        }
    }
    return 0;
#endif
}

/* An argument (borrowed) of a function that begins, also where it stands in a cell, because an inner function uses it. */
static inline PyObject *
argument_at(PyCodeObject *code, Locals locals, int index)
{
    PyObject *value = local_at(locals, index);
#if MONITORING
    if (value != NULL && is_cell(code, index) && PyCell_Check(value)) {
        return PyCell_GET(value);
    }
#elif PY_VERSION_HEX >= 0x030b0000
    (void)code; /* cells are made later */
#else
    if (value == NULL && code->co_cell2arg != NULL) {
        for (Py_ssize_t cell = 0; cell < PyTuple_GET_SIZE(code->co_cellvars); cell++) {
            if (code->co_cell2arg[cell] == index) {
                return PyCell_GET(locals[code->co_nlocals + cell]);
            }
        }
    }
#endif
    return value;
}

/* An int that is small, and not negative, as a rule. */
static inline Py_ssize_t
small_number(PyObject *number)
{
    if (PyUnstable_Long_IsCompact((PyLongObject *)number)) {
        return PyUnstable_Long_CompactValue((PyLongObject *)number);
    }
    return PyLong_AsSsize_t(number);
}

/* The perf_counter of the interpreter, in nanoseconds. */
static inline int64_t
interpreter_clock_ns(void)
{
#ifdef __APPLE__
    return (int64_t)clock_gettime_nsec_np(CLOCK_UPTIME_RAW);
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
#endif
}

void clock_init(void);
int64_t clock_ns(void); /* the same, faster where that can be had (clock.c) */

#endif
