"""The files or the database of a study."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from arclight.errors import UserError
from arclight.files import open_lock


def open_storage(storage: str, folder: Path) -> BaseStorage:
    """Opens the storage. It keeps no open connection, which forked processes would share."""
    if storage == "journal":
        path = str(folder / "journal.log")
        return JournalStorage(JournalFileBackend(path, lock_obj=KernelLock(path)))
    from sqlalchemy.pool import NullPool

    if storage == "sqlite":
        path = str((folder / "study.db").resolve())
        return RDBStorage(
            f"sqlite:///{path}",
            engine_kwargs={"poolclass": NullPool, "connect_args": {"timeout": 100}},
        )
    return RDBStorage(storage, engine_kwargs={"poolclass": NullPool})


class KernelLock(JournalFileOpenLock):
    """Locks the journal with a kernel lock, which is released when the process ends for any reason.

    A crash of the machine can leave an incomplete last line. It is removed, because the next
    append would make the journal unreadable.
    """

    def __init__(self, journal: str) -> None:
        super().__init__(journal)
        self._journal = Path(journal)
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        self._file = open_lock(self._journal.with_suffix(".lock"))
        fcntl.flock(self._file, fcntl.LOCK_EX)
        content = self._journal.stat().st_size
        if content:
            with self._journal.open("rb+") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        assert self._file is not None
        self._file.close()


@contextmanager
def readable(folder: Path | None) -> Iterator[None]:
    """Raises `UserError` if the study's files cannot be read."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each storage raises its own errors
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"The study in {folder} cannot be read ({type(error).__name__}: {said}): restore a "
            "good copy, or choose another search.dir to start a new search."
        ) from error
