/* Log: the stream of one trace, written as it happens. What `stream.Writer` makes of the same events, byte for byte.

   Hot paths write into it without leaving C; Python appends what it has looked at itself (`append`). A record is put
   together at once, with nothing of Python's in between, so that threads cannot mix theirs: what needs Python (unusual
   values, what a code is) is turned into bytes before. The agent thread takes finished records out (`take`). */

#include "recorder.h"
#include <structmember.h>

PyTypeObject *Log_Type;

#define EXT_STRING 2
#define INTERNED 4096
#define SHORTEST 6
#define NOTED_BYTES 200
#define TEXT_BYTES 150 /* of a text that is kept to be known again, its characters not counted: object, place in a dict */
#define FIRST_CODES 64

/* ---- code objects ------------------------------------------------------------------------------------------------- */

static Code *
code_cell(Code *codes, size_t mask, PyCodeObject *code)
{
    size_t at = (size_t)(((uint64_t)(uintptr_t)code * 0x9e3779b97f4a7c15ULL) >> 32) & mask;
    while (codes[at].code != NULL && codes[at].code != code) {
        at = (at + 1) & mask;
    }
    return &codes[at];
}

static int
codes_grow(Log *self)
{
    size_t mask = 2 * self->code_mask + 1;
    Code *larger = PyMem_RawCalloc(mask + 1, sizeof(Code));
    if (larger == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t at = 0; at <= self->code_mask; at++) {
        if (self->codes[at].code != NULL) {
            *code_cell(larger, mask, self->codes[at].code) = self->codes[at];
        }
    }
    PyMem_RawFree(self->codes);
    self->codes = larger;
    self->code_mask = mask;
    return 0;
}

static Code *
code_add(Log *self, PyCodeObject *code, PyObject *entry)
{
    if (2 * (self->code_count + 1) > self->code_mask && codes_grow(self) < 0) {
        return NULL;
    }
    Code *cell = code_cell(self->codes, self->code_mask, code);
    int total = code->co_argcount + code->co_kwonlyargcount + !!(code->co_flags & CO_VARARGS)
                + !!(code->co_flags & CO_VARKEYWORDS);
    PyObject *names = slot_get(entry, slots.names), *action = PyObject_GetAttrString(entry, "action");
    if (action == NULL) {
        return NULL;
    }
    cell->action = (int)PyLong_AsLong(action);
    Py_DECREF(action);
    cell->code = code;
    cell->entry = Py_NewRef(entry);
    cell->record = NULL;
    cell->number = -1;
    cell->arguments = total <= MOST_ARGUMENTS && PyTuple_GET_SIZE(names) == total ? total : -1;
    cell->cells = cell->met = 0;
    for (int index = 0; index < total; index++) {
        cell->cells |= !!is_cell(code, index);
    }
    cell->library = slot_get(entry, slots.library) == Py_True;
    self->code_count++;
    return cell;
}

Code *
log_code(Log *self, PyCodeObject *code)
{
    Code *cell = code_cell(self->codes, self->code_mask, code);
    if (cell->code != NULL) {
        return cell;
    }
    PyObject *key = PyLong_FromVoidPtr(code);
    PyObject *entry = key == NULL ? NULL : PyDict_GetItemWithError(self->entries, key);
    Py_XDECREF(key);
    return entry == NULL ? NULL : code_add(self, code, entry);
}

/* ---- packing ------------------------------------------------------------------------------------------------------ */

static int
put_bytes(Buffer *out, const void *bytes, size_t count)
{
    if (buffer_need(out, count) < 0) {
        return -1;
    }
    memcpy(out->bytes + out->length, bytes, count);
    out->length += count;
    return 0;
}

