"""From targets to the functions of this process."""

import functools
import gc
import importlib
import inspect
import subprocess
import sys
import time
import types

import pytest

import tracepatch.resolve as resolving
from targets import hostile, shapes, wrappers
from tracepatch import walk
from tracepatch.resolve import COMPILED, module_matters, qualnames_of, resolve
from tracepatch_shared.targets import parse_target

SHAPES = "targets.shapes"
FILE = shapes.__file__


def look(*texts, modules=None, limit=10_000):
    return resolve([parse_target(text) for text in texts], modules=modules, limit=limit)


def names(*texts, modules=None):
    return [f"{function.module}:{function.name}" for function in look(*texts, modules=modules).functions]


def line_of(text):
    with open(FILE) as source:
        return next(number for number, line in enumerate(source, 1) if text in line)


@pytest.mark.parametrize(
    "qualname",
    [
        "plain", "coroutine", "generator", "async_generator", "wrapped", "hidden", "hidden_thrice", "cached", "command",
        "slotted_command", "dispatched", "outer", "Cart.checkout", "Cart.static", "Cart.class_method", "Cart.slow", "Cart.partly",
        "Cart.hidden", "Cart.both", "Cart.Item.price", "Base.inherited",
    ],
)  # fmt: skip
def test_finds_the_original(qualname):
    [function] = look(f"{SHAPES}:{qualname}").functions
    assert (function.module, function.name, function.file) == (SHAPES, qualname, FILE)
    assert function.code.co_name == qualname.rpartition(".")[2]
    start = line_of(f"def {function.code.co_name}(") if qualname != "Cart.hidden" else function.line
    assert function.line <= start <= function.line + 3


def test_kinds_and_wire():
    wire = [
        function.to_wire()
        for function in look(
            *(f"{SHAPES}:{n}" for n in ("plain", "coroutine", "generator", "async_generator"))
        ).functions
    ]
    assert [item["kind"] for item in wire] == ["function", "coroutine", "generator", "async generator"]
    assert wire[0] == {
        "function": "plain",
        "module": SHAPES,
        "file": FILE,
        "line": line_of("def plain"),
        "kind": "function",
    }


@pytest.mark.parametrize("written", ["outer.inner", "outer.<locals>.inner"])
def test_closures_are_known_before_they_are_made(written):
    [function] = look(f"{SHAPES}:{written}").functions
    assert function.name == "outer.<locals>.inner"
    assert function.code is shapes.made.__code__
    assert names(f"{SHAPES}:outer.inner.innermost") == [f"{SHAPES}:outer.<locals>.inner.<locals>.innermost"]
    assert names(f"{SHAPES}:outer.Local.method") == [f"{SHAPES}:outer.<locals>.Local.method"]


def test_properties_bring_all_their_functions():
    assert names(f"{SHAPES}:Cart.total") == [f"{SHAPES}:Cart.total"] * 2


def test_one_qualname_several_codes_and_the_line_picks():
    both = look(f"{SHAPES}:twice").functions
    assert [function.name for function in both] == ["twice", "twice"]
    for function in both:
        [picked] = look(f"{SHAPES}:twice@{function.line}").functions
        assert picked.code is function.code
    assert look(f"{SHAPES}:twice@1").functions == []
    body = both[1].line + 1
    assert [f.code for f in look(f"{SHAPES}:twice@{body}").functions] == [both[1].code]


def test_globs():
    found = names(f"{SHAPES}:Cart.*")
    assert f"{SHAPES}:Cart.checkout" in found
    assert f"{SHAPES}:Cart.Item.price" in found
    assert f"{SHAPES}:Base.inherited" not in found
    everything = names(f"{SHAPES}:*")
    assert not [name for name in everything if not name.startswith(SHAPES + ":")], (
        "only what the module defines"
    )
    assert not [name for name in everything if name.rpartition(".")[2].startswith("<")]
    assert len(names("targets.[sw]*:*")) > len(everything)
    assert f"{wrappers.__name__}:hiding.<locals>.wrapper" in names("targets.*:hiding.*")


def test_results_are_sorted_and_unique():
    functions = look("targets.*:*", f"{SHAPES}:plain").functions
    keys = [(function.module, function.line) for function in functions]
    assert keys == sorted(keys)
    assert len({id(function.code) for function in functions}) == len(functions)


