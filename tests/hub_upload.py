"""What the stand-in hub (tests/hub.py) takes: new repositories, large files and commits."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOKEN = "hf_stand_in"  # that may write


@dataclass
class Uploads:
    """What clients have given.

    Attributes:
        visibility: of each repository that was made.
        large: files by their SHA-256, before a commit names them.
        commits: the messages.
    """

    visibility: dict[str, str | None] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)

    def take(
        self, folder: Path, endpoint: str, method: str, path: str, body: bytes
    ) -> tuple[int, Any] | None:
        """Status and answer; None: it is no upload.

        Args:
            folder: of all repositories.
            endpoint: the hub's address.
            method: of the request, like its path and body.
        """
        parts = path.strip("/").split("/")
        if method == "PUT" and parts[0] == "lfs":
            self.large[parts[1]] = body
            found = hashlib.sha256(body).hexdigest()
            return (200, {}) if found == parts[1] else (400, {"error": f"is {found}"})
        if method != "POST":
            return None
        if path == "/api/repos/create":
            return self._make(folder, endpoint, json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.endswith(".git/info/lfs/objects/batch"):
            return 200, {"objects": [self._offer(endpoint, one) for one in _objects(body)]}
        if parts[:2] == ["api", "models"] and "preupload" in parts:
            return 200, {"files": [_mode(file) for file in json.loads(body)["files"]]}
        if parts[:2] == ["api", "models"] and "commit" in parts:
            return self._commit(folder / "models" / parts[2] / parts[3], endpoint, body)
        return None

    def _make(self, folder: Path, endpoint: str, asked: dict[str, Any]) -> tuple[int, Any]:
        name = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{endpoint}/{name}"}
        if (folder / "models" / name).is_dir():
            return 409, {**url, "error": "You already created this model repo"}
        (folder / "models" / name).mkdir(parents=True)
        self.visibility[name] = asked.get("visibility")
        return 200, url

    def _offer(self, endpoint: str, one: dict[str, Any]) -> dict[str, Any]:
        if one["oid"] in self.large:
            return one
        return {**one, "actions": {"upload": {"href": f"{endpoint}/lfs/{one['oid']}"}}}

    def _commit(self, repo: Path, endpoint: str, body: bytes) -> tuple[int, Any]:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                self.commits.append(value["summary"])
                continue
            content = (
                self.large[value["oid"]]
                if line["key"] == "lfsFile"
                else base64.b64decode(value["content"])
            )
            file = repo / value["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        commit = "0" * 40
        place = f"{endpoint}/{repo.parent.name}/{repo.name}/commit/{commit}"
        return 200, {"success": True, "commitOid": commit, "commitUrl": place}


def _objects(body: bytes) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = json.loads(body)["objects"]
    return asked


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
