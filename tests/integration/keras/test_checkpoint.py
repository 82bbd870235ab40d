"""Records from files that Keras wrote, and a one-line error for any other file."""

import faulthandler
import json
import os
import struct
from dataclasses import replace
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import h5py
import keras
import numpy as np
import pytest

import clr_keras
from clr_core.record import Record
from clr_keras import CyclicLR, ScheduledLR, read_record
from integration.keras.cycled import GRADIENTS, SCHEDULE, fit, model, optimizer
from integration.keras.test_record import ADAM, ALONE, OTHER, both, multi, traced
from integration.keras.test_stored_states import MODELS, SAVED_AT

MAKERS = {
    "ours": lambda: optimizer("SGD-torch"),
    "keras's": lambda: ADAM(CyclicLR.of(SCHEDULE)),  # Which doesn't cycle the momentum.
    "accumulated": lambda: optimizer("Adam", gradient_accumulation_steps=3),
    "keras's accumulated": lambda: ADAM(CyclicLR(ALONE, 3), gradient_accumulation_steps=3),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(optimizer("SGD"), initial_scale=1.0),
}
WANTED = {
    "ours": Record(SCHEDULE, 7),
    "keras's": Record(ALONE, 7),
    "accumulated": Record(SCHEDULE, 2),  # And one micro-batch of an incomplete update.
    "keras's accumulated": Record(ALONE, 2),
    "scaled": Record(SCHEDULE, 7),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_run_on_disk(name, tmp_path):
    trained = model(MAKERS[name]())
    fit(trained, GRADIENTS[:7])
    trained.save(tmp_path / "run.keras")
    trained.save_weights(tmp_path / "run.weights.h5")
    given = CyclicLR.of(WANTED[name].schedule, 3 if "accumulated" in name else 1)
    assert read_record(tmp_path / "run.keras") == WANTED[name]
    assert read_record(str(tmp_path / "run.weights.h5"), given) == WANTED[name]
    assert clr_keras.to_record(trained) == WANTED[name]


def test_before_the_first_update(tmp_path):
    new = model(optimizer("Adam"))
    new.save(tmp_path / "new.keras")
    assert read_record(tmp_path / "new.keras") == clr_keras.to_record(new) == Record(SCHEDULE, 0)


@pytest.mark.parametrize("path", MODELS, ids=[path.stem for path in MODELS])
def test_what_earlier_versions_wrote(path):
    assert read_record(path) == Record(SCHEDULE, SAVED_AT)


@multi
def test_several_optimizers(tmp_path):
    layers = [keras.layers.Dense(1, name=name) for name in ("body", "head")]
    inputs = keras.layers.Input((5,))
    trained = keras.Model(inputs, keras.layers.Add()([layer(inputs) for layer in layers]))
    trained.compile(both(optimizer("SGD"), ADAM(CyclicLR(OTHER))), "mse", jit_compile=False)
    trained.fit(np.ones((3, 5)), np.ones((3, 1)), batch_size=1, verbose=0)
    trained.save(tmp_path / "run.keras")
    assert read_record(tmp_path / "run.keras") == Record((OTHER, SCHEDULE), 3)
    trained.optimizer.optimizers[0].iterations.assign(4)
    trained.save(tmp_path / "run.keras")
    with pytest.raises(ValueError, match=r"at the same step. Received: \[4, 3\]"):
        read_record(tmp_path / "run.keras")


@pytest.mark.filterwarnings("ignore:.*lambda")
@pytest.mark.parametrize("function", [traced, lambda x: 0.5**x], ids=["function", "lambda"])
def test_a_function_is_named_and_may_be_given_as_an_expression(function, tmp_path):
    schedule = replace(OTHER, scale_fn=function)
    model(ADAM(CyclicLR(schedule))).save(tmp_path / "run.keras")
    name = "__lambda__" if "lambda" in function.__name__ else "traced"
    with pytest.raises(
        ValueError, match=rf"can't be carried to another framework, and this is one: {name}\. "
    ):
        read_record(tmp_path / "run.keras")
    wanted = Record(replace(OTHER, scale_fn="0.5 ** x"))
    assert read_record(tmp_path / "run.keras", scale_fn="0.5 ** x") == wanted


@pytest.mark.filterwarnings("ignore:.*lambda")
def test_one_expression_for_several_functions(tmp_path):
    def saved(*scale_fns):
        first, second = (replace(OTHER, scale_fn=each) for each in scale_fns)
        model(ADAM(ScheduledLR(first.then(second, 8)))).save(tmp_path / "run.keras")
        return read_record(tmp_path / "run.keras", scale_fn="0.5 ** x").schedule

    wanted = replace(OTHER, scale_fn="0.5 ** x")
    assert saved(traced, traced) == wanted.then(wanted, 8)
    with pytest.raises(ValueError, match="and there are 2: __lambda__, __lambda__"):
        saved(lambda x: 0.5**x, lambda x: 0.25**x)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The members of a file that Keras wrote."""
    path = tmp_path_factory.mktemp("whole") / "run.keras"
    trained = model(optimizer("SGD"))
    fit(trained, GRADIENTS[:7])
    trained.save(path)
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, compression=ZIP_STORED):
    with ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def changed(parts, *keys, to):
    """The config with another value at these keys of the optimizer's config."""
    config = json.loads(parts["config.json"])
    at, keys = config["compile_config"], ("optimizer", *keys)
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = to
    return parts | {"config.json": json.dumps(config)}


RATE = ("config", "learning_rate")
CYCLIC = (*RATE, "config", "schedule")
CONFIGS = {
    "a name alone": ((), "adam", "its config has no 'class_name', which"),
    "a list": ((), [1], "its config has no 'class_name', which"),
    "options that are none": (("config",), 3, "its config has no 'learning_rate', which"),
    "a number as rate": (RATE, 0.1, "it has another rate than a ScheduledLR: 0.1"),
    "another schedule": (RATE, {"class_name": "InverseTimeDecay"}, "LR: 'InverseTimeDecay'"),
    "no schedule": ((*RATE, "config"), {}, "its config has no 'schedule', which"),
    "a key too few": (CYCLIC, {"scale_fn": None, "kind": "cyclic"}, "A schedule must have the"),
    "out of range": ((*CYCLIC, "base_lr"), -1, "`base_lr` must not be negative"),
    "not a number": ((*CYCLIC, "base_lr"), float("nan"), "`base_lr` must be finite"),
    "an expression of 10^6 x": ((*CYCLIC, "scale_fn"), "x" * 10**6, "`mode` must be left out"),
    "half a batch": (("config", "gradient_accumulation_steps"), 0.5, "must be a positive integer"),
    "other batches": (("config", "gradient_accumulation_steps"), 2, "must be the same in the"),
    "inside of nothing": (("class_name",), "LossScaleOptimizer", "no 'inner_optimizer', which"),
    "of no groups": (("class_name",), "MultiOptimizer", "no 'optimizer_map', which"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_is_none(name, parts, tmp_path):
    keys, value, message = CONFIGS[name]
    path = write(tmp_path / "run.keras", changed(parts, *keys, to=value))
    refuses(path, message)


def refuses(path, message, **options):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="must be a run with a schedule: ") as caught:
        read_record(path, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert path.read_bytes() == before


def deep(depth):
    return "[" * depth + "]" * depth


ARCHIVES = {
    "no config": ({"config.json": None}, "there is no config.json in it"),
    "no weights": ({"model.weights.h5": None}, "there is no model.weights.h5 in it"),
    "no JSON": ({"config.json": b"\xff{"}, "its config.json isn't JSON"),
    "deep JSON": ({"config.json": deep(10**5)}, "its config.json isn't JSON"),
    "a key twice": ({"config.json": '{"a": 1, "a": 2}'}, "its config.json isn't JSON: "),
    "a list": ({"config.json": "[1]"}, "the model in it wasn't compiled"),
    "not compiled": ({"config.json": "{}"}, "the model in it wasn't compiled"),
    "a huge config": ({"config.json": b" " * (2**26 + 1)}, "has more than 67108864 bytes"),
    "weights of text": ({"model.weights.h5": b"text" * 99}, "its weights aren't a whole HDF5 f"),
    "empty weights": ({"model.weights.h5": b""}, "its weights aren't a whole HDF5 file"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_is_none(name, parts, tmp_path):
    others, message = ARCHIVES[name]
    members = {key: data for key, data in (parts | others).items() if data is not None}
    refuses(write(tmp_path / "run.keras", members), message)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice(parts, tmp_path):
    path = write(tmp_path / "run.keras", parts)
    with ZipFile(path, "a") as archive:
        archive.writestr("config.json", parts["config.json"])
    refuses(path, "there is more than one config.json in it")


CLAIMS = {
    "compressed": ({"data": np.zeros(10**6), "compression": "gzip"}, "a compressed or damaged arr"),
    "never written": ({"shape": (10**9,), "dtype": "f4"}, "or damaged array, which has fewer"),
    "virtual": ({"layout": h5py.VirtualLayout((10**9,), "f4")}, "an array that lies in another f"),
    "text": ({"data": ["text"]}, "it has "),
    "nothing": ({"data": h5py.Empty("f4")}, "it has something else in the place of an array"),
    "many names for one": (None, "its arrays are larger than the file"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_arrays_that_claim_more_than_there_is(name, tmp_path):
    options, message = CLAIMS[name]
    with h5py.File(tmp_path / "run.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        if options is None:
            group["0"] = np.zeros(1000)
            for index in range(1, 50):
                group[str(index)] = group["0"]
        elif "layout" in options:
            group.create_virtual_dataset("0", options["layout"])
        else:
            group.create_dataset("0", **options)
    with pytest.raises(ValueError, match=f"must be a Keras file with weights: .*{message}"):
        clr_keras.read_weights(tmp_path / "run.weights.h5")


def test_what_is_compressed_is_not_unpacked(parts, tmp_path):
    bomb = parts | {"config.json": b" " * 2**26}  # In some 64 KiB.
    refuses(write(tmp_path / "run.keras", bomb, ZIP_DEFLATED), "its config.json is compressed")


def test_a_file_that_was_cut_short(parts, tmp_path):
    whole = write(tmp_path / "run.keras", parts).read_bytes()
    cut = tmp_path / "cut.keras"
    for length in [0, 1, 3, 8, 100, *range(500, len(whole), 2999), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        refuses(cut, "")


def test_a_byte_that_was_changed(parts, tmp_path):
    """The checksums of an archive find each of them in what is read."""
    path = write(tmp_path / "run.keras", parts)
    whole = path.read_bytes()
    for data in (parts["config.json"], parts["model.weights.h5"]):
        start = whole.index(data)
        for at in range(start, start + len(data), len(data) // 20):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            refuses(path, " is damaged")


def test_a_pickle_is_not_unpickled(tmp_path):
    path = tmp_path / "run.keras"
    path.write_bytes(b"cos\nsystem\n(S'touch " + bytes(tmp_path) + b"/ran'\ntR.")
    refuses(path, "it is neither a .keras nor an .h5 file. A SavedModel or a checkp")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("start", [b"", b"PK\3\4", b"\x89HDF\r\n\x1a\n"], ids=["", "zip", "HDF5"])
def test_a_gigabyte(start, tmp_path):
    path = tmp_path / "run.keras"
    with open(path, "wb") as file:
        file.write(start)
        file.truncate(2**30)
    with pytest.raises(ValueError, match="must be a run with a schedule: it"):
        read_record(path, SCHEDULE)


def _linked(file):
    file["elsewhere"] = np.int32(7)
    file.create_group("optimizer/vars")["0"] = h5py.SoftLink("/elsewhere")


def _in_another_file(file):
    file.create_group("optimizer/vars")["0"] = h5py.ExternalLink("/etc/hostname", "/x")


def _in_other_bytes(file):
    external = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    external.set_external(b"/etc/hostname", 0, 4)
    group, one = file.create_group("optimizer/vars"), h5py.h5s.create(h5py.h5s.SCALAR)
    h5py.h5d.create(group.id, b"0", h5py.h5t.NATIVE_INT32, one, external)


def _itself(file):
    file["optimizer/inner_optimizer"] = file.create_group("optimizer")


WEIGHTS = {
    "none": (lambda file: None, "it was saved without the state of an optimizer"),
    "no variables": (lambda file: file.create_group("optimizer"), "it was saved without the state"),
    "an array for a group": (lambda file: file.update({"optimizer": 3}), "saved without the state"),
    "a fraction": (lambda file: file.update({"optimizer/vars/0": 1.5}), "doesn't begin with `iter"),
    "an array": (lambda file: file.update({"optimizer/vars/0": [1, 2]}), "doesn't begin with `it"),
    "a group": (lambda file: file.create_group("optimizer/vars/0"), "it has something else in the"),
    "below 0": (
        lambda file: file.update({"optimizer/vars/0": -1}),
        "`iterations` must be at least 0",
    ),
    "a link": (_linked, "its '0' is a link to elsewhere"),
    "a link to another file": (_in_another_file, "its '0' is a link to elsewhere"),
    "bytes of another file": (_in_other_bytes, "it has an array that lies in another file"),
    "itself": (_itself, "its groups are nested in circles"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_none(name, tmp_path):
    make, message = WEIGHTS[name]
    path = tmp_path / "run.weights.h5"
    with h5py.File(path, "w") as file:
        make(file)
    refuses(path, message, schedule=SCHEDULE)


def test_weights_that_were_cut_short(parts, tmp_path):
    path, whole = tmp_path / "run.weights.h5", parts["model.weights.h5"]
    path.write_bytes(whole)
    assert read_record(path, SCHEDULE) == Record(SCHEDULE, 7)
    for length in [8, 100, *range(500, len(whole), 2999), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refuses(path, "its weights aren't a whole HDF5 file", schedule=SCHEDULE)


def test_a_heap_that_hdf5_never_gets_through(parts, tmp_path):
    path, data = tmp_path / "run.weights.h5", bytearray(parts["model.weights.h5"])
    place = data.index(b"GCOL") + 16
    while number := data[place]:
        assert number < 10
        place += 16 + -(-data[place + 8] // 8) * 8
    data[place + 8 : place + 16] = bytes(8)  # The free space, without a size.
    path.write_bytes(data)
    faulthandler.dump_traceback_later(60, exit=True)  # HDF5 can't be interrupted.
    try:
        refuses(path, "its weights aren't a whole HDF5 file", schedule=SCHEDULE)
    finally:
        faulthandler.cancel_dump_traceback_later()


def test_a_schedule_is_asked_for_where_there_is_none_and_only_there(parts, tmp_path):
    path = tmp_path / "run.weights.h5"
    path.write_bytes(parts["model.weights.h5"])
    refuses(path, "it has weights and no schedule: pass `schedule`")
    refuses(write(tmp_path / "run.keras", parts), "leave out `schedule`", schedule=SCHEDULE)
    with pytest.raises(TypeError, match=r"`schedule` must be a schedule such as CyclicSchedule"):
        read_record(path, schedule=3)


def test_a_header_that_lies_of_its_size(parts, tmp_path):
    path = write(tmp_path / "run.keras", parts)
    whole = bytearray(path.read_bytes())
    at = whole.rindex(b"model.weights.h5") - 46  # Its entry in the directory of the archive.
    assert whole[at : at + 4] == b"PK\1\2"
    struct.pack_into("<II", whole, at + 20, 2**31, 2**31)
    path.write_bytes(whole)
    refuses(path, "its model.weights.h5 is damaged")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "none.keras")
    with pytest.raises(ValueError, match="it isn't a regular file"):
        read_record(tmp_path)
    with pytest.raises(TypeError, match=r"`path` must be a path. Received: path=3"):
        read_record(3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none on this system")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="it isn't a regular file"):
        read_record(tmp_path / "pipe")
