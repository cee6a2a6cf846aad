"""Published checkpoints: every layout known, strictly read, and nothing else taken for one."""

import hashlib
import pickle
import re

import pytest
import torch

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.lab.export.release import upscaler_of
from leansr.lab.nets import build, network_class
from leansr.lab.published import import_published, published_name, read_checkpoint
from leansr.lab.weights import Imported, load_network
from leansr.runtime.benchmarks import find
from leansr.runtime.evaluate import evaluate

# Rows whose authors' layout is known, with the forms that it fills.
PUBLISHED = [
    (name, layout)
    for name, variant in zoo.VARIANTS.items()
    for layout in network_class(variant).published
]


def as_published(name, scale, layout=0, container="params"):
    """A checkpoint as the authors would have saved it, of random weights, and those weights."""
    variant = zoo.find(name, scale)
    layout = network_class(variant).published[layout]
    network = build(variant, scale)
    form = network.deploy() if layout.form == "deploy" else network
    tensors = {published_name(layout, n): t.clone() for n, t in form.state_dict().items()}
    return ({container: tensors} if container else tensors), form


@pytest.mark.parametrize(
    ("name", "scale", "layout"),
    [
        ("bsrn", 2, 0),
        ("bsrn", 3, 0),
        ("bsrn", 4, 0),
        ("bsrn-s", 4, 0),
        ("mdrn", 2, 0),
        ("mdrn", 3, 0),
        ("mdrn-s", 4, 0),
        ("fmen-s", 4, 0),
        ("fmen-s", 4, 1),
        ("e-rfdn", 4, 0),
        ("imdn-ntire", 4, 0),
    ],
)
def test_a_layout_there_and_back(tmp_path, name, scale, layout):
    content, form = as_published(name, scale, layout)
    torch.save(content, tmp_path / "theirs.pth")
    facts = import_published(tmp_path / "theirs.pth", name, scale, tmp_path / "ours.safetensors")
    network, read = load_network(tmp_path / "ours.safetensors", name, scale)
    assert isinstance(read, Imported)
    assert read == facts
    assert (read.variant, read.scale, read.file) == (name, scale, "theirs.pth")
    byte_range = network_class(zoo.find(name, scale)).published[layout].values is not dict
    factor = 255 if byte_range else 1
    smallest = zoo.find(name, scale).smallest
    lr = torch.rand(1, 3, smallest + 3, smallest + 6)
    with torch.no_grad():
        expected = form.eval()(lr * factor) / factor
        torch.testing.assert_close(network.eval()(lr), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "layout", "fingerprint"),
    [
        ("bsrn", 0, "45458fc359ca402f"),
        ("bsrn-s", 0, "3ba62f834d66ba01"),
        ("mdrn", 0, "07c1a08614d6341a"),
        ("mdrn-s", 0, "5bf94ecc34e306a3"),
        ("fmen-s", 0, "c0ff87da12bfdd0c"),
        ("fmen-s", 1, "085b50cd3593f1b4"),
        ("e-rfdn", 0, "7aea13630cf3b24c"),
        ("imdn-ntire", 0, "dfcdc5bcec20be4a"),
    ],
)
def test_a_layout_is_the_authors_own(name, layout, fingerprint):
    """By the names and shapes of every tensor in their files, which are not here."""
    tensors, _ = as_published(name, 4, layout, container=None)
    lines = sorted(f"{name} {'x'.join(map(str, t.shape))}" for name, t in tensors.items())
    found = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert found[:16] == fingerprint


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("file", "name", "psnr", "ssim"),
    [
        ("net_g_BSRN_x4.pth", "bsrn", 32.351, 0.8966),
        ("mdrn_x4.pth", "mdrn", 32.347, 0.8970),
        ("team03_fmen.pth", "fmen-s", 32.028, 0.8937),
        ("rfdn_baseline.pth", "e-rfdn", 32.155, 0.8945),
    ],
)
@pytest.mark.slow
def test_published_weights_give_the_authors_figures(tmp_path, shared_data, file, name, psnr, ssim):
    import_published(
        shared_data.parent / "checkpoints" / file, name, 4, tmp_path / "ours.safetensors"
    )
    upscaler = upscaler_of(tmp_path / "ours.safetensors", name, 4)
    result = evaluate(upscaler, 4, find(shared_data, "Set5", 4))
    assert result.psnr_y == pytest.approx(psnr, abs=0.01)
    assert result.ssim_y == pytest.approx(ssim, abs=0.0003)


def test_the_average_of_weights_is_preferred(tmp_path):
    content, _ = as_published("e-rfdn", 4, container="params")
    average = {name: tensor + 1 for name, tensor in content["params"].items()}
    torch.save({**content, "params_ema": average}, tmp_path / "both.pth")
    read = read_checkpoint(tmp_path / "both.pth")
    for name, tensor in average.items():
        torch.testing.assert_close(read[name], tensor)


