"""Upload an exported folder to the Hugging Face hub."""

import re
from pathlib import Path

from arclight.errors import UserError
from arclight.network import hub, refusal, why_not

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def require_may_push(repo: str, format: str) -> None:
    """Raises `UserError` where an upload cannot be: the name, the format, no token, no network."""
    from huggingface_hub import get_token

    if format != "hf":
        raise UserError(
            f"push={repo} uploads a folder that transformers or timm opens, and format={format} is "
            "none: type format=hf."
        )
    if not NAME.fullmatch(repo):
        raise UserError(
            f"push={repo} is no name of a repository: type push=ORG/NAME, of letters, digits, "
            "`-`, `_` and `.`."
        )
    if not get_token():
        raise UserError(
            f"push={repo} needs a token of the Hugging Face hub that may write: type hf auth "
            "login, or set HF_TOKEN."
        )
    with hub() as within:
        if not within:
            raise UserError(f"push={repo}: the Hugging Face hub {why_not(within)}.")


def upload(folder: Path, repo: str, private: bool) -> None:
    """Makes the repository where there is none, and commits the folder to it.

    Args:
        folder: of format=hf.
        repo: ORG/NAME.
        private: whether a new repository is; one that is there stays as it is.

    Raises:
        UserError: the hub refuses it, or is out of reach.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message="Upload a model exported by Arclight"
        )
    except Exception as error:  # of as many kinds as there are ways to the hub
        said = refusal(error) or " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(
            f"The Hugging Face hub did not take {folder} for {repo}: {said}. The folder is whole: "
            f"type hf upload {repo} {folder} to try again."
        ) from error
    print(f"Uploaded to {done.repo_url}.")
