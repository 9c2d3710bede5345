/* What the `Redactor` of a trace knows: the answers of redaction.py, where they can be had without remembering anything.

   Each answer that says that something is no secret is sure; the others say only that Python has to look. */

#include "redactor.h"
#include "texts.h"

#define MAX_WORDS 16     /* remembered words that are looked for here */
#define LONGEST_NAME 256 /* `secret_names.MAX_NAME` */

RedactorSlots redactor_at;
#define at redactor_at

int
set_has(PyObject *set, PyObject *text)
{
    int found = PySet_Contains(set, text);
    if (found < 0) {
        PyErr_Clear();
        return 0;
    }
    return found;
}

int
redactor_allows_name(const Redactor *redactor, PyObject *name)
{
    if (PyUnicode_GET_LENGTH(name) > LONGEST_NAME) {
        return 0; /* none is remembered that is so long; the hash would take its time */
    }
    PyObject *found = PyDict_GetItemWithError(redactor_slot(redactor, at.names), name);
    if (found == NULL) {
        PyErr_Clear();
    }
    return found == Py_False;
}

int
redactor_allows_latin(const Redactor *redactor, const char *name, Py_ssize_t size)
{
    if (size > LONGEST_NAME) {
        return 0;
    }
    PyObject *text = PyUnicode_DecodeLatin1(name, size, NULL);
    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    int harmless = redactor_allows_name(redactor, text);
    Py_DECREF(text);
    return harmless;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* Whether the characters of a text, as UTF-8, have nothing of a remembered one in them. */
static int
lacks(const unsigned char *text, size_t size, int ascii, PyObject *part)
{
    if (!PyUnicode_IS_COMPACT_ASCII(part)) {
        return ascii; /* what is no ASCII is in no ASCII text */
    }
    size_t part_size = (size_t)PyUnicode_GET_LENGTH(part);
    return part_size > size || memmem(text, size, PyUnicode_DATA(part), part_size) == NULL;
}

static int
lacks_all(const unsigned char *text, size_t size, int ascii, PyObject *parts)
{
    for (Py_ssize_t index = 0; index < PyList_GET_SIZE(parts); index++) {
        if (!lacks(text, size, ascii, PyList_GET_ITEM(parts, index))) {
            return 0;
        }
    }
    return 1;
}

/* Whether no remembered word is even a part of a text: then `Redactor.seen` is false of it. */
static int
is_unseen(const Redactor *redactor, PyObject *text, const unsigned char *characters, size_t size)
{
    int ascii = PyUnicode_IS_COMPACT_ASCII(text);
    PySetObject *words = (PySetObject *)redactor_slot(redactor, at.words);
    if (words->used > MAX_WORDS || set_has(redactor_slot(redactor, at.whole), text)) {
        return 0;
    }
    for (Py_ssize_t index = 0; words->used && index <= words->mask; index++) {
        PyObject *word = words->table[index].key;
        if (word != NULL && words->table[index].hash != -1 && !lacks(characters, size, ascii, word)) {
            return 0;
        }
    }
    return lacks_all(characters, size, ascii, redactor_slot(redactor, at.parts))
           && lacks_all(characters, size, ascii, redactor_slot(redactor, at.cores));
}

int
redactor_never_saw(const Redactor *redactor, const unsigned char *characters, size_t size)
{
    if (redactor_slot(redactor, at.wary) == Py_False) {
        return 1;
    }
    PyObject *text = PyUnicode_FromStringAndSize((const char *)characters, (Py_ssize_t)size);
    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    int unseen = is_unseen(redactor, text, characters, size);
    Py_DECREF(text);
    return unseen;
}

static int
ask_name(void *arg, const char *characters, size_t size)
{
    return redactor_allows_latin(arg, characters, (Py_ssize_t)size); /* they are ASCII */
}

int
redactor_allows_text(Redactor *redactor, PyObject *text, const unsigned char *characters, size_t size)
{
    if (!redactor_is(redactor, at.enabled)) {
        return 1;
    }
    /* Looking through a short text takes less than its hash. */
    int wary = redactor_slot(redactor, at.wary) != Py_False, ascii = text == NULL || PyUnicode_IS_COMPACT_ASCII(text);
    int harmless = ascii ? text_is_harmless(characters, size) : text_is_searched(characters, size, NULL, NULL);
    if (harmless && !wary) {
        return 1;
    }
    if (text != NULL
        && (set_has(redactor_slot(redactor, at.clean), text) || set_has(redactor_slot(redactor, at.plain), text))) {
        return 1;
    }
    if (!harmless && !(ascii && text_is_searched(characters, size, ask_name, redactor))) {
        return 0;
    }
    if (!wary) {
        return 1;
    }
    return text == NULL ? redactor_never_saw(redactor, characters, size) : is_unseen(redactor, text, characters, size);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* Whether the bounds of the integers that are no secrets can be read. */
static int
read_bounds(Redactor *redactor)
{
    PyObject *low = redactor_slot(redactor, at.low), *high = redactor_slot(redactor, at.high);
    if (low == redactor->low_number && high == redactor->high_number) {
        return 1;
    }
    int low_overflow, high_overflow;
    long long lowest = PyLong_AsLongLongAndOverflow(low, &low_overflow);
    long long highest = PyLong_AsLongLongAndOverflow(high, &high_overflow);
    if (low_overflow || high_overflow) {
        return 0;
    }
    redactor->low = lowest;
    redactor->high = highest;
    Py_XSETREF(redactor->low_number, Py_NewRef(low));
    Py_XSETREF(redactor->high_number, Py_NewRef(high));
    return 1;
}

int
redactor_is_small(Redactor *redactor, long long number)
{
    return read_bounds(redactor) && number >= redactor->low && number <= redactor->high;
}

int
redactor_allows_number(Redactor *redactor, int negative, unsigned long long magnitude)
{
    if (!redactor_is(redactor, at.enabled)) {
        return 1;
    }
    if (!negative && number_is_card(magnitude)) {
        return 0;
    }
    if (redactor_slot(redactor, at.numeric) == Py_False) {
        return 1;
    }
    char figures[24];
    char *start = figures + sizeof figures;
    do {
        *--start = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude != 0);
    if (negative) {
        *--start = '-';
    }
    PyObject *text = PyUnicode_FromStringAndSize(start, figures + sizeof figures - start);
    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    int found = set_has(redactor_slot(redactor, at.numbers), text);
    Py_DECREF(text);
    return !found;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int
find_slots(PyObject *object)
{
    const struct {
        const char *name;
        Py_ssize_t *offset;
        PyTypeObject *type;
    } wanted[] = {
        {"enabled", &at.enabled, &PyBool_Type},
        {"wary", &at.wary, &PyBool_Type},
        {"numeric", &at.numeric, &PyBool_Type},
        {"low", &at.low, &PyLong_Type},
        {"high", &at.high, &PyLong_Type},
        {"_clean", &at.clean, &PySet_Type},
        {"plain", &at.plain, &PySet_Type},
        {"plain_names", &at.plain_names, &PySet_Type},
        {"plain_naming", &at.plain_naming, &PySet_Type},
        {"names", &at.names, &PyDict_Type},
        {"_whole", &at.whole, &PySet_Type},
        {"_words", &at.words, &PySet_Type},
        {"_parts", &at.parts, &PyList_Type},
        {"_cores", &at.cores, &PyList_Type},
        {"_numbers", &at.numbers, &PySet_Type},
    };
    for (size_t index = 0; index < sizeof wanted / sizeof wanted[0]; index++) {
        Py_ssize_t offset = slot_offset((PyObject *)Py_TYPE(object), wanted[index].name);
        if (offset < 0) {
            return -1;
        }
        PyObject *value = slot_get(object, offset);
        if (value == NULL || !Py_IS_TYPE(value, wanted[index].type)) {
            PyErr_Format(PyExc_TypeError, "Redactor.%s is no %s", wanted[index].name, wanted[index].type->tp_name);
            return -1;
        }
        *wanted[index].offset = offset;
    }
    return 0;
}

int
redactor_init(Redactor *redactor, PyObject *object)
{
    redactor->object = Py_NewRef(object);
    return find_slots(object);
}

void
redactor_free(Redactor *redactor)
{
    Py_CLEAR(redactor->object);
    Py_CLEAR(redactor->low_number);
    Py_CLEAR(redactor->high_number);
}
