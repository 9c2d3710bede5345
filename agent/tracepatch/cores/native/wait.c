/* How the agent's thread sleeps, and gets the GIL when it wakes up.

   A thread that wants the GIL asks for it only after nobody has let go of it for a whole switch interval (5 ms). One that
   lets go of it more often, for a few microseconds each time, as an event loop does that is never idle, is not asked, and
   has it back before the thread that waits has woken up: that one gets no turn for seconds. So as long as the agent's
   thread is awake, the interval is `OURS`. It is set before the GIL is asked for, which `sys.setswitchinterval` cannot.

   The interval is the process's; whoever sets it meanwhile gets what was set, and who sets again what he read while it was
   ours gets what had stood there before. A race with that is without harm: an aligned word is written whole. */

#include "compat.h"
#include <poll.h>

#define OURS 103 /* µs; `sys.setswitchinterval(sys.getswitchinterval())` leaves it as it is, and nobody else means it */

static unsigned long *interval; /* the interpreter's, in µs; NULL where it is not what it is thought to be */
static unsigned long theirs;    /* what stood there before; 0 while ours does not */
static unsigned long last;      /* the same, kept: for who has read ours, and sets that again later */

static void
give_back(void)
{
    unsigned long before = __atomic_exchange_n(&theirs, 0, __ATOMIC_RELAXED), ours = OURS;
    if (before != 0) {
        __atomic_compare_exchange_n(interval, &ours, before, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
}

static void
hurry(void)
{
    if (interval != NULL) {
        unsigned long now = __atomic_load_n(interval, __ATOMIC_RELAXED);
        if (now > OURS) {
            last = now;
            __atomic_store_n(&theirs, now, __ATOMIC_RELAXED);
            __atomic_store_n(interval, OURS, __ATOMIC_RELAXED);
        }
        else if (now == OURS) {
            __atomic_store_n(&theirs, last, __ATOMIC_RELAXED);
        }
    }
}

static PyObject *
wait_method(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct pollfd files[2] = {{.events = POLLIN}, {.events = POLLIN}};
    int timeout_ms;
    if (!PyArg_ParseTuple(args, "iii:wait", &files[0].fd, &files[1].fd, &timeout_ms)) {
        return NULL;
    }
    give_back();
    int problem = 0;
    Py_BEGIN_ALLOW_THREADS
    if (poll(files, 2, timeout_ms) < 0) {
        problem = errno == EINTR ? 0 : errno; /* whoever calls looks himself what there is, also after a signal */
    }
    else if ((files[0].revents | files[1].revents) & (POLLNVAL | POLLERR | POLLHUP)) {
        problem = EBADF;
    }
    hurry();
    Py_END_ALLOW_THREADS
    if (problem) {
        errno = problem;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyObject *
rest(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    give_back();
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"wait", wait_method, METH_VARARGS,
     PyDoc_STR("wait(file, file, timeout_ms): sleep until one of them can be read, -1 for as long as it takes; be awake then. OSError where one is none")},
    {"rest", rest, METH_NOARGS, PyDoc_STR("be awake no longer")},
    {NULL, NULL, 0, NULL},
};

/* Find the interval, and compare it with what `sys` says. */
int
wait_exec(PyObject *module)
{
    PyObject *sys = PyImport_ImportModule("sys");
    PyObject *seconds = sys == NULL ? NULL : PyObject_CallMethod(sys, "getswitchinterval", NULL);
    double expected = seconds == NULL ? -1 : PyFloat_AsDouble(seconds);
    Py_XDECREF(sys);
    Py_XDECREF(seconds);
    if (PyErr_Occurred()) {
        return -1;
    }
    unsigned long *found = switch_interval();
    /* Before 3.12 the interval stays: a soak on 3.10 found frames whose end was not seen when threads switch so often. */
    interval = MONITORING && (unsigned long)(1e6 * expected + 0.5) == *found ? found : NULL;
    return PyModule_AddFunctions(module, functions);
}
