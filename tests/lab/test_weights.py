import pytest
import safetensors.torch

from leansr import zoo
from leansr.errors import WeightsError
from leansr.lab import weights as weights_file
from leansr.lab.nets import build
from leansr.zoo.release import release_of


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({}, "tells no scale"),
        ({"scale": "two"}, "tells no scale"),
        ({"scale": "3"}, "of no known network .sesr-m5: there is no x3"),
        ({"variant": "sesr-m6", "scale": "2"}, "of no known network .sesr-m6: no such variant"),
    ],
)
def test_a_header_of_no_network(tmp_path, header, told):
    tensors = weights_file.read_tensors(release_of("sesr-m5", 2).tensors)
    path = tmp_path / "odd.safetensors"
    safetensors.torch.save_file(tensors, path, {"variant": "sesr-m5"} | header)
    with pytest.raises(WeightsError, match=told):
        weights_file.open_network(path)
    safetensors.torch.save_file(tensors, path, {"variant": "sesr-m5", "scale": "2"})
    assert weights_file.open_network(path)[2] == 2


@pytest.mark.parametrize("space", ["expanded", "collapsed"])
def test_a_release_in_another_space(space):
    tensors = weights_file.read_tensors(release_of("sesr-m5", 2).tensors)
    network = build(zoo.find("sesr-m5", 2), 2, space)
    with pytest.raises(WeightsError, match=r"Releases are of the direct one$"):
        weights_file.load_strictly(network, tensors, "sesr-m5_x2")
    other = build(zoo.find("sesr-m7", 2), 2, "direct")
    with pytest.raises(WeightsError) as raised:
        weights_file.load_strictly(other, tensors, "sesr-m5_x2")
    assert "space" not in str(raised.value)
