"""Masked text: the masked tokens are a pure function of seed, epoch and index."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from arclight.errors import UserError
from arclight_zoo.text.masked import MaskedText
from arclight_zoo.text.stream import TextStream
from arclight_zoo.tokens.ragged import IGNORED

TEXT = "".join(f"line {i}: {i * i}\n" for i in range(1000))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def ready(path: Path, tmp_path: Path, kind: type[TextStream] = MaskedText, **given: Any) -> Any:
    options = {"tokenizer": "characters", "context": 40, "batch_size": 4, **given}
    data = kind(str(path), cache=str(tmp_path / "cache"), **options)
    data.setup()
    return data


def epoch(data: TextStream, number: int, start: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    loader = data.train_dataloader()
    loader.batches.position = lambda: number * len(loader) + start
    tokens, targets = zip(*loader, strict=True)
    return torch.cat(tokens), torch.cat(targets)


def restored(tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.where(targets == IGNORED, tokens, targets)


def test_masked_text_has_the_tokens_of_the_stream(file: Path, tmp_path: Path) -> None:
    data, plain = ready(file, tmp_path), ready(file, tmp_path, TextStream)
    tokens, targets = epoch(data, 1)
    assert torch.equal(restored(tokens, targets), epoch(plain, 1)[0])
    assert ((targets != IGNORED).sum(1) == 6).all()  # 15% of 40
    assert data.facts.bytes_per_token == {}
    assert data.facts.sizes == plain.facts.sizes


def test_most_chosen_tokens_are_masked_some_replaced_some_kept(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path)
    made = [epoch(data, number) for number in range(8)]
    tokens, targets = (torch.cat(parts) for parts in zip(*made, strict=True))
    chosen = targets != IGNORED
    assert int(chosen.sum()) > 10_000
    hidden = (tokens == data.mask)[chosen].float().mean()
    kept = (tokens == targets)[chosen].float().mean()
    ordinary = set(data.ordinary.tolist())
    other = chosen & (tokens != data.mask)
    assert abs(float(hidden) - 0.8) < 0.02
    assert abs(float(kept) - 0.1 - 0.1 / len(ordinary)) < 0.02
    assert set(tokens[other].tolist()) <= ordinary
    assert data.mask not in ordinary
    assert abs(float(chosen.float().mean(0).std())) < 0.02  # uniform over positions


def test_training_changes_with_the_epoch_and_resumes(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path)
    first, again, second = epoch(data, 0), epoch(ready(file, tmp_path), 0), epoch(data, 1)
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[1] == IGNORED, second[1] == IGNORED)
    assert not torch.equal(epoch(ready(file, tmp_path, seed=1), 0)[1], first[1])
    rest = epoch(data, 0, start=3)
    assert all(torch.equal(a, b[12:]) for a, b in zip(rest, first, strict=True))


def test_evaluation_never_changes(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path)
    batches = list(data.test_dataloader())
    for seed, size in ((1, 4), (0, 7)):
        other = ready(file, tmp_path, seed=seed, eval_batch_size=size)
        again = zip(*other.test_dataloader(), strict=True)
        for a, b in zip(zip(*batches, strict=True), again, strict=True):
            assert torch.equal(torch.cat(a), torch.cat(b))
    targets = torch.cat([y for _, y in batches])
    assert ((targets != IGNORED).sum(1)[:-1] == 6).all()


def test_invalid_data_are_rejected(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.masked=1\.5 should be between 0 and 1"):
        ready(file, tmp_path, masked=1.5)
    plain = json.loads(ready(file, tmp_path).tokenizer.to_str())
    plain["added_tokens"] = [t for t in plain["added_tokens"] if t["content"] != "<mask>"]
    vocab = plain["model"]["vocab"]
    plain["model"]["vocab"] = {w.replace("<mask>", "<nothing>"): i for w, i in vocab.items()}
    (tmp_path / "tokenizer.json").write_text(json.dumps(plain))
    with pytest.raises(UserError, match=r"has no mask token <mask>: type data"):
        ready(file, tmp_path, tokenizer=str(tmp_path))
