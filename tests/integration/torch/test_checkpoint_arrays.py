"""Moments, weights and hyperparameters out of a colleague's file."""

import pickle
import struct
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from torch.distributed.checkpoint import state_dict as distributed
from torch.optim import lr_scheduler

from clr_torch import read_hyperparameters, read_moments, read_weights, to_moments

OPTIMIZERS = {
    "SGD": (torch.optim.SGD, {"momentum": 0.9}),
    "Nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
    "SGD foreach": (torch.optim.SGD, {"momentum": 0.9, "foreach": True}),
    "Adam": (torch.optim.Adam, {}),
    "Adam fused": (torch.optim.Adam, {"fused": True}),
    "a rate in a tensor": (torch.optim.Adam, {"lr": torch.tensor(0.1)}),
    "AdamW": (torch.optim.AdamW, {"betas": (0.9, 0.95), "weight_decay": 0.1}),
    "RAdam": (torch.optim.RAdam, {}),
}


def network(dtype=torch.float32):
    torch.manual_seed(1)
    layers = torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)
    return torch.nn.Sequential(*layers).to(dtype)


def trained(kind, model, groups=None, steps=3, **options):
    optimizer = kind(groups or model.parameters(), **{"lr": 0.1} | options)
    for _ in range(steps):
        optimizer.zero_grad()
        dtype = next(model.parameters()).dtype
        model(torch.randn(8, 3, dtype=dtype)).square().mean().backward()
        optimizer.step()
    return optimizer


def same(moments, expected):
    assert (moments.kind, moments.count) == (expected.kind, expected.count)
    assert moments.slots.keys() == expected.slots.keys()
    for name, arrays in expected.slots.items():
        for mine, theirs in zip(moments.slots[name], arrays, strict=True):
            np.testing.assert_array_equal(mine, theirs, strict=True)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments(tmp_path, name, zipped):
    kind, options = OPTIMIZERS[name]
    model, path = network(), tmp_path / "run.pt"
    first, norm, last = (each.parameters() for each in model)
    groups = [{"params": last}, {"params": [*first, *norm], "weight_decay": 0.0}]
    optimizer = trained(kind, model, groups, **options)
    checkpoint = {"epoch": 1, "model": model.state_dict(), "optim": [optimizer.state_dict()]}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    count = 3 if kind is torch.optim.SGD else None
    same(read_moments(path, count=count), to_moments(optimizer, count=3))
    same(read_moments(path, key="optim.0", count=3), to_moments(optimizer, count=3))
    shown = read_hyperparameters(path)
    assert [each["parameters"] for each in shown] == [2, 4]
    for mine, theirs in zip(shown, optimizer.param_groups, strict=True):
        for each in ("lr", "weight_decay", "nesterov", "momentum", "eps"):
            assert mine.get(each) == theirs.get(each)
        assert mine.get("betas", [None])[0] == theirs.get("betas", [None])[0]
        assert not {"params", "foreach", "fused", "initial_lr"} & set(mine)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_each_float(tmp_path, dtype):
    model, path = network(dtype), tmp_path / "run.pt"
    optimizer = trained(torch.optim.AdamW, model, eps=1e-3)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    same(read_moments(path), to_moments(optimizer))
    weights, state = read_weights(path), model.state_dict()
    assert weights["1.num_batches_tracked"].dtype == np.int64
    for name, array in weights.items():
        small = state[name].dtype is torch.bfloat16
        expected = state[name].float() if small else state[name]
        np.testing.assert_array_equal(array, expected.numpy(), strict=True)


@pytest.mark.parametrize("count", [None, 7])
def test_sgd_has_the_count_of_its_scheduler(tmp_path, count):
    model, path = network(), tmp_path / "run.pt"
    optimizer = trained(torch.optim.SGD, model, momentum=0.9)
    scheduler = lr_scheduler.CyclicLR(optimizer, 0.1, 0.5, 3)
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    states = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    torch.save(states, path)
    assert read_moments(path, count=count).count == (count or 4)
    del states["scheduler"]
    torch.save(states, path)
    with pytest.raises(ValueError, match="`count`, the number of updates done, must be given"):
        read_moments(path)


def test_views_share_no_memory_with_the_file(tmp_path):
    flat = torch.arange(12.0)
    weights = {"a": flat[:4].view(2, 2), "b": flat[4:].view(4, 2).t(), "c": torch.ones(1).expand(3)}
    torch.save(weights, tmp_path / "model.pt")
    read = read_weights(tmp_path / "model.pt")
    for name, tensor in weights.items():
        np.testing.assert_array_equal(read[name], tensor.numpy())
    read["c"][0] = 5.0
    assert read["c"].tolist() == [5.0, 1.0, 1.0]