/* Append a text; 0, or -1 with no exception set. */
static int
put_text(Buffer *out, PyObject *text)
{
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        size_t length = (size_t)PyUnicode_GET_LENGTH(text);
        if (buffer_need(out, PACKED_HEADER + length) < 0) {
            return -1;
        }
        unsigned char *to = pack_text_head(out->bytes + out->length, length);
        memcpy(to, PyUnicode_1BYTE_DATA(text), length);
        out->length = (size_t)(to - out->bytes) + length;
        return 0;
    }
    PyObject *encoded = PyUnicode_AsEncodedString(text, "utf-8", "replace");
    if (encoded == NULL) {
        PyErr_Clear();
        return -1;
    }
    size_t length = (size_t)PyBytes_GET_SIZE(encoded);
    int failed = buffer_need(out, PACKED_HEADER + length);
    if (!failed) {
        out->length = (size_t)(pack_text_head(out->bytes + out->length, length) - out->bytes);
        failed = put_bytes(out, PyBytes_AS_STRING(encoded), length);
    }
    Py_DECREF(encoded);
    return failed;
}

int
log_gather(Log *self, PyObject *plain, Buffer *scratch, Piece *piece)
{
    piece->text = NULL;
    piece->from = scratch->length;
    if (PyUnicode_CheckExact(plain)) {
        piece->text = Py_NewRef(plain);
    } else if (plain == Py_None || PyBool_Check(plain)) {
        unsigned char byte = plain == Py_None ? 0xc0 : plain == Py_True ? 0xc3 : 0xc2;
        if (put_bytes(scratch, &byte, 1) < 0) {
            PyErr_NoMemory();
            return -1;
        }
    } else {
        PyObject *packed = PyObject_CallOneArg(self->pack, plain);
        if (packed == NULL) {
            return -1;
        }
        int failed = put_bytes(scratch, PyBytes_AS_STRING(packed), (size_t)PyBytes_GET_SIZE(packed));
        Py_DECREF(packed);
        if (failed) {
            PyErr_NoMemory();
            return -1;
        }
    }
    piece->to = scratch->length;
    return 0;
}

void
pieces_free(Piece *pieces, int count)
{
    for (int index = 0; index < count; index++) {
        Py_XDECREF(pieces[index].text);
    }
}

/* ---- records: what follows runs nothing of Python's ------------------------------------------------------------------ */

static int
no_memory(void)
{
    PyErr_NoMemory();
    return -1;
}

int
log_next(Log *self)
{
    /* Made here, by the thread that fills it, and handed on as it is: allocators keep memory by threads. */
    PyObject *whole = PyBytes_FromStringAndSize((char *)self->bytes.bytes, (Py_ssize_t)self->bytes.length);
    if (whole == NULL || PyList_Append(self->full, whole) < 0) {
        Py_XDECREF(whole);
        return -1;
    }
    Py_DECREF(whole);
    self->full_bytes += self->bytes.length;
    self->bytes.length = 0;
    self->heavy = 1;
    return 0;
}

/* Begin an event's record: say which branch it belongs to, where that is another one. */
static int
begin(Log *self, PyObject *runner)
{
    if (buffer_need(&self->bytes, 64) < 0) {
        return no_memory();
    }
    if (runner != self->branch) {
        PyObject *before = self->branch, *number = slot_get(runner, slots.number);
        Py_ssize_t branch = number == NULL ? -1 : PyLong_AsSsize_t(number);
        if (branch < 0 && PyErr_Occurred()) {
            return -1;
        }
        self->branch = Py_NewRef(runner);
        Py_XDECREF(before);
        unsigned char *to = self->bytes.bytes + self->bytes.length;
        *to++ = 0x92;
        *to++ = SWITCH;
        self->bytes.length = (size_t)(pack_signed(to, branch) - self->bytes.bytes);
    }
    return 0;
}

static unsigned char *
head(Log *self, int fields, int kind, int64_t now)
{
    unsigned char *to = pack_array(self->bytes.bytes + self->bytes.length, (size_t)fields);
    *to++ = (unsigned char)kind;
    int64_t delta = now - self->last_ns;
    self->last_ns = now;
    self->events++;
    return pack_signed(to, delta);
}

int
log_met(Log *self, PyObject *text)
{
    self->text_bytes += PyUnicode_GET_LENGTH(text) + TEXT_BYTES;
    return PyDict_SetItem(self->texts, text, Py_None);
}

static int put_reference(Log *self, Py_ssize_t number);

