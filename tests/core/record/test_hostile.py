"""Files of all kinds that aren't records: an error of one line, and nothing else happens."""

import importlib
import json
import os
import pickle
import re
import sys
import tracemalloc
from contextlib import contextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clr_core import CyclicSchedule
from clr_core.record import MAX_BYTES, Record

pytestmark = pytest.mark.usefixtures("ends")

RECORD = Record(CyclicSchedule(base_lr=0.001, max_lr=0.006, scale_fn="1 / x"), step=12)
TEXT = RECORD.to_json()

YAML = """\
# For the second stage.
format: cyclical-lr/1
schedule:
- base_lr: 1e-4          # PyYAML by itself takes this for text.
  max_lr: .5
  mode: 'triangular2'
- {base_lr: 0, max_lr: 1, step_size_down: ~}
step: 10
"""
TOML = """\
format = "cyclical-lr/1"
step = 10
[[schedule]]
base_lr = 1e-4  # a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z
max_lr = 0.5
mode = "triangular2"
[[schedule]]
base_lr = 0
max_lr = 1
"""
BY_HAND = Record(
    [
        CyclicSchedule(base_lr=1e-4, max_lr=0.5, mode="triangular2"),
        CyclicSchedule(base_lr=0, max_lr=1),
    ],
    step=10,
)


def pyyaml(request):
    """PyYAML, which is missing only where the core is tested by itself."""
    if request.config.option.with_numpy:
        return importlib.import_module("yaml")
    return pytest.importorskip("yaml")


@pytest.fixture(scope="module", params=["with C", "without C"])
def yaml(request):
    """PyYAML with each of its parsers."""
    module = pyyaml(request)
    from clr_core.record import _yaml

    with pytest.MonkeyPatch.context() as patch:
        loader = module.CSafeLoader if request.param == "with C" else module.SafeLoader
        patch.setattr(_yaml, "_LOADER", loader)
        yield module


@pytest.fixture(scope="module", params=[".json", ".yaml", ".toml"])
def suffix(request):
    if request.param == ".yaml":
        pyyaml(request)
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


def read(folder, suffix, content):
    path = folder / f"run{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Record.read(path)


def refused(folder, suffix, content):
    """The reason, after the path."""
    with pytest.raises(ValueError, match=" must be a record: ") as caught:
        read(folder, suffix, content)
    return reason_of(caught.value, folder / f"run{suffix}")


def reason_of(error, path):
    text, start = str(error), f"{str(path)!r} must be a record: "
    assert type(error) is ValueError
    assert text.startswith(start)
    assert text.isprintable()  # Hence one line.
    assert len(text) < 1000
    return text.removeprefix(start)


def test_json_by_hand(folder):
    assert read(folder, ".json", "\ufeff" + TEXT) == RECORD
    assert read(folder, ".json", TEXT.replace("\n", "\r\n") + "\n\n") == RECORD
    assert read(folder, ".JSON", json.dumps(RECORD.to_dict())) == RECORD


@pytest.mark.parametrize("text", [TOML, "\ufeff" + TOML, TOML.replace("\n", "\r\n")])
def test_toml_by_hand(folder, text):
    assert read(folder, ".toml", text) == BY_HAND


@pytest.mark.parametrize("text", [YAML, "\ufeff" + YAML, YAML.replace("\n", "\r\n")])
def test_yaml_by_hand(folder, yaml, text):
    assert read(folder, ".yaml", text) == read(folder, ".yml", text) == BY_HAND
    assert read(folder, ".yaml", TEXT) == RECORD  # JSON is YAML.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("", "~", "null", "Null", "NULL")),
        ("1e-4", 1e-4),
        ("1E+4", 1e4),
        ("+.5", 0.5),
        ("-5.", -5.0),
        ("12", 12),
        ("-0", 0),
        ("'12'", "12"),
        ('"null"', "null"),
        *((text, text) for text in ("no", "010", "0x10", "1_000", "1:30", ".inf", "2020-01-01")),
        *((text, text) for text in ("٣", "=", "tRUE", "1e")),
    ],
)
def test_scalars_of_yaml(yaml, text, value):
    from clr_core.record._yaml import from_yaml

    result = from_yaml(f"a: {text}\n")["a"]
    assert (type(result), result) == (type(value), value)


