"""Language modelling with any model that maps tokens to logits."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from torchmetrics import Metric

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.tasks.question import Question, Rows
from arclight.tasks.scores import ExactSum, VocabularyLoss
from arclight.tasks.task import Answer, OptimizerFactory, ScheduleFactory, Task
from arclight.tasks.usage import HubUsage, Usage
from arclight_zoo.nets.hf_folder import write_model
from arclight_zoo.text.usage import (
    masked_hub_usage,
    masked_usage,
    next_hub_usage,
    next_usage,
)
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.hf_tokenizer import write_tokenizer
from arclight_zoo.tokens.questions import (
    answer_rows,
    decode,
    encode,
    kept_tokenizer,
    random_tokens,
    text_lines,
)
from arclight_zoo.tokens.ragged import IGNORED, token_of
from arclight_zoo.tokens.text_facts import TextFacts

Batch = tuple[Tensor, Tensor]


class LanguageModelling(Task):
    """Language modelling: cross-entropy of the next token, or of masked tokens.

    Evaluation reports the mean loss per token, perplexity, accuracy, and bits per byte of the
    text, which is comparable between tokenizers.

    Args:
        model: tokens `(batch, length)` to logits `(batch, length, vocab)`.
        facts: about the data.
        metrics: further metrics of evaluation, on logits `(batch, length, vocab)` and targets
            `(batch, length)`; ignore targets of -100.
    """

    cross_entropy: nn.CrossEntropyLoss

    learns_from = "running text"
    facts: TextFacts

    def __init__(
        self,
        model: nn.Module,
        facts: TextFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__(model, optimizer, schedule, metrics=metrics, train_metrics=("loss",))
        self.cross_entropy = VocabularyLoss()
        self.facts = facts
        self.loss_sum, self.right, self.count = (ExactSum() for _ in range(3))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        tokens, targets = batch
        logits = self.model(tokens)
        loss: Tensor = self.cross_entropy(logits.flatten(0, 1), targets.flatten())
        self.sums.add(loss.detach() * len(tokens), examples=len(tokens))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        assert isinstance(facts, TextFacts)
        tokens = torch.zeros(examples, facts.context, dtype=torch.long)
        return tokens, tokens.clone()

    def tokens_per_example(self, facts: Facts) -> int | None:
        return facts.context if isinstance(facts, TextFacts) else None

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        tokens, targets = batch
        logits = self.model(tokens).float()
        self.loss_sum.update(
            F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        )
        self.right.update((logits.argmax(-1) == targets).sum())
        self.count.update((targets != IGNORED).sum())
        self.measure(logits, targets)

    test_step = validation_step

    def results(self, stage: str) -> dict[str, float]:
        count = self.count.compute()
        loss = self.loss_sum.compute() / count
        results = {
            f"{stage}/loss": loss,
            f"{stage}/perplexity": math.exp(min(loss, 80.0)),
            f"{stage}/accuracy": self.right.compute() / count,
        }
        per_token = self.facts.bytes_per_token.get(stage)
        if per_token:
            results[f"{stage}/bits_per_byte"] = loss / math.log(2) / per_token
        for metric in (self.loss_sum, self.right, self.count):
            metric.reset()
        return results

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        return {"tokens": random_tokens(self.facts.vocab_size, examples, self.facts.context, draw)}

    def answer(self, question: Question) -> Rows:
        """Predicts the masked tokens of each line, each independently.

        Raises:
            UserError: the model is not a masked language model, or a line has no mask.
        """
        if "masked" not in question.config["data"]:
            raise UserError(
                f"{question.folder} is a run of {type(self).__name__}, which continues texts: "
                f'type python scripts/generate.py run={question.folder} prompt="...".'
            )
        tokenizer = kept_tokenizer(question.folder, frame=False)  # as in training
        tokenizer.encode_special_tokens = False  # parse the mask token in a line
        mask, name = _mask_of(tokenizer)
        rows = [["text", "answer"]]
        for line in text_lines(question):  # one by one, since there is no padding in training
            tokens, _ = encode(tokenizer, [line], self.facts.context, self.device)
            hidden = tokens == mask
            if not bool(hidden.any()):
                raise UserError(
                    f"The line {line[:40]!r} of {question.place} has no masked word that "
                    f"{question.folder} could predict: write {name} in place of a word."
                )
            told = torch.where(hidden, self.model(tokens).argmax(-1), tokens)
            rows += answer_rows([line], decode(tokenizer, told, None))
        return rows

    def continue_text(
        self,
        folder: Path,
        prompt: str,
        length: int,
        temperature: float,
        top_k: int | None,
        seed: int,
    ) -> str:
        model: Any = self.model
        if not hasattr(model, "generate"):
            return super().continue_text(folder, prompt, length, temperature, top_k, seed)
        tokenizer = tokenizers.load(folder)
        if tokenizer is None:
            raise UserError(
                f"{folder} was trained on encoded tokens and has no tokenizer: put the "
                f"{tokenizers.FILE} that encoded them into its directory."
            )
        tokens = tokenizer.encode(prompt or "\n", add_special_tokens=False).ids
        if tokenizer.token_to_id(tokenizers.UNKNOWN) in tokens:
            known = set(tokenizer.get_vocab())
            new = "".join(sorted({c for c in prompt if c not in known}))
            raise UserError(
                f"prompt has characters that the run's tokenizer does not have: {new!r}. Leave "
                "them out."
            )
        made = model.generate(
            torch.tensor([tokens], device=self.device),
            length,
            temperature=temperature,
            top_k=top_k,
            stop=tokenizers.end_of(tokenizer),
            generator=torch.Generator(self.device).manual_seed(seed),
        )
        return str(tokenizer.decode(made[0].tolist()))

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        return {"tokens": {1: "length"}}

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        if "masked" not in config["data"]:
            return next_usage(self.facts, run)
        return masked_usage(self.facts, run, _mask_of(kept_tokenizer(run))[1])

    def hub_usage(self, run: Path, config: dict[str, Any]) -> HubUsage:
        return masked_hub_usage() if "masked" in config["data"] else next_hub_usage(self.facts)

    def save_hf(self, folder: Path, run: Path) -> Answer:
        again = write_model(self.model, folder, self.facts.class_names)
        literal = hasattr(self.model, "generate")  # masked models need mask tokens in texts
        write_tokenizer(run, folder, self.facts.context, frame=False, literal=literal)
        return again


def _mask_of(tokenizer: Tokenizer) -> tuple[int, str]:
    """The id and name of the mask token."""
    mask = token_of(tokenizer, *tokenizers.MASKS)
    assert mask is not None  # masked models are always trained with one
    return mask, str(tokenizer.id_to_token(mask))
