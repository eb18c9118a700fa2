"""Upload an exported folder to the Hugging Face hub."""

import re
from pathlib import Path

from arclight.errors import UserError
from arclight.network import hub, refusal, why_not

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def require_may_push(repo: str, format: str) -> None:
    """Raises `UserError` for a wrong name or format, or if a token or the network is missing."""
    from huggingface_hub import get_token

    if format != "hf":
        raise UserError(
            f"push={repo} uploads a folder that transformers or timm opens, but format={format} "
            "does not write one: type format=hf."
        )
    if not NAME.fullmatch(repo):
        raise UserError(
            f"push={repo} is not the name of a repository: type push=ORG/NAME, with letters, "
            "digits, `-`, `_` and `.`."
        )
    if not get_token():
        raise UserError(
            f"push={repo} needs a Hugging Face token with write access: type hf auth "
            "login, or set HF_TOKEN."
        )
    with hub() as within:
        if not within:
            raise UserError(f"push={repo}: the Hugging Face hub {why_not(within)}.")


def upload(folder: Path, repo: str, private: bool) -> None:
    """Creates the repository if it does not exist, and commits the folder to it.

    Args:
        folder: an export with format=hf.
        repo: ORG/NAME.
        private: whether a new repository is private; an existing one is not changed.

    Raises:
        UserError: the hub rejects it, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message="Upload a model exported by Arclight"
        )
    except Exception as error:  # the hub and connections raise many error types
        said = refusal(error) or " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(
            f"The Hugging Face hub rejected {folder} for {repo}: {said}. The folder is complete: "
            f"type hf upload {repo} {folder} to try again."
        ) from error
    print(f"Uploaded to {done.repo_url}.")
