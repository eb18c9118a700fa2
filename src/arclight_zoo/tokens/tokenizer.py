"""Tokenizers: characters, byte-pair encoding trained on the data, or a published one.

Each is a `tokenizers.Tokenizer`, so prediction and generation only need one JSON file in the run
directory.
"""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from arclight.errors import UserError
from arclight.files import write_text
from arclight.network import address, hub, why_not

FILE = "tokenizer.json"  # in a run directory, and in a folder of a published model

PAD, UNKNOWN, START, END, MASK = SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
"""The special tokens of tokenizers that are trained here, numbered from 0 in this order."""

MASKS = (MASK, "[MASK]")
ENDS = (END, "[SEP]", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|im_end|>")
"""The names of end tokens: ours, T5's and Llama 2's; BERT's; GPT-2's and Qwen's; Llama 3's;
Gemma's; the end of a turn in a chat. A tokenizer's end token is the first of these that it has."""


def characters(texts: Iterable[str]) -> Tokenizer:
    """A tokenizer with one token for each character in the texts."""
    alphabet = sorted({character for text in texts for character in text})
    vocab = {token: i for i, token in enumerate([*SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return _special(tokenizer)


def byte_pairs(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Trains byte-level byte-pair encoding (Sennrich et al., 2016; Radford et al., 2019).

    Raises:
        UserError: `vocab_size` is less than the number of bytes and special tokens.
    """
    least = 256 + len(SPECIAL)
    if vocab_size < least:
        raise UserError(
            f"data.vocab_size={vocab_size} is less than the {least} bytes and special tokens: "
            f"type data.vocab_size={2 * least}, or data.tokenizer=characters."
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _special(tokenizer)


def _special(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def framed(tokenizer: Tokenizer) -> Tokenizer:
    """Adds start and end tokens to each text, unless the tokenizer adds its own."""
    if tokenizer.post_processor is None and tokenizer.token_to_id(START) is not None:
        ends = [(t, tokenizer.token_to_id(t)) for t in (START, END)]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{START} $A {END}", special_tokens=ends
        )
    return tokenizer


def end_of(tokenizer: Tokenizer) -> int | None:
    """The end token; None if there is none.

    Special tokens come first, since `</s>` may be ordinary text in a vocabulary of code.
    """
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    names = sorted(ENDS, key=lambda name: name not in added)
    found = (tokenizer.token_to_id(name) for name in names)
    return next((token for token in found if token is not None), None)


def published(name: str) -> Tokenizer:
    """Loads the tokenizer of a local folder or file, or of a Hugging Face hub id.

    Raises:
        UserError: it is missing, damaged, or not reachable.
    """
    place = Path(name).expanduser()
    file = place / FILE if place.is_dir() else place
    if file.is_file():
        return _read(file)
    if place.exists():
        raise UserError(f"data.tokenizer={name} has no {FILE}: name a folder that has one.")
    repo, _, revision = address(name)
    with hub() as within:
        try:
            return Tokenizer.from_pretrained(repo, revision=revision or "main")
        except Exception as error:  # the library raises its own error types
            raise UserError(
                f"data.tokenizer={name} is not a local folder with a {FILE}, and on the Hugging "
                f"Face hub it {why_not(within, error)}; type data.tokenizer=bpe to train one, or "
                "name a local folder."
            ) from error


def trained(kind: str, texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Trains a tokenizer, `characters` or `bpe`, on the texts."""
    return characters(texts) if kind == "characters" else byte_pairs(texts, vocab_size)


def literal(tokenizer: Tokenizer) -> Tokenizer:
    """Makes the tokenizer treat special tokens in texts, such as `</s>`, as plain text.

    Special tokens that it adds itself are not affected. Its file does not store this setting.
    """
    tokenizer.encode_special_tokens = True
    return tokenizer


def load(folder: Path) -> Tokenizer | None:
    """Loads the tokenizer of a run, made `literal`; None if it has none yet."""
    file = folder / FILE
    return literal(_read(file)) if file.exists() else None


def _read(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises no specific error type
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{file} is damaged: it is not a tokenizer ({said}).") from error


def keep(tokenizer: Tokenizer, folder: Path) -> None:
    """Writes the tokenizer into the run's directory."""
    write_text(folder / FILE, tokenizer.to_str())
