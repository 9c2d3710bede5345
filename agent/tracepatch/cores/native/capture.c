/* Values -> plain form, packed: the twin of `UsualReader` (usual.py), of the scalars in `Capturer.value`, and of what
   `Reader` shows by a name.

   What else stands there as `UNUSUAL` is UNUSUAL here, and what Python would have to ask or to remember first is as well: a
   name that was not met before, a text that has anything of a secret in it. Python then reads the value from the start
   and fills the sets of the `Redactor`; they are replaced whenever a secret is remembered, so they are read each time.
   Nothing is remembered here, so it makes no difference in which order names and values are looked at.

   All keys that are compared or hashed are exact `str`; nothing is asked of any other object of the user's. The dict of
   an instance that had none yet is made, as Python makes it. The GIL is held and the collector kept from running, so that
   nothing changes meanwhile: borrowed references are good. */

#include "capture.h"

#define DEEPEST 16        /* far above the ceiling of `Capture.depth`, which bounds the recursion */
#define MARK_HEAD 3       /* bytes of the head of a mark of usual size */
#define EXT_MARK 1        /* `tracepatch_shared.values.EXT_MARK` */
#define CHECKED (1 << 15) /* bytes of one value that have less characters than `Reader` checks in it */

#define MAX_NODES 2000    /* `usual.MAX_NODES`: beyond it values are left out */
#define MEMBER_FIELDS 16  /* that are searched for the name of an enum's member */

#define DEQUE_ITEMS 64    /* of one deque */

static PyTypeObject *default_dict, *deque;

/* The containers that one is in. */
typedef struct Inside {
    PyObject *value;
    const struct Inside *outer;
} Inside;

static int pack_value(Capture *capture, PyObject *value, const Inside *outer, Py_ssize_t level, Buffer *out);

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* Write one character as UTF-8; NULL where it is half of a surrogate pair. */
static inline unsigned char *
write_utf8(unsigned char *to, Py_UCS4 character)
{
    if (character < 0x80) {
        *to++ = (unsigned char)character;
        return to;
    }
    if (character < 0x800) {
        *to++ = (unsigned char)(0xc0 | character >> 6);
    }
    else {
        if (character < 0x10000) {
            if (character >= 0xd800 && character < 0xe000) {
                return NULL;
            }
            *to++ = (unsigned char)(0xe0 | character >> 12);
        }
        else {
            *to++ = (unsigned char)(0xf0 | character >> 18);
            *to++ = (unsigned char)(0x80 | (character >> 12 & 0x3f));
        }
        *to++ = (unsigned char)(0x80 | (character >> 6 & 0x3f));
    }
    *to++ = (unsigned char)(0x80 | (character & 0x3f));
    return to;
}

/* Append a text that is not ASCII; UNUSUAL where it is not shown as it is. */
static int
pack_wide(Capture *capture, PyObject *text, Buffer *out)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    if (buffer_need(out, PACKED_HEADER + 4 * (size_t)length) < 0) {
        return NO_MEMORY;
    }
    unsigned char *characters = out->bytes + out->length + PACKED_HEADER, *end = characters;
    for (Py_ssize_t index = 0; index < length; index++) {
        end = write_utf8(end, PyUnicode_READ(kind, data, index));
        if (end == NULL) {
            return UNUSUAL;
        }
    }
    size_t size = (size_t)(end - characters);
    if (!redactor_allows_text(&capture->redactor, text, characters, size)) {
        return UNUSUAL;
    }
    unsigned char *to = pack_text_head(out->bytes + out->length, size);
    memmove(to, characters, size);
    out->length = (size_t)(to - out->bytes) + size;
    return out->length - capture->start > CHECKED ? UNUSUAL : CAPTURED;
}

int
pack_ascii(PyObject *text, Buffer *out)
{
    size_t length = (size_t)PyUnicode_GET_LENGTH(text);
    if (buffer_need(out, PACKED_HEADER + length) < 0) {
        return NO_MEMORY;
    }
    unsigned char *end = pack_text_head(out->bytes + out->length, length);
    memcpy(end, PyUnicode_DATA(text), length);
    out->length = (size_t)(end - out->bytes) + length;
    return CAPTURED;
}

