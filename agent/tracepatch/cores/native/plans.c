/* How objects are read that have no reader of their own: `objects.Plan`, looked up fast.

   A `Plan` says of a class where its instances' `__dict__` comes from and which slots they have. Here it is found out
   once for each version of a class whether that `__dict__` is what `type` makes for every class, the one getter that
   `plain_getter` is, and where in an instance its slots lie. */

#include "plans.h"
#include <structmember.h>

static getter plain_getter; /* what the interpreter gives to every class with a `__dict__` */
static Py_ssize_t at_cls, at_name, at_kind, at_base, at_own_dict, at_dict_at, at_slots, at_items;

/* The getter of a genuine `__dict__` that stands in a class itself; NULL where there is none, no exception set. */
static getter
own_getter(PyTypeObject *type)
{
    getter found = NULL;
    PyObject *members = PyType_GetDict(type);
    PyObject *member = members == NULL ? NULL : PyDict_GetItemString(members, "__dict__"); /* clears what it sets */
    if (member != NULL && Py_IS_TYPE(member, &PyGetSetDescr_Type) && PyDescr_TYPE(member) == type) {
        found = ((PyGetSetDescrObject *)member)->d_getset->get;
    }
    Py_XDECREF(members);
    return found;
}

/* The class at a place in the MRO of another; NULL where there is none, no exception set. */
static PyTypeObject *
class_at(PyTypeObject *type, PyObject *place)
{
    PyObject *mro = type->tp_mro;
    if (place == NULL || !PyLong_CheckExact(place) || mro == NULL || !PyTuple_CheckExact(mro)) {
        return NULL;
    }
    Py_ssize_t index = PyLong_AsSsize_t(place);
    if (index < 0 || index >= PyTuple_GET_SIZE(mro) || !PyType_Check(PyTuple_GET_ITEM(mro, index))) {
        PyErr_Clear();
        return NULL;
    }
    return (PyTypeObject *)PyTuple_GET_ITEM(mro, index);
}

/* Whether `objects.instance_dict` asks the plain getter, and that one nobody else. */
static int
reads_plainly(PyTypeObject *type, PyObject *plan)
{
    for (PyTypeObject *base = type; base->tp_base != NULL; base = base->tp_base) {
        if (base->tp_dictoffset != 0 && !(base->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
            return 0;
        }
    }
    PyTypeObject *owner = slot_get(plan, at_own_dict) == Py_True ? type : class_at(type, slot_get(plan, at_dict_at));
    return owner != NULL && own_getter(owner) == plain_getter;
}

/* Find where one slot lies; 0 where that is not sure. `at` says of the class that has it where it stands in the MRO. */
static int
find_slot(PyTypeObject *type, PyObject *at, PyObject *name, Slot *slot)
{
    PyTypeObject *owner = class_at(type, at);
    PyObject *members = owner == NULL ? NULL : PyType_GetDict(owner);
    PyObject *member = members == NULL ? NULL : PyDict_GetItemWithError(members, name);
    PyErr_Clear();
    int found = 0;
    if (member != NULL && Py_IS_TYPE(member, &PyMemberDescr_Type) && PyDescr_TYPE(member) == owner) {
        const PyMemberDef *where = ((PyMemberDescrObject *)member)->d_member;
        found = where->type == T_OBJECT_EX;
        slot->offset = where->offset;
        slot->name = found ? Py_NewRef(name) : NULL;
    }
    Py_XDECREF(members);
    return found;
}

static void
forget_slots(Plan *known)
{
    while (known->count > 0) {
        Py_DECREF(known->slots[--known->count].name);
    }
    PyMem_Free(known->slots);
    known->slots = NULL;
}

/* Find all slots of a class; 0 where one of them is none, or hides another. */
static int
find_slots(Plan *known, PyTypeObject *type, PyObject *wanted)
{
    forget_slots(known);
    if (wanted == NULL || !PyList_CheckExact(wanted) || PyList_GET_SIZE(wanted) > MAX_SLOTS) {
        return 0;
    }
    known->slots = PyMem_Calloc(MAX_SLOTS, sizeof *known->slots);
    if (known->slots == NULL) {
        return 0;
    }
    for (Py_ssize_t index = 0; index < PyList_GET_SIZE(wanted); index++) {
        PyObject *pair = PyList_GET_ITEM(wanted, index); /* where in the MRO, and the name */
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
            return 0;
        }
        PyObject *name = PyTuple_GET_ITEM(pair, 1);
        for (int other = 0; other < known->count; other++) {
            if (!PyUnicode_CheckExact(name) || PyUnicode_Compare(known->slots[other].name, name) == 0) {
                return 0;
            }
        }
        if (!PyUnicode_CheckExact(name)
            || !find_slot(type, PyTuple_GET_ITEM(pair, 0), name, &known->slots[known->count])) {
            return 0;
        }
        known->count++;
    }
    return 1;
}

