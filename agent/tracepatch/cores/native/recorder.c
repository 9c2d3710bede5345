/* The straight path: an ordinary function that comes and goes on top of a runner. What `Recording.called` and
   `Recording.returned` do, without leaving C; whatever is not as ordinary is left to them. */

#include "recorder.h"

Slots slots;

#define NO_SECRET 1000 /* `redaction.MIN_NUMBER`: smaller integers never are one */

static PyObject *names_value, *names_arguments, *names_returned, *tripped, *internal;

int
recorder_exec(PyObject *Py_UNUSED(module))
{
    names_value = PyUnicode_InternFromString("value");
    names_arguments = PyUnicode_InternFromString("arguments");
    names_returned = PyUnicode_InternFromString("returned");
    tripped = PyUnicode_InternFromString("tripped");
    internal = PyUnicode_InternFromString("internal");
    if (tripped == NULL || internal == NULL) {
        return -1;
    }
    return names_value == NULL || names_arguments == NULL || names_returned == NULL ? -1 : 0;
}

static inline Log *
log_of(PyObject *recording)
{
    PyObject *events = slot_get(recording, slots.events);
    return events != NULL && Py_IS_TYPE(events, Log_Type) ? (Log *)events : NULL;
}

/* The runner that is current here (borrowed); NULL where there is none, or where only Python knows. */
static inline PyObject *
runner_here(Log *log, PyThreadState *thread)
{
    return log->here == NULL ? table_get(log->current, (uint64_t)thread->thread_id) : NULL;
}

int
recorder_settle(PyObject *recording)
{
    Log *log = log_of(recording);
    if (log == NULL || log->pending == 0) {
        return 0;
    }
    Py_ssize_t counted = PyLong_AsSsize_t(slot_get(recording, slots.calls));
    PyObject *calls = counted < 0 ? NULL : PyLong_FromSsize_t(counted + log->pending);
    if (calls == NULL) {
        return -1;
    }
    log->pending = 0;
    slot_set(recording, slots.calls, calls);
    Py_DECREF(calls);
    return 0;
}

/* A record is missing: the trace ends here, and says so. Nothing in it can fail: there may be no memory. */
static int
trips(PyObject *recording, Log *log)
{
    if (log->broken) {
        slot_set(recording, slots.status, tripped);
        slot_set(recording, slots.reason, internal);
        slot_set(recording, slots.done, Py_True);
    }
    return log->broken;
}

static int
raised(Log *log)
{
    log->broken = 1;
    return RAISED;
}

int
recorder_follows(PyObject *recording, uint64_t frame_id)
{
    Log *log = log_of(recording);
    return log == NULL || slot_get(recording, slots.outer) != Py_None || table_get(log->open, frame_id) != NULL;
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

/* The piece of one value; 0, or -1 with an exception set. May run Python of ours. */
static int
captured(Log *log, PyObject *value, Buffer *scratch, Piece *piece)
{
    piece->text = NULL;
    piece->from = scratch->length;
    if (PyUnicode_CheckExact(value) && !log->repr) {
        if (capture_is_plain_text(log->capture, value)) {
            piece->text = Py_NewRef(value);
            return 0;
        }
    } else {
        int how = capture_value(log->capture, value, scratch);
        if (how == CAPTURED) {
            piece->to = scratch->length;
            return 0;
        }
    }
    Py_INCREF(value);
    PyObject *plain = PyObject_CallMethodOneArg(log->capturer, names_value, value);
    Py_DECREF(value);
    if (plain == NULL) {
        return -1;
    }
    int failed = log_gather(log, plain, scratch, piece);
    Py_DECREF(plain);
    return failed;
}

/* Arguments of which some may be secret by their names: Python looks at them all. */
static int
looked_at(Log *log, Code *code, Locals locals, Buffer *scratch, Piece *pieces)
{
    PyObject *names = slot_get(code->entry, slots.names), *entry = Py_NewRef(code->entry);
    int count = code->arguments, done = 0, failed = -1;
    PyObject *values = PyDict_New(), *plain = NULL;
    for (int index = 0; values != NULL && index < count; index++) {
        PyObject *value = code->cells ? argument_at(code->code, locals, index) : local_at(locals, index);
        if (value != NULL && PyDict_SetItem(values, PyTuple_GET_ITEM(names, index), value) < 0) {
            Py_CLEAR(values);
        }
    }
    if (values != NULL) {
        plain = PyObject_CallMethodObjArgs(log->capturer, names_arguments, entry, values, NULL);
    }
    if (plain != NULL && PyList_CheckExact(plain) && PyList_GET_SIZE(plain) == count) {
        for (failed = 0; !failed && done < count; done += !failed) {
            failed = log_gather(log, PyList_GET_ITEM(plain, done), scratch, &pieces[done]);
        }
    }
    if (failed) {
        pieces_free(pieces, done);
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "arguments were captured as something else");
        }
    }
    Py_XDECREF(plain);
    Py_XDECREF(values);
    Py_DECREF(entry);
    return failed;
}