/* Whether a text is ASCII and shown as it is. */
static int
is_plain(Capture *capture, PyObject *text)
{
    return PyUnicode_IS_COMPACT_ASCII(text) && PyUnicode_GET_LENGTH(text) <= capture->characters
           && redactor_allows_text(
               &capture->redactor, text, PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
}

/* Append a text; UNUSUAL where it is not shown as it is. */
static int
pack_text(Capture *capture, PyObject *text, Buffer *out)
{
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        return is_plain(capture, text) && out->length - capture->start <= CHECKED ? pack_ascii(text, out) : UNUSUAL;
    }
    return PyUnicode_GET_LENGTH(text) <= capture->characters ? pack_wide(capture, text, out) : UNUSUAL;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static int
pack_int(Capture *capture, PyObject *value, Buffer *out)
{
    int overflow = 0, huge = 0;
    long long number;
    unsigned long long magnitude = 0;
    if (PyUnstable_Long_IsCompact((PyLongObject *)value)) {
        number = PyUnstable_Long_CompactValue((PyLongObject *)value);
    }
    else {
        number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow < 0) {
            return UNUSUAL;
        }
        if (overflow > 0) {
            magnitude = PyLong_AsUnsignedLongLong(value);
            if (PyErr_Occurred()) {
                PyErr_Clear();
                return UNUSUAL;
            }
            huge = 1;
        }
    }
    if (huge || !redactor_is_small(&capture->redactor, number)) {
        int negative = !huge && number < 0;
        if (!huge) {
            magnitude = negative ? 0 - (unsigned long long)number : (unsigned long long)number;
        }
        if (!redactor_allows_number(&capture->redactor, negative, magnitude)) {
            return UNUSUAL;
        }
    }
    if (buffer_need(out, PACKED_NUMBER) < 0) {
        return NO_MEMORY;
    }
    unsigned char *to = out->bytes + out->length;
    out->length = (size_t)((huge ? pack_unsigned(to, magnitude) : pack_signed(to, number)) - out->bytes);
    return CAPTURED;
}

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

/* Append bytes; UNUSUAL where they are not ASCII, or not shown as they are. */
static int
pack_bytes(Capture *capture, PyObject *value, Buffer *out)
{
    size_t size = (size_t)PyBytes_GET_SIZE(value);
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(value);
    if (PyBytes_GET_SIZE(value) > capture->characters || out->length - capture->start + size > CHECKED) {
        return UNUSUAL;
    }
    for (size_t index = 0; index < size; index++) {
        if (bytes[index] > 0x7f || (bytes[index] < 0x20 && !(bytes[index] >= 9 && bytes[index] <= 13) && bytes[index] != 27)) {
            return UNUSUAL;
        }
    }
    if (!redactor_allows_text(&capture->redactor, NULL, bytes, size)) {
        return UNUSUAL;
    }
    if (buffer_need(out, PACKED_HEADER + size) < 0) {
        return NO_MEMORY;
    }
    unsigned char *to = out->bytes + out->length;
    to = size < 0x100 ? pack_big(to, 0xc4, size, 1) : pack_big(to, 0xc5, size, 2);
    memcpy(to, bytes, size);
    out->length = (size_t)(to - out->bytes) + size;
    return CAPTURED;
}

/* Append a scalar or a text; NESTED for whatever else. */
static int
pack_scalar(Capture *capture, PyObject *value, Buffer *out)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyUnicode_Type) {
        return pack_text(capture, value, out);
    }
    if (type == &PyLong_Type) {
        return pack_int(capture, value, out);
    }
    if (value == Py_None) {
        return pack_byte(0xc0, out);
    }
    if (type == &PyBool_Type) {
        return pack_byte(value == Py_True ? 0xc3 : 0xc2, out);
    }
    if (type == &PyFloat_Type) {
        if (buffer_need(out, PACKED_NUMBER) < 0) {
            return NO_MEMORY;
        }
        out->length = (size_t)(pack_double(out->bytes + out->length, PyFloat_AS_DOUBLE(value)) - out->bytes);
        return CAPTURED;
    }
    return type == &PyBytes_Type ? pack_bytes(capture, value, out) : NESTED;
}

/* ---- marks ------------------------------------------------------------------------------------------------------- */

static int
pack_count(size_t count, unsigned char *(*pack)(unsigned char *, size_t), Buffer *out)
{
    if (buffer_need(out, PACKED_HEADER) < 0) {
        return NO_MEMORY;
    }
    out->length = (size_t)(pack(out->bytes + out->length, count) - out->bytes);
    return CAPTURED;
}

static int
pack_length(Py_ssize_t length, Buffer *out)
{
    if (PACK_LITERAL("\xa6length", out) < 0 || buffer_need(out, PACKED_NUMBER) < 0) {
        return NO_MEMORY;
    }
    out->length = (size_t)(pack_unsigned(out->bytes + out->length, (uint64_t)length) - out->bytes);
    return CAPTURED;
}