def test_cut_anywhere(folder):
    for end in range(len(TEXT) - 1):  # The last character is the line end.
        refused(folder, ".json", TEXT[:end])
    assert read(folder, ".json", TEXT[:-1]) == RECORD


def test_any_byte_changed(folder):
    """Refused in one line, or a record: a digit that became another one can't be seen."""
    for position in range(len(TEXT)):
        for byte in (0x22, 0x39, 0xFF):
            changed = bytearray(TEXT.encode())
            changed[position] = byte
            try:
                read(folder, ".json", bytes(changed))
            except ValueError as error:
                reason_of(error, folder / "run.json")


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
@example(content=b"")
@example(content=b"\xff\xfe{\x00}\x00")  # UTF-16, as PowerShell writes it.
@example(content=b"\x00" * 100)
@example(content=b"\x1f\x8b\x08\x00")
@example(content=b"\x89PNG\r\n\x1a\n")
@example(content=b"PK\x03\x04")
@example(content=b"\xef\xbb\xbf")
@example(content="a: b\u2028: c".encode())
def test_bytes_at_random(folder, suffix, content):
    refused(folder, suffix, content)


START = '{"format": "cyclical-lr/1", "schedule": '
NEST = 100_000

HOSTILE = {
    "empty": (".json", "", "Expecting value: line 1 column 1 (char 0)"),
    "two documents": (".json", TEXT + TEXT, "Extra data: line 18"),
    "a key twice": (".json", '{"step": 1, "step": 2}', "a key is duplicated. Received: key='step'"),
    "NaN": (".json", START + '{"base_lr": NaN, "max_lr": 1}}', "NaN is not a number in JSON"),
    "1e400": (".json", START + '{"base_lr": 1e400, "max_lr": 1}}', "`base_lr` must be finite"),
    "4000 digits": (
        ".json",
        START + f'{{"base_lr": {"9" * 4000}, "max_lr": 1}}}}',
        "`base_lr` must be finite. Received: base_lr=99999",
    ),
    "a million digits": (
        ".json",
        "9" * 1_000_000,
        "it has a number of 1000000 digits, and may have 4300",
    ),
    "nested lists": (".json", "[" * NEST, "it is nested too deep"),
    "nested mappings": (".json", '{"a":' * NEST, "it is nested too deep"),
    "half as deep as Python goes": (".json", START + "[" * 400 + "]" * 400 + "}", "`schedule[0]`"),
    "a long list": (".json", "[" + "{}," * 300_000 + "{}]", "A record must be a mapping. Recei"),
    "a long key": (".json", f'{{"{"x" * 10**6}": 1}}', "`format` must be 'cyclical-lr/1'. It is"),
    "a long unknown key": (
        ".json",
        START + f'{{"base_lr": 0, "max_lr": 1, "{"step" * 200_000}": 1}}}}',
        "A schedule has no such key. Received: key='stepstep",
    ),
    "half a surrogate": (
        ".json",
        START + '{"base_lr": 0, "max_lr": 1, "mode": "\\ud800"}}',
        r"`mode` must be one of 'triangular', 'triangular2', 'exp_range'. Received: mode='\ud800'",
    ),
    "half a surrogate as a key": (
        ".json",
        '{"format": "cyclical-lr/1", "\\udc80\\n": 1}',
        r"A record has no such key. Received: key='\udc80\n'",
    ),
    "a terminal's controls": (
        ".json",
        '{"format": "\\u001b[2J\\u0007"}',
        r"`format` must be 'cyclical-lr/1'. Received: format='\x1b[2J\x07'",
    ),
    "UTF-16": (".json", TEXT.encode("utf-16"), "it isn't UTF-8 text: invalid start byte at byte 0"),
    "Latin-1": (".json", b'{"format": "\xe9"}', "it isn't UTF-8 text: invalid continuation byte"),
    "empty toml": (".toml", "", "`format` must be 'cyclical-lr/1'. It is missing"),
    "a key twice in toml": (".toml", "step = 1\nstep = 2", "Cannot overwrite a value"),
    "a date in toml": (
        ".toml",
        'format = "cyclical-lr/1"\nschedule = {base_lr = 0, max_lr = 2020-01-01}',
        "`max_lr` must be a number. Received: max_lr=datetime.date(2020, 1, 1)",
    ),
    "a million digits in toml": (
        ".toml",
        "a = " + "9" * 1_000_000,
        "it has an integer of more than 4300 digits",
    ),
    "nested toml": (".toml", "a = " + "[" * NEST, "it is nested too deep"),
    "nested tables in toml": (".toml", "a = " + "{a = " * NEST, "it is nested too deep"),
    # Each of these would take tomllib a terabyte.
    "a long dotted key": (".toml", ".".join("a" * 500_000) + " = 1", "it has a dotted key of mor"),
    "with spaces": (".toml", " . \t".join("a" * 200_000) + " = 1", "it has a dotted key of more"),
    "with quotes": (".toml", ".".join(['"=,"'] * 200_000) + " = 1", "it has a dotted key of more"),
    "behind a string": (
        ".toml",
        'a = """\\""" # """"\nb = \'\'\' "\'\'\'\'\n' + ".".join("a" * 400_000) + " = 1",
        "it has a dotted key of more",
    ),
    "in a header": (".toml", "[" + ".".join("a" * 500_000) + "]", "it has a dotted key of more"),
    "in a table": (".toml", "s = {" + ".".join("a" * 500_000), "it has a dotted key of more"),
    "escapes without an end": (".toml", 'a = "' + '\\"' * 500_000, "Unterminated string"),
    "quotes without an end": (".toml", "a = " + "\"'" * 500_000, "Expected newline or end of doc"),
}


