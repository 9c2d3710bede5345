/* What one trace holds: its log, with the tables of what is open, and its nodes. */

#ifndef TRACEPATCH_RECORDER_H
#define TRACEPATCH_RECORDER_H

#include "compat.h"
#include "native.h"

/* ---- Table: numbers (of frames, of threads, of code) to objects, as a dict would hold them (table.c) ------------------ */

typedef struct {
    uint64_t key;
    PyObject *value; /* NULL: nothing here */
} Cell;

typedef struct {
    PyObject_HEAD
    Cell *cells;
    size_t mask;  /* their number, a power of two, less one */
    size_t count;
} Table;

extern PyTypeObject *Table_Type;

static inline size_t
table_place(const Table *table, uint64_t key)
{
    return (size_t)((key * 0x9e3779b97f4a7c15ULL) >> 32) & table->mask;
}

/* The object of a key, borrowed; NULL where there is none. */
static inline PyObject *
table_get(const Table *table, uint64_t key)
{
    for (size_t at = table_place(table, key); table->cells[at].value != NULL; at = (at + 1) & table->mask) {
        if (table->cells[at].key == key) {
            return table->cells[at].value;
        }
    }
    return NULL;
}

int table_set(Table *table, uint64_t key, PyObject *value); /* 0; -1 with an exception set */
int table_add(Table *table, uint64_t key, PyObject *value); /* 1; 0 where the key is there; -1 with an exception set */
PyObject *table_take(Table *table, uint64_t key);           /* a reference, out of the table; NULL where there is none */
void table_clear(Table *table);
PyObject *table_values(Table *table);                       /* a list; NULL with an exception set */
Table *table_new(void);

/* ---- Node: a call while it is open (node.c) ------------------------------------------------------------------------ */

typedef struct {
    PyObject_HEAD
    PyObject *entry;
    PyObject *runner;
    PyObject *saved;
    PyObject *holder;
    PyObject *along;
    unsigned long long frame_id;
    Py_ssize_t elided;
    Py_ssize_t number;
    char visible;
    char roams;
    char delegate;
} Node;

/* Whether a field refers to anything: Python clears it with None. */
static inline int
is_set(PyObject *field)
{
    return field != NULL && field != Py_None;
}

extern PyTypeObject *Node_Type; /* node.c */

Node *node_new(PyObject *entry, PyObject *runner, uint64_t frame_id);
void node_done(Node *node); /* let go of a reference, the last one as a rule */

/* ---- Log: the stream of one trace as far as it is written ------------------------------------------------------------ */

/* Kinds of records (tracepatch_shared.records). */
enum { CODE = 1, STRING = 2, BRANCH = 3, SWITCH = 4, CALL = 5, RETURN = 6, RAISE = 7, SUSPEND = 8, RESUME = 9, YIELD = 10,
       REENTER = 11, LINES = 15 };

#define CHUNK_BYTES 65536 /* that are sent at once */

/* What a trace knows of a code object that it has met. */
typedef struct {
    PyCodeObject *code; /* NULL: nothing here; its entry holds it */
    PyObject *entry;
    PyObject *record;  /* says what it is, packed; NULL so far, or written */
    Py_ssize_t number; /* in the stream; -1 while that is not written */
    int arguments;     /* how many; -1: not to be read here */
    char cells;        /* some of them may stand in cells */
    char met;          /* a call of it was recorded: if it suspends, that is told */
    char library;
    int action;        /* what is recorded of it (codes.py) */
} Code;

enum { HIDDEN = 0, APPLICATION = 1, LIBRARY = 2, SKIPPED = 3 };


typedef struct {
    PyObject_HEAD
    Buffer bytes;    /* finished records that nobody has taken */
    PyObject *full;  /* those before it, as `bytes`, oldest first */
    size_t full_bytes;
    Py_ssize_t text_bytes;
    int64_t last_ns;
    PyObject *branch; /* the runner of the last record */
    Py_ssize_t branches, nodes, strings, described, elided;
    int suspensions;    /* events of that kind since the last look at what the trace weighs */
    Py_ssize_t pending; /* calls that `recording.calls` does not count so far */
    Py_ssize_t events;  /* records of events, in all */
    PyObject *texts;
    Code *codes;
    size_t code_mask, code_count;
    Table *open, *current;
    Capture *capture;
    PyObject *capturer, *trace; /* `capturer._trace` */
    PyObject *entries;          /* the dict of the `CodeTable` */
    PyObject *pack;             /* plain data -> bytes, in Python */
    PyObject *describe;         /* entry -> the record that says what its code is */
    PyObject *here;             /* asks which strand this is; NULL: a thread */
    PyObject *noted;            /* events of the root, as they came, for whoever decides; NULL: none are wanted */
    char heavy;     /* as much is written as is sent at once: the next call looks at what the trace weighs */
    char broken; /* a record is missing, as there was no memory: none are written any more */
    char arguments;
    char intern;
    char repr;
} Log;