int
begin_mark(const char *kind, int fields, Buffer *out, size_t *start)
{
    *start = out->length;
    if (pack_raw("\0\0\0\x92", MARK_HEAD + 1, out) < 0 || pack_raw(kind, strlen(kind), out) < 0) {
        return NO_MEMORY;
    }
    return pack_byte((unsigned char)(0x80 | fields), out);
}

int
end_mark(Buffer *out, size_t start)
{
    size_t size = out->length - start - MARK_HEAD;
    unsigned char head[8], *end = head;
    if (size == 1 || size == 2 || size == 4 || size == 8 || size == 16) {
        unsigned char tag = 0xd4;
        for (size_t fixed = size; fixed > 1; fixed >>= 1) {
            tag++;
        }
        *end++ = tag;
    }
    else if (size < 0x100) {
        end = pack_big(end, 0xc7, size, 1);
    }
    else {
        end = size < 0x10000 ? pack_big(end, 0xc8, size, 2) : pack_big(end, 0xc9, size, 4);
    }
    *end++ = EXT_MARK;
    size_t used = (size_t)(end - head);
    if (used > MARK_HEAD && buffer_need(out, used - MARK_HEAD) < 0) {
        return NO_MEMORY;
    }
    unsigned char *at_start = out->bytes + start;
    if (used != MARK_HEAD) {
        memmove(at_start + used, at_start + MARK_HEAD, size);
        out->length += used - MARK_HEAD;
    }
    memcpy(at_start, head, used);
    return CAPTURED;
}

static int
pack_type(const Plan *plan, Buffer *out)
{
    Py_ssize_t size;
    const char *name = PyUnicode_AsUTF8AndSize(plan->name, &size);
    if (name == NULL) {
        PyErr_Clear();
        return UNUSUAL;
    }
    if (PACK_LITERAL("\xa4type", out) < 0 || buffer_need(out, PACKED_HEADER + (size_t)size) < 0) {
        return NO_MEMORY;
    }
    out->length = (size_t)(pack_text_head(out->bytes + out->length, (size_t)size) - out->bytes);
    return pack_raw(name, (size_t)size, out);
}

/* ---- containers -------------------------------------------------------------------------------------------------- */

/* Whether a key is shown as it is and makes no value secret, as was found out before. */
static int
is_harmless_key(Capture *capture, PyObject *key, PyObject *item)
{
    if (!PyUnicode_CheckExact(key) || !PyUnicode_IS_COMPACT_ASCII(key)) {
        return 0;
    }
    Redactor *redactor = &capture->redactor;
    if (set_has(redactor_slot(redactor, redactor_at.plain_names), key)) {
        return 1;
    }
    if (!redactor_allows_name(redactor, key) || !is_plain(capture, key)) {
        return 0;
    }
    return !set_has(capture->naming, key)
           || (!PyBytes_CheckExact(item) && (!PyUnicode_CheckExact(item) || redactor_allows_name(redactor, item)));
}

/* Append a key that is no exact text; it makes no value secret. */
static int
pack_key(Capture *capture, PyObject *key, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    if (PyBytes_CheckExact(key)
        && !redactor_allows_latin(&capture->redactor, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))) {
        return UNUSUAL;
    }
    return pack_value(capture, key, inside, level + 1, out);
}

/* Append a field, the value of a key. */
static int
pack_pair(Capture *capture, PyObject *key, PyObject *item, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    if (++capture->nodes >= MAX_NODES || !is_harmless_key(capture, key, item)) {
        return UNUSUAL; /* `Reader` counts some keys, and not others */
    }
    int done = pack_ascii(key, out);
    return done == CAPTURED ? pack_value(capture, item, inside, level + 1, out) : done;
}

/* Append the first `count` pairs of a dict whose keys are texts. */
static int
pack_pairs(Capture *capture, PyObject *pairs, Py_ssize_t count, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    Py_ssize_t place = 0;
    PyObject *key, *item;
    while (count-- > 0 && PyDict_Next(pairs, &place, &key, &item)) {
        int done = pack_pair(capture, key, item, inside, level, out);
        if (done != CAPTURED) {
            return done;
        }
    }
    return CAPTURED;
}

/* Append the first `count` pairs of a dict, each as a list of two. */
static int
pack_twos(Capture *capture, PyObject *pairs, Py_ssize_t count, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    if (pack_count((size_t)count, pack_array, out) < 0) {
        return NO_MEMORY;
    }
    Py_ssize_t place = 0;
    PyObject *key, *item;
    while (count-- > 0 && PyDict_Next(pairs, &place, &key, &item)) {
        int done = pack_byte(0x92, out);
        if (done == CAPTURED && PyUnicode_CheckExact(key)) {
            done = pack_pair(capture, key, item, inside, level, out);
        }
        else if (done == CAPTURED) {
            done = pack_key(capture, key, inside, level, out);
            done = done == CAPTURED ? pack_value(capture, item, inside, level + 1, out) : done;
        }
        if (done != CAPTURED) {
            return done;
        }
    }
    return CAPTURED;
}