def test_limit_cuts_and_total_counts():
    whole = look(f"{SHAPES}:*")
    cut = look(f"{SHAPES}:*", limit=3)
    assert len(cut.functions) == 3
    assert cut.total == whole.total == len(whole.functions) > 20


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{SHAPES}:dumps", "json:dumps"),
        (f"{SHAPES}:JSONDecoder.decode", "json.decoder:JSONDecoder.decode"),
        (f"{SHAPES}:alias", f"{SHAPES}:plain"),
        (f"{SHAPES}:bound_early", f"{SHAPES}:plain"),
        (f"{SHAPES}:nameless", f"{SHAPES}:<lambda>"),
        (f"{SHAPES}:made", f"{SHAPES}:outer.<locals>.inner"),
        (f"{SHAPES}:Cart.inherited", f"{SHAPES}:Base.inherited"),
        (f"{SHAPES}:generated_function", "nowhere:generated_function"),
        (f"{SHAPES}:replaced", "targets.wrappers:replacing.<locals>.replacement"),
        ("os:path.join", "posixpath:join"),
    ],
)
def test_exact_target_by_attribute_path(text, found):
    assert names(text) == [found]


def test_attributes_do_not_count_for_globs():
    assert "json:dumps" not in names(f"{SHAPES}:*")
    assert names(f"{SHAPES}:dum*") == []


@pytest.mark.parametrize(
    "text", ["targets.shapes.Cart.checkout", "targets.shapes.plain", "json.dumps", "json.JSONDecoder.decode"]
)
def test_dotted_names(text):
    result = look(text)
    assert [function.name.rpartition(".")[2] for function in result.functions] == [text.rpartition(".")[2]]
    assert not result.waits_for_import


def test_file_and_line():
    assert names(f"targets/shapes.py:{line_of('return [item + 1 for item')}") == [f"{SHAPES}:Cart.checkout"]
    assert names(f"{FILE}:{line_of('return x + k')}") == [f"{SHAPES}:outer.<locals>.inner.<locals>.innermost"]
    assert names(f"shapes.py:{line_of('def innermost') - 1}") == [f"{SHAPES}:outer.<locals>.inner"]
    assert names(f"shapes.py:{line_of('@hiding')}") == [f"{SHAPES}:hidden"], (
        "the line of a decorator is the function's"
    )
    assert names(f"shapes.py:{line_of('nameless = lambda')}") == [f"{SHAPES}:<lambda>"]


def test_line_of_the_module_is_refused():
    result = look(f"targets/shapes.py:{line_of('limit = 3')}")
    assert result.functions == []
    [(text, why)] = result.refused
    assert text.startswith("targets/shapes.py:")
    assert "no function of module targets.shapes contains line" in why
    assert f"{SHAPES}:Base.inherited" in result.near
    assert not result.waits_for_import


def test_file_that_is_not_loaded():
    result = look("elsewhere/shapes.py:12")
    assert (result.functions, result.refused) == ([], [])
    assert result.waits_for_import
    assert f"{FILE}:12" in result.near


def test_file_of_code_that_was_not_imported_from_it():
    module = types.ModuleType("templates")
    exec(compile("\n\ndef render():\n    return 1\n", "/srv/templates/page.html.py", "exec"), module.__dict__)
    assert names("templates/page.html.py:4", modules={"templates": module}) == ["templates:render"]


@pytest.mark.parametrize(
    "text", [f"{SHAPES}:sqrt", "math:sqrt", "time:sleep", "builtins:str.join", "math.sqrt"]
)
def test_compiled_functions_are_refused_by_name(text):
    result = look(text)
    assert result.functions == []
    assert result.refused == [(text, COMPILED)]


def test_class_suggests_its_methods():
    result = look(f"{SHAPES}:Cart")
    [(text, why)] = result.refused
    assert text == f"{SHAPES}:Cart"
    assert "it is a class: name a method, as in targets.shapes:Cart." in why
    assert f"{SHAPES}:Cart.checkout" in result.near


def test_other_things_are_refused():
    assert look(f"{SHAPES}:Cart.limit").refused == [
        (f"{SHAPES}:Cart.limit", "it is of type int, no function")
    ]


