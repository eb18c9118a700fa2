"""Images with captions: the data module of contrastive learning and captioning."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from arclight.data.facts import Facts
from arclight.data.module import require_counts
from arclight.errors import UserError
from arclight.ranges import Count
from arclight_zoo.image_text.captions import CaptionFinish, Captions, captions
from arclight_zoo.image_text.facts import ImageTextFacts
from arclight_zoo.pixels.augment import Augment
from arclight_zoo.pixels.decode import Normalise
from arclight_zoo.pixels.folder import holds_class_folders
from arclight_zoo.pixels.image_data import ImageData
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.pixels.sources import open_source
from arclight_zoo.reading.splits import Rows
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.ragged import encoded, padding_of, token_of
from arclight_zoo.tokens.text_module import TextModule


class CaptionedImages(ImageData, TextModule):
    """Images as in `ImageData`, each with a tokenised caption.

    A batch is (images, tokens, mask, classes): float32 images `(batch, channels, size, size)`;
    tokens with a start and an end token, padded at the right, and their mask (False: padding), both
    `(batch, longest)`; and classes `(batch,)`. In a table, each distinct caption is a class. All
    captions of a class are correct for its images.

    A labelled set has templates, `captions`, and a word for each class. In training, (seed, epoch,
    sample) chooses one of them for each image; evaluation uses the first. A table has a
    `caption_column`: every row is an image with its own caption.

    Attributes:
        known: the captions of each class; set by `setup()`.

    Args:
        path: see `ImageData`; with `caption_column` a hub id, or a folder of parquet files or of
            images with a metadata.csv or .jsonl.
        image_column: see `ImageData`.
        label_column: see `ImageData`; for labelled data.
        caption_column: of a table; None: labelled data.
        captions: templates, such as "a photo of a {}"; None: a table.
        words: the word for each class in the templates; None: its name.
        tokenizer: `characters`, `bpe` (byte-pair encoding), both trained on the training captions,
            or a published one: a local folder or file, or a hub id.
        vocab_size: maximum number of tokens of `bpe`.
        context: maximum tokens of a caption, with start and end; longer captions are cut.
        train_split: for this and all further arguments, see `ImageData`.

    Raises:
        UserError: the data or an argument is invalid.
    """

    facts: ImageTextFacts
    facts_type: type[Facts] = ImageTextFacts

    holds = "images with texts"

    def __init__(
        self,
        path: str,
        caption_column: str | None = None,
        captions: list[str] | None = None,
        words: list[str] | None = None,
        tokenizer: str = "bpe",
        vocab_size: Count = 8192,
        context: Count = 32,
        **images: Any,
    ) -> None:
        super().__init__(path, **images)
        require_counts(vocab_size=vocab_size)
        if context < 3:
            raise UserError(
                f"data.context={context} leaves no room between start and end tokens of a caption: "
                "type data.context=32."
            )
        self.caption_column, self.templates, self.words = caption_column, captions, words
        self.kind, self.vocab_size, self.context = tokenizer, vocab_size, context
        self._require_one_kind_of_captions()
        if self.targets != "classes":
            raise UserError(
                f"data.targets={self.targets} is for images without captions: type "
                "data.targets=classes."
            )
        for key in ("mixup", "cutmix"):
            if getattr(self.augment, key):
                raise UserError(
                    f"data.augment.{key}={getattr(self.augment, key)} mixes two images, but mixed "
                    f"images have no caption: type data.augment.{key}=0."
                )

    def _require_one_kind_of_captions(self) -> None:
        if bool(self.caption_column) == bool(self.templates):
            given = "both of them are" if self.templates else "none is"
            raise UserError(
                "Captions come from templates or from a column, and "
                f"{given} given: type \"data.captions=['a photo of a {{}}']\" for class folders "
                "and labelled tables, or data.caption_column=NAME for a table with a text in each "
                "row, and null for the other."
            )
        for template in self.templates or []:
            if "{}" not in template:
                raise UserError(
                    f'The template "{template}" of data.captions has no {{}} for the class\'s '
                    f'word: type "{template} {{}}", for example.'
                )
        if self.caption_column and (self.columns[1] or self.words):
            key = "label_column" if self.columns[1] else "words"
            raise UserError(
                f"data.{key} is for labelled data, but with data.caption_column="
                f"{self.caption_column} each row has its own text: type data.{key}=null."
            )

    def setup(self, stage: str | None = None) -> None:
        """Opens, splits and encodes the data; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        super().setup(stage)
        image = self.facts  # ImageData's
        names = image.class_names
        texts, each = names, 1
        trained_on = [names[i] for i in self._classes_of_training()]
        if self.templates:
            texts, each = self._by_template(self.templates, names), len(self.templates)
            trained_on = texts
        made = self.find_tokenizer(self.kind, trained_on, self.vocab_size)
        self.tokenizer = tokenizers.framed(made)
        pad = padding_of(self.tokenizer)
        tokens = encoded(self.tokenizer, texts, self.context, self.cache)
        self.known: Captions = captions(tokens, each, pad)
        digest = hashlib.sha256(image.fingerprint.encode() + tokens.digest())
        start, end = self._frame()
        self.facts = ImageTextFacts(
            **{
                **vars(image),
                "class_names": names if self.templates else [],
                "class_counts": image.class_counts if self.templates else [],
                "fingerprint": digest.hexdigest(),
            },
            vocab_size=self.tokenizer.get_vocab_size(),
            context=self.context,
            pad=pad,
            start=start,
            end=end,
        )

    def _classes_of_training(self) -> list[int]:
        part = self.parts["train"]
        return [int(i) for i in np.unique(part.split.labels[part.rows])]

    def _by_template(self, templates: list[str], names: list[str]) -> list[str]:
        words = self.words or names
        if len(words) != len(names):
            raise UserError(
                f"data.words has {len(words)} words for the {len(names)} classes "
                f"{', '.join(names)}: give one for each, in this order."
            )
        twice = sorted({word for word in words if words.count(word) > 1})
        if twice:
            raise UserError(
                f"data.words has {', '.join(twice)} for two classes, whose captions would be the "
                "same: give each its own."
            )
        return [template.replace("{}", word) for word in words for template in templates]

    def _frame(self) -> tuple[int, int]:
        start = token_of(self.tokenizer, tokenizers.START, "<|startoftext|>", "[CLS]")
        end = tokenizers.end_of(self.tokenizer)
        if start is None or end is None:
            raise UserError(
                f"data.tokenizer={self.kind} has no start and end tokens "
                f"({tokenizers.START} and {tokenizers.END}): type data.tokenizer=bpe, or name a "
                "tokenizer that has them."
            )
        return start, end

    def _open(self) -> Source:
        """Opens the source; the distinct captions of a table are its classes."""
        column = self.caption_column
        if column is None:
            return super()._open()
        folder = Path(self.path).expanduser()
        if self.path == "sklearn:digits" or (folder.is_dir() and holds_class_folders(folder)):
            raise UserError(
                f"data.path={self.path} has classes but no columns: type data.caption_column=null "
                "\"data.captions=['a photo of a {}']\"."
            )
        try:
            return open_source(self.path, self.columns[0], column, wanted=self.division.wanted)
        except UserError as error:  # it names another key for the column
            words = str(error).replace("data.label_column", "data.caption_column")
            raise UserError(words) from error
        except TypeError as error:  # cells that cannot be sorted or compared, such as lists
            raise UserError(
                f"data.caption_column={column} of {self.path} holds no text: type a column with a "
                "caption in each row."
            ) from error

    def _strata(self, split: Split) -> Rows:
        """No strata for a table: most captions belong to one image."""
        if self.templates:
            return super()._strata(split)
        return np.zeros(len(split.labels), dtype=np.int64)

    def _finish(
        self, normalise: Normalise, augment: Augment | None, device: torch.device
    ) -> CaptionFinish:
        return CaptionFinish(normalise, augment, self.known.to(device))