int
log_put_text(Log *self, PyObject *text, PyObject **fresh)
{
    if (self->intern && PyUnicode_GET_LENGTH(text) >= SHORTEST) {
        PyObject *number = PyDict_GetItemWithError(self->texts, text);
        if (number == Py_None || PyErr_Occurred()) {
            PyErr_Clear();
            return UNUSUAL;
        }
        if (number != NULL) {
            return put_reference(self, small_number(number)) < 0 ? UNUSUAL : CAPTURED;
        }
        if (PyDict_GET_SIZE(self->texts) < INTERNED) {
            if (*fresh != NULL) {
                return UNUSUAL; /* it may be the same one */
            }
            *fresh = text;
        }
    }
    return put_text(&self->bytes, text) < 0 ? UNUSUAL : CAPTURED;
}

/* Replace a text that comes again by a reference, and write it out when it comes for the second time. */
static int
intern(Log *self, Piece *piece)
{
    piece->known = -1;
    if (piece->text == NULL || !self->intern || PyUnicode_GET_LENGTH(piece->text) < SHORTEST) {
        return 0;
    }
    PyObject *number = PyDict_GetItemWithError(self->texts, piece->text);
    if (number == NULL) {
        if (PyErr_Occurred()) {
            return -1;
        }
        return PyDict_GET_SIZE(self->texts) < INTERNED ? log_met(self, piece->text) : 0;
    }
    if (number != Py_None) {
        piece->known = PyLong_AsSsize_t(number);
        return 0;
    }
    number = PyLong_FromSsize_t(self->strings);
    if (number == NULL || PyDict_SetItem(self->texts, piece->text, number) < 0) {
        Py_XDECREF(number);
        return -1;
    }
    Py_DECREF(number);
    piece->known = self->strings++;
    static const unsigned char string[] = {0x92, STRING};
    if (put_bytes(&self->bytes, string, 2) < 0 || put_text(&self->bytes, piece->text) < 0) {
        return no_memory();
    }
    return 0;
}

static int
put_reference(Log *self, Py_ssize_t number)
{
    unsigned char packed[PACKED_NUMBER];
    size_t length = (size_t)(pack_unsigned(packed, (uint64_t)number) - packed);
    if (buffer_need(&self->bytes, 3 + length) < 0) {
        return -1;
    }
    unsigned char *to = self->bytes.bytes + self->bytes.length;
    if (length <= 2) {
        *to++ = length == 1 ? 0xd4 : 0xd5;
    } else {
        *to++ = 0xc7;
        *to++ = (unsigned char)length;
    }
    *to++ = EXT_STRING;
    memcpy(to, packed, length);
    self->bytes.length = (size_t)(to - self->bytes.bytes) + length;
    return 0;
}

static int
put_piece(Log *self, const Piece *piece, const Buffer *scratch)
{
    if (piece->text == NULL) {
        return put_bytes(&self->bytes, scratch->bytes + piece->from, piece->to - piece->from);
    }
    return piece->known < 0 ? put_text(&self->bytes, piece->text) : put_reference(self, piece->known);
}

/* Write where each text that comes again stands, and make room for the record that follows. */
static int
prepared(Log *self, PyObject *runner, Piece *pieces, int count)
{
    if (begin(self, runner) < 0) {
        return -1;
    }
    for (int index = 0; index < count; index++) {
        if (intern(self, &pieces[index]) < 0) {
            return -1;
        }
    }
    return buffer_need(&self->bytes, 64) < 0 ? no_memory() : 0;
}

static int
put_pieces(Log *self, const Piece *pieces, int count, const Buffer *scratch)
{
    for (int index = 0; index < count; index++) {
        if (put_piece(self, &pieces[index], scratch) < 0) {
            return no_memory();
        }
    }
    return 0;
}

/* A record failed: take back what was begun of it, and write no more. */
static int
broken(Log *self, size_t start)
{
    self->bytes.length = start;
    self->broken = 1;
    return -1;
}