def test_ours_never_match():
    assert look("tracepatch.resolve:resolve").refused == [
        ("tracepatch.resolve:resolve", "tracepatch does not trace itself")
    ]
    assert not [name for name in names("trace*:*", "*:parse_target") if name.startswith("tracepatch")]
    assert not module_matters([parse_target("*:*")], "tracepatch.agent")
    module = types.ModuleType("user")
    module.parse_target = parse_target
    assert names("user:parse_target", modules={"user": module}) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{SHAPES}:Cart.chekout", f"{SHAPES}:Cart.checkout"),
        (f"{SHAPES}:cart.checkout", f"{SHAPES}:Cart.checkout"),
        (f"{SHAPES}:checkout", f"{SHAPES}:Cart.checkout"),
        ("targets.shape:Cart.checkout", f"{SHAPES}:Cart.checkout"),
        ("app.views:hidden_thrice", f"{SHAPES}:hidden_thrice"),
        ("app.views:Cart.checkout", f"{SHAPES}:Cart.checkout"),
        ("app.*:slotted_command", f"{SHAPES}:slotted_command"),
        ("targets.shapes.Cart.chekout", f"{SHAPES}:Cart.checkout"),
        ("target.shapes.Cart.checkout", f"{SHAPES}:Cart.checkout"),
        ("targets.shapes:Cart.chekou?", f"{SHAPES}:Cart.checkout"),
    ],
)
def test_near_misses(text, expected):
    result = look(text)
    assert result.functions == []
    assert expected in result.near
    assert len(result.near) <= 5


def test_near_misses_stop_in_time():
    modules = {f"made.m{i}": _module(f"made.m{i}", 30) for i in range(1500)}
    started = time.perf_counter()
    look("made.n77:function_99x", modules=modules)
    assert time.perf_counter() - started < 2.0


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        (f"{SHAPES}:plain", False),
        (f"{SHAPES}:nothing", False),
        ("not.loaded:plain", True),
        ("targets.shape*:plain", True),
        (f"{SHAPES}:pl*", False),
        ("targets.shapes.plain", False),
        ("targets.shapes.nothing", False),
        ("targets.shapes.Cart.nothing", False),
        ("not_loaded.views.save", True),
        ("json.not_loaded.save", True),
    ],
)
def test_waits_for_import(text, waits):
    assert look(text).waits_for_import is waits


def test_module_that_is_being_imported_is_waited_for():
    module = types.ModuleType("half")
    module.__spec__ = importlib.machinery.ModuleSpec("half", None)
    module.__spec__._initializing = True
    assert look("half:save", modules={"half": module}).waits_for_import
    module.__spec__._initializing = False
    assert not look("half:save", modules={"half": module}).waits_for_import


def test_module_matters():
    targets = [parse_target("app.*:save"), parse_target("shop.cart.Cart.total")]
    assert [
        name for name in ("app.views", "app", "shop", "shop.cart", "os") if module_matters(targets, name)
    ] == ["app.views", "shop", "shop.cart"]
    assert module_matters([parse_target("x.py:1")], "os")


def test_qualnames_of_a_module():
    names = qualnames_of(SHAPES)
    assert names[id(shapes.made.__code__)] == (shapes.made.__code__, "outer.<locals>.inner")
    assert names[id(shapes.Cart.checkout.__code__)][1] == "Cart.checkout"
    assert qualnames_of("not.loaded") == {}


def test_one_new_module_is_enough():
    result = look(f"{SHAPES}:plain", "json:dumps", modules={SHAPES: shapes})
    assert [function.name for function in result.functions] == ["plain"]