def test_distributed_state_dicts(tmp_path):
    model, path = network(), tmp_path / "run.pt"
    optimizer = trained(torch.optim.AdamW, model)
    for flat in (False, True):
        options = distributed.StateDictOptions(flatten_optimizer_state_dict=flat)
        state = distributed.get_optimizer_state_dict(model, optimizer, options=options)
        torch.save({"optimizer": state}, path)
        same(read_moments(path), to_moments(optimizer))
        assert sum(each["parameters"] for each in read_hyperparameters(path)) == 6
    state = optimizer.state_dict()  # As dcp_to_torch_save writes it.
    state["state"] = {str(key): value for key, value in state["state"].items()}
    torch.save({"optimizer": state}, path)
    same(read_moments(path), to_moments(optimizer))


def test_frozen_parameters_are_left_out(tmp_path):
    model, path = network(), tmp_path / "run.pt"
    model[0].requires_grad_(False)
    optimizer = trained(torch.optim.Adam, model)
    torch.save(optimizer.state_dict(), path)
    message = r"has no state for 2 of 6 parameters, which are left out of the moments: 0, 1$"
    with pytest.warns(UserWarning, match=message) as caught:
        moments = read_moments(path)
    assert caught[0].filename == __file__
    expected = optimizer.state[model[1].weight]["exp_avg"].numpy()
    np.testing.assert_array_equal(moments.slots["first"][0], expected)


def test_another_optimizer_with_adams_names_is_told(tmp_path):
    """LAMB keeps Adam's names, and so do many others."""
    state = state_of(torch.optim.Adam)
    state["param_groups"][0] |= {"name": "body", "lr_scale": 0.5, "initial_lr": 0.1}
    torch.save(state, tmp_path / "run.pt")
    expected = read_moments(tmp_path / "run.pt")
    state["param_groups"][0] |= {"trust_clip": False, "always_adapt": False}
    torch.save(state, tmp_path / "run.pt")
    message = "may be of another optimizer, .* its groups have 'always_adapt', 'trust_clip'$"
    with pytest.warns(UserWarning, match=message) as caught:
        same(read_moments(tmp_path / "run.pt"), expected)
    assert caught[0].filename == __file__


def state_of(kind, steps=3, **options):
    return trained(kind, network(), steps=steps, **options).state_dict()


def changed(steps):
    state = state_of(torch.optim.Adam)
    for each, step in zip(state["state"].values(), steps, strict=False):
        each["step"] = step
    return state


MOMENTS = {
    "NAdam": (
        lambda: state_of(torch.optim.NAdam),
        "one that keeps 'exp_avg', 'exp_avg_sq', 'mu_prod",
    ),
    "RMSprop": (
        lambda: state_of(torch.optim.RMSprop),
        "one that keeps 'square_avg', 'step' and has",
    ),
    "Adagrad": (
        lambda: state_of(torch.optim.Adagrad),
        "one that keeps 'step', 'sum' and has 'differe",
    ),
    "Muon": (
        lambda: {
            "state": {0: {"momentum_buffer": torch.ones(2, 2)}},
            "param_groups": [{"params": [0], "momentum": 0.9, "nesterov": True, "ns_steps": 5}],
        },
        "one that keeps 'momentum_buffer' and has 'momentum', 'nesterov', 'ns_steps'",
    ),
    "no update": (lambda: state_of(torch.optim.Adam, steps=0), "has no state: it made no update"),
    "plain SGD": (lambda: state_of(torch.optim.SGD), "or is SGD without momentum"),
    "amsgrad": (lambda: state_of(torch.optim.Adam, amsgrad=True), "`amsgrad` must be off"),
    "dampening": (
        lambda: state_of(torch.optim.SGD, momentum=0.9, dampening=0.1),
        r"`dampening` must be off: it changes what the optimizer remembers\. Received: dampening=0",
    ),
    "maximize": (lambda: state_of(torch.optim.Adam, maximize=True), "`maximize` must be off"),
    "different counts": (lambda: changed([2.0]), "Received: 2 of parameter 0, 3 of parameter 1"),
    "half a step": (lambda: changed([2.5] * 6), "must be a whole number. Received: step=2.5"),
    "not a number": (lambda: changed([float("nan")] * 6), "must be a whole number. Received: step"),
    "a negative step": (lambda: changed([-1.0] * 6), "`count` must be at least 0"),
    "no optimizer": (lambda: {"model": network().state_dict()}, "There must be an optimizer's s"),
    "two": (
        lambda: {"g": state_of(torch.optim.Adam), "d": state_of(torch.optim.Adam)},
        "There must be one optimizer, or a `key` to choose. Received: 'g', 'd'",
    ),
    "other keys": (
        lambda: (
            {"state": {9: {"step": 1, "exp_avg": 1, "exp_avg_sq": 1}}}
            | {"param_groups": [{"params": [0], "betas": (0.9, 0.9), "eps": 1.0}]}
        ),
        "its optimizer has a state for none of its parameters",
    ),
    "sparse": (
        lambda: {
            "state": {0: {"momentum_buffer": torch.eye(3).to_sparse()}},
            "param_groups": state_of(torch.optim.SGD)["param_groups"],
        },
        r"'momentum_buffer of parameter 0' must be a plain tensor\. Received: sparse tensor\. Conv",
    ),
    "nothing in it": (lambda: {"state": {}, "param_groups": []}, "isn't one of torch"),
}