@pytest.mark.parametrize(("suffix", "content", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile(folder, suffix, content, reason):
    assert refused(folder, suffix, content).startswith(reason)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]\n"
    for last, name in zip("abcdefgh", "bcdefghi", strict=True)
)
# "": said in the words of PyYAML or Python, which change from version to version.
HOSTILE_YAML = {
    "empty": ("", "it is empty"),
    "text": ("run", "A record must be a mapping. Received: document='run'"),
    "two documents": ("a: 1\n---\na: 2\n", "it has more than one document"),
    "a key twice": ("step: 1\nstep: 2\n", "a key is duplicated. Received: key='step'"),
    "billion laughs": (BOMB, "its aliases stand for more than 10000 values"),
    "itself": ("&a [*a]", "it has an alias of nothing in line 1"),
    "an alias": ("step: *a", "it has an alias of nothing in line 1"),
    "a long alias": (
        "- &a [" + "x, " * 10_000 + "x]\n- *a",
        "its aliases stand for more than 10000",
    ),
    "many aliases": ("- &a x\n" + "- *a\n" * 200_000, "its aliases stand for more than 10000 va"),
    "many empty lists": (
        "- &a [" + "[], " * 1000 + "[]]\n" + "- *a\n" * 20,
        "its aliases stand for more than 10000",
    ),
    "a chain of aliases": (
        "- &a0 []\n" + "".join(f"- &a{i + 1} [*a{i}]\n" for i in range(1000)),
        "it is nested too deeply",
    ),
    "what can't be merged": ("<<: 3", "it merges what isn't a mapping. Received: value=3"),
    "merged twice": ("<<: {a: 1}\n<<: {b: 1}", "a key is duplicated. Received: key='<<'"),
    "a tag": (
        "format: cyclical-lr/1\nschedule: {base_lr: 0, max_lr: 1}\nstep: !!int '3'",
        "`step` must be an integer. Received: step=<a value with a tag in line 3>",
    ),
    "a tag of Python": (
        "format: cyclical-lr/1\nschedule: !!python/object/apply:os.abort []",
        "A schedule must be a mapping. Received: schedule=<a value with a tag in line 2>",
    ),
    "a tagged key": ("!!python/name:os.abort : 1", "it has a key that isn't plain text in line 1"),
    "a mapping as a key": ("{a: 1}: 2", "it has a key that isn't plain text in line 1"),
    "no number": (
        "format: cyclical-lr/1\nschedule: {base_lr: .nan, max_lr: 1}",
        "`base_lr` must be a number. Received: base_lr='.nan'",
    ),
    "1e400": (
        "format: cyclical-lr/1\nschedule: {base_lr: 1e400, max_lr: 1}",
        "`base_lr` must be finite. Received: base_lr=inf",
    ),
    "nested": ("[" * NEST, ""),  # Or PyYAML's own refusal, from 6.0.4 on.
    "nested keys": ("? " * NEST, "it has a key that isn't plain text in line 1"),
    "nested mappings": ("{a: " * NEST, "it is nested too deep"),
    "tabs": ("a:\n\t- 1", ""),
    "not closed": ("schedule: [1, 2", ""),
    "two colons": ("a: 1\nb: c: d", ""),
    "a long handle": ("!" + "a" * 1_000_000 + "!b c", ""),
    "a long directive": ("%" + "a" * 1_000_000, ""),
    "unprintable": ("a: \x07", ""),
    "a million digits": ("9" * 1_000_000, ""),
}