static int
put_call(Log *self, PyObject *runner, int64_t now, Node *node, Code *code, Piece *pieces, int count,
         const Buffer *scratch)
{
    if (prepared(self, runner, pieces, count) < 0) {
        return -1;
    }
    if (code->number < 0) {
        if (put_bytes(&self->bytes, PyBytes_AS_STRING(code->record), (size_t)PyBytes_GET_SIZE(code->record)) < 0
            || buffer_need(&self->bytes, 64) < 0) {
            return no_memory();
        }
        Py_CLEAR(code->record);
        code->number = self->described++;
    }
    node->number = self->nodes++;
    unsigned char *to = head(self, 3 + count, CALL, now);
    self->bytes.length = (size_t)(pack_unsigned(to, (uint64_t)code->number) - self->bytes.bytes);
    return put_pieces(self, pieces, count, scratch) < 0 ? -1 : log_finished(self);
}

int
log_call(Log *self, PyObject *runner, int64_t now, Node *node, Code *code, Piece *pieces, int count,
         const Buffer *scratch)
{
    size_t start = self->bytes.length;
    if (self->broken) {
        return 0;
    }
    if (put_call(self, runner, now, node, code, pieces, count, scratch) < 0) {
        node->number = -1;
        return broken(self, start);
    }
    return 0;
}

static int
put_end(Log *self, PyObject *runner, int64_t now, Node *node, int kind, Piece *pieces, int count, const Buffer *scratch)
{
    if (prepared(self, runner, pieces, count) < 0) {
        return -1;
    }
    self->bytes.length = (size_t)(head(self, 2 + count + (node->elided != 0), kind, now) - self->bytes.bytes);
    if (put_pieces(self, pieces, count, scratch) < 0) {
        return -1;
    }
    if (node->elided != 0) {
        if (buffer_need(&self->bytes, PACKED_NUMBER) < 0) {
            return no_memory();
        }
        self->elided += node->elided;
        self->bytes.length =
            (size_t)(pack_signed(self->bytes.bytes + self->bytes.length, node->elided) - self->bytes.bytes);
    }
    return log_finished(self);
}

/* The end of a call: two pieces where it raised. */
static int
log_end(Log *self, PyObject *runner, int64_t now, Node *node, int kind, Piece *pieces, int count, const Buffer *scratch)
{
    size_t start = self->bytes.length;
    if (self->broken) {
        return 0;
    }
    return put_end(self, runner, now, node, kind, pieces, count, scratch) < 0 ? broken(self, start) : 0;
}

int
log_return(Log *self, PyObject *runner, int64_t now, Node *node, Piece *piece, const Buffer *scratch)
{
    return log_end(self, runner, now, node, RETURN, piece, 1, scratch);
}

int
log_describe(Log *self, PyCodeObject *code)
{
    Code *cell = code_cell(self->codes, self->code_mask, code);
    PyObject *entry = Py_NewRef(cell->entry);
    PyObject *record = PyObject_CallOneArg(self->describe, entry);
    Py_DECREF(entry);
    if (record == NULL) {
        return -1;
    }
    cell = code_cell(self->codes, self->code_mask, code); /* Python ran: it may have moved, or be described */
    if (PyBytes_CheckExact(record) && cell->number < 0 && cell->record == NULL) {
        cell->record = Py_NewRef(record);
    }
    Py_DECREF(record);
    return 0;
}

int
log_moved(Log *self, PyObject *runner, int kind, Node *node)
{
    if (begin(self, runner) < 0) {
        return -1;
    }
    unsigned char *to = pack_signed(head(self, 3, kind, clock_ns()), node->number);
    self->bytes.length = (size_t)(to - self->bytes.bytes);
    return log_finished(self);
}

