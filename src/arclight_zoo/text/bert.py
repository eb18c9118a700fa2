"""BERT, from transformers, for text classification and masked language modelling."""

from typing import Any

from torch import Tensor, nn

from arclight.models.pretrained import load_pretrained
from arclight.ranges import Count, Positive, Share
from arclight_zoo.nets.fitting import check_heads, check_places, check_vocabulary


class BertClassifier(nn.Module):
    """Classifies a text by its first token (Devlin et al., 2019).

    Args:
        net: transformers' `BertForSequenceClassification`.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens and mask (False: padding) `(batch, length)` to logits `(batch, classes)`."""
        # A mask with four axes is used as it is; with two axes it would cause a host sync.
        logits: Tensor = self.net(input_ids=tokens, attention_mask=mask[:, None, None]).logits
        return logits


class BertMasked(nn.Module):
    """Predicts masked tokens (Devlin et al., 2019).

    Args:
        net: transformers' `BertForMaskedLM`.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(batch, length)` to logits `(batch, length, vocab)`."""
        logits: Tensor = self.net(input_ids=tokens).logits
        return logits


def bert_classifier(
    vocab_size: Count,
    context: Count,
    num_classes: Count,
    pad: int,
    d_model: Count,
    n_heads: Count,
    n_layers: Count,
    *,
    d_ff: Count | None = None,
    dropout: Share = 0.1,
    pretrained: str | None = None,
    activation_checkpointing: bool = False,
) -> BertClassifier:
    """BERT for text classification.

    Args:
        vocab_size: size of the vocabulary.
        context: maximum number of tokens per text.
        num_classes: number of classes.
        pad: the padding token.
        d_model: width of a token.
        n_heads: attention heads; divides `d_model`.
        n_layers: transformer blocks.
        d_ff: width of the feed-forward layers; None: 4 * `d_model`.
        dropout: of embeddings, attention weights, branches and the classifier's input.
        pretrained: a folder or hub id of published weights, which bring their own sizes; None:
            random weights.
        activation_checkpointing: recompute each block in the backward pass.

    Raises:
        UserError: a size does not divide another, or `pretrained` cannot be loaded or does not fit.
    """
    from transformers import BertForSequenceClassification

    sizes = vocab_size, context, d_model, n_heads, n_layers, d_ff
    options = {"num_labels": num_classes, "pad_token_id": pad}
    kind = BertForSequenceClassification
    net = _made(kind, *sizes, dropout, pretrained, activation_checkpointing, **options)
    return BertClassifier(net)


def bert_masked(
    vocab_size: Count,
    context: Count,
    pad: int,
    d_model: Count,
    n_heads: Count,
    n_layers: Count,
    *,
    d_ff: Count | None = None,
    dropout: Share = 0.1,
    initializer_range: Positive = 0.02,
    pretrained: str | None = None,
    activation_checkpointing: bool = False,
) -> BertMasked:
    """BERT for masked language modelling; its head shares the token embedding's weights.

    Other arguments and errors are those of `bert_classifier`.

    Args:
        initializer_range: standard deviation of random weights; smaller for wider models.
    """
    from transformers import BertForMaskedLM

    sizes = vocab_size, context, d_model, n_heads, n_layers, d_ff
    options: dict[str, Any] = {"pad_token_id": pad}
    if pretrained is None:
        options["initializer_range"] = initializer_range
    kind = BertForMaskedLM
    return BertMasked(_made(kind, *sizes, dropout, pretrained, activation_checkpointing, **options))


def _made(
    kind: Any,
    vocab_size: int,
    context: int,
    d_model: int,
    n_heads: int,
    n_layers: int,
    d_ff: int | None,
    dropout: float,
    pretrained: str | None,
    activation_checkpointing: bool,
    **options: Any,
) -> Any:
    from transformers import BertConfig

    check_heads("", d_model, n_heads)
    options |= {
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "attn_implementation": "sdpa",
    }
    if pretrained is not None:
        net = load_pretrained(kind, pretrained, **options)
        check_vocabulary(pretrained, vocab_size, net.config.vocab_size)
        key = "context" if "Masked" in kind.__name__ else "max_length"
        check_places(pretrained, context, net.config.max_position_embeddings, key)
    else:
        net = kind(
            BertConfig(
                vocab_size=vocab_size,
                max_position_embeddings=context,
                hidden_size=d_model,
                num_attention_heads=n_heads,
                num_hidden_layers=n_layers,
                intermediate_size=4 * d_model if d_ff is None else d_ff,
                **options,
            )
        )
    if activation_checkpointing:
        net.activation_checkpointing_enable({"use_reentrant": False})
    return net