@pytest.mark.parametrize("name", MOMENTS)
@pytest.mark.filterwarnings("ignore:.*are left out of the moments")
def test_moments_that_are_refused(tmp_path, name):
    content, reason = MOMENTS[name]
    torch.save(content(), tmp_path / "run.pt")
    with pytest.raises(ValueError, match=rf"run\.pt' must hold moments: .*{reason}"):
        read_moments(tmp_path / "run.pt", count=None if "step" in name or "counts" in name else 3)


WEIGHTS = {
    "none": (lambda: {"optimizer": state_of(torch.optim.Adam)}, "There must be a model's state d"),
    "generators": (lambda: {"rng": {"cpu": torch.get_rng_state()}}, "Received: none"),
    "losses": (lambda: {"losses": {"train": torch.tensor(0.3)}}, "Received: none"),
    "two": (
        lambda: {"model": network().state_dict(), "ema": network().state_dict()},
        "There must be one state dict, or a `key` to choose. Received: 'model', 'ema'",
    ),
    "sparse": (
        lambda: {"a": torch.ones(2), "b": torch.eye(3).to_sparse()},
        r"'b' must be a plain tensor. Received: sparse tensor. .*`to_dense\(\)`",
    ),
    "meta": (
        lambda: torch.nn.Linear(2, 2, device="meta").state_dict(),
        "'weight' must be a plain tensor. Received: tensor without numbers, on torch's device",
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_refused(tmp_path, name):
    content, reason = WEIGHTS[name]
    torch.save(content(), tmp_path / "run.pt")
    with pytest.raises(ValueError, match=rf"run\.pt' must hold weights: .*{reason}"):
        read_weights(tmp_path / "run.pt")


def test_a_key_chooses_among_several(tmp_path):
    model, other = network(), torch.nn.Linear(2, 2)
    states = {"nets": [model.state_dict(), other.state_dict()]}
    torch.save(states | {"opt": [state_of(torch.optim.Adam, n) for n in (1, 2)]}, tmp_path / "r.pt")
    assert list(read_weights(tmp_path / "r.pt", key="nets.1")) == ["weight", "bias"]
    assert read_moments(tmp_path / "r.pt", key="opt.1").count == 2
    with pytest.raises(ValueError, match=r"`key` must be one of 'nets\.0', 'nets\.1'\. Rec"):
        read_weights(tmp_path / "r.pt", key="nets")


def old_tensor(key):
    """The instructions for a tensor as torch 0.3 wrote it under Python 2."""
    storage = b"(U\x07storagectorch\nFloatStorage\n" + key + b"U\x03cpuK\x04NtQ"
    return b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\x00K\x02K\x02\x86K\x02K\x01\x86tR"


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_file_of_torch_0_3(tmp_path, order):
    letter = "<" if order == "little" else ">"
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": order == "little"}]
    content = b"".join(pickle.dumps(each, 2) for each in parts)
    content += b"\x80\x02ccollections\nOrderedDict\n]]U\x06weighta" + old_tensor(b"U\x0294")
    content += b"aa\x85R." + b"\x80\x02]U\x0294a." + struct.pack(f"{letter}q4f", 4, 1, 2, 3, 4)
    (tmp_path / "old.pt").write_bytes(content)
    assert read_weights(tmp_path / "old.pt")["weight"].tolist() == [[1, 2], [3, 4]]
    (tmp_path / "old.pt").write_bytes(content[:-1])
    with pytest.raises(ValueError, match="it isn't a whole file from"):
        read_weights(tmp_path / "old.pt")


@pytest.mark.parametrize("order", [None, "little", "big"])
def test_a_file_of_torch_1(tmp_path, order):
    """Before torch 2.1 an archive didn't say its byte order."""
    torch.save({"weight": torch.tensor([1.0, 2.0])}, tmp_path / "new.pt")
    new = ZipFile(tmp_path / "new.pt")
    with ZipFile(tmp_path / "old.pt", "w") as old:
        old.writestr("archive/data.pkl", new.read("new/data.pkl"))
        old.writestr("archive/data/0", struct.pack(">2f" if order == "big" else "<2f", 1, 2))
        if order is not None:
            old.writestr("archive/byteorder", order)
        old.writestr("archive/version", "3\n")
    assert read_weights(tmp_path / "old.pt")["weight"].tolist() == [1, 2]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated")
def test_a_program_has_no_states(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "model.pt")
    with pytest.raises(
        ValueError, match="TorchScript archive, which holds a program; save a state"
    ):
        read_weights(tmp_path / "model.pt")