/* Whether no text stands in a tuple of exact texts twice. */
static int
all_differ(PyObject *names)
{
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(names); index++) {
        for (Py_ssize_t other = 0; other <= index; other++) {
            PyObject *one = PyTuple_GET_ITEM(names, index), *two = PyTuple_GET_ITEM(names, other);
            if (!PyUnicode_CheckExact(one) || (other < index && PyUnicode_Compare(one, two) == 0)) {
                return 0;
            }
        }
    }
    return 1;
}

/* Find out what an instance of a class is itself, by the class that is `Plan.base`; 0 where that is not read here. */
static int
find_held(Plan *known, PyObject *base, PyObject *items)
{
    if (base == (PyObject *)&PyDict_Type) {
        known->holds = HOLDS_DICT;
    }
    else if (base == (PyObject *)&PyList_Type) {
        known->holds = HOLDS_LIST;
    }
    else if (base == (PyObject *)&PyTuple_Type) {
        int named = items != NULL && PyTuple_CheckExact(items) && PyTuple_GET_SIZE(items) > 0;
        if (named && (PyTuple_GET_SIZE(items) > MAX_SLOTS || !all_differ(items))) {
            return 0;
        }
        known->holds = named ? HOLDS_FIELDS : HOLDS_TUPLE;
        known->items = named ? Py_NewRef(items) : NULL;
    }
    return known->holds != NOTHING || base == Py_None;
}

/* Find out how a class's instances are read; 0 where `Reader` shows more of them than type, fields and what they hold. */
static int
find_how(Plan *known, PyTypeObject *type, PyObject *plan)
{
    PyObject *kind = slot_get(plan, at_kind), *place = slot_get(plan, at_dict_at), *base = slot_get(plan, at_base);
    if (kind == NULL || !PyUnicode_CheckExact(kind) || place == NULL || !PyLong_CheckExact(place) || base == NULL) {
        return 0;
    }
    known->how = BY_PYTHON;
    known->holds = NOTHING;
    Py_CLEAR(known->items);
    known->has_dict = PyLong_AsLong(place) >= 0;
    int fields = (!known->has_dict || reads_plainly(type, plan)) && find_slots(known, type, slot_get(plan, at_slots));
    if (!fields) {
        forget_slots(known);
    }
    if (PyUnicode_CompareWithASCIIString(kind, "enum") == 0) {
        known->how = AS_MEMBER;
        return fields && known->has_dict && known->count == 0;
    }
    if (PyUnicode_CompareWithASCIIString(kind, "exception") == 0) {
        return 1;
    }
    if (fields && find_held(known, base, slot_get(plan, at_items))) {
        known->how = AS_OBJECT;
    }
    return PyUnicode_GET_LENGTH(kind) == 0;
}

