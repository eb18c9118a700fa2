"""Models of transformers choose their masks without waiting for the device."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForCausalLM,
)
from transformers.masking_utils import create_causal_mask

from arclight_zoo.nets.auto import TextClassifier
from arclight_zoo.text.llama import CausalLM, Llama

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


class Waits(TorchDispatchMode):
    """Counts the numbers that are read from tensors."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def mistral() -> CausalLM:
    return CausalLM(
        MistralForCausalLM(MistralConfig(**SMALL, num_key_value_heads=2, sliding_window=4))
    )


def llama_classifier() -> TextClassifier:
    net = Llama(50, 16, 16, 2, 2).net.config
    net.pad_token_id = 0
    return TextClassifier(LlamaForSequenceClassification(net))


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(1, 49, (3, 10), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask() -> torch.Tensor:
    return torch.arange(10) < torch.tensor([[10], [6], [3]])


@pytest.mark.parametrize("make", [lambda: Llama(50, 16, 16, 2, 2), mistral])
def test_a_language_model_waits_for_nothing(
    make: Callable[[], CausalLM], tokens: torch.Tensor
) -> None:
    model = make().eval()
    with Waits() as waits, torch.no_grad():
        found = model(tokens)
    assert waits.count == 0
    torch.testing.assert_close(found, model.net(input_ids=tokens, use_cache=False).logits)


@pytest.mark.parametrize("full", [True, False])
def test_a_classifier_of_texts_waits_for_nothing(
    full: bool, tokens: torch.Tensor, mask: torch.Tensor
) -> None:
    model = TextClassifier(BertForSequenceClassification(BertConfig(**SMALL))).eval()
    mask = mask | full
    with Waits() as waits, torch.no_grad():
        found = model(tokens, mask)
    assert waits.count == 0
    theirs = model.net(input_ids=tokens, attention_mask=mask.long()).logits
    torch.testing.assert_close(found, theirs)


def test_what_a_mask_hides_stays_hidden(tokens: torch.Tensor, mask: torch.Tensor) -> None:
    model = llama_classifier().eval()
    padded = tokens.masked_fill(~mask, 0)
    with torch.no_grad():
        theirs = model.net(input_ids=padded, attention_mask=mask.long()).logits
        torch.testing.assert_close(model(padded, mask), theirs)


def test_packed_texts_are_still_told_apart_by_who_has_them(tokens: torch.Tensor) -> None:
    config = Llama(50, 16, 16, 2, 2).net.config
    positions = torch.tensor([[0, 1, 2, 0, 1]])
    mask: Any = create_causal_mask(config, torch.zeros(1, 5, 16), None, None, positions)
    assert mask[0, 0, 4].tolist() == [False, False, False, True, True]


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own doings
def test_compiled_as_a_whole_attention_is_causal_without_a_mask(
    tokens: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.__version__ < "2.14":
        pytest.skip("transformers writes the mask down where torch is older than 2.14")
    asked: list[dict[str, Any]] = []

    def keep(graph: Any, inputs: Any) -> Any:
        asked.extend(
            node.kwargs
            for node in graph.graph.nodes
            if node.target is F.scaled_dot_product_attention
        )
        return graph.forward

    model = Llama(50, 16, 16, 2, 2)
    torch.compile(model, backend=keep, fullgraph=True)(tokens)
    torch._dynamo.reset()
    assert [(k["attn_mask"], k["is_causal"]) for k in asked] == [(None, True)] * 2