static int
has_text_keys(PyObject *pairs)
{
    Py_ssize_t place = 0;
    PyObject *key;
    while (PyDict_Next(pairs, &place, &key, NULL)) {
        if (!PyUnicode_CheckExact(key)) {
            return 0;
        }
    }
    return 1;
}

/* Append a dict, or what a subclass of it holds: `Reader._read_dict`. */
static int
pack_dict(Capture *capture, PyObject *value, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    Py_ssize_t length = PyDict_GET_SIZE(value), count = length < capture->items ? length : capture->items;
    if (count == length && has_text_keys(value)) {
        if (pack_count((size_t)count, pack_map, out) < 0) {
            return NO_MEMORY;
        }
        return pack_pairs(capture, value, count, inside, level, out);
    }
    size_t start;
    int done = begin_mark("\xa4" "dict", 1 + (count < length), out, &start);
    if (done == CAPTURED) {
        done = PACK_LITERAL("\xa5items", out);
    }
    if (done == CAPTURED) {
        done = pack_twos(capture, value, count, inside, level, out);
    }
    if (done == CAPTURED && count < length) {
        done = pack_length(length, out);
    }
    return done == CAPTURED ? end_mark(out, start) : done;
}

/* Whether the first of a pair makes no value secret. */
static int
is_harmless_name(Capture *capture, PyObject *name)
{
    if (PyUnicode_CheckExact(name)) {
        return redactor_allows_name(&capture->redactor, name);
    }
    return !PyBytes_CheckExact(name)
           || redactor_allows_latin(&capture->redactor, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name));
}

/* Append a list or tuple of which as many items are there as are shown. */
static int
pack_items(
    Capture *capture, PyObject *const *items, Py_ssize_t length, int is_list, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    Py_ssize_t count = length < capture->items ? length : capture->items;
    if ((length == 2 || (length == 3 && count > 1)) && count > 0 && !is_harmless_name(capture, items[0])) {
        return UNUSUAL; /* the first of a pair names the second, that of three the third */
    }
    int whole = count == length;
    size_t start = 0;
    if (!whole || !is_list) {
        if (begin_mark(is_list ? "\xa4list" : "\xa5tuple", (whole || count > 0) + !whole, out, &start) < 0) {
            return NO_MEMORY;
        }
        if ((whole || count > 0) && PACK_LITERAL("\xa5items", out) < 0) {
            return NO_MEMORY;
        }
    }
    if ((whole || count > 0) && pack_count((size_t)count, pack_array, out) < 0) {
        return NO_MEMORY;
    }
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *item = items[index];
        if (PyUnicode_CheckExact(item) && PyUnicode_GET_LENGTH(item) > 0 && PyUnicode_READ_CHAR(item, 0) == '-') {
            return UNUSUAL; /* an option names what follows it */
        }
        int done = pack_value(capture, item, inside, level + 1, out);
        if (done != CAPTURED) {
            return done;
        }
    }
    if (whole && is_list) {
        return CAPTURED;
    }
    if (!whole && pack_length(length, out) < 0) {
        return NO_MEMORY;
    }
    return end_mark(out, start);
}

/* Begin the mark of an object: its type, and room for `more` beside it. */
static int
begin_object(const Plan *plan, int more, Buffer *out, size_t *start)
{
    int done = begin_mark("\xa6object", 1 + more, out, start);
    return done == CAPTURED ? pack_type(plan, out) : done;
}

/* Append what an object is itself, if anything. */
static int
pack_content(Capture *capture, PyObject *value, const Plan *plan, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    int done = PACK_LITERAL("\xa5value", out);
    if (done != CAPTURED) {
        return done;
    }
    if (plan->holds == HOLDS_DICT) {
        return pack_dict(capture, value, inside, level, out);
    }
    int is_list = plan->holds == HOLDS_LIST;
    PyObject *const *items = is_list ? ((PyListObject *)value)->ob_item : ((PyTupleObject *)value)->ob_item;
    return pack_items(capture, items, Py_SIZE(value), is_list, inside, level, out);
}