static int
arguments(Log *log, Code *code, Locals locals, Buffer *scratch, Piece *pieces)
{
    if (slot_get(code->entry, slots.harmless_for) != log->trace) {
        return looked_at(log, code, locals, scratch, pieces);
    }
    int count = code->arguments, cells = code->cells;
    PyCodeObject *what = code->code;
    for (int index = 0; index < count; index++) {
        PyObject *value = cells ? argument_at(what, locals, index) : local_at(locals, index);
        if (value == NULL || captured(log, value, scratch, &pieces[index]) < 0) {
            pieces_free(pieces, index);
            if (value == NULL && !PyErr_Occurred()) {
                PyErr_SetString(PyExc_KeyError, "an argument without a value");
            }
            return -1;
        }
    }
    return 0;
}

/* ---- records that are written where they stay: nothing in them needs Python, and no text comes for the second time ---- */

#define HEAD_ROOM 24 /* for what comes before the values */
#define FEW 12       /* values of a record whose head is one byte */

/* Append a value to the record; UNUSUAL where that is not so simple. */
static inline int
put_value(Log *log, PyObject *value, PyObject **fresh)
{
    if (!log->repr) {
        if (PyUnicode_CheckExact(value)) {
            return capture_is_plain_text(log->capture, value) ? log_put_text(log, value, fresh) : UNUSUAL;
        }
#if MONITORING
        if (PyLong_CheckExact(value) && PyUnstable_Long_IsCompact((PyLongObject *)value)) {
            Py_ssize_t number = PyUnstable_Long_CompactValue((PyLongObject *)value);
            if (number > -NO_SECRET && number < NO_SECRET && buffer_need(&log->bytes, PACKED_NUMBER) == 0) {
                unsigned char *to = log->bytes.bytes + log->bytes.length;
                log->bytes.length = (size_t)(pack_signed(to, number) - log->bytes.bytes);
                return CAPTURED;
            }
        }
#endif
    }
    return capture_value(log->capture, value, &log->bytes);
}

static inline int
write_call(Log *log, Code *code, PyObject *runner, Node *node, Locals locals)
{
    int count = log->arguments ? code->arguments : 0;
    if (runner != log->branch || code->number < 0 || count > FEW || buffer_need(&log->bytes, 2 * HEAD_ROOM) < 0
        || (count > 0 && slot_get(code->entry, slots.harmless_for) != log->trace)) {
        return UNUSUAL;
    }
    size_t start = log->bytes.length;
    PyObject *fresh = NULL;
    log->bytes.length += HEAD_ROOM;
    for (int index = 0; index < count; index++) {
        PyObject *value = local_at(locals, index);
        if (code->cells && value != NULL && is_cell(code->code, index) && PyCell_Check(value)) {
            value = PyCell_GET(value);
        }
        if (value == NULL || put_value(log, value, &fresh) != CAPTURED) {
            log->bytes.length = start;
            return UNUSUAL;
        }
    }
    int64_t now = clock_ns();
    unsigned char head[HEAD_ROOM], *to = head, *at = log->bytes.bytes + start;
    *to++ = (unsigned char)(0x90 | (3 + count));
    *to++ = CALL;
    to = pack_signed(to, now - log->last_ns);
    to = pack_unsigned(to, (uint64_t)code->number);
    size_t body = log->bytes.length - start - HEAD_ROOM;
    memcpy(at, head, HEAD_ROOM);
    memmove(at + (to - head), at + HEAD_ROOM, body);
    log->bytes.length = start + (size_t)(to - head) + body;
    log->last_ns = now;
    log->events++;
    node->number = log->nodes++;
    if (fresh != NULL && log_met(log, fresh) < 0) {
        return NO_MEMORY;
    }
    return log_finished(log) < 0 ? NO_MEMORY : CAPTURED;
}