@pytest.mark.parametrize(("content", "reason"), HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_hostile_yaml(folder, yaml, content, reason):
    assert refused(folder, ".yaml", content).startswith(reason)


@pytest.mark.parametrize("content", ["a:\n\t- 1", "a: 1\nb: c: d"], ids=["tabs", "two colons"])
def test_a_mistake_in_yaml_has_its_place(folder, yaml, content):
    assert re.fullmatch(r".+: line 2 column \d+", refused(folder, ".yaml", content))


def test_without_pyyaml(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "clr_core.record._yaml", raising=False)
    with pytest.raises(ImportError) as caught:
        read(folder, ".yaml", YAML)
    assert str(caught.value) == (
        "Reading YAML needs PyYAML. Install it with: pip install 'cyclical-lr[yaml]'"
    )


@contextmanager
def at_most(size):
    """Whoever reads more than that into memory fails."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 2**30, 2**40])
def test_a_huge_file_is_not_read(folder, suffix, size):
    path = folder / f"huge{suffix}"
    path.write_text(TEXT)
    os.truncate(path, size)  # With a hole in it: takes no disk, but would take memory.
    with at_most(100_000), pytest.raises(ValueError, match=" must be a record: ") as caught:
        Record.read(path)
    path.unlink()
    assert str(caught.value) == (
        f"{str(path)!r} must be a record: it has {size} bytes, and may have at most 1048576"
    )


def test_as_large_as_a_file_may_be(folder):
    padded = TEXT.rstrip() + " " * (MAX_BYTES - len(TEXT.rstrip()))
    assert read(folder, ".json", padded) == RECORD
    assert refused(folder, ".json", padded + " ") == (
        "it has 1048577 bytes, and may have at most 1048576"
    )


@pytest.mark.skipif(not os.path.exists("/proc/kallsyms"), reason="no /proc")
def test_a_file_that_hides_its_size(folder):
    path = folder / "hidden.json"
    path.symlink_to("/proc/kallsyms")  # 0 bytes, it says, and has megabytes.
    reason = r" must be a record: it has more than 1048576 bytes$"
    with at_most(4 * MAX_BYTES), pytest.raises(ValueError, match=reason):
        Record.read(path)


class Hostile:
    """A pickle of this makes a folder where it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_not_loaded(folder, suffix, protocol):
    marker = folder / "executed"
    content = pickle.dumps(Hostile(marker), protocol)
    refused(folder, suffix, content)
    assert not marker.exists()
    pickle.loads(content)
    marker.rmdir()  # It was a pickle that does something.


def test_a_tag_that_makes_a_folder_makes_none(folder, yaml):
    marker = folder / "executed"
    content = f"!!python/object/apply:os.mkdir [{str(marker)!r}]"
    refused(folder, ".yaml", content)
    assert not marker.exists()
    yaml.unsafe_load(content)
    marker.rmdir()


@pytest.mark.parametrize("name", ["a\nb.json", "a'b.json", "\x1b[2J.json", "\udc80.json"])
def test_odd_names_are_quoted(folder, name):
    path = folder / name
    try:
        path.write_text("{}")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(ValueError, match=" must be a record: ") as caught:
        Record.read(path)
    assert str(caught.value).startswith(f"{str(path)!r} must be a record: ")
    assert str(caught.value).isprintable()
