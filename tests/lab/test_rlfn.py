import pytest
import torch

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.rlfn import ESA, RLFB

# x3 is not printed: what the others' description gives.
PARAMETERS = {2: 526_856, 3: 533_891, 4: 543_740}
PRINTED = {2: 527, 4: 543}


@pytest.mark.parametrize("scale", PARAMETERS)
def test_shapes_and_parameters(scale):
    variant = zoo.find("rlfn", scale)
    network = build(variant, scale)
    count = sum(p.numel() for p in network.parameters())
    assert count == PARAMETERS[scale]
    if scale in PRINTED:
        assert PRINTED[scale] in (count // 1000, round(count / 1000))
    least = variant.smallest
    with torch.no_grad():
        for height, width in ((least, least), (least + 4, least + 7)):
            sr = network(torch.rand(2, 3, height, width))
            assert sr.shape == (2, 3, height * scale, width * scale)
            assert sr.isfinite().all()
        with pytest.raises(RuntimeError):
            network(torch.rand(1, 3, least - 1, least))


def test_block_adds_its_input_before_its_last_convolution():
    """After the third activation; the attention has no residual of its own."""
    block, x = RLFB(8, 4), torch.rand(1, 8, 15, 15) - 0.5
    with torch.no_grad():
        for p in block.refine.parameters():
            p.zero_()
        torch.testing.assert_close(block(x), block.attention(block.fuse(x)))
        block.refine[4].bias.fill_(-1)
        torch.testing.assert_close(block(x), block.attention(block.fuse(x - 0.05)))


def test_attention_is_a_sigmoid_of_coarse_and_fine():
    attention, x = ESA(8, 4), torch.rand(1, 8, 16, 19)
    with torch.no_grad():
        whole = attention(x)
        for part in (attention.squeeze, attention.skip):
            kept = {name: p.clone() for name, p in part.state_dict().items()}
            for p in part.parameters():
                p.zero_()
            assert (attention(x) - whole).abs().max() > 1e-5
            part.load_state_dict(kept)
        attention.expand.bias.fill_(-100)
        torch.testing.assert_close(attention(x), torch.zeros_like(x))
