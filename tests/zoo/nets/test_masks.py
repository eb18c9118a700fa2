"""Models of transformers choose their masks without host synchronisation."""

import threading
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
    masking_utils,
)
from transformers.masking_utils import create_causal_mask

from arclight_zoo.nets.auto import TextClassifier
from arclight_zoo.nets.masks import NAMES, skip_mask_sync
from arclight_zoo.text.llama import CausalLM, Llama

IMPORTED = dict(vars(masking_utils))
SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


class Waits(TorchDispatchMode):
    """Counts the scalars that are read from tensors."""

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
def test_a_language_model_does_not_synchronise(
    make: Callable[[], CausalLM], tokens: torch.Tensor
) -> None:
    model = make().eval()
    with Waits() as waits, torch.no_grad():
        found = model(tokens)
    assert waits.count == 0
    torch.testing.assert_close(found, model.net(input_ids=tokens, use_cache=False).logits)


@pytest.mark.parametrize("full", [True, False])
def test_a_text_classifier_does_not_synchronise(
    full: bool, tokens: torch.Tensor, mask: torch.Tensor
) -> None:
    model = TextClassifier(BertForSequenceClassification(BertConfig(**SMALL))).eval()
    mask = mask | full
    with Waits() as waits, torch.no_grad():
        found = model(tokens, mask)
    assert waits.count == 0
    theirs = model.net(input_ids=tokens, attention_mask=mask.long()).logits
    torch.testing.assert_close(found, theirs)


def test_masks_still_hide_tokens(tokens: torch.Tensor, mask: torch.Tensor) -> None:
    model = llama_classifier().eval()
    padded = tokens.masked_fill(~mask, 0)
    with torch.no_grad():
        theirs = model.net(input_ids=padded, attention_mask=mask.long()).logits
        torch.testing.assert_close(model(padded, mask), theirs)


def packed_mask(config: Any) -> Any:
    positions = torch.tensor([[0, 1, 2, 0, 1]])
    return create_causal_mask(config, torch.zeros(1, 5, 16), None, None, positions)


def test_unmarked_passes_still_detect_packed_texts(tokens: torch.Tensor) -> None:
    model = Llama(50, 16, 16, 2, 2)
    model(tokens)
    mask = packed_mask(model.net.config)
    assert mask[0, 0, 4].tolist() == [False, False, False, True, True]


def test_a_pass_restores_the_library(tokens: torch.Tensor) -> None:
    Llama(50, 16, 16, 2, 2)(tokens)
    assert vars(masking_utils) == IMPORTED


def test_a_failed_pass_restores_the_library(tokens: torch.Tensor) -> None:
    with pytest.raises(IndexError):
        Llama(50, 16, 16, 2, 2)(tokens + 100)
    assert vars(masking_utils) == IMPORTED


@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize("inner", [False, True])
def test_a_compiled_pass_restores_the_library(inner: bool, tokens: torch.Tensor) -> None:
    model = Llama(50, 16, 16, 2, 2)
    before = model(tokens)
    (model.net if inner else model).compile(backend="eager", fullgraph=True)
    for _ in range(2):
        torch.testing.assert_close(model(tokens), before)
    assert vars(masking_utils) == IMPORTED
    torch._dynamo.reset()


def test_a_pass_of_another_thread_at_the_same_time_is_unchanged() -> None:
    config = Llama(50, 16, 16, 2, 2).net.config
    begun, go_on = threading.Barrier(2), threading.Event()

    @skip_mask_sync
    def marked() -> Any:
        begun.wait(10)
        assert go_on.wait(10)
        return packed_mask(config)

    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(marked()))
    thread.start()
    begun.wait(10)
    try:
        mask = packed_mask(config)
    finally:
        go_on.set()
        thread.join()
    assert mask[0, 0, 4].tolist() == [False, False, False, True, True]
    assert found == [None]
    assert vars(masking_utils) == IMPORTED


@pytest.mark.parametrize("name", NAMES)
def test_a_renamed_function_is_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(masking_utils, name)
    with pytest.raises(RuntimeError, match=rf"transformers \S+ has no masking_utils\.{name}"):
        Llama(50, 16, 16, 2, 2)


@pytest.mark.filterwarnings("ignore")  # of torch's compiler
def test_compiled_as_a_whole_attention_is_causal_without_a_mask(
    tokens: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.__version__ < "2.14":
        pytest.skip("transformers makes an explicit mask if torch is older than 2.14")
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