static int
put_branch(Log *self, PyObject *runner, int64_t now)
{
    PyObject *texts[3] = {slot_get(runner, slots.kind), slot_get(runner, slots.name), slot_get(runner, slots.link)};
    PyObject *parent = slot_get(runner, slots.parent);
    for (int index = 0; index < 3; index++) {
        if (texts[index] == NULL || !PyUnicode_Check(texts[index])) {
            PyErr_SetString(PyExc_TypeError, "a runner's kind, name and link are texts");
            return -1;
        }
    }
    PyObject *number = PyLong_FromSsize_t(self->branches);
    if (number == NULL || buffer_need(&self->bytes, 64) < 0) {
        Py_XDECREF(number);
        return no_memory();
    }
    self->branches++;
    slot_set(runner, slots.number, number);
    Py_DECREF(number);
    PyObject *before = self->branch;
    self->branch = Py_NewRef(runner);
    Py_XDECREF(before);
    self->bytes.length = (size_t)(head(self, 6, BRANCH, now) - self->bytes.bytes);
    if (put_text(&self->bytes, texts[0]) < 0 || put_text(&self->bytes, texts[1]) < 0
        || buffer_need(&self->bytes, PACKED_NUMBER) < 0) {
        return no_memory();
    }
    unsigned char *to = self->bytes.bytes + self->bytes.length;
    if (parent != NULL && Py_IS_TYPE(parent, Node_Type) && ((Node *)parent)->number >= 0) {
        to = pack_signed(to, ((Node *)parent)->number);
    } else {
        *to++ = 0xc0;
    }
    self->bytes.length = (size_t)(to - self->bytes.bytes);
    return put_text(&self->bytes, texts[2]) < 0 ? no_memory() : log_finished(self);
}

static int
log_branch(Log *self, PyObject *runner, int64_t now)
{
    size_t start = self->bytes.length;
    return put_branch(self, runner, now) < 0 ? broken(self, start) : 0;
}

/* ---- what Python appends ------------------------------------------------------------------------------------------- */

static int
note(Log *self, PyObject *event, int kind, PyObject *runner, PyObject *node)
{
    int wanted = kind == SUSPEND || kind == RESUME;
    if (wanted) {
        PyObject *number = slot_get(runner, slots.number);
        wanted = number != NULL && PyLong_AsLong(number) == 0;
    } else if (kind == CALL || kind == RETURN || kind == RAISE) {
        wanted = node != NULL && ((Node *)node)->number == 0;
    }
    return wanted ? PyList_Append(self->noted, event) : 0;
}

