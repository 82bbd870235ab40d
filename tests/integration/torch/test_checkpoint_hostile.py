"""Hostile files: reading them has no effect, and takes bounded time and memory."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest
import torch

from clr_torch import CyclicLR, read_record, read_weights, to_record
from needs import needs

# In a process of its own, under a limit on memory, in an empty folder. Whatever Python's audit
# hooks see is reported: imports, files opened for writing, processes, code, sockets.
READ = """
import json, os, resource, sys, time
import clr_torch

def attempt(function, name):
    try:
        return repr(function(name))
    except ValueError as error:
        return f"ValueError: {error}"

READERS = {
    "record": clr_torch.read_record,
    "weights": clr_torch.read_weights,
    "moments": clr_torch.read_moments,
    "hyperparameters": clr_torch.read_hyperparameters,
}
for reader in READERS.values():
    attempt(reader, sys.argv[1])  # What is imported late is there from now on.
"".encode("cp437")  # As zipfile does for a name.
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * os.sysconf("SC_PAGE_SIZE") + 2**30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

events = []
def hook(event, arguments):
    if event == "open" and (arguments[1] in ("r", "rb") or arguments[2] & 3 == os.O_RDONLY):
        return
    if event not in ("os.listdir", "object.__getattr__", "builtins.id"):
        events.append(event)
sys.addaudithook(hook)

for name in sys.argv[2:]:
    # One reader is enough for what takes seconds.
    readers = {"record": READERS["record"]} if name.startswith("bomb") else READERS
    modules, files = set(sys.modules), os.listdir()
    start = time.process_time()
    done = {each: attempt(reader, name) for each, reader in readers.items()}
    taken = time.process_time() - start
    seen = [*events, *(set(sys.modules) - modules), *(set(os.listdir()) - set(files))]
    print(json.dumps({"done": done, "seconds": taken, "effects": seen}))
    events.clear()
