"""A local Hugging Face hub for tests: serves the requests of the real clients from a folder.

    FOLDER/models/ORG/NAME/FILES    FOLDER/datasets/ORG/NAME/FILES

Large files are redirected to another host with a hash in their address, as the hub does.
"""

import hashlib
import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.hub_upload import TOKEN, Uploads

LARGE = 1000  # bytes; larger files are served by the other host
SUFFIXES = (".parquet", ".safetensors")  # files that are always served by the other host
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Asked:
    """A request and its response."""

    method: str
    path: str
    range: str | None
    status: int
    sent: int  # bytes of the body


@dataclass
class Hub:
    """A server in a thread.

    Attributes:
        folder: the folder with all repositories.
        asked: all requests so far.
        gated: repositories that need a login, as ORG/NAME, with the status to return.
        uploads: what clients have uploaded.
        fault: called with the method and path of a request; returns an error status, or a share of
            the body after which the connection is closed, or None.
    """

    folder: Path
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    gated: dict[str, int] = field(default_factory=dict)
    uploads: Uploads = field(default_factory=Uploads)
    fault: Callable[[str, str], int | float | None] = lambda method, path: None

    @property
    def endpoint(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        """Starts on a free port; after a stop, on the same port again."""
        handler = type("Bound", (_Handler,), {"hub": self})
        self.server = _Server(("127.0.0.1", self.port), handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Stops listening and closes open connections."""
        if self.thread.is_alive():
            self.server.shutdown()
            self.server.server_close()
            self.server.cut()
            self.thread.join()

    def sent(self, ending: str) -> int:
        """The bytes sent so far of files with this ending."""
        return sum(a.sent for a in self.asked if a.path.endswith(ending) and a.method == "GET")

    def commit(self, repo: Path) -> str:
        """A commit hash that changes with the content."""
        digest = hashlib.sha1()
        for file in self.files(repo):
            digest.update(f"{file.relative_to(repo)} {_oid(file)}".encode())
        return digest.hexdigest()

    def files(self, repo: Path) -> list[Path]:
        return sorted(f for f in repo.rglob("*") if f.is_file())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *given: Any) -> None:
        self.open: set[Any] = set()
        super().__init__(*given)

    def process_request(self, request: Any, address: Any) -> None:
        self.open.add(request)
        super().process_request(request, address)

    def cut(self) -> None:
        for request in list(self.open):
            with suppress(OSError):
                request.shutdown(2)

    def handle_error(self, *_: Any) -> None:  # a client closed its connection
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # send header and body together
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("HEAD")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        url = urlsplit(self.path)
        content = self._body()
        is_form = "form" in (self.headers.get("Content-Type") or "")
        given = parse_qs(content.decode() if is_form else url.query)
        path = unquote(url.path)
        fault = self.hub.fault(method, path)
        if isinstance(fault, int):
            status, headers, body = fault, {}, b""
        else:
            status, headers, body = self._taken(method, path, content) or self._answer(path, given)
        headers = {"Content-Length": str(len(body)), **headers}
        sent = b"" if method == "HEAD" else body
        if isinstance(fault, float):
            sent = sent[: int(len(sent) * fault)]
        asked = Asked(method, path, self.headers.get("Range"), status, len(sent))
        self.hub.asked.append(asked)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)
        if isinstance(fault, float):
            self.close_connection = True

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _taken(self, method: str, path: str, content: bytes) -> Answer | None:
        """The answer to an upload, which takes a token, except for files that were announced."""
        asks = method == "POST" and path.startswith("/api/") and "paths-info" not in path
        if asks and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _error(401, "", "Invalid username or password.")
        found = self.hub.uploads.take(self.hub.folder, self.hub.endpoint, method, path, content)
        return None if found is None else _json(found[1], found[0])

    def _answer(self, path: str, given: dict[str, list[str]]) -> Answer:
        parts = path.strip("/").split("/")
        if parts[0] == "cdn":
            return self._content(self.hub.folder / "/".join(parts[2:]))
        if parts[0] == "api" and len(parts) >= 4 and parts[1] in ("models", "datasets"):
            _, kind, org, name, *rest = parts
            repo, asked = self.hub.folder / kind / org / name, rest
        elif "resolve" in parts:
            kind = parts.pop(0) if parts[0] == "datasets" else "models"
            org, name, *asked = parts
            repo = self.hub.folder / kind / org / name
        else:
            return _json({"error": "Not here"}, 404)
        if not repo.is_dir():
            return _error(401, "RepoNotFound", "Invalid username or password.")
        if f"{org}/{name}" in self.hub.gated:
            return _error(self.hub.gated[f"{org}/{name}"], "GatedRepo", "Access is restricted.")
        commit = self.hub.commit(repo)
        what, revision, *inner = asked if len(asked) > 1 else ("revision", "main")
        if revision not in ("main", commit):
            return _error(404, "RevisionNotFound", "Invalid rev id: " + revision)
        files = {str(f.relative_to(repo)): f for f in self.hub.files(repo)}
        if what == "revision":
            siblings = [{"rfilename": file} for file in files]
            told = {"id": f"{org}/{name}", "sha": commit, "private": False, "gated": False}
            return _json({**told, "tags": [], "downloads": 0, "likes": 0, "siblings": siblings})
        if what == "tree":
            return self._tree(files, "/".join(inner), given.get("recursive", [""])[0] == "true")
        if what == "paths-info":
            return _json([_entry(p, files[p]) for p in given.get("paths", []) if p in files])
        if what == "resolve":
            return self._resolve(files, "/".join(inner), commit)
        return _json({"error": "Not here"}, 404)

    def _tree(self, files: dict[str, Path], inner: str, recursive: bool) -> Answer:
        begin = f"{inner}/" if inner else ""
        here = {path: file for path, file in files.items() if path.startswith(begin)}
        if inner and not here:
            return _error(404, "EntryNotFound", f"{inner} does not exist")
        folders = {str(p) for path in here for p in list(Path(path).parents)[:-1]}
        folders = {folder for folder in folders if folder.startswith(begin)}
        if not recursive:
            here = {path: file for path, file in here.items() if "/" not in path[len(begin) :]}
            folders = {folder for folder in folders if "/" not in folder[len(begin) :]}
        listed = [{"type": "directory", "path": f, "size": 0, "oid": "0" * 40} for f in folders]
        return _json([*listed, *(_entry(path, file) for path, file in here.items())])

    def _resolve(self, files: dict[str, Path], path: str, commit: str) -> Answer:
        if path not in files:
            return _error(404, "EntryNotFound", "Entry not found", commit)
        file = files[path]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_oid(file)}"'}
        if not _is_large(file):
            status, more, body = self._content(file)
            return status, {**more, **headers}, body
        place = f"http://127.0.0.1:{self.hub.port}/cdn/{_oid(file)}"
        headers["Location"] = f"{place}/{file.relative_to(self.hub.folder)}"
        headers |= {"X-Linked-ETag": f'"{_oid(file)}"', "X-Linked-Size": str(file.stat().st_size)}
        return 302, headers, b""

    def _content(self, file: Path) -> Answer:
        size, headers = file.stat().st_size, {"ETag": f'"{_oid(file)}"', "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range")
        if not wanted:
            return 200, headers, file.read_bytes()
        first, last = wanted.removeprefix("bytes=").split("-")
        start, stop = int(first), min(int(last) + 1 if last else size, size)
        if start >= size:
            return 416, {"Content-Range": f"bytes */{size}"}, b""
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        with file.open("rb") as content:
            content.seek(start)
            return 206, headers, content.read(stop - start)


def _is_large(file: Path) -> bool:
    return file.suffix in SUFFIXES or file.stat().st_size >= LARGE


def _oid(file: Path) -> str:
    stat = file.stat()
    return _digest(file, stat.st_size, stat.st_mtime_ns)


@lru_cache
def _digest(file: Path, size: int, time: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _entry(path: str, file: Path) -> dict[str, Any]:
    size = file.stat().st_size
    entry = {"type": "file", "path": path, "size": size, "oid": _oid(file)[:40]}
    if _is_large(file):
        entry["lfs"] = {"oid": _oid(file), "size": size, "pointerSize": 130}
    return entry


def _json(content: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _error(status: int, code: str, words: str, commit: str | None = None) -> Answer:
    _, headers, body = _json({"error": words})
    headers |= {"X-Error-Code": code, "X-Error-Message": words}
    return status, {**headers, "X-Repo-Commit": commit} if commit else headers, body


@contextmanager
def hub(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub for the libraries of this process, which start with empty caches in `folder/home`.

    The libraries read `HF_ENDPOINT` and `HF_HOME` when they are imported, so this patches the
    values that they have read.
    """
    import datasets.config
    import huggingface_hub
    from huggingface_hub import HfFileSystem, constants
    from huggingface_hub.utils import close_session

    home = folder / "home"
    served = Hub(folder / "hub")
    served.start()
    patch.setattr(constants, "ENDPOINT", served.endpoint)
    template = served.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HOME", str(home))
    patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # which is no plain HTTP
    patch.setattr(constants, "HF_XET_CACHE", str(home / "xet"))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        patch.setattr(constants, name, str(home / "hub"))
    patch.setattr(huggingface_hub.hf_api.api, "endpoint", served.endpoint)
    patch.setattr(datasets.config, "HF_ENDPOINT", served.endpoint)
    url = served.endpoint + "/datasets/{repo_id}/resolve/{revision}/{path}"
    patch.setattr(datasets.config, "HUB_DATASETS_URL", url)
    patch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
    patch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", home / "datasets" / "downloads")
    close_session()
    HfFileSystem.clear_instance_cache()
    try:
        yield served
    finally:
        served.stop()
        close_session()
        HfFileSystem.clear_instance_cache()


class Clock:
    """`time` for a library that waits between its tries: without waiting."""

    def __init__(self) -> None:
        self.slept = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def hurried(patch: pytest.MonkeyPatch) -> Clock:
    """Makes the libraries retry the hub only once and without waiting."""
    from huggingface_hub.utils import _http

    clock = Clock()
    patch.setitem(_http.http_backoff.__kwdefaults__, "max_retries", 1)
    for module in (
        "huggingface_hub.utils._http",
        "huggingface_hub.file_download",
        "arclight_zoo.reading.remote_files",
    ):
        patch.setattr(importlib.import_module(module), "time", clock)
    return clock


def settings(served: Hub, home: Path) -> dict[str, str]:
    """The environment variables for a process that uses this hub."""
    return {"HF_ENDPOINT": served.endpoint, "HF_HOME": str(home)}
