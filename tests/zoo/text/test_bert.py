"""BERT equals transformers' BERT, and padding has no effect."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arclight.errors import UserError
from arclight_zoo.text.bert import bert_classifier, bert_masked

SIZES: dict[str, Any] = {
    "vocab_size": 61,
    "context": 16,
    "pad": 0,
    "d_model": 32,
    "n_heads": 4,
    "n_layers": 2,
}
BASE = {"d_model": 768, "n_heads": 12, "n_layers": 12}
LARGE = {"d_model": 1024, "n_heads": 16, "n_layers": 24}


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(1, 61, (3, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask() -> Tensor:
    return torch.arange(12) < torch.tensor([12, 7, 1])[:, None]


def random(model: Any) -> Any:
    torch.manual_seed(0)
    for (
        parameter
    ) in model.parameters():  # larger than initial weights, so that differences are visible
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def close(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) <= 1e-4 * float(b.abs().max())


def test_bert_matches_transformers(tokens: Tensor, mask: Tensor) -> None:
    from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

    config = BertConfig(
        vocab_size=61,
        max_position_embeddings=16,
        hidden_size=32,
        num_attention_heads=4,
        num_hidden_layers=2,
        intermediate_size=128,
        num_labels=5,
        attn_implementation="eager",
    )
    ours: Any = random(bert_classifier(**SIZES, num_classes=5))
    theirs = BertForSequenceClassification(config).eval()
    theirs.load_state_dict(ours.net.state_dict())
    with torch.inference_mode():
        wanted = theirs(input_ids=tokens, attention_mask=mask.long()).logits
        assert close(ours(tokens, mask), wanted)
    masked, theirs = random(bert_masked(**SIZES)), BertForMaskedLM(config).eval()
    theirs.load_state_dict(masked.net.state_dict())
    with torch.inference_mode():
        assert close(masked(tokens), theirs(input_ids=tokens).logits)


def test_padding_changes_nothing(tokens: Tensor, mask: Tensor) -> None:
    model = random(bert_classifier(**SIZES, num_classes=5))
    with torch.inference_mode():
        padded = model(tokens.masked_fill(~mask, 0), mask)
        alone = model(tokens[1:2, :7], mask[1:2, :7])
    assert close(padded[1:2], alone)


@pytest.mark.parametrize(
    ("options", "body"), [(BASE, 109_482_240), (LARGE, 335_141_888)], ids=["base", "large"]
)
def test_published_sizes_by_options_alone(options: dict[str, int], body: int) -> None:
    published = {"vocab_size": 30522, "context": 512, "pad": 0}
    with torch.device("meta"):
        model = bert_classifier(**published, num_classes=2, **options)
    assert sum(p.numel() for p in model.net.bert.parameters()) == body
    head = 2 * (options["d_model"] + 1)
    assert sum(p.numel() for p in model.parameters()) == body + head


def test_recomputing_gives_the_same_gradients(tokens: Tensor, mask: Tensor) -> None:
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = bert_classifier(
            **SIZES, num_classes=5, dropout=0.0, activation_checkpointing=recompute
        )
        model.train()(tokens, mask).square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        assert torch.equal(plain, recomputed)


def test_weights_of_a_folder(tokens: Tensor, mask: Tensor, tmp_path: Path) -> None:
    ours = random(bert_classifier(**SIZES, num_classes=5))
    ours.net.save_pretrained(tmp_path)
    again = bert_classifier(**SIZES, num_classes=5, dropout=0.3, pretrained=str(tmp_path)).eval()
    assert torch.equal(again(tokens, mask), ours(tokens, mask))
    assert again.net.config.hidden_dropout_prob == 0.3
    other = bert_classifier(**SIZES, num_classes=7, pretrained=str(tmp_path))  # a new head
    assert other(tokens, mask).shape == (3, 7)
    with pytest.raises(UserError, match=r"has 61 tokens, but the data has 70: type data\.token"):
        bert_classifier(**{**SIZES, "vocab_size": 70}, num_classes=5, pretrained=str(tmp_path))
    with pytest.raises(UserError, match=r"type data\.max_length=16 or less"):
        bert_classifier(**{**SIZES, "context": 17}, num_classes=5, pretrained=str(tmp_path))
    with pytest.raises(UserError, match=r"data\.context=16 or less"):
        bert_masked(**{**SIZES, "context": 17}, pretrained=str(tmp_path))


def test_invalid_data_are_rejected() -> None:
    with pytest.raises(UserError, match=r"d_model=32 does not divide into model\.n_heads=5 heads"):
        bert_masked(**{**SIZES, "n_heads": 5})