extern PyTypeObject *Log_Type;

/* Where the slots of the Python part lie (module.c). */
typedef struct {
    PyTypeObject *recording;
    Py_ssize_t done, straight, local, outer, calls, look_at, max_depth, events, root_node, suspensions, status, reason; /* a recording's */
    Py_ssize_t stack, shown, running, thrown, visited, number, kind, name, parent, link;                /* a runner's */
    Py_ssize_t simple, silent, suspends, coroutine, items, library, names, recorded, harmless_for, open_for, code; /* an entry's */
} Slots;

extern Slots slots;

Code *log_code(Log *log, PyCodeObject *code);       /* NULL: not met so far (no exception), or no memory (one is set) */
int log_describe(Log *log, PyCodeObject *code);     /* runs Python; 0, or -1 with an exception set */

/* A piece of a record: packed bytes in a scratch buffer, or a text, which may come again. */
typedef struct {
    PyObject *text; /* a reference; NULL: bytes */
    size_t from, to;
    Py_ssize_t known; /* the text's number in the stream; -1: it stands here itself */
} Piece;

/* Append a text to the record that is being written; UNUSUAL, and nothing appended, where a record has to stand before it. One
   that comes for the first time is left in `fresh`, which holds one: to be told when the record is whole (`log_met`). */
int log_put_text(Log *log, PyObject *text, PyObject **fresh);
int log_met(Log *log, PyObject *text); /* 0, or -1 with an exception set */

int log_next(Log *log); /* begin another buffer; 0, or -1 with an exception set */

/* A record is whole: begin another buffer where this one is as long as what is sent at once. */
static inline int
log_finished(Log *log)
{
    return log->bytes.length < CHUNK_BYTES ? 0 : log_next(log);
}

int log_gather(Log *log, PyObject *plain, Buffer *scratch, Piece *piece); /* may run Python; 0, or -1 with an exception */
int log_call(Log *log, PyObject *runner, int64_t now, Node *node, Code *code, Piece *pieces, int count,
             const Buffer *scratch); /* of described code; as the next, runs nothing of Python's; 0, or -1 with an exception */
int log_return(Log *log, PyObject *runner, int64_t now, Node *node, Piece *piece, const Buffer *scratch);
#define MOST_ARGUMENTS 16 /* that the straight path reads */

void pieces_free(Piece *pieces, int count);

int log_moved(Log *log, PyObject *runner, int kind, Node *node); /* YIELD, REENTER; 0, or -1 with an exception set */

/* Whether there was no memory for an error to be contained, nor for what went before it. */
static inline int
is_lack_of_memory(PyObject *error)
{
    return PyErr_ExceptionMatches(PyExc_MemoryError) && error != NULL
           && PyErr_GivenExceptionMatches(error, PyExc_MemoryError);
}

/* ---- the straight path (recorder.c) --------------------------------------------------------------------------------- */

enum { PYTHON = 0, DONE = 1, RAISED = -1 }; /* Python has to look at it; it was dealt with; an exception is set */

/* A function begins, or returns, on this thread in the Context of `recording`. `awaited`: a generator or coroutine is its
   caller. May run Python of ours for unusual values. */
int recorder_called(PyObject *recording, PyThreadState *thread, PyCodeObject *code, uint64_t frame_id, Locals locals,
                    int awaited);
int recorder_returned(PyObject *recording, PyThreadState *thread, PyCodeObject *code, uint64_t frame_id, PyObject *value);

/* A frame has yielded, or goes on; of no other trace than this one. */
int recorder_yielded(PyObject *recording, uint64_t frame_id);
int recorder_resumed(PyObject *recording, PyThreadState *thread, uint64_t frame_id);

/* Whether the end of this frame can matter to `recording`. */
int recorder_follows(PyObject *recording, uint64_t frame_id);

/* Have `recording.calls` count all calls: before Python looks at it. 0, or -1 with an exception set. */
int recorder_settle(PyObject *recording);

int recorder_exec(PyObject *module);
int callback_exec(PyObject *module);
int hook_exec(PyObject *module);
int wait_exec(PyObject *module);
int node_exec(PyObject *module);
int log_exec(PyObject *module);
int table_exec(PyObject *module);

#endif
