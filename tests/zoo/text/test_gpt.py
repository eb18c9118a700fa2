"""GPT and Llama: comparison with transformers, causality and generation."""

from typing import Any

import pytest
import torch

from arclight.errors import UserError
from arclight_zoo.nets.sampling import pick
from arclight_zoo.text.gpt import GPT
from arclight_zoo.text.gpt_weights import from_transformers_gpt2
from arclight_zoo.text.llama import Llama

SIZES: dict[str, Any] = {"vocab_size": 61, "context": 24, "d_model": 32, "n_heads": 4}


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(0, 61, (3, 24), generator=torch.Generator().manual_seed(0))


def small(kind: type[GPT] | type[Llama]) -> Any:
    torch.manual_seed(0)
    model: Any = kind(**SIZES, n_layers=2)
    for (
        parameter
    ) in model.parameters():  # larger than initial weights, so that differences are visible
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("gelu", ["gelu_new", "gelu"])
def test_the_weights_of_gpt2_give_its_logits(tokens: torch.Tensor, gelu: str) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=61,
        n_positions=24,
        n_embd=32,
        n_head=4,
        n_layer=2,
        activation_function=gelu,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(config).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = GPT(**SIZES, n_layers=2, gelu="tanh" if gelu == "gelu_new" else "none").eval()
    ours.load_state_dict(from_transformers_gpt2(theirs.state_dict()))
    with torch.inference_mode():
        a, b = ours(tokens), theirs(tokens).logits
    assert float((a - b).abs().max()) <= 1e-4 * float(b.abs().max())
    begun = theirs.generate(
        tokens[:, :5],
        attention_mask=torch.ones(3, 5, dtype=torch.long),
        max_new_tokens=12,
        do_sample=False,
        pad_token_id=0,
    )
    assert torch.equal(ours.generate(tokens[:, :5], 12, temperature=0), begun)


def test_without_biases_it_equals_gpt2_with_zero_biases(tokens: torch.Tensor) -> None:
    from transformers import GPT2LMHeadModel

    torch.manual_seed(0)
    ours = GPT(**SIZES, n_layers=2, bias=False).eval()
    assert not [name for name, _ in ours.named_parameters() if name.endswith("bias")]
    config, weights = ours.to_transformers()
    theirs = GPT2LMHeadModel(config).eval()
    theirs.load_state_dict(weights, strict=False)
    with torch.inference_mode():
        torch.testing.assert_close(ours(tokens), theirs(tokens).logits, rtol=1e-4, atol=1e-5)


def test_weights_of_another_model_are_rejected() -> None:
    with pytest.raises(UserError, match=r"have encoder\.weight, which"):
        from_transformers_gpt2({"encoder.weight": torch.zeros(1)})


@pytest.mark.parametrize("kind", [GPT, Llama])
def test_logits_do_not_depend_on_later_tokens(
    tokens: torch.Tensor, kind: type[GPT] | type[Llama]
) -> None:
    model = small(kind)
    changed = tokens.clone()
    changed[:, 10:] = (changed[:, 10:] + 1) % 61
    with torch.inference_mode():
        before, after = model(tokens), model(changed)
    assert torch.allclose(before[:, :10], after[:, :10], atol=1e-5)
    assert not torch.allclose(before[:, 10:], after[:, 10:], atol=1e-2)


@pytest.mark.parametrize("kind", [GPT, Llama])
def test_the_cache_does_not_change_logits(
    tokens: torch.Tensor, kind: type[GPT] | type[Llama]
) -> None:
    model = small(kind)
    made = model.generate(tokens[:, :4], 15, temperature=0)
    plain = tokens[:, :4]
    with torch.inference_mode():
        for _ in range(15):
            plain = torch.cat([plain, model(plain)[:, -1].argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(made, plain)


@pytest.mark.parametrize("kind", [GPT, Llama])
def test_generation_continues_beyond_the_context(
    tokens: torch.Tensor, kind: type[GPT] | type[Llama]
) -> None:
    model = small(kind)
    made = model.generate(tokens[:, :20], 60, temperature=0)
    assert made.shape == (3, 80)
    assert torch.equal(made[:, :20], tokens[:, :20])
    with torch.inference_mode():  # from its second half
        first = model(made[:, 24 - 12 : 25])[:, -1].argmax(-1)
    assert torch.equal(made[:, 25], first)
    assert model.generate(tokens.repeat(1, 2), 3).shape == (3, 51)  # a prompt that is longer


def test_it_stops_when_all_have_stopped(tokens: torch.Tensor) -> None:
    model = small(GPT)
    free = model.generate(tokens[:, :4], 12, temperature=0)
    stop = int(free[0, 6])
    made = model.generate(tokens[:1, :4], 12, temperature=0, stop=stop)
    assert made.shape[1] <= 7
    assert int(made[0, -1]) == stop


def test_sampling_follows_the_generator_and_top_k() -> None:
    logits = torch.tensor([[0.0, 5.0, 4.0, 1.0]]).repeat(200, 1)
    drawn = [pick(logits, 1.0, 2, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert set(drawn[0].flatten().tolist()) == {1, 2}
    cold = pick(logits, 0.05, None, torch.Generator().manual_seed(1))
    assert set(cold.flatten().tolist()) == {1}


def test_sequences_beyond_the_context_are_rejected() -> None:
    with pytest.raises(UserError, match=r"25 tokens is longer than the model's context of 24"):
        small(GPT)(torch.zeros(1, 25, dtype=torch.long))


@pytest.mark.parametrize("kind", [GPT, Llama])
def test_recomputing_changes_no_gradient(
    tokens: torch.Tensor, kind: type[GPT] | type[Llama]
) -> None:
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        model: Any = kind(**SIZES, n_layers=2, activation_checkpointing=again)
        model(tokens).logsumexp(-1).sum().backward()
        found.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


# Radford et al. (2018, 2019), Brown et al. (2020): with tied embeddings, positions included.
PUBLISHED = {
    "gpt1": ({"vocab_size": 40478, "context": 512, "d_model": 768, "n_heads": 12, "n_layers": 12,
              "norm_first": False}, 116_534_784),
    "gpt2": ({"vocab_size": 50257, "context": 1024, "d_model": 768, "n_heads": 12, "n_layers": 12},
             124_439_808),
    "gpt2-xl": ({"vocab_size": 50257, "context": 1024, "d_model": 1600, "n_heads": 25,
                 "n_layers": 48}, 1_557_611_200),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_size(name: str) -> None:
    sizes, count = PUBLISHED[name]
    with torch.device("meta"):
        model = GPT(**sizes)
    assert sum(p.numel() for p in model.parameters()) == count


def test_llama_matches_transformers(tokens: torch.Tensor) -> None:
    with torch.device("meta"):
        large = Llama(32000, 4096, 4096, 32, 32, d_ff=11008)
    assert sum(p.numel() for p in large.parameters()) == 6_738_415_616  # Llama-2-7B


def test_llama_loads_published_weights(tokens: torch.Tensor, tmp_path: Any) -> None:
    model = small(Llama)
    model.net.save_pretrained(tmp_path / "published")
    again = Llama(61, 24, 1, 1, 1, pretrained=str(tmp_path / "published")).eval()
    with torch.inference_mode():
        assert torch.equal(again(tokens), model(tokens))
    with pytest.raises(UserError, match=r"model\.pretrained=\./nowhere does not exist"):
        Llama(61, 24, 1, 1, 1, pretrained="./nowhere")