/* Append a field `name` for each of some texts and values. */
static int
pack_fields(
    Capture *capture, PyObject *const *names, PyObject *const *items, Py_ssize_t count, const Inside *inside, Py_ssize_t level,
    Buffer *out)
{
    int done = CAPTURED;
    for (Py_ssize_t index = 0; done == CAPTURED && index < count; index++) {
        done = pack_pair(capture, names[index], items[index], inside, level, out);
    }
    return done;
}

/* Append a named tuple. */
static int
pack_named(Capture *capture, PyObject *value, const Plan *plan, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    PyObject *fields = plan->items; /* ours for as long as it is used: what is read below may take the plan's place */
    Py_ssize_t count = PyTuple_GET_SIZE(fields);
    if (count > capture->items || count != Py_SIZE(value)) {
        return UNUSUAL;
    }
    Py_INCREF(fields);
    size_t start;
    int done = begin_object(plan, 1, out, &start);
    if (done == CAPTURED) {
        done = PACK_LITERAL("\xa6" "fields", out);
    }
    if (done == CAPTURED) {
        done = pack_count((size_t)count, pack_map, out);
    }
    if (done == CAPTURED) {
        PyObject *const *names = ((PyTupleObject *)fields)->ob_item, *const *items = ((PyTupleObject *)value)->ob_item;
        done = pack_fields(capture, names, items, count, inside, level, out);
    }
    Py_DECREF(fields);
    return done == CAPTURED ? end_mark(out, start) : done;
}