/* The pieces of plain values; NULL with an exception set. May run Python. */
static Piece *
gathered(Log *self, PyObject *const *values, int count, Buffer *scratch)
{
    Piece *pieces = PyMem_Malloc((count ? (size_t)count : 1) * sizeof(Piece));
    if (pieces == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (int index = 0; index < count; index++) {
        if (log_gather(self, values[index], scratch, &pieces[index]) < 0) {
            pieces_free(pieces, index);
            PyMem_Free(pieces);
            return NULL;
        }
    }
    return pieces;
}

static int
append_call(Log *self, PyObject *event, int64_t now)
{
    Node *node = (Node *)PyTuple_GET_ITEM(event, 3);
    PyCodeObject *code = (PyCodeObject *)slot_get(node->entry, slots.code);
    Code *known = code_cell(self->codes, self->code_mask, code);
    if (known->code == NULL && (known = code_add(self, code, node->entry)) == NULL) {
        return -1;
    }
    if (known->number < 0 && known->record == NULL && log_describe(self, code) < 0) {
        return -1;
    }
    PyObject *given = PyTuple_GET_ITEM(event, 4);
    PyObject *values = PyList_CheckExact(given) ? PyList_AsTuple(given) : PyTuple_New(0);
    if (values == NULL) {
        return -1;
    }
    Buffer scratch = {0};
    int count = (int)PyTuple_GET_SIZE(values), failed = -1;
    Piece *pieces = gathered(self, ((PyTupleObject *)values)->ob_item, count, &scratch);
    if (pieces != NULL) {
        known = code_cell(self->codes, self->code_mask, code);
        known->met = 1;
        failed = log_call(self, PyTuple_GET_ITEM(event, 1), now, node, known, pieces, count, &scratch);
        pieces_free(pieces, count);
        PyMem_Free(pieces);
    }
    buffer_free(&scratch);
    Py_DECREF(values);
    return failed;
}

static int
append_end(Log *self, PyObject *event, int kind, int64_t now)
{
    Buffer scratch = {0};
    int count = kind == RAISE ? 2 : 1, failed = -1;
    Piece *pieces = gathered(self, &((PyTupleObject *)event)->ob_item[4], count, &scratch);
    if (pieces != NULL) {
        failed = log_end(self, PyTuple_GET_ITEM(event, 1), now, (Node *)PyTuple_GET_ITEM(event, 3), kind, pieces, count,
                         &scratch);
        pieces_free(pieces, count);
        PyMem_Free(pieces);
    }
    buffer_free(&scratch);
    return failed;
}

static PyObject *
log_append(PyObject *op, PyObject *event)
{
    Log *self = (Log *)op;
    if (!PyTuple_CheckExact(event) || PyTuple_GET_SIZE(event) < 3) {
        return PyErr_Format(PyExc_TypeError, "append(event)");
    }
    int kind = (int)PyLong_AsLong(PyTuple_GET_ITEM(event, 0));
    PyObject *runner = PyTuple_GET_ITEM(event, 1);
    int64_t now = PyLong_AsLongLong(PyTuple_GET_ITEM(event, 2));
    PyObject *node = PyTuple_GET_SIZE(event) > 3 ? PyTuple_GET_ITEM(event, 3) : NULL;
    if (PyErr_Occurred()) {
        return NULL;
    }
    if ((node != NULL && !Py_IS_TYPE(node, Node_Type))
        || (kind >= CALL && kind <= RAISE && PyTuple_GET_SIZE(event) != (kind == RAISE ? 6 : 5))) {
        return PyErr_Format(PyExc_TypeError, "no event: %R", event);
    }
    if (self->broken) {
        Py_RETURN_NONE;
    }
    int failed;
    if (kind == BRANCH) {
        failed = log_branch(self, runner, now);
    } else if (kind == CALL) {
        failed = append_call(self, event, now);
    } else if (kind == RETURN || kind == RAISE) {
        failed = append_end(self, event, kind, now);
    } else {
        failed = begin(self, runner);
        if (!failed) {
            unsigned char *to = head(self, node == NULL ? 2 : 3, kind, now);
            if (node != NULL) {
                to = pack_signed(to, ((Node *)node)->number);
            }
            self->bytes.length = (size_t)(to - self->bytes.bytes);
            failed = log_finished(self);
        }
    }
    if (!failed && self->noted != NULL && kind != BRANCH) {
        failed = note(self, event, kind, runner, node);
    }
    if (failed) {
        self->broken = 1;
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- what the agent thread takes ------------------------------------------------------------------------------------ */

static PyObject *
log_take(PyObject *op, PyObject *Py_UNUSED(none))
{
    Log *self = (Log *)op;
    PyObject *taken;
    if (PyList_GET_SIZE(self->full) > 0) {
        taken = Py_NewRef(PyList_GET_ITEM(self->full, 0));
        if (PyList_SetSlice(self->full, 0, 1, NULL) < 0) {
            Py_DECREF(taken);
            return NULL;
        }
        self->full_bytes -= (size_t)PyBytes_GET_SIZE(taken);
        return taken;
    }
    taken = PyBytes_FromStringAndSize((char *)self->bytes.bytes, (Py_ssize_t)self->bytes.length);
    if (taken != NULL) {
        self->bytes.length = 0;
    }
    return taken;
}

/* Let go of what is open: the nodes of the straight path, which the collector does not know, and their runners' stacks. */
static void
log_release(Log *self)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback); /* it may go while an exception is on its way */
    PyObject *open = self->open == NULL ? NULL : table_values(self->open);
    for (Py_ssize_t at = 0; open != NULL && at < PyList_GET_SIZE(open); at++) {
        PyObject *node = PyList_GET_ITEM(open, at);
        PyObject *runner = Py_IS_TYPE(node, Node_Type) ? ((Node *)node)->runner : NULL;
        PyObject *stack = runner == NULL ? NULL : slot_get(runner, slots.stack);
        if (stack != NULL && PyList_CheckExact(stack)) {
            PyList_SetSlice(stack, 0, PY_SSIZE_T_MAX, NULL);
        }
    }
    Py_XDECREF(open);
    if (self->open != NULL) {
        table_clear(self->open);
    }
    PyErr_Restore(type, error, traceback);
}

static PyObject *
log_clear_method(PyObject *op, PyObject *Py_UNUSED(none))
{
    Log *self = (Log *)op;
    PyList_SetSlice(self->full, 0, PY_SSIZE_T_MAX, NULL);
    self->full_bytes = 0;
    buffer_free(&self->bytes);
    PyDict_Clear(self->texts);
    self->text_bytes = 0;
    Py_CLEAR(self->branch);
    log_release(self);
    if (self->noted != NULL) {
        PyList_SetSlice(self->noted, 0, PY_SSIZE_T_MAX, NULL);
    }
    Py_RETURN_NONE;
}

static Py_ssize_t
log_length(PyObject *op)
{
    Log *self = (Log *)op;
    return (Py_ssize_t)(self->full_bytes + self->bytes.length)
           + (self->noted == NULL ? 0 : NOTED_BYTES * PyList_GET_SIZE(self->noted));
}

static int
log_waits(PyObject *op)
{
    Log *self = (Log *)op;
    return PyList_GET_SIZE(self->full) > 0 || self->bytes.length > 0;
}

static PyObject *
log_node(PyObject *Py_UNUSED(op), void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)Node_Type);
}