def test_names_of_a_parallel_wrapper_are_the_network_s(tmp_path):
    content, _ = as_published("e-rfdn", 4, container=None)
    wrapped = {f"module.{name}": tensor.half() for name, tensor in content.items()}
    torch.save(wrapped, tmp_path / "parallel.pth")
    read = read_checkpoint(tmp_path / "parallel.pth")
    assert read.keys() == content.keys()
    assert {tensor.dtype for tensor in read.values()} == {torch.float32}


def test_everything_that_does_not_fit_is_listed(tmp_path):
    content, _ = as_published("bsrn", 4)
    tensors = content["params"]
    del tensors["c1.bias"]
    tensors["c7.bias"] = torch.zeros(3)
    tensors["c2.dw.bias"] = torch.zeros(5)
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(WeightsError) as raised:
        import_published(tmp_path / "odd.pth", "bsrn", 4, tmp_path / "ours.safetensors")
    assert str(raised.value) == (
        f"{tmp_path / 'odd.pth'}: is not bsrn x4: c1.bias is missing; "
        f"c7.bias is not the network's; c2.dw.bias is (5,), not (64,)"
    )
    assert not (tmp_path / "ours.safetensors").exists()


class Runs:
    """What a pickle can do when it is opened."""

    def __reduce__(self):
        return print, ("this must not be printed",)


def broken(folder):
    """Files that are no checkpoint of a BSRN, by what is wrong with them."""
    content, _ = as_published("bsrn", 4)
    other, _ = as_published("e-rfdn", 4)
    torch.save(content, folder / "whole.pth")
    torch.save(other, folder / "other.pth")
    torch.save([1, 2], folder / "list.pth")
    torch.save({}, folder / "empty.pth")
    torch.save({"epoch": 3, "w": torch.zeros(1)}, folder / "mixed.pth")
    (folder / "text.pth").write_text("no checkpoint")
    (folder / "nothing.pth").write_bytes(b"")
    whole = (folder / "whole.pth").read_bytes()
    (folder / "truncated.pth").write_bytes(whole[: len(whole) // 2])
    (folder / "code.pth").write_bytes(pickle.dumps(Runs()))
    torch.save({"params": Runs()}, folder / "code_zip.pth")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("missing.pth", "cannot be read"),
        ("text.pth", "missing.pth|no checkpoint|cannot be read"),
        ("nothing.pth", "cannot be read"),
        ("truncated.pth", "cannot be read"),
        ("code.pth", "can run code"),
        ("code_zip.pth", "can run code"),
        ("list.pth", "holds no named tensors"),
        ("empty.pth", "holds no named tensors"),
        ("mixed.pth", "not tensors: epoch"),
        ("other.pth", "is not bsrn x4: .* is missing; .* is not the network's"),
    ],
)
def test_what_is_no_checkpoint_of_it(tmp_path, capfd, file, words):
    broken(tmp_path)
    with pytest.raises(WeightsError, match=words) as raised:
        import_published(tmp_path / file, "bsrn", 4, tmp_path / "ours.safetensors")
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / file}: ")
    assert "\n" not in message
    assert "must not be printed" not in capfd.readouterr().out
    assert not (tmp_path / "ours.safetensors").exists()


def test_another_scale_is_another_network(tmp_path):
    content, _ = as_published("mdrn", 4)
    torch.save(content, tmp_path / "x4.pth")
    with pytest.raises(WeightsError, match=r"x4.pth: is not mdrn x2: .* is \(48, .*not \(12, "):
        import_published(tmp_path / "x4.pth", "mdrn", 2, tmp_path / "ours.safetensors")


def test_what_cannot_be_asked_for(tmp_path):
    content, _ = as_published("bsrn", 4)
    torch.save(content, tmp_path / "b.pth")
    with pytest.raises(UsageError, match=re.escape("written as FILE.safetensors")):
        import_published(tmp_path / "b.pth", "bsrn", 4, tmp_path / "ours.pth")
    with pytest.raises(UsageError, match="sesr-m5: no published checkpoints"):
        import_published(tmp_path / "b.pth", "sesr-m5", 4, tmp_path / "ours.safetensors")


def test_no_two_tensors_share_a_published_name():
    for name, layout in PUBLISHED:
        variant = zoo.VARIANTS[name]
        network = build(variant, variant.scales[-1])
        form = network.deploy() if layout.form == "deploy" else network
        names = [published_name(layout, n) for n in form.state_dict()]
        assert len(set(names)) == len(names), name
