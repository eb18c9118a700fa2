"""Whether sizes fit each other, and data fit published weights: one sentence each."""

from arclight.errors import UserError
from arclight.models.checks import nearest_divisor


def check_vocabulary(pretrained: str, given: int, known: int) -> None:
    """Raises `UserError` where published weights have fewer tokens than the data."""
    if given > known:
        raise UserError(
            f"model.pretrained={pretrained} knows {known} tokens and the data has {given}: type "
            f"data.tokenizer={pretrained}, the one that it was trained with."
        )


def check_towers(image_size: int, patch_size: int) -> None:
    """Raises `UserError` unless patches fill the image."""
    if image_size % patch_size:
        raise UserError(
            f"model.patch_size={patch_size} does not divide images of {image_size} pixels: "
            f"type model.patch_size={nearest_divisor(image_size, patch_size)}."
        )


def check_heads(tower: str, d_model: int, n_heads: int) -> None:
    """Raises `UserError` unless the heads of a tower (`image_` or `text_`) divide its width."""
    if d_model % n_heads:
        raise UserError(
            f"model.{tower}d_model={d_model} does not divide into model.{tower}n_heads={n_heads} "
            f"heads: type model.{tower}n_heads={nearest_divisor(d_model, n_heads)}."
        )


def check_places(pretrained: str, given: int, known: int, key: str = "context") -> None:
    """Raises `UserError` where published weights have fewer places than texts may have tokens."""
    if given > known:
        raise UserError(
            f"model.pretrained={pretrained} knows {known} places and the data has texts of "
            f"{given} tokens: type data.{key}={known} or less."
        )


def check_images(pretrained: str, size: tuple[int, int], channels: tuple[int, int]) -> None:
    """Raises `UserError` where images are not as published weights know them: (given, known)."""
    pairs = (("image_size", *size), ("channels", *channels))
    wrong = [f"data.{key}={known}" for key, given, known in pairs if given != known]
    if wrong:
        raise UserError(
            f"model.pretrained={pretrained} was trained on other images than the data has: "
            f"type {' '.join(wrong)}."
        )
