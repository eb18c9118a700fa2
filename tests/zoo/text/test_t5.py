"""T5 equals transformers' T5, and padding has no effect."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arclight.errors import UserError
from arclight_zoo.text.t5 import T5, EncoderDecoder

SIZES: dict[str, Any] = {"vocab_size": 61, "pad": 0, "d_model": 32, "n_heads": 4, "n_layers": 2}
STOP = 3


@pytest.fixture
def model() -> T5:
    torch.manual_seed(1)
    model = T5(**SIZES)
    for (
        parameter
    ) in model.parameters():  # larger than initial weights, so that differences are visible
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture
def source() -> Tensor:
    return torch.randint(4, 61, (3, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask() -> Tensor:
    return torch.arange(12) < torch.tensor([12, 7, 2])[:, None]


@pytest.fixture
def target() -> Tensor:
    tokens = torch.randint(4, 61, (3, 9), generator=torch.Generator().manual_seed(1))
    return tokens.masked_fill(torch.arange(9) >= torch.tensor([9, 4, 1])[:, None], -100)


def close(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) <= 1e-4 * float(b.abs().max())


def of_transformers(model: T5) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    options: dict[str, Any] = {"decoder_start_token_id": 0, "eos_token_id": STOP}
    config = T5Config(
        vocab_size=61,
        d_model=32,
        num_heads=4,
        num_layers=2,
        d_kv=8,
        d_ff=128,
        pad_token_id=0,
        attn_implementation="eager",
        **options,
    )
    theirs = T5ForConditionalGeneration(config).eval()
    theirs.load_state_dict(model.net.state_dict())
    return theirs


def test_t5_matches_transformers(model: T5, source: Tensor, mask: Tensor, target: Tensor) -> None:
    theirs = of_transformers(model)
    with torch.inference_mode():
        wanted = theirs(input_ids=source, attention_mask=mask.long(), labels=target).logits
        assert close(model(source, mask, target), wanted)


def test_generation_matches_transformers_greedy_search(
    model: T5, source: Tensor, mask: Tensor
) -> None:
    with torch.no_grad():
        model.net.shared.weight[STOP] += 0.1  # so that some end before the others
    theirs = of_transformers(model).generate(
        source, attention_mask=mask.long(), max_new_tokens=10, do_sample=False
    )
    ours = model.generate(source, mask, 10, STOP)
    assert ours.shape[1] <= 10
    for row, wanted in zip(ours.tolist(), theirs[:, 1:].tolist(), strict=True):
        until = row.index(STOP) + 1 if STOP in row else len(row)
        assert row[:until] == wanted[:until]
        assert set(row[until:]) <= {STOP}


def test_padding_changes_nothing(model: T5, source: Tensor, mask: Tensor, target: Tensor) -> None:
    with torch.inference_mode():
        padded = model(source.masked_fill(~mask, 0), mask, target)
        alone = model(source[1:2, :7], mask[1:2, :7], target[1:2, :4])
    assert close(padded[1:2, :4], alone)


def test_logits_only_depend_on_earlier_tokens(
    model: T5, source: Tensor, mask: Tensor, target: Tensor
) -> None:
    other = target.clone()
    other[0, 5:] = 7
    with torch.inference_mode():
        a, b = model(source, mask, target), model(source, mask, other)
    assert torch.equal(a[0, :6], b[0, :6])
    assert not torch.equal(a[0, 6:], b[0, 6:])


PUBLISHED = {
    "small": ({"d_model": 512, "n_heads": 8, "n_layers": 6}, 60_506_624),
    "base": ({"d_model": 768, "n_heads": 12, "n_layers": 12}, 222_903_552),
    "large": ({"d_model": 1024, "n_heads": 16, "n_layers": 24}, 737_668_096),
    "3b": (
        {"d_model": 1024, "n_heads": 32, "n_layers": 24, "d_kv": 128, "d_ff": 16384},
        2_851_598_336,
    ),
    "11b": (
        {"d_model": 1024, "n_heads": 128, "n_layers": 24, "d_kv": 128, "d_ff": 65536},
        11_307_321_344,
    ),
}


@pytest.mark.parametrize("size", PUBLISHED)
def test_published_sizes_by_options_alone(size: str) -> None:
    options, parameters = PUBLISHED[size]
    with torch.device("meta"):
        model = T5(32128, 0, **options)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_weights_of_a_folder(
    model: T5, source: Tensor, mask: Tensor, target: Tensor, tmp_path: Path
) -> None:
    model.net.save_pretrained(tmp_path)
    again = T5(**SIZES, pretrained=str(tmp_path)).eval()
    assert torch.equal(again(source, mask, target), model(source, mask, target))
    with pytest.raises(UserError, match=r"has 61 tokens, but the data has 70"):
        T5(**{**SIZES, "vocab_size": 70}, pretrained=str(tmp_path))


def test_invalid_data_are_rejected() -> None:
    with pytest.raises(UserError, match=r"model\.activation=gelu is unknown: type"):
        T5(**SIZES, activation="gelu")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["M2M100", "Blenderbot", "Bart"])
def test_targets_are_shifted_for_models_that_shift_in_forward(
    kind: str, source: Tensor, mask: Tensor, target: Tensor
) -> None:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=61,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=STOP,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    torch.manual_seed(0)
    net = getattr(transformers, f"{kind}ForConditionalGeneration")(config).eval()
    source = source.masked_fill(~mask, 0)
    with torch.inference_mode():
        wanted = net(input_ids=source, attention_mask=mask.long(), labels=target).logits
        assert close(EncoderDecoder(net)(source, mask, target), wanted)
    theirs = net.generate(
        source, attention_mask=mask.long(), max_new_tokens=5, do_sample=False, num_beams=1
    )[:, 1:]
    ours = EncoderDecoder(net).generate(source, mask, 5, STOP)
    ended = (theirs == STOP).cumsum(1) > 0
    assert torch.equal(ours, theirs.masked_fill(ended, STOP))