def test_main_module_and_decorator_of_a_script():
    """A script's functions are found under `__main__`, in a process of its own."""
    script = (
        "import functools\n"
        "def deco(f):\n    def wrapper(): return f()\n    return wrapper\n"
        "@deco\ndef main(): pass\n"
        "from tracepatch.resolve import resolve\nfrom tracepatch_shared.targets import parse_target\n"
        "print([f.name for f in resolve([parse_target('__main__:main')]).functions])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "['main']\n"


HOSTILE = hostile.__name__


def test_nothing_of_the_application_runs():
    hostile.RAN.clear()
    for text in (
        "*:*", f"{HOSTILE}:*", f"{HOSTILE}:hostile", f"{HOSTILE}:hostile.x", f"{HOSTILE}:Hostile.field", f"{HOSTILE}:Named.field.x",
        f"{HOSTILE}:lying.x", f"{HOSTILE}:Holder", f"{HOSTILE}:missing", "targets.hostil:missing", f"{HOSTILE}.hostile.x", "hostile.py:1",
        f"{HOSTILE}:Hostile", f"{HOSTILE}:closure.inside", f"{HOSTILE}:function.x", f"{HOSTILE}:Hostile.method",
    ):  # fmt: skip
        look(text, modules={HOSTILE: hostile, SHAPES: shapes})
    assert hostile.RAN == []
    assert names(f"{HOSTILE}:Hostile.method") == [f"{HOSTILE}:Hostile.method"]
    assert names(f"{HOSTILE}:function") == [f"{HOSTILE}:function"]
    assert hostile.RAN == []


def test_what_stands_in_sys_modules_may_be_anything():
    class Lazy(types.ModuleType):
        def __getattribute__(self, name):
            raise RuntimeError(name)

    lazy = Lazy("lazy")
    exec("def inside(): pass", types.ModuleType.__dict__["__dict__"].__get__(lazy))
    odd = {"lazy": lazy, "none": None, "object": hostile.hostile, 3: shapes, "class": hostile.Hostile}
    hostile.RAN.clear()
    assert names("*:inside", "none:x", "object:x", "class:x", modules=odd) == ["lazy:inside"]
    assert hostile.RAN == []


def test_instance_dicts_come_from_the_builtin_descriptor_only():
    hostile.RAN.clear()
    assert walk.instance_dict(hostile.lying) == {}
    assert hostile.RAN == []
    assert walk.instance_dict(wrappers.SlottedCommand(1)) == {"callback": 1}


def test_holders_and_outers(monkeypatch):
    monkeypatch.setattr("tracepatch.resolve._NEEDS_HOLDERS", True)
    [plain] = look(f"{SHAPES}:plain").functions
    assert plain.holders == [shapes.plain]
    assert plain.outers == []
    [inner] = look(f"{SHAPES}:outer.inner").functions
    assert inner.holders == [shapes.made]
    assert inner.outers == [shapes.outer]
    [innermost] = look(f"{SHAPES}:outer.inner.innermost").functions
    assert innermost.holders == []
    assert sorted(f.__name__ for f in innermost.outers) == ["inner", "outer"]
    [hidden] = look(f"{SHAPES}:hidden").functions
    assert [f.__name__ for f in hidden.holders] == ["hidden"]
    [method] = look(f"{SHAPES}:Cart.hidden").functions
    assert [inspect.getsource(f).split("def ")[1][:6] for f in method.holders] == ["hidden"]


def test_functions_that_other_modules_define_have_holders(monkeypatch):
    monkeypatch.setattr("tracepatch.resolve._NEEDS_HOLDERS", True)
    for text in (
        f"{SHAPES}:JSONDecoder.decode",
        f"{SHAPES}:dumps",
        "os:path.join",
        f"{SHAPES}:generated_function",
    ):
        [function] = look(text).functions
        assert [holder.__code__ for holder in function.holders] == [function.code]


def test_closures_that_hang_in_other_modules_are_holders(monkeypatch):
    monkeypatch.setattr("tracepatch.resolve._NEEDS_HOLDERS", True)
    [wrapper] = look("targets.wrappers:hiding.wrapper").functions
    assert {id(shapes.hidden), id(shapes.hidden_thrice), id(shapes.Cart.__dict__["hidden"])} <= {
        id(f) for f in wrapper.holders
    }
    assert wrapper.outers == [wrappers.hiding]


def _module(name, count):
    module = types.ModuleType(name)
    source = "".join(f"def function_{i}(x):\n    return x\n" for i in range(count))
    exec(
        source + "class C:\n" + "".join(f"    def method_{i}(self): return {i}\n" for i in range(20)),
        module.__dict__,
    )
    return module


def test_exact_names_are_quick_among_many_modules():
    modules = {f"many.m{i}": _module(f"many.m{i}", 20) for i in range(2000)}
    for text in ("many.m77:function_3", "many.m77:C.method_3", "many.m77.C.method_3"):
        target = [parse_target(text)]
        best = min(_timed(functools.partial(resolve, target, modules=modules)) for _ in range(5))
        assert len(resolve(target, modules=modules).functions) == 1
        assert best < 0.05


def _timed(call):
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def test_a_look_leaves_nothing_in_the_functions_that_it_passes() -> None:
    def untouched() -> None: ...

    # A function gets a dict when somebody asks for it, and keeps it.
    before = len(gc.get_referents(untouched))
    module = types.ModuleType("untouched_module")
    vars(module)["untouched"] = untouched
    assert list(walk.functions(vars(module).values(), "untouched_module")) == [untouched]
    resolve([parse_target("untouched_module:*")], modules={"untouched_module": module})
    assert len(gc.get_referents(untouched)) == before


def test_others_run_while_all_modules_are_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = []
    monkeypatch.setattr(resolving.Slices, "breathe", lambda _: pauses.append(1))
    resolve([parse_target("*:not_there_at_all")])
    assert len(pauses) > 100
    pauses.clear()
    resolve([parse_target("json*:dumps")], modules={"json": sys.modules["json"]})
    assert pauses == [], "a thread of the application may wait for this"
