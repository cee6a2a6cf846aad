import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leansr.errors import WeightsError
from leansr.lab.quantize.packing import pack, unpack

VALUES = st.lists(st.sampled_from([-1, 0, 1]), max_size=40)


@given(VALUES)
def test_what_is_packed_comes_back(values):
    given = torch.tensor(values, dtype=torch.int8)
    packed = pack(given)
    assert packed.dtype == torch.uint8
    assert packed.numel() == (len(values) + 3) // 4
    assert torch.equal(unpack(packed, given.shape), given)


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (7, 3, 3, 3), (2, 0, 3)])
def test_shapes_come_back(shape):
    values = torch.randint(-1, 2, shape, dtype=torch.int8)
    assert torch.equal(unpack(pack(values), values.shape), values)


def test_bits_by_hand():
    """Two's complement, the first value lowest: 01, 11, 00, 11 | 01 and nothing."""
    packed = pack(torch.tensor([1, -1, 0, -1, 1], dtype=torch.int8))
    assert packed.tolist() == [0b11_00_11_01, 0b01]


def test_packed_in_the_order_of_the_shape_not_of_memory():
    values = torch.randint(-1, 2, (4, 3, 3, 3), dtype=torch.int8)
    moved = values.to(memory_format=torch.channels_last)
    assert torch.equal(pack(moved), pack(values))


@pytest.mark.parametrize("value", [2, -2, 127])
def test_other_values_do_not_fit(value):
    with pytest.raises(ValueError, match="other than -1, 0 and 1"):
        pack(torch.tensor([0, value], dtype=torch.int8))


@pytest.mark.parametrize(
    ("packed", "told"),
    [
        (torch.tensor([0, 0], dtype=torch.uint8), r"\(2,\) of torch.uint8 are not 3 packed"),
        (torch.tensor([0], dtype=torch.int8), r"torch.int8 are not 3 packed"),
        (torch.tensor([[0]], dtype=torch.uint8), r"\(1, 1\)"),
        # A fourth value, and one after the last.
        (torch.tensor([0b10], dtype=torch.uint8), "damaged"),
        (torch.tensor([0b01_00_00_00], dtype=torch.uint8), "damaged"),
    ],
)
def test_what_was_never_packed_is_refused(packed, told):
    with pytest.raises(WeightsError, match=told):
        unpack(packed, torch.Size([3]))