/* Whether a weak reference of ours refers to this class. */
static int
refers_to(PyObject *reference, PyTypeObject *type)
{
    if (reference == NULL || !PyWeakref_CheckRefExact(reference)) {
        return 0;
    }
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *found = NULL;
    if (PyWeakref_GetRef(reference, &found) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(found); /* an instance of it is being read: this is not the last reference */
    return found == (PyObject *)type;
#else
    return PyWeakref_GET_OBJECT(reference) == (PyObject *)type;
#endif
}

const Plan *
plans_find(Plans *plans, PyTypeObject *type)
{
    Plan *known = &plans->known[((uintptr_t)type >> 5) & (PLANS - 1)];
    if (known->type == type && known->version == type->tp_version_tag && known->version != 0) {
        return known;
    }
    PyObject *key = PyLong_FromVoidPtr(type), *plan = NULL;
    if (key != NULL) {
        plan = PyDict_GetItemWithError(plans->ordinary, key);
        if (plan == NULL && PyDict_GetItemWithError(plans->readers, key) == NULL) {
            plan = PyDict_GetItemWithError(plans->plans, key);
        }
        Py_DECREF(key);
    }
    PyErr_Clear();
    if (plan == NULL) {
        return NULL;
    }
    PyObject *name = slot_get(plan, at_name);
    if (!refers_to(slot_get(plan, at_cls), type) || name == NULL || !PyUnicode_CheckExact(name)) {
        return NULL;
    }
    known->type = NULL;
    if (!find_how(known, type, plan)) {
        return NULL;
    }
    known->type = type;
    known->version = type->tp_version_tag;
    Py_XSETREF(known->name, Py_NewRef(name));
    return known;
}

/* Get an attribute of a module of ours; NULL with an exception set. */
static PyObject *
attribute_of(const char *module, const char *name)
{
    PyObject *found = PyImport_ImportModule(module);
    if (found == NULL) {
        return NULL;
    }
    PyObject *value = PyObject_GetAttrString(found, name);
    Py_DECREF(found);
    return value;
}

int
plans_init(Plans *plans)
{
    memset(plans, 0, sizeof *plans);
    PyObject *plan = attribute_of("tracepatch.objects", "Plan");
    int failed = plan == NULL || (plans->plans = attribute_of("tracepatch.objects", "_plans")) == NULL
                 || (plans->ordinary = attribute_of("tracepatch.objects", "ordinary")) == NULL
                 || (plans->readers = attribute_of("tracepatch.reading", "_READERS")) == NULL
                 || (at_cls = slot_offset(plan, "cls")) < 0 || (at_name = slot_offset(plan, "name")) < 0
                 || (at_kind = slot_offset(plan, "kind")) < 0 || (at_base = slot_offset(plan, "base")) < 0
                 || (at_own_dict = slot_offset(plan, "own_dict")) < 0 || (at_dict_at = slot_offset(plan, "dict_at")) < 0
                 || (at_slots = slot_offset(plan, "slots")) < 0 || (at_items = slot_offset(plan, "items")) < 0;
    if (!failed && !(PyDict_CheckExact(plans->plans) && PyDict_CheckExact(plans->ordinary) && PyDict_CheckExact(plans->readers))) {
        PyErr_SetString(PyExc_TypeError, "plans and readers are no dicts");
        failed = 1;
    }
    Py_XDECREF(plan);
    return failed ? -1 : 0;
}

void
plans_free(Plans *plans)
{
    Py_CLEAR(plans->plans);
    Py_CLEAR(plans->ordinary);
    Py_CLEAR(plans->readers);
    for (int place = 0; place < PLANS; place++) {
        Py_CLEAR(plans->known[place].name);
        Py_CLEAR(plans->known[place].items);
        forget_slots(&plans->known[place]);
        plans->known[place].type = NULL;
    }
}

int
plans_exec(PyObject *Py_UNUSED(module))
{
    PyObject *made = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){}", "Ordinary");
    if (made == NULL) {
        return -1;
    }
    plain_getter = own_getter((PyTypeObject *)made);
    Py_DECREF(made);
    if (plain_getter == NULL) {
        PyErr_SetString(PyExc_SystemError, "classes have no getter for their instances' __dict__");
        return -1;
    }
    return 0;
}
