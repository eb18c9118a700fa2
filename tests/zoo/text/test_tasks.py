"""Metrics of text classification and sequence to sequence are exact for any batches."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from arclight.data.order import TrainBatches
from arclight.tasks.scores import ExactSum
from arclight_zoo.text.classification import TextClassification
from arclight_zoo.text.language_modelling import LanguageModelling
from arclight_zoo.text.pairs import TextPairs
from arclight_zoo.text.sequence_to_sequence import SequenceToSequence, exact
from arclight_zoo.tokens.ragged import IGNORED
from arclight_zoo.tokens.text_facts import TextFacts

UNUSED: Any = lambda *_: None  # noqa: E731


def facts(**given: Any) -> TextFacts:
    return TextFacts(sizes={}, fingerprint="", vocab_size=9, context=4, **given)


class Bag(nn.Module):
    """Sums one vector for each token of the text."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 3)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        total: Tensor = (self.embed(tokens) * mask[..., None]).sum(1)
        return total


def test_classification() -> None:
    torch.manual_seed(0)
    task = TextClassification(Bag(), facts(class_names=list("abc")), UNUSED, UNUSED, 0.1)
    tokens, labels = torch.randint(9, (20, 4)), torch.randint(3, (20,))
    mask = torch.arange(4) < torch.randint(1, 5, (20, 1))
    loss = task.training_step((tokens, mask, labels), 0)
    logits = task.model(tokens, mask)
    assert torch.equal(loss, F.cross_entropy(logits, labels, label_smoothing=0.1))
    for part in (slice(0, 13), slice(13, 20)):
        task.test_step((tokens[part], mask[part], labels[part]), 0)
    found = task.results("test")
    assert found["test/loss"] == pytest.approx(F.cross_entropy(logits, labels).item())
    assert found["test/accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean())
    assert torch.equal(task.predict_step((tokens, mask), 0), logits.softmax(1))
    assert task.class_names == ["a", "b", "c"]


def test_a_sum_keeps_single_tokens() -> None:
    total = ExactSum()
    total.update(2.0**25)  # float32 is exact only to 4 here
    for _ in range(100):
        total.update(torch.tensor(1))
    assert total.compute() == 2.0**25 + 100
    total.reset()
    values = torch.rand(10_000, generator=torch.Generator().manual_seed(0)) * 1e6
    for value in values:
        total.update(value)
    assert total.compute() == pytest.approx(values.double().sum().item(), rel=1e-12)


class NoDouble(TorchDispatchMode):
    """A device without float64, like Apple's GPUs."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        assert not (isinstance(made, Tensor) and made.dtype == torch.float64), func
        return made


def test_evaluation_needs_no_float64(pairs: TextPairs) -> None:
    model = Repeats()
    model.tokens = pairs.facts.vocab_size
    task = SequenceToSequence(model, pairs.facts, UNUSED, UNUSED)
    task._trainer = SimpleNamespace(datamodule=pairs)  # type: ignore[assignment]
    task.chrf.update = lambda *_: None  # type: ignore[assignment]  # it counts on the CPU
    tokens = torch.randint(9, (3, 4))
    language = LanguageModelling(nn.Embedding(9, 9), facts(), UNUSED, UNUSED)
    labelled = TextClassification(Bag(), facts(class_names=list("abc")), UNUSED, UNUSED)
    batch = next(iter(pairs.test_dataloader()))
    with NoDouble():
        task.test_step(batch, 0)
        language.test_step((tokens, tokens), 0)
        labelled.test_step((tokens, tokens >= 0, tokens[:, 0] % 3), 0)


def test_a_match_is_of_the_whole_target() -> None:
    target = torch.tensor([[5, 6, 3], [5, 3, IGNORED], [5, 6, 3], [5, 6, 3]])
    made = torch.tensor([[5, 6, 3, 3], [5, 3, 7, 7], [5, 3, 3, 3], [5, 6, 7, 3]])
    assert exact(made, target).tolist() == [True, True, False, False]
    assert exact(made[:, :2], target).tolist() == [False, True, False, False]  # too short


class Repeats(nn.Module):
    """Repeats the source with certainty, which is wrong for other targets."""

    def forward(self, source: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        said = F.pad(source[:, 1:], (0, target.shape[1]))[:, : target.shape[1]]
        return 5.0 * F.one_hot(said, self.tokens).float()

    def generate(self, source: Tensor, mask: Tensor, length: int, stop: int) -> Tensor:
        return source[:, 1 : length + 1]


@pytest.fixture
def pairs(tmp_path: Path) -> TextPairs:
    rows = [f'{{"source": "{i:03}", "target": "{i if i % 2 else i + 1:03}"}}' for i in range(100)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    data = TextPairs(str(tmp_path / "rows.jsonl"), tokenizer="characters", batch_size=4,
                     test_fraction=0.4, max_target_length=6, cache=str(tmp_path))  # fmt: skip
    data.setup()
    return data


class Guesses(nn.Module):
    """Predicts the same for all tokens of a target, from the source's tokens."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(tokens, tokens)

    def forward(self, source: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        total: Tensor = (self.embed(source) * mask[..., None]).sum(1, keepdim=True)
        return total.expand(-1, target.shape[1], -1)


@pytest.mark.parametrize(("world", "accumulate"), [(1, 2), (2, 1), (2, 4)])
def test_a_step_in_parts_is_the_same_step(tmp_path: Path, world: int, accumulate: int) -> None:
    """Also if the targets of one part are shorter than those of another."""
    rows = [{"source": f"{i:03}", "target": str(7 ** (i % 9))} for i in range(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = TextPairs(str(tmp_path / "rows.jsonl"), tokenizer="characters", cache=str(tmp_path))
    data.setup()
    torch.manual_seed(0)
    task = SequenceToSequence(Guesses(data.facts.vocab_size), data.facts, UNUSED, UNUSED)

    def gradients(world: int, accumulate: int) -> list[Tensor]:
        """The gradients of each step of an epoch, averaged over its parts as trainers do."""
        size, found = data.facts.sizes["train"], []
        cuts = [TrainBatches(size, 16, 3, rank, world, accumulate) for rank in range(world)]
        ranks = [data.make_loader("train", batches, torch.device("cpu")) for batches in cuts]
        for i, parts in enumerate(zip(*ranks, strict=True)):
            for part in parts:
                (task.training_step(part, 0) / (world * accumulate)).backward()
            if (i + 1) % accumulate == 0:
                found.append(task.model.embed.weight.grad.clone())  # type: ignore[union-attr, operator]
                task.zero_grad()
        return found

    for one, other in zip(gradients(1, 1), gradients(world, accumulate), strict=True):
        torch.testing.assert_close(one, other)


def test_sequence_to_sequence(pairs: TextPairs) -> None:
    found = []
    for size in (1, 7, 40):
        pairs.eval_batch_size = size
        model = Repeats()
        model.tokens = pairs.facts.vocab_size
        task = SequenceToSequence(model, pairs.facts, UNUSED, UNUSED)
        task._trainer = SimpleNamespace(datamodule=pairs)  # type: ignore[assignment]
        for batch in pairs.test_dataloader():
            task.test_step(batch, 0)
        found.append(task.results("test"))
    sources, targets = (
        [pairs.tokenizer.decode(row.tolist()) for row in part.padded(torch.arange(40), 0)[0]]
        for part in (pairs.parts["test"].sources, pairs.parts["test"].targets)
    )
    right = [a == b for a, b in zip(sources, targets, strict=True)]
    assert 0 < sum(right) < 40
    assert found[0]["test/exact"] == pytest.approx(sum(right) / 40)
    letters = sum(x == y for a, b in zip(sources, targets, strict=True) for x, y in zip(a, b))  # noqa: B905
    assert found[0]["test/accuracy"] == pytest.approx((letters + 40) / 160)  # each with its end
    assert 0 < found[0]["test/chrf"] < 1
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=1e-6)