static inline int
write_return(Log *log, PyObject *runner, Node *node, int64_t now, PyObject *value)
{
    if (runner != log->branch || buffer_need(&log->bytes, HEAD_ROOM) < 0) {
        return UNUSUAL;
    }
    size_t start = log->bytes.length;
    PyObject *fresh = NULL;
    unsigned char *to = log->bytes.bytes + start;
    *to++ = node->elided == 0 ? 0x93 : 0x94;
    *to++ = RETURN;
    to = pack_signed(to, now - log->last_ns);
    log->bytes.length = (size_t)(to - log->bytes.bytes);
    if (value == NULL) {
        log->bytes.bytes[log->bytes.length++] = 0xc0;
    } else if (put_value(log, value, &fresh) != CAPTURED) {
        log->bytes.length = start;
        return UNUSUAL;
    }
    if (buffer_need(&log->bytes, PACKED_NUMBER) < 0) {
        log->bytes.length = start;
        return UNUSUAL;
    }
    if (node->elided != 0) {
        log->elided += node->elided;
        to = pack_signed(log->bytes.bytes + log->bytes.length, node->elided);
        log->bytes.length = (size_t)(to - log->bytes.bytes);
    }
    log->last_ns = now;
    log->events++;
    if (fresh != NULL && log_met(log, fresh) < 0) {
        return NO_MEMORY;
    }
    return log_finished(log) < 0 ? NO_MEMORY : CAPTURED;
}

/* At the end of the stack Python cannot be asked: such values are shown as unreadable. */
static int
unreadable(Log *log, Buffer *scratch, Piece *pieces, int count)
{
    static const unsigned char mark[] = "\xc7\x0d\x01\x92\xaaunreadable\x80";
    if (!PyErr_ExceptionMatches(PyExc_RecursionError) || log->broken
        || buffer_need(scratch, sizeof mark - 1) < 0) {
        return -1;
    }
    PyErr_Clear();
    memcpy(scratch->bytes + scratch->length, mark, sizeof mark - 1);
    for (int index = 0; index < count; index++) {
        pieces[index] = (Piece){NULL, scratch->length, scratch->length + sizeof mark - 1, -1};
    }
    scratch->length += sizeof mark - 1;
    return 0;
}

/* The same for any values, put together in a buffer of its own. May run Python of ours. */
static int
compose_call(PyObject *recording, Log *log, Code *code, PyObject *runner, Node *node, Locals locals)
{
    PyCodeObject *what = code->code;
    Piece pieces[MOST_ARGUMENTS];
    Buffer scratch = {0};
    int count = log->arguments ? code->arguments : 0;
    int failed = count > 0 ? arguments(log, code, locals, &scratch, pieces) : 0;
    if (failed) {
        failed = unreadable(log, &scratch, pieces, count);
    }
    if (!failed) {
        if (slot_get(recording, slots.done) == Py_False) {
            failed = log_call(log, runner, clock_ns(), node, log_code(log, what), pieces, count, &scratch);
        }
        pieces_free(pieces, count);
    }
    buffer_free(&scratch);
    return failed;
}

static int
compose_return(PyObject *recording, Log *log, PyObject *runner, Node *node, int64_t now, PyObject *value)
{
    Piece piece = {NULL, 0, 0, -1};
    Buffer scratch = {0};
    int failed;
    if (!log->arguments) {
        failed = log_gather(log, Py_None, &scratch, &piece);
    } else if (slot_get(node->entry, slots.open_for) == log->trace) {
        failed = captured(log, value, &scratch, &piece);
    } else {
        PyObject *plain = PyObject_CallMethodObjArgs(log->capturer, names_returned, node->entry, value, NULL);
        failed = plain == NULL ? -1 : log_gather(log, plain, &scratch, &piece);
        Py_XDECREF(plain);
    }
    if (failed) {
        failed = unreadable(log, &scratch, &piece, 1);
    }
    if (!failed && slot_get(recording, slots.done) == Py_False) {
        failed = log_return(log, runner, now, node, &piece, &scratch);
    }
    Py_XDECREF(piece.text);
    buffer_free(&scratch);
    return failed;
}

/* ---- calls ------------------------------------------------------------------------------------------------------------ */

