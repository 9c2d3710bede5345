"""Objects that run code when anybody looks at them the usual way; `RAN` tells."""

RAN = []


class Meta(type):
    def __getattribute__(cls, name):
        RAN.append(("Meta.__getattribute__", name))
        return type.__getattribute__(cls, name)

    def __hash__(cls):
        RAN.append("Meta.__hash__")
        return 1

    def __eq__(cls, other):
        RAN.append("Meta.__eq__")
        return cls is other

    def __instancecheck__(cls, instance):
        RAN.append("Meta.__instancecheck__")
        return True

    @property
    def __dict__(cls):
        RAN.append("Meta.__dict__")
        return {}


class Hostile(metaclass=Meta):
    def __getattribute__(self, name):
        RAN.append(("__getattribute__", name))
        raise RuntimeError(name)

    def __eq__(self, other):
        RAN.append("__eq__")
        raise RuntimeError

    def __hash__(self):
        RAN.append("__hash__")
        raise RuntimeError

    def __bool__(self):
        RAN.append("__bool__")
        raise RuntimeError

    def __len__(self):
        RAN.append("__len__")
        raise RuntimeError

    def __iter__(self):
        RAN.append("__iter__")
        raise RuntimeError

    def __get__(self, instance, owner):
        RAN.append("__get__")
        raise RuntimeError

    @property
    def __class__(self):
        RAN.append("__class__")
        return type

    @property
    def __wrapped__(self):
        RAN.append("__wrapped__")
        raise RuntimeError

    def method(self):
        return 1


class LyingDict:
    @property
    def __dict__(self):
        RAN.append("LyingDict.__dict__")
        return {}


hostile = Hostile()
lying = LyingDict()
__path_like__ = hostile


def function(default=hostile, *, keyword=hostile):
    return hostile


function.__wrapped__ = hostile
function.other = hostile


class Holder:
    field = hostile
    __module__ = hostile

    def hidden(self):
        return 1


class Named:
    field = hostile

    def method(self):
        return hostile


def closure():
    def inside():
        return hostile

    return inside


made = closure()
RAN.clear()