/* Whether one of some texts is a key of a dict, too, or one of its keys is no exact text. */
static int
shares_name(PyObject *pairs, PyObject *const *names, Py_ssize_t count)
{
    Py_ssize_t place = 0;
    PyObject *key;
    while (PyDict_Next(pairs, &place, &key, NULL)) {
        for (Py_ssize_t index = 0; index < count; index++) {
            if (!PyUnicode_CheckExact(key) || PyUnicode_Compare(key, names[index]) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

/* Append an object: what it is itself, and its fields in `pairs`, which is its `__dict__` or NULL, and in slots. */
static int
pack_instance(
    Capture *capture, PyObject *value, PyObject *pairs, const Plan *plan, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    PyObject *names[MAX_SLOTS], *items[MAX_SLOTS];
    Py_ssize_t slots = 0, length = pairs == NULL ? 0 : PyDict_GET_SIZE(pairs);
    for (int index = 0; index < plan->count; index++) {
        PyObject *item = slot_get(value, plan->slots[index].offset);
        if (item != NULL) {
            names[slots] = plan->slots[index].name;
            items[slots++] = item;
        }
    }
    if (slots > 0 && length > 0 && shares_name(pairs, names, slots)) {
        return UNUSUAL;
    }
    Py_ssize_t count = length < capture->items ? length : capture->items;
    if ((slots > 0 && length + slots > capture->items) || (count == 0 && length > 0)) {
        return UNUSUAL;
    }
    for (Py_ssize_t index = 0; index < slots; index++) {
        Py_INCREF(names[index]); /* what is read below may take the plan's place */
    }
    size_t start;
    int done = begin_object(plan, (plan->holds != NOTHING) + (count + slots > 0) + (count < length), out, &start);
    if (done == CAPTURED && plan->holds != NOTHING) {
        done = pack_content(capture, value, plan, inside, level, out);
    }
    if (done == CAPTURED && count + slots > 0) {
        done = PACK_LITERAL("\xa6" "fields", out);
        if (done == CAPTURED) {
            done = pack_count((size_t)(count + slots), pack_map, out);
        }
        if (done == CAPTURED && count > 0) {
            done = pack_pairs(capture, pairs, count, inside, level, out);
        }
        if (done == CAPTURED) {
            done = pack_fields(capture, names, items, slots, inside, level, out);
        }
    }
    if (done == CAPTURED && count < length) {
        done = pack_length(length, out);
    }
    for (Py_ssize_t index = 0; index < slots; index++) {
        Py_DECREF(names[index]);
    }
    return done == CAPTURED ? end_mark(out, start) : done;
}

/* Append a member of an enum by its name, which is in its `__dict__`: `objects.enum_name`. */
static int
pack_member(Capture *capture, PyObject *pairs, const Plan *plan, Buffer *out)
{
    Py_ssize_t place = 0;
    PyObject *key, *name;
    for (int count = 0; count < MEMBER_FIELDS && PyDict_Next(pairs, &place, &key, &name); count++) {
        if (!PyUnicode_CheckExact(key) || PyUnicode_CompareWithASCIIString(key, "_name_") != 0) {
            continue;
        }
        if (!PyUnicode_CheckExact(name) || !is_plain(capture, name)) {
            return UNUSUAL;
        }
        size_t start;
        int done = begin_mark("\xa5value", 2, out, &start);
        if (done == CAPTURED) {
            done = pack_type(plan, out);
        }
        if (done == CAPTURED) {
            done = PACK_LITERAL("\xa4text", out);
        }
        if (done == CAPTURED) {
            done = pack_ascii(name, out);
        }
        return done == CAPTURED ? end_mark(out, start) : done;
    }
    return UNUSUAL;
}

static int
pack_object(Capture *capture, PyObject *value, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    const Plan *plan = plans_find(&capture->plans, Py_TYPE(value));
    if (plan == NULL) {
        return UNUSUAL;
    }
    if (level >= capture->levels && plan->how != AS_MEMBER) {
        size_t start;
        int done = level < capture->depth ? UNUSUAL : begin_object(plan, 0, out, &start);
        return done == CAPTURED ? end_mark(out, start) : done;
    }
    if (plan->how == BY_PYTHON) {
        return UNUSUAL;
    }
    if (plan->how == AS_OBJECT && plan->holds == HOLDS_FIELDS) {
        return pack_named(capture, value, plan, inside, level, out);
    }
    if (!plan->has_dict) {
        return pack_instance(capture, value, NULL, plan, inside, level, out);
    }
    PyObject *pairs = PyObject_GenericGetDict(value, NULL);
    if (pairs == NULL) {
        PyErr_Clear();
        return UNUSUAL;
    }
    int done = UNUSUAL;
    if (PyDict_CheckExact(pairs)) {
        done = plan->how == AS_MEMBER ? pack_member(capture, pairs, plan, out)
                                      : pack_instance(capture, value, pairs, plan, inside, level, out);
    }
    Py_DECREF(pairs); /* the instance has it as well */
    return done;
}

/* Append a dict, list, tuple or set that is too deep to be read: its length. `kind` is packed; `empty` is the form of one
   that holds nothing. */
static int
pack_border(Capture *capture, const char *kind, Py_ssize_t length, const char *empty, Py_ssize_t level, Buffer *out)
{
    if (level < capture->depth) {
        return UNUSUAL; /* that deep, bounds may be met */
    }
    if (length == 0 && empty != NULL) {
        return pack_raw(empty, 1, out);
    }
    size_t start;
    int done = begin_mark(kind, 1, out, &start);
    if (done == CAPTURED) {
        done = length == 0 ? PACK_LITERAL("\xa5items\x90", out) : pack_length(length, out);
    }
    return done == CAPTURED ? end_mark(out, start) : done;
}

/* Append a set, in the order of its table, in which it is iterated over. */
static int
pack_set(Capture *capture, PyObject *value, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    const PySetObject *set = (PySetObject *)value;
    const char *kind = PySet_CheckExact(value) ? "\xa3set" : "\xa9" "frozenset";
    Py_ssize_t length = set->used, left = length < capture->items ? length : capture->items;
    if (level >= capture->levels || (left == 0 && length > 0)) {
        return pack_border(capture, kind, length, NULL, level, out);
    }
    const Py_ssize_t shown = left;
    size_t start;
    int done = begin_mark(kind, 1 + (left < length), out, &start);
    if (done == CAPTURED) {
        done = PACK_LITERAL("\xa5items", out);
    }
    if (done == CAPTURED) {
        done = pack_count((size_t)left, pack_array, out);
    }
    for (Py_ssize_t index = 0; done == CAPTURED && left > 0 && index <= set->mask; index++) {
        PyObject *item = set->table[index].key;
        if (item == NULL || set->table[index].hash == -1) {
            continue;
        }
        if (length == 3 && shown > 1 && left == shown && !is_harmless_name(capture, item)) {
            return UNUSUAL; /* not that it would name the third: `Reader` asks */
        }
        left--;
        done = pack_value(capture, item, inside, level + 1, out);
    }
    if (done == CAPTURED && length > capture->items) {
        done = pack_length(length, out);
    }
    return done == CAPTURED ? end_mark(out, start) : done;
}

static int
pack_deque(Capture *capture, PyObject *value, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    Py_ssize_t length = PySequence_Size(value), count = length < capture->items ? length : capture->items;
    if (level >= capture->levels) {
        return pack_border(capture, "\xa4list", length, "\x90", level, out);
    }
    PyObject *items[DEQUE_ITEMS];
    if (length < 0 || count > DEQUE_ITEMS) {
        return UNUSUAL;
    }
    for (Py_ssize_t index = 0; index < count; index++) {
        items[index] = PySequence_GetItem(value, index);
        Py_DECREF(items[index]); /* the deque has it as well */
    }
    return pack_items(capture, items, length, 1, inside, level, out);
}

/* Append a container of one of the standard classes: `Reader._read_held`. */
static int
pack_held(Capture *capture, PyObject *value, const Inside *inside, Py_ssize_t level, Buffer *out)
{
    int is_deque = Py_IS_TYPE(value, deque);
    size_t start;
    int done = begin_mark("\xa6object", 2, out, &start);
    if (done == CAPTURED) {
        done = names_pack_type(&capture->names, Py_TYPE(value), out);
    }
    if (done == CAPTURED) {
        done = PACK_LITERAL("\xa5value", out);
    }
    if (done == CAPTURED && is_deque) {
        done = pack_deque(capture, value, inside, level, out);
    }
    else if (done == CAPTURED) {
        done = level < capture->levels
                   ? pack_dict(capture, value, inside, level, out)
                   : pack_border(capture, "\xa4" "dict", PyDict_GET_SIZE(value), "\x80", level, out);
    }
    return done == CAPTURED ? end_mark(out, start) : done;
}

/* Append a value that is no scalar, in `level` others: `UsualReader.read`, and what of `Reader` is done here. */
static int
pack_container(Capture *capture, PyObject *value, const Inside *outer, Py_ssize_t level, Buffer *out)
{
    PyTypeObject *type = Py_TYPE(value);
    int is_dict = type == &PyDict_Type, is_sequence = type == &PyList_Type || type == &PyTuple_Type;
    if (!is_dict && !is_sequence) {
        int done = names_pack(&capture->names, value, out);
        if (done != NESTED) {
            return done;
        }
    }
    for (const Inside *around = outer; around != NULL; around = around->outer) {
        if (around->value == value) {
            return UNUSUAL; /* a cycle */
        }
    }
    const Inside inside = {value, outer};
    if (is_dict) {
        return level < capture->levels
                   ? pack_dict(capture, value, &inside, level, out)
                   : pack_border(capture, "\xa4" "dict", PyDict_GET_SIZE(value), "\x80", level, out);
    }
    if (is_sequence) {
        int is_list = type == &PyList_Type;
        PyObject *const *items = is_list ? ((PyListObject *)value)->ob_item : ((PyTupleObject *)value)->ob_item;
        return level < capture->levels
                   ? pack_items(capture, items, Py_SIZE(value), is_list, &inside, level, out)
                   : pack_border(capture, is_list ? "\xa4list" : "\xa5tuple", Py_SIZE(value), is_list ? "\x90" : NULL, level, out);
    }
    if (PyAnySet_CheckExact(value)) {
        return pack_set(capture, value, &inside, level, out);
    }
    if (type == &PyODict_Type || type == default_dict || type == deque) {
        return pack_held(capture, value, &inside, level, out);
    }
    return pack_object(capture, value, &inside, level, out);
}

static int
pack_value(Capture *capture, PyObject *value, const Inside *outer, Py_ssize_t level, Buffer *out)
{
    if (++capture->nodes >= MAX_NODES) {
        return UNUSUAL;
    }
    int done = pack_scalar(capture, value, out);
    return done == NESTED ? pack_container(capture, value, outer, level, out) : done;
}

/* ---- what the other parts call ----------------------------------------------------------------------------------- */

int
capture_value(Capture *capture, PyObject *value, Buffer *out)
{
    size_t start = capture->start = out->length;
    capture->nodes = 0;
#if PY_VERSION_HEX < 0x030c0000
    int collects = PyGC_Disable(); /* making a dict may run it at once, and with it code of the application's */
#endif
    int done = capture->shows_repr ? reprs_pack(capture, value, out) : pack_value(capture, value, NULL, 0, out);
#if PY_VERSION_HEX < 0x030c0000
    if (collects) {
        PyGC_Enable();
    }
#endif
    if (done != CAPTURED) {
        out->length = start;
    }
    return done;
}

int
capture_is_plain_text(Capture *capture, PyObject *text)
{
    return !capture->shows_repr && is_plain(capture, text);
}

int
read_number(PyObject *object, const char *name, Py_ssize_t *number)
{
    PyObject *found = PyObject_GetAttrString(object, name);
    if (found == NULL) {
        return -1;
    }
    *number = PyLong_AsSsize_t(found);
    Py_DECREF(found);
    return *number == -1 && PyErr_Occurred() ? -1 : 0;
}

Capture *
capture_new(PyObject *capturer)
{
    Capture *capture = PyMem_Calloc(1, sizeof *capture);
    if (capture == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    capture->capturer = Py_NewRef(capturer);
    PyObject *redactor = PyObject_GetAttrString(capturer, "_redactor");
    PyObject *shows_repr = PyObject_GetAttrString(capturer, "_repr");
    PyObject *usual = PyObject_GetAttrString(capturer, "_usual");
    PyObject *module = PyImport_ImportModule("tracepatch.secret_values");
    int failed = module == NULL || (capture->naming = PyObject_GetAttrString(module, "NAME_KEYS")) == NULL
                 || redactor == NULL || shows_repr == NULL || usual == NULL || redactor_init(&capture->redactor, redactor) < 0
                 || read_number(usual, "_items", &capture->items) < 0
                 || read_number(usual, "_text_limit", &capture->characters) < 0
                 || read_number(usual, "_depth", &capture->depth) < 0
                 || read_number(usual, "levels", &capture->levels) < 0 || plans_init(&capture->plans) < 0
                 || reprs_init(&capture->reprs, capturer) < 0;
    capture->shows_repr = shows_repr == Py_True;
    Py_XDECREF(module);
    Py_XDECREF(redactor);
    Py_XDECREF(shows_repr);
    Py_XDECREF(usual);
    if (!failed && !PyFrozenSet_Check(capture->naming)) {
        PyErr_SetString(PyExc_TypeError, "NAME_KEYS is no frozenset");
        failed = 1;
    }
    if (!failed && (capture->levels > DEEPEST || capture->reprs.depth > DEEPEST)) {
        PyErr_SetString(PyExc_ValueError, "a capture that is too deep");
        failed = 1;
    }
    if (failed) {
        capture_free(capture);
        return NULL;
    }
    return capture;
}

void
capture_free(Capture *capture)
{
    if (capture == NULL) {
        return;
    }
    redactor_free(&capture->redactor);
    plans_free(&capture->plans);
    names_free(&capture->names);
    reprs_free(&capture->reprs);
    Py_CLEAR(capture->capturer);
    Py_CLEAR(capture->naming);
    PyMem_Free(capture);
}

int
capture_traverse(Capture *capture, visitproc visit, void *arg)
{
    if (capture != NULL) {
        Py_VISIT(capture->capturer);
        Py_VISIT(capture->redactor.object);
        Py_VISIT(capture->plans.ordinary);
        Py_VISIT(capture->reprs.keys);
        Py_VISIT(capture->reprs.inert);
        Py_VISIT(capture->plans.plans);
    }
    return 0;
}

/* ---- for tests --------------------------------------------------------------------------------------------------- */

static const char CAPSULE[] = "tracepatch.Capture";

static void
free_capsule(PyObject *capsule)
{
    capture_free(PyCapsule_GetPointer(capsule, CAPSULE));
}

/* `capture(capturer)`: what `encode` takes in place of the capturer, to be made once. */
static PyObject *
test_capture(PyObject *Py_UNUSED(module), PyObject *capturer)
{
    Capture *capture = capture_new(capturer);
    if (capture == NULL) {
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(capture, CAPSULE, free_capsule);
    if (capsule == NULL) {
        capture_free(capture);
    }
    return capsule;
}

static PyObject *
test_encode(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "encode(capturer, value)");
        return NULL;
    }
    int made = !PyCapsule_CheckExact(args[0]);
    Capture *capture = made ? capture_new(args[0]) : PyCapsule_GetPointer(args[0], CAPSULE);
    if (capture == NULL) {
        return NULL;
    }
    Buffer out = {0};
    int done = capture_value(capture, args[1], &out);
    PyObject *result = NULL;
    if (done == UNUSUAL && out.length == 0) {
        result = Py_NewRef(Py_None);
    }
    else if (done == CAPTURED) {
        result = PyBytes_FromStringAndSize((const char *)out.bytes, (Py_ssize_t)out.length);
    }
    else {
        PyErr_NoMemory();
    }
    buffer_free(&out);
    if (made) {
        capture_free(capture);
    }
    return result;
}

static PyMethodDef functions[] = {
    {"capture", test_capture, METH_O, NULL},
    {"encode", (PyCFunction)(void (*)(void))test_encode, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

int
capture_exec(PyObject *module)
{
    PyObject *collections = PyImport_ImportModule("collections");
    if (collections == NULL) {
        return -1;
    }
    default_dict = (PyTypeObject *)PyObject_GetAttrString(collections, "defaultdict"); /* kept */
    deque = (PyTypeObject *)PyObject_GetAttrString(collections, "deque");
    Py_DECREF(collections);
    return default_dict == NULL || deque == NULL || plans_exec(module) < 0 || names_exec(module) < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
