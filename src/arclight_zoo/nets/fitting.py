"""Check that sizes fit each other, and that data fit published weights."""

from arclight.errors import UserError
from arclight.models.checks import nearest_divisor


def check_vocabulary(pretrained: str, given: int, known: int) -> None:
    """Raises `UserError` if published weights have a smaller vocabulary than the data."""
    if given > known:
        raise UserError(
            f"model.pretrained={pretrained} has {known} tokens, but the data has {given}: type "
            f"data.tokenizer={pretrained}, the tokenizer of these weights."
        )


def check_towers(image_size: int, patch_size: int) -> None:
    """Raises `UserError` unless the patch size divides the image size."""
    if image_size % patch_size:
        raise UserError(
            f"model.patch_size={patch_size} does not divide images of {image_size} pixels: "
            f"type model.patch_size={nearest_divisor(image_size, patch_size)}."
        )


def check_heads(tower: str, d_model: int, n_heads: int) -> None:
    """Raises `UserError` unless the number of heads of a tower divides its width.

    Args:
        tower: `image_` or `text_`.
        d_model: width of the tower.
        n_heads: number of its heads.
    """
    if d_model % n_heads:
        raise UserError(
            f"model.{tower}d_model={d_model} does not divide into model.{tower}n_heads={n_heads} "
            f"heads: type model.{tower}n_heads={nearest_divisor(d_model, n_heads)}."
        )


def check_places(pretrained: str, given: int, known: int, key: str = "context") -> None:
    """Raises `UserError` if published weights have fewer positions than texts have tokens."""
    if given > known:
        raise UserError(
            f"model.pretrained={pretrained} has {known} positions, but the data has texts of "
            f"{given} tokens: type data.{key}={known} or less."
        )


def check_images(pretrained: str, size: tuple[int, int], channels: tuple[int, int]) -> None:
    """Raises `UserError` if images do not fit published weights; arguments are (given, known)."""
    pairs = (("image_size", *size), ("channels", *channels))
    wrong = [f"data.{key}={known}" for key, given, known in pairs if given != known]
    if wrong:
        raise UserError(
            f"model.pretrained={pretrained} expects other images than the data has: "
            f"type {' '.join(wrong)}."
        )