/* Write where open nodes stand now; `lines` is packed. */
static PyObject *
log_lines(PyObject *op, PyObject *args)
{
    Log *self = (Log *)op;
    long long now;
    PyObject *lines;
    if (!PyArg_ParseTuple(args, "LO!:lines", &now, &PyBytes_Type, &lines)) {
        return NULL;
    }
    if (self->broken) {
        Py_RETURN_NONE;
    }
    if (buffer_need(&self->bytes, 64 + (size_t)PyBytes_GET_SIZE(lines)) < 0) {
        return PyErr_NoMemory();
    }
    self->bytes.length = (size_t)(head(self, 3, LINES, now) - self->bytes.bytes);
    self->events--; /* nothing has happened */
    if (put_bytes(&self->bytes, PyBytes_AS_STRING(lines), (size_t)PyBytes_GET_SIZE(lines)) < 0) {
        return PyErr_NoMemory();
    }
    if (log_finished(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- the type -------------------------------------------------------------------------------------------------------- */

static PyObject *
log_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"started_ns", "capturer", "entries", "pack",  "describe",
                            "here",       "arguments", "intern", "noted", NULL};
    long long started_ns;
    PyObject *capturer, *entries, *pack, *describe, *here;
    int arguments, interns, noted;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LOO!OOOppp:Log", names, &started_ns, &capturer, &PyDict_Type,
                                     &entries, &pack, &describe, &here, &arguments, &interns, &noted)) {
        return NULL;
    }
    Log *self = (Log *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->last_ns = started_ns;
    self->capturer = Py_NewRef(capturer);
    self->entries = Py_NewRef(entries);
    self->pack = Py_NewRef(pack);
    self->describe = Py_NewRef(describe);
    self->here = here == Py_None ? NULL : Py_NewRef(here);
    self->arguments = (char)arguments;
    self->intern = (char)interns;
    self->texts = PyDict_New();
    self->full = PyList_New(0);
    self->noted = noted ? PyList_New(0) : NULL;
    self->open = table_new();
    self->current = table_new();
    self->code_mask = FIRST_CODES - 1;
    self->codes = PyMem_RawCalloc(FIRST_CODES, sizeof(Code));
    self->trace = PyObject_GetAttrString(capturer, "_trace");
    PyObject *repr = PyObject_GetAttrString(capturer, "_repr");
    self->repr = repr == Py_True;
    Py_XDECREF(repr);
    self->capture = capture_new(capturer);
    if (self->texts == NULL || self->full == NULL || (noted && self->noted == NULL) || self->open == NULL || self->current == NULL
        || self->codes == NULL || self->trace == NULL || repr == NULL || self->capture == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
log_traverse(PyObject *op, visitproc visit, void *arg)
{
    Log *self = (Log *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->branch);
    Py_VISIT(self->texts);
    Py_VISIT(self->full);
    Py_VISIT(self->open);
    Py_VISIT(self->current);
    Py_VISIT(self->capturer);
    Py_VISIT(self->trace);
    Py_VISIT(self->entries);
    Py_VISIT(self->pack);
    Py_VISIT(self->describe);
    Py_VISIT(self->here);
    Py_VISIT(self->noted);
    for (size_t at = 0; self->codes != NULL && at <= self->code_mask; at++) {
        Py_VISIT(self->codes[at].entry);
    }
    return self->capture == NULL ? 0 : capture_traverse(self->capture, visit, arg);
}

static int
log_gc_clear(PyObject *op)
{
    /* The rest stays as long as anybody may call: nothing of it refers back but by way of these. */
    Log *self = (Log *)op;
    Py_CLEAR(self->branch);
    log_release(self);
    if (self->current != NULL) {
        table_clear(self->current);
    }
    return 0;
}

static void
log_dealloc(PyObject *op)
{
    Log *self = (Log *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    log_release(self);
    Py_XDECREF(self->full);
    buffer_free(&self->bytes);
    for (size_t at = 0; self->codes != NULL && at <= self->code_mask; at++) {
        Py_XDECREF(self->codes[at].entry);
        Py_XDECREF(self->codes[at].record);
    }
    PyMem_RawFree(self->codes);
    if (self->capture != NULL) {
        capture_free(self->capture);
    }
    Py_XDECREF(self->branch);
    Py_XDECREF(self->texts);
    Py_XDECREF(self->open);
    Py_XDECREF(self->current);
    Py_XDECREF(self->capturer);
    Py_XDECREF(self->trace);
    Py_XDECREF(self->entries);
    Py_XDECREF(self->pack);
    Py_XDECREF(self->describe);
    Py_XDECREF(self->here);
    Py_XDECREF(self->noted);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef log_methods[] = {
    {"append", log_append, METH_O, PyDoc_STR("write the record of an event (see runners.Event)")},
    {"take", log_take, METH_NOARGS, PyDoc_STR("return the oldest finished records that nobody has taken, some 64 KiB at a time")},
    {"clear", log_clear_method, METH_NOARGS, PyDoc_STR("let go of all that is written and not taken")},
    {"lines", log_lines, METH_VARARGS, PyDoc_STR("lines(now_ns, packed): write where open nodes stand now")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef log_getset[] = {
    {"node", log_node, NULL, PyDoc_STR("the class of its nodes"), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef log_members[] = {
    {"open", T_OBJECT_EX, offsetof(Log, open), READONLY, NULL},
    {"current", T_OBJECT_EX, offsetof(Log, current), READONLY, NULL},
    {"noted", T_OBJECT, offsetof(Log, noted), READONLY, PyDoc_STR("events of the root, where somebody decides by them")},
    {"last_ns", T_LONGLONG, offsetof(Log, last_ns), READONLY, PyDoc_STR("when the last event was")},
    {"text_bytes", T_PYSSIZET, offsetof(Log, text_bytes), READONLY, PyDoc_STR("what texts weigh that are kept to be known again")},
    {"pending", T_PYSSIZET, offsetof(Log, pending), READONLY, NULL},
    {"elided", T_PYSSIZET, offsetof(Log, elided), READONLY, NULL},
    {"events", T_PYSSIZET, offsetof(Log, events), READONLY, PyDoc_STR("how many were written, in all")},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot log_slots[] = {
    {Py_tp_doc, PyDoc_STR("the stream of one trace; its length is what it weighs, and it is true while records wait")},
    {Py_tp_new, log_new},
    {Py_tp_methods, log_methods},
    {Py_tp_members, log_members},
    {Py_tp_getset, log_getset},
    {Py_mp_length, log_length},
    {Py_nb_bool, log_waits},
    {Py_tp_traverse, log_traverse},
    {Py_tp_clear, log_gc_clear},
    {Py_tp_dealloc, log_dealloc},
    {0, NULL},
};

static PyType_Spec log_spec = {
    .name = "tracepatch.cores._native.Log",
    .basicsize = sizeof(Log),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = log_slots,
};

int
log_exec(PyObject *module)
{
    Log_Type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &log_spec, NULL);
    return Log_Type == NULL ? -1 : PyModule_AddType(module, Log_Type);
}