"""


def state():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1)
    return CyclicLR(optimizer, 0.1, 0.5, 3, cycle_momentum=False).state_dict()


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def beside(value):
    """A pickle of a checkpoint with a good scheduler, and these instructions for a value."""
    good = pickle.dumps(state(), 2)[2:-1]
    return b"\x80\x02(" + text("x") + value + text("scheduler") + good + b"d."


def zipped(pickled, members=(), compression=zipfile.ZIP_STORED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for member, content in dict(members).items():
            archive.writestr(f"archive/{member}", content)
    return data.getvalue()


def call(function, *arguments):
    return function + b"(" + b"".join(arguments) + b"tR"


def tensor(offset, shape, strides, size=b"K\x04", key="0", kind="FloatStorage"):
    """Instructions for a tensor in a storage of four float32."""
    tuples = [b"(" + b"".join(map(number, each)) + b"t" for each in (shape, strides)]
    storage = b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + size + b"tQ"
    arguments = storage, number(offset), *tuples, b"\x89", b"}"
    return call(name("torch._utils", "_rebuild_tensor_v2"), *arguments)


def number(value):
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def module_in_itself(names, parameters=()):
    """A module that has itself as a part under each of these names."""
    modules = [text(each) + b"h\x01" for each in names]
    parts = {"_parameters": parameters, "_buffers": (), "_modules": modules}
    state = b"".join(text(key) + b"}(" + b"".join(items) + b"u" for key, items in parts.items())
    return zipped(b"\x80\x02" + name("torch.nn", "Module") + b")\x81q\x01}(" + state + b"ub.")


def tensors(*values):
    """A state dict with tensors, in an archive that has one storage of 16 bytes."""
    body = b"".join(text(f"w{index}") + value for index, value in enumerate(values))
    return zipped(b"\x80\x02(" + body + b"d.", {"data/0": bytes(16)})


TOUCH = text("touch effect"), text("effect")
SYSTEM, MKDIR = call(name("os", "system"), TOUCH[0]), call(name("os", "mkdir"), TOUCH[1])
CODE = text("open('effect', 'w')")
IMPORT = call(name("builtins", "__import__"), text("antigravity"))
HARMLESS = {
    "reduce": SYSTEM,
    "reduce of posix": call(name("posix", "system"), TOUCH[0]),
    "reduce of Python 2": call(name("__builtin__", "eval"), CODE),
    "exec": call(name("builtins", "exec"), CODE),
    "import": IMPORT,
    "an import by a name": name("antigravity", "fly"),
    "an import of a submodule": name("xml.dom.minidom", "parse"),
    "compile": call(name("builtins", "compile"), CODE, text("x"), text("exec")),
    "stack_global": text("os") + text("mkdir") + b"\x93" + b"(" + TOUCH[1] + b"tR",
    "dotted stack_global": text("builtins") + text("str.__class__.__subclasses__") + b"\x93)R",
    "inst": b"(" + TOUCH[1] + b"ios\nmkdir\n",
    "obj": b"(" + name("os", "mkdir") + TOUCH[1] + b"o",
    "newobj": name("subprocess", "Popen") + b"(" + TOUCH[0] + b"t\x81",
    "newobj_ex": name("subprocess", "Popen")
    + b"("
    + TOUCH[0]
    + b"t("
    + text("shell")
    + b"\x88d\x92",
    "build": name("argparse", "Namespace") + b")\x81}" + text("__class__") + SYSTEM + b"sb",
    "setstate": name("torch", "Generator") + b")\x81" + SYSTEM + b"b",
    "copyreg": call(
        name("copyreg", "_reconstructor"), name("os", "mkdir"), name("builtins", "object"), b"N"
    ),
    "copyreg's registry": call(
        name("copyreg", "add_extension"), text("os"), text("system"), b"K\x01"
    ),
    "extension": b"\x82\x01(" + TOUCH[0] + b"tR",
    "large extension": b"\x84\xff\xff\xff\x7f)R",
    "partial": call(name("functools", "partial"), name("os", "system"), TOUCH[0]) + b")R",
    "attrgetter": call(call(name("operator", "attrgetter"), text("system")), name("os", "path")),
    "methodcaller": call(
        call(name("operator", "methodcaller"), text("system"), TOUCH[0]), name("os", "")
    ),
    "getattr": call(
        call(name("builtins", "getattr"), name("torch", "os"), text("mkdir")), TOUCH[1]
    ),
    "defaultdict": call(name("collections", "defaultdict"), name("os", "getpid"))
    + text("a")
    + b"Ns",
    "torch.load": call(name("torch", "load"), text("good.pt")),
    "torch.hub": call(name("torch.hub", "load"), text("owner/repository"), text("model")),
    "torch's compiler": call(name("torch.utils.cpp_extension", "load_inline"), text("x"), CODE),
    "a method of a tensor": call(name("torch", "Tensor.tofile"), TOUCH[1]),
    "numpy": call(name("numpy", "memmap"), TOUCH[1], text("float32"), text("w+")),
    "numpy's scalar": call(name("numpy.core.multiarray", "scalar"), SYSTEM, MKDIR),
    "numpy's array": call(name("numpy.core.multiarray", "_reconstruct"), SYSTEM, b")", text("b"))
    + MKDIR
    + b"b",
    "a type": call(
        name("torch._tensor", "_rebuild_from_type_v2"),
        name("os", "system"),
        name("os", "mkdir"),
        b"(" + TOUCH[0] + b"t",
        b"}",
    ),
    "a pickle in it": call(name("pickle", "loads"), text("cos\nmkdir\n(S'effect'\ntR.")),
    "an archive in it": call(
        name("torch.storage", "_load_from_bytes"), b"B" + struct.pack("<I", 4) + b"PK\3\4"
    ),
    "a storage in it": call(
        name("torch.storage", "_load_from_bytes"), b"B\x16\0\0\0" + b"cos\nsystem\n(S'touch'\nt"
    ),
    "encode": call(name("_codecs", "encode"), text("x"), text("rot13")),
    "another persistent id": b"(" + text("module") + MKDIR + text("0") + b"tQ",
    "an unknown storage": b"(" + text("storage") + name("os", "system") + text("0") + b"tQ",
    "itself in a list": b"]q\xf0h\xf0a",
    "itself in a dict": b"}q\xf0" + text("a") + b"h\xf0s",
    "itself in an object": name("argparse", "Namespace") + b")\x81q\xf0}" + text("a") + b"h\xf0sb",
    "deep": b"]" * 20_000 + b"a" * 19_999,
    "deep tuples": b")" + b"\x85" * 20_000,
    "deep objects": name("a", "b") * 5_000 + b")" + b"\x85R" * 5_000,
    "wide and deep": b"]q\xf00"
    + b"("
    + b"h\xf0" * 10
    + b"lq\xf0"
    + (b"0(" + b"h\xf0" * 10 + b"lq\xf0") * 30,
    "a large memo": b"Nr\xff\xff\xff\x7f0N",
    "keys of one hash": b"}("
    + b"".join(number(index * (2**61 - 1)) + b"N" for index in range(30_000))
    + b"u",
    "a list as a key": b"}]Ns",
    "an integer of 2 MB": b"\x8b\x80\x84\x1e\0" + b"\x7f" * 2_000_000,
    "a frame of 2**63": b"\x95" + b"\xff" * 7 + b"\x7fN",
    "tuples as keys": b"}("
    + b"".join(number(index * (2**61 - 1)) + b"\x85N" for index in range(30_000))
    + b"u",
}
"""Values beside a scheduler; it is read, and the value is left out."""

LONG = b"(" + b"N" * 200_000 + b"tq\xf0"
TEXT = text("x" * 200_000) + b"q\xf0"
BOMBS = {
    "arguments of many": lambda: beside(
        LONG + name("a", "b") + b"q\xf1" + b"h\xf1h\xf0R" * 200_000
    ),
    "a state of many": lambda: beside(
        b"}("
        + b"".join(number(each) + b"N" for each in range(100_000))
        + b"uq\xf0"
        + (name("a", "b") + b")R" + b"h\xf0b") * 50_000
    ),
    "one list in many dicts": lambda: beside(
        b"]("
        + b"".join(number(each) + b"N\x86" for each in range(50_000))
        + b"eq\xf0"
        + (name("collections", "OrderedDict") + b"h\xf0\x85R") * 50_000
    ),
    "one text encoded": lambda: beside(
        TEXT + (name("_codecs", "encode") + b"h\xf0h\xf0\x86R") * 50_000
    ),
    "one pickle in many": lambda: beside(
        text("N" * 10)
        + b"B"
        + struct.pack("<I", 200_000)
        + b"N" * 199_999
        + b".q\xf0"
        + (name("torch.storage", "_load_from_bytes") + b"h\xf0\x85R") * 50_000
    ),
    "keys of a state": lambda: zipped(pickle.dumps(state() | dict.fromkeys(range(300000)), 2)),
    "bytes of 4 GB": lambda: beside(b"B\xff\xff\xff\xff"),
    "text of 4 GB": lambda: beside(b"X\xff\xff\xff\xff"),
    "text of 2**63": lambda: beside(b"\x8d" + b"\xff" * 7 + b"\x7f"),
    "bytearray of 2**63": lambda: beside(b"\x96" + b"\xff" * 7 + b"\x7f"),
    "an integer of 2 GB": lambda: beside(b"\x8b\xff\xff\xff\x7f"),
    "an integer of a million digits": lambda: beside(b"L" + b"9" * 10**6 + b"L\n"),
    "ten million sets": lambda: beside(b"\x8f" * 10**7 + b"0" * (10**7 - 1)),
    "marks": lambda: beside(b"(" * 10**6),
    "no line's end": lambda: beside(b"c" + b"x" * 10**7),
    "a key twice": lambda: beside(b"}" + (text("lr") + b"K\x01s") * 2),
    "nothing on the stack": lambda: b"\x80\x02R.",
    "below a mark": lambda: beside(b"(R"),
    "an unknown memo": lambda: beside(b"h\xf1"),
    "two values": lambda: b"\x80\x02NN.",
    "no end": lambda: beside(b"N")[:-1],
    "append to a number": lambda: beside(b"K\x01Na"),
    "an item of a list": lambda: beside(b"]NNs"),
    "attributes of a class": lambda: beside(
        name("collections", "OrderedDict") + b"N}" + text("__setitem__") + SYSTEM + b"s\x86b"
    ),
    "a dtype": lambda: beside(call(name("numpy", "dtype"), SYSTEM) + MKDIR + b"b"),
    "call of a number": lambda: beside(b"K\x01K\x01R"),
    "a buffer outside": lambda: beside(b"\x97"),
}
"""Pickles that are refused."""

WEIGHTS = {
    "a good one": (lambda: tensors(tensor(0, [2, 2], [2, 1])), "array("),
    "4 TB of one number": (lambda: tensors(tensor(0, [10**12], [0])), "repeat their numbers"),
    "4 TB twice over": (lambda: tensors(*[tensor(0, [2**20], [0])] * 9), "repeat their numbers"),
    "beyond the storage": (lambda: tensors(tensor(0, [5], [1])), "needs 5 numbers, and it has 4"),
    "an offset beyond": (lambda: tensors(tensor(4, [1], [1])), "needs 5 numbers, and it has 4"),
    "strides beyond": (lambda: tensors(tensor(0, [2, 2], [3, 1])), "needs 5 numbers"),
    "a huge stride": (lambda: tensors(tensor(0, [2], [2**61])), "needs 2305843009213693953 numb"),
    "an offset before": (lambda: tensors(tensor(-1, [1], [1])), "Received: none"),
    "a negative size": (lambda: tensors(tensor(0, [-1], [1])), "Received: none"),
    "a negative stride": (lambda: tensors(tensor(3, [2], [-1])), "Received: none"),
    "sizes of 2**64": (lambda: tensors(tensor(0, [2**64], [1])), "Received: none"),
    "nothing, hugely": (lambda: tensors(tensor(0, [0, 2**61, 2**61], [1, 1, 1])), "the shape"),
    "a thousand axes": (lambda: tensors(tensor(0, [1] * 1000, [1] * 1000)), "Received: none"),
    "fewer strides": (lambda: tensors(tensor(0, [2, 2], [1])), "Received: none"),
    "a claim of 2**62 numbers": (
        lambda: tensors(tensor(0, [4], [1], size=number(2**62))),
        "array(",
    ),
    "no such storage": (lambda: tensors(tensor(0, [4], [1], key="1")), "it has no archive/data/1"),
    "another file": (
        lambda: tensors(tensor(0, [4], [1], key="../../../../etc/passwd")),
        "it has no archive/data/../",
    ),
    "one storage of two types": (
        lambda: tensors(tensor(0, [4], [1]), tensor(0, [2], [1], kind="DoubleStorage")),
        "its storage '0' has two types",
    ),
    "a module in itself, twice": (lambda: module_in_itself("ab"), "its model contains itself"),
    "a large module in itself": (
        lambda: module_in_itself("a", (number(each) + b"N" for each in range(100_000))),
        "its model contains itself",
    ),
}


def groups(state_of, **more):
    group = {"params": [0], "betas": [0.9, 0.9], "eps": 1.0} | more
    return pickle.dumps({"state": {0: {}}, "param_groups": state_of(group)}, 2)


MOMENTS = {
    "a group many times": lambda: groups(lambda group: [group] * 300_000),
    "parameters many times": lambda: groups(
        lambda group: [dict(group) for _ in range(1000)], params=[0] * 10_000
    ),
}


def archives():
    good, end = zipped(beside(b"N"), {"data/0": bytes(16)}), bytes(10**7)
    record, with_weights = good.rindex(b"PK\x05\x06"), tensors(tensor(0, [4], [1]))
    claims = bytearray(good)
    claims[record + 12 : record + 20] = b"\xff\xff\xff\x7f" * 2
    yield "a directory of 2 GB", bytes(claims)
    for field, offset in (("size", 20), ("size, unpacked,", 24), ("place", 42)):
        changed = bytearray(with_weights)
        at = with_weights.rindex(b"PK\x01\x02") + offset
        changed[at : at + 4] = b"\xff\xff\xff\x7f"
        yield f"a member whose {field} is 2 GB", bytes(changed)
    before = bytearray(good)
    before[record + 16 : record + 20] = struct.pack("<I", 10**6)
    yield "a directory of members before the file", bytes(before)
    overlapping = bytearray(good)
    at = good.rindex(b"PK\x01\x02")
    overlapping[at + 42 : at + 46] = bytes(4)
    yield "members in one place", bytes(overlapping)
    yield "a zip bomb", zipped(end, compression=zipfile.ZIP_DEFLATED)
    yield (
        "zip bombs as weights",
        zipped(
            b"\x80\x02(" + text("w") + tensor(0, [4], [1]) + b"d.",
            {"data/0": end},
            zipfile.ZIP_LZMA,
        ),
    )
    yield "an archive in an archive", zipped(good)
    yield "a pickle of zeros", zipped(end)
    yield (
        "a number in 10,000 members",
        zipped(b"\x80\x02K\x01.", {f"data/{i}": b"" for i in range(10_000)}),
    )
    yield "a legacy file of 2**62 numbers", legacy(2**62)
    yield "a legacy file of -1 numbers", legacy(-1)
    yield "a legacy file without its numbers", legacy(4)
    yield "a legacy file with system", pickle.dumps(MAGIC, 2) + b"\x80\x02" + SYSTEM + b"."
    yield "a JSON file", json.dumps([[[]]] * 1000).encode()
    yield "a tar file", b"sys_info".ljust(257, b"\0") + b"ustar" + bytes(1000)


MAGIC = 0x1950A86A20F9469CFC6C


def legacy(count):
    weights = text("w") + tensor(0, [4], [1], size=b"K\x04N")
    parts = [pickle.dumps(each, 2) for each in (MAGIC, 1001, {"little_endian": True})]
    parts += [b"\x80\x02(" + weights + b"d.", pickle.dumps(["0"], 2), struct.pack("<q", count)]
    return b"".join(parts)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    files = {f"beside: {each}": beside(value) for each, value in HARMLESS.items()}
    files |= {f"{each}, zipped": zipped(content) for each, content in files.items()}
    files |= {f"bomb: {each}": content() for each, content in BOMBS.items()}
    files |= {f"weights: {each}": content() for each, (content, _) in WEIGHTS.items()}
    files |= {f"moments: {each}": content() for each, content in MOMENTS.items()}
    files |= {f"archive: {each}": content for each, content in archives()}
    names = {each: f"{each.split(':')[0]}-{index}.pt" for index, each in enumerate(files)}
    for each, content in files.items():
        (folder / names[each]).write_bytes(content)
    torch.save({"scheduler": state(), "model": {"w": torch.ones(2)}}, folder / "good.pt")
    done = subprocess.run(
        [sys.executable, "-P", "-c", READ, "good.pt", *names.values()],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = map(json.loads, done.stdout.splitlines())
    return dict(zip(names, lines, strict=True))


def test_there_are_no_effects(outcomes):
    assert len(outcomes) > 130
    assert {each: done["effects"] for each, done in outcomes.items() if done["effects"]} == {}


def test_time_is_bounded(outcomes):
    assert {each: done["seconds"] for each, done in outcomes.items() if done["seconds"] > 30} == {}


def test_errors_have_one_short_line(outcomes):
    for each, done in outcomes.items():
        for said in done["done"].values():
            assert not said.startswith("ValueError") or len(said) < 1500, each
            assert not said.startswith("ValueError") or said.isprintable(), each


@pytest.mark.parametrize("form", ["", ", zipped"], ids=["pickle", "zip"])
@pytest.mark.parametrize("each", HARMLESS)
def test_the_scheduler_beside_it_is_read(outcomes, each, form):
    assert outcomes[f"beside: {each}{form}"]["done"]["record"] == repr(to_record(state()))


@pytest.mark.parametrize("each", BOMBS)
def test_a_bomb_is_refused(outcomes, each):
    assert outcomes[f"bomb: {each}"]["done"]["record"].startswith("ValueError: '")


@pytest.mark.parametrize("each", WEIGHTS)
def test_weights(outcomes, each):
    assert WEIGHTS[each][1] in outcomes[f"weights: {each}"]["done"]["weights"]


@pytest.mark.parametrize("each", MOMENTS)
def test_moments(outcomes, each):
    message = "its optimizer has a group twice, or too many parameters"
    assert message in outcomes[f"moments: {each}"]["done"]["moments"]


@pytest.mark.parametrize("each", [each for each, _ in archives()])
def test_an_archive(outcomes, each):
    for said in outcomes[f"archive: {each}"]["done"].values():
        assert said.startswith("ValueError: '"), said


def test_each_bit_of_the_pickle_counts(tmp_path):
    """A change of a bit is noticed, and never another record."""
    path = tmp_path / "file.pt"
    torch.save({"scheduler": state()}, path)
    whole = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("file/data.pkl")
    start = whole.index(pickled)
    for place in range(start, start + len(pickled)):
        whole[place] ^= 1 << place % 8
        path.write_bytes(whole)
        with pytest.raises(ValueError, match=r"its file/data\.pkl is damaged: it doesn't match"):
            read_record(path)
        whole[place] ^= 1 << place % 8


def test_each_storage_is_compared_when_it_is_read(tmp_path):
    path = tmp_path / "file.pt"
    torch.save({"scheduler": state(), "model": {"w": torch.arange(100.0)}}, path)
    whole = path.read_bytes()
    at = whole.index(struct.pack("<f", 99.0))
    path.write_bytes(whole[:at] + b"\1" + whole[at + 1 :])
    assert read_record(path) == to_record(state())
    with pytest.raises(ValueError, match=r"file/data/0 is damaged: it doesn't match its checksum$"):
        read_weights(path)


@needs("torch.serialization.set_crc32_options")
def test_a_file_without_checksums(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"scheduler": state()}, tmp_path / "file.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    with zipfile.ZipFile(tmp_path / "file.pt") as archive:
        assert {each.CRC for each in archive.infolist()} == {0} != {zlib.crc32(b"x")}
    assert read_record(tmp_path / "file.pt") == to_record(state())


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (lambda: {1: state(), "1": state()}, "'1', '1'"),
        (lambda: {"a": {"b": state()}, "a.b": state()}, "'a.b', 'a.b'"),
        (lambda: {"a": [state()], "a.0": state()}, "'a.0', 'a.0'"),
    ],
    ids=["number and text", "a dot", "a list"],
)
def test_two_places_of_one_name_are_told(tmp_path, content, places):
    torch.save(content(), tmp_path / "file.pt")
    key = places[1:4].removesuffix("'").removesuffix("',")
    for given in (None, key):
        with pytest.raises(ValueError, match=rf"must be one state, .* Received: .*{key}', "):
            read_record(tmp_path / "file.pt", key=given)