int
recorder_called(PyObject *recording, PyThreadState *thread, PyCodeObject *code, uint64_t frame_id, Locals locals,
                int awaited)
{
    Log *log = log_of(recording);
    if (log == NULL || slot_get(recording, slots.straight) != Py_True || slot_get(recording, slots.done) != Py_False) {
        return PYTHON;
    }
    if (trips(recording, log)) {
        return DONE;
    }
    Code *known = log_code(log, code);
    if (known == NULL) {
        return PyErr_Occurred() ? raised(log) : PYTHON;
    }
    PyObject *entry = known->entry;
    if (slot_get(entry, slots.simple) != Py_True) {
        return PYTHON;
    }
    if (known->action == HIDDEN) {
        return DONE;
    }
    int suspends = slot_get(entry, slots.suspends) == Py_True, coroutine = slot_get(entry, slots.coroutine) == Py_True;
    if (coroutine && !awaited) {
        return PYTHON; /* a loop's, or a hand's: another runner begins */
    }
    PyObject *runner = runner_here(log, thread);
    if (runner == NULL || slot_get(runner, slots.shown) != Py_True) {
        return PYTHON;
    }
    PyObject *stack = slot_get(runner, slots.stack);
    Py_ssize_t depth = PyList_GET_SIZE(stack);
    if (depth == 0) {
        return PYTHON;
    }
    Node *top = (Node *)PyList_GET_ITEM(stack, depth - 1);
    if (known->action == SKIPPED || (known->library && slot_get(top->entry, slots.library) == Py_True)) {
        if ((suspends || known->action == SKIPPED) && table_get(log->open, frame_id) != NULL) {
            return PYTHON; /* what had this frame before is dead */
        }
        top->elided++;
        return DONE;
    }
    if (known->arguments < 0 || slot_get(entry, slots.silent) == Py_True || (suspends && !coroutine && !known->met)) {
        return PYTHON;
    }
    Py_ssize_t counted = small_number(slot_get(recording, slots.calls));
    if (log->heavy) {
        log->heavy = 0;
        slot_set(recording, slots.look_at, slot_get(recording, slots.calls));
        return PYTHON;
    }
    if (counted + log->pending >= small_number(slot_get(recording, slots.look_at))
        || depth >= small_number(slot_get(recording, slots.max_depth))) {
        return PYTHON;
    }
    if (known->number < 0 && known->record == NULL) {
        if (log_describe(log, code) < 0) {
            return raised(log);
        }
        return PYTHON; /* others ran meanwhile: look again, once per code object */
    }
    Node *node = node_new(known->entry, runner, frame_id);
    int added = node == NULL ? -1 : table_add(log->open, frame_id, (PyObject *)node);
    if (added <= 0) {
        Py_XDECREF(node);
        return added < 0 ? raised(log) : PYTHON; /* what had this frame before is dead */
    }
    if (PyList_Append(stack, (PyObject *)node) < 0) {
        Py_XDECREF(table_take(log->open, frame_id));
        Py_DECREF(node);
        return raised(log);
    }
    if (slot_get(known->entry, slots.recorded) != Py_True) {
        slot_set(known->entry, slots.recorded, Py_True);
    }
    log->pending++;
    int how = write_call(log, known, runner, node, locals);
    if (how == UNUSUAL) {
        how = compose_call(recording, log, known, runner, node, locals);
    }
    Py_DECREF(node);
    return how == CAPTURED ? DONE : raised(log);
}

int
recorder_returned(PyObject *recording, PyThreadState *thread, PyCodeObject *code, uint64_t frame_id, PyObject *value)
{
    Log *log = log_of(recording);
    if (log == NULL || slot_get(recording, slots.done) != Py_False) {
        return PYTHON;
    }
    if (trips(recording, log)) {
        return DONE;
    }
    PyObject *runner = runner_here(log, thread), *stack = runner == NULL ? NULL : slot_get(runner, slots.stack);
    Py_ssize_t depth = stack == NULL ? 0 : PyList_GET_SIZE(stack);
    Node *top = depth > 1 ? (Node *)PyList_GET_ITEM(stack, depth - 1) : NULL;
    if (top == NULL || top->frame_id != frame_id || slot_get(top->entry, slots.code) != (PyObject *)code
        || slot_get(top->entry, slots.simple) != Py_True || slot_get(top->entry, slots.silent) == Py_True
        || slot_get(recording, slots.straight) != Py_True || top->runner != runner || !top->visible || is_set(top->saved)
        || is_set(top->holder) || slot_get(runner, slots.visited) == (PyObject *)top) {
        return recorder_follows(recording, frame_id) ? PYTHON : DONE;
    }
    int64_t now = clock_ns();
    Py_XDECREF(table_take(log->open, frame_id));
    Py_SET_SIZE(stack, depth - 1); /* the list's own reference is ours from here on */
    int how = UNUSUAL;
    if (!log->arguments) {
        how = write_return(log, runner, top, now, NULL);
    } else if (slot_get(top->entry, slots.open_for) == log->trace || (value == Py_None && !log->repr)) {
        how = write_return(log, runner, top, now, value);
    }
    if (how == UNUSUAL) {
        how = compose_return(recording, log, runner, top, now, value);
    }
    node_done(top);
    return how == CAPTURED ? DONE : raised(log);
}

