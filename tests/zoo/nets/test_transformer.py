from typing import Any

import pytest
import torch
from torch import nn

from arclight.errors import UserError
from arclight_zoo.nets.transformer import DropPath, SelfAttention, TransformerBlock
from tests.zoo import reference

BATCH, TOKENS, WIDTH, HEADS = 3, 5, 16, 4


def tokens() -> torch.Tensor:
    return torch.randn(BATCH, TOKENS, WIDTH)


def pair() -> tuple[SelfAttention, nn.MultiheadAttention]:
    """The two attentions with the same weights and nonzero biases."""
    ours = SelfAttention(WIDTH, HEADS).eval()
    theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    for p in theirs.parameters():
        nn.init.normal_(p, std=0.3)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def test_block_matches_the_reference() -> None:
    theirs = reference.TransformerBlock(WIDTH, HEADS, 32).eval()
    for p in theirs.parameters():
        nn.init.normal_(p, std=0.3)
    ours = TransformerBlock(WIDTH, HEADS, 32).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = tokens()
    mask = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours(x, mask), theirs(x, mask), rtol=1e-5, atol=1e-5)


def test_a_seed_gives_the_reference_weights() -> None:
    torch.manual_seed(0)
    theirs = reference.TransformerBlock(WIDTH, HEADS, 32).state_dict()
    torch.manual_seed(0)
    ours = TransformerBlock(WIDTH, HEADS, 32).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1), id="bool"),
        pytest.param(torch.linspace(-3, 3, TOKENS**2).view(TOKENS, TOKENS), id="float"),
        pytest.param(
            torch.linspace(-3, 3, BATCH * HEADS * TOKENS**2).view(-1, TOKENS, TOKENS),
            id="of each head and sample",
        ),
    ],
)
def test_masks_match_multihead_attention(mask: torch.Tensor) -> None:
    ours, theirs = pair()
    x = tokens()
    expected, _ = theirs(x, x, x, attn_mask=mask)
    torch.testing.assert_close(ours(x, mask), expected, rtol=1e-5, atol=1e-5)
    unmasked = (ours(x) - expected).abs().max()
    assert unmasked > 1e-3


def test_a_mask_broadcasts_over_heads() -> None:
    ours, theirs = pair()
    x = tokens()
    padding = torch.zeros(BATCH, TOKENS, dtype=torch.bool)
    padding[0, -2:] = True
    expected, _ = theirs(x, x, x, key_padding_mask=padding)
    torch.testing.assert_close(ours(x, padding[:, None, None]), expected, rtol=1e-5, atol=1e-5)


def test_causal_is_the_triangle_mask() -> None:
    block = TransformerBlock(WIDTH, HEADS, 32, norm_first=True).eval()
    x = tokens()
    mask = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1)
    torch.testing.assert_close(block(x, causal=True), block(x, mask), rtol=1e-5, atol=1e-6)


def test_locality_attention_matches_the_paper() -> None:
    """Computed as in Lee et al. (2021): scores over a temperature, with a masked diagonal."""
    ours = SelfAttention(WIDTH, HEADS, locality=True)
    assert ours.scale is not None
    plain = SelfAttention(WIDTH, HEADS)
    plain.load_state_dict({k: v for k, v in ours.state_dict().items() if k != "scale"})
    temperatures = torch.tensor([0.5, 1.0, 2.0, 3.0])
    ours.scale.data = 1 / temperatures
    x = tokens()
    q, k, v = (
        (x @ w.T).view(BATCH, TOKENS, HEADS, -1).transpose(1, 2)
        for w in ours.in_proj_weight.chunk(3)
    )
    scores = q @ k.transpose(2, 3) / temperatures.view(1, HEADS, 1, 1)
    for i in range(TOKENS):
        scores[:, :, i, i] = -torch.inf
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(BATCH, TOKENS, WIDTH)
    torch.testing.assert_close(ours(x), mixed @ ours.out_proj.weight.T, rtol=1e-5, atol=1e-5)
    assert (ours(x) - plain(x)).abs().max() > 1e-3
    ours(x).sum().backward()
    assert ours.scale.grad is not None
    assert ours.scale.grad.abs().min() > 0


def test_without_biases_there_is_none() -> None:
    block = TransformerBlock(WIDTH, HEADS, 32, bias=False)
    assert not [name for name, _ in block.named_parameters() if name.endswith("bias")]
    assert block(tokens()).shape == (BATCH, TOKENS, WIDTH)


def test_attention_dropout_is_only_active_in_training() -> None:
    attention = SelfAttention(WIDTH, HEADS, dropout=0.5)
    x = tokens()
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    assert torch.equal(attention(x), attention(x))


def test_norm_first_matches_pytorch_s_pre_norm_layer() -> None:
    theirs = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 32, activation="gelu", batch_first=True, norm_first=True
    )
    ours = TransformerBlock(WIDTH, HEADS, 32, norm_first=True)
    names = {"self_attn": "attn", "linear1": "ff.0", "linear2": "ff.3", "norm1": "ln1"}
    names["norm2"] = "ln2"
    state = theirs.state_dict()
    ours.load_state_dict(
        {names[k.split(".")[0]] + k[k.index(".") :]: v for k, v in state.items()}, strict=True
    )
    x = tokens()
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-5, atol=1e-5)


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    drop = DropPath(0.25)
    torch.manual_seed(0)
    out = drop(torch.ones(20_000, 2, 3))
    assert torch.equal(out, out[:, :1, :1].expand_as(out))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert out.mean().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(drop.eval()(out), out)


def test_dropped_pre_norm_samples_are_unchanged() -> None:
    block = TransformerBlock(WIDTH, HEADS, 32, dropout=0.0, norm_first=True, drop_path=0.9)
    torch.manual_seed(0)
    x = torch.randn(200, TOKENS, WIDTH)
    untouched = (block(x) == x).flatten(1).all(1).float().mean().item()
    assert untouched == pytest.approx(0.81, abs=0.08)  # both branches dropped


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_heads": 3}, r"model\.n_heads=3 does not divide model\.d_model=16: type model\.n_head"),
        ({"n_heads": 0}, r"model\.n_heads=0 does not divide model\.d_model=16: type .*n_heads=1,"),
        ({"dropout": 1.0}, r"model\.dropout=1\.0 should be .* below 1: type model\.dropout=0\.1"),
        ({"drop_path": -0.1}, r"model\.drop_path=-0\.1 should be"),
    ],
)
def test_errors_say_what_to_type(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        TransformerBlock(**{"d_model": WIDTH, "n_heads": HEADS, "d_ff": 32, **options})


@pytest.mark.slow
def test_compiles_without_a_graph_break() -> None:
    block = TransformerBlock(WIDTH, HEADS, 32, drop_path=0.1).eval()
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    x = tokens()
    torch.testing.assert_close(compiled(x, causal=True), block(x, causal=True))