/* ---- generators ------------------------------------------------------------------------------------------------------- */

#define LOOK_AFTER 400 /* `recording.WAKE_CALLS`: a trace may yield for ever without a call */

/* Whether yields need nothing but the model of runners: the root is no generator, whose trace is parked meanwhile. */
static int
stays(PyObject *recording)
{
    PyObject *root = slot_get(recording, slots.root_node), *entry;
    if (slot_get(recording, slots.straight) != Py_True || slot_get(recording, slots.done) != Py_False) {
        return 0;
    }
    if (root == NULL || root == Py_None) {
        return 1;
    }
    entry = ((Node *)root)->entry;
    return slot_get(entry, slots.suspends) != Py_True || slot_get(entry, slots.coroutine) == Py_True;
}

int
recorder_yielded(PyObject *recording, uint64_t frame_id)
{
    Log *log = log_of(recording);
    if (log == NULL || !stays(recording)) {
        return PYTHON;
    }
    if ((log->suspensions += 2) >= LOOK_AFTER) {
        PyObject *count = PyLong_FromLong(LOOK_AFTER);
        if (count == NULL) {
            return RAISED;
        }
        log->suspensions = 0;
        slot_set(recording, slots.suspensions, count);
        Py_DECREF(count);
        return PYTHON;
    }
    Node *node = (Node *)table_get(log->open, frame_id);
    if (node == NULL || is_set(node->saved)) {
        return DONE;
    }
    PyObject *runner = node->runner, *stack = slot_get(runner, slots.stack);
    Py_ssize_t depth = PyList_GET_SIZE(stack);
    if (depth == 0 || slot_get(runner, slots.thrown) == Py_True || slot_get(node->entry, slots.items) != Py_None
        || (PyList_GET_ITEM(stack, 0) == (PyObject *)node && !node->roams)) {
        return PYTHON;
    }
    if (slot_get(node->entry, slots.coroutine) == Py_True) {
        return DONE; /* it waits where it is */
    }
    if (PyList_GET_ITEM(stack, depth - 1) != (PyObject *)node || is_set(node->along) || !node->visible
        || slot_get(runner, slots.visited) == (PyObject *)node) {
        return PYTHON;
    }
    PyObject *saved = PyList_New(1);
    if (saved == NULL) {
        return raised(log);
    }
    PyList_SET_ITEM(saved, 0, (PyObject *)node); /* the stack's reference */
    Py_SET_SIZE(stack, depth - 1);
    node->roams = 1;
    Py_XSETREF(node->saved, saved);
    Py_XSETREF(node->holder, Py_NewRef((PyObject *)node));
    if (!PyObject_GC_IsTracked((PyObject *)node)) {
        PyObject_GC_Track(node); /* it holds itself now, perhaps for good */
    }
    return log_moved(log, runner, YIELD, node) < 0 ? raised(log) : DONE;
}

int
recorder_resumed(PyObject *recording, PyThreadState *thread, uint64_t frame_id)
{
    Log *log = log_of(recording);
    if (log == NULL || !stays(recording)) {
        return PYTHON;
    }
    Node *node = (Node *)table_get(log->open, frame_id);
    if (node == NULL) {
        return DONE;
    }
    PyObject *before = node->runner, *runner = runner_here(log, thread);
    if (runner == NULL || slot_get(before, slots.running) != Py_True || slot_get(before, slots.thrown) == Py_True) {
        return PYTHON;
    }
    PyObject *saved = node->saved;
    if (!is_set(saved)) {
        return is_set(node->holder) ? PYTHON : DONE;
    }
    if (!PyList_CheckExact(saved) || PyList_GET_SIZE(saved) != 1 || slot_get(runner, slots.shown) != Py_True
        || !node->visible || PyList_Append(slot_get(runner, slots.stack), (PyObject *)node) < 0) {
        return PyErr_Occurred() ? RAISED : PYTHON;
    }
    node->runner = Py_NewRef(runner);
    Py_DECREF(before);
    node->saved = NULL;
    Py_CLEAR(node->holder);
    Py_DECREF(saved);
    return log_moved(log, runner, REENTER, node) < 0 ? raised(log) : DONE;
}
