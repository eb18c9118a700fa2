"""A `DataLoader` of an `IterableDataset` that continues with the same batches after a resume."""

import warnings
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from torch.utils.data import DataLoader

from arclight.data.exact.facade import Facade, rebuilt
from arclight.data.exact.randomness import spread
from arclight.data.exact.streaming import (
    Read,
    SeededStream,
    Shard,
    Turn,
    has_state,
    packed,
    unpacked,
)
from arclight.seeds import mix

_KEPT = 4  # Lightning prefetches one batch, and both loops may save a checkpoint


class ExactStreamLoader(Facade):
    """The batches of an `IterableDataset`, in the same order as torch's own loader.

    Each batch comes with the position of its worker, since workers run ahead. If the dataset, or
    its iterator, has `state_dict` and `load_state_dict`, a resumed run continues from that state.
    Otherwise, it reads the samples up to the position again.

    Every pass starts in the initial state of the dataset, as in torch with new workers, even if
    Lightning ended the epoch before the end of the stream.

    The data of a worker depend on the number of workers, so a resumed run keeps this number. As in
    torch, the dataset itself splits the data among ranks.

    Args:
        loader, seed, name, position: see `Facade`.
        rank: the rank of this process; each rank draws different random numbers.
        kept: the value of `keep` from the checkpoint, if the run is resumed.
        say: called with a sentence if resuming takes extra time.
    """

    def __init__(
        self,
        loader: "DataLoader[Any]",
        seed: int,
        name: str = "train",
        position: Callable[[], tuple[int, int]] | None = None,
        rank: int = 0,
        kept: dict[str, Any] | None = None,
        say: Callable[[str], None] = warnings.warn,
    ) -> None:
        super().__init__(loader, seed, name, position)
        self.rank, self.kept, self.say = rank, kept or {}, say
        dataset = SeededStream(
            loader.dataset, loader.collate_fn, loader.batch_size, loader.drop_last
        )
        workers = int(self.kept.get("workers", loader.num_workers))
        if workers != loader.num_workers:
            say(
                f"{name}: {workers} workers read the data, as when the run began, instead of "
                f"num_workers={loader.num_workers}, since each worker reads a part of the stream."
            )
        self._turns = _Turns()
        self.inner = rebuilt(loader, dataset, self._turns, workers)
        self._passes = count()
        self._warned = False
        self._rewind()

    def _rewind(self) -> None:
        self._epoch, self._cycle, self._step, self._ended = -1, 0, 0, False
        self._over = False
        self._later: dict[str, Any] = {}
        self._history: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def _difference(self, batches: int) -> str | None:
        say, kept, self.say = self.say, self.kept, lambda _: None
        try:
            first = self._read(0, batches)
            later = self._again_from(len(first))
            self.kept = self.keep(0, later)
            return self._compared(first[later:], self._read(later, len(first) - later))
        finally:
            self.say, self.kept = say, kept

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        begin, drop = self._begun()
        if begin is None:
            return
        resumed, before = "cycle" in begin and begin["cycle"] > 0, self._step
        shards = [Shard(count, packed(state), end) for count, state, end in begin["shards"]]
        turn = begin["turn"]
        self._turns.ready = self._requests(shards, turn)
        for i, read in enumerate(self._served()):
            assert isinstance(read, Read)
            who = i % len(shards)
            shards[who] = read.shard
            if read.has:
                self._step += 1
                turn = (who + 1) % len(shards)
                self._note(shards, turn, ended=False)
                if drop:
                    drop -= 1
                else:
                    yield read.batch
            elif all(shard.ended for shard in shards):
                break
        self._ended = True
        self._note(shards, turn, ended=True)
        if not self.inner.persistent_workers:
            self.close()
        if resumed and self._step == before:  # it was interrupted at the end of a cycle
            yield from iter(self)

    def _begun(self) -> tuple[dict[str, Any] | None, int]:
        """Returns the state to start the pass from, or None if the run is at its end.

        The number counts batches to read and drop, if the checkpoint has no state for them.
        """
        epoch, step = self.position() if self.position else (0, 0)
        fresh = {"shards": [Shard()] * max(1, self.inner.num_workers), "turn": 0}
        again = self.position is not None and epoch == self._epoch and self._ended
        self._over, self._ended = self._ended, False
        if again:
            later, self._later = self._later, {}
            self._cycle = later.get("cycle", self._cycle + 1)
            return later or fresh, 0
        self._warn_of_restart(epoch)
        self._epoch, self._cycle, self._step = epoch, 0, step
        if not step:
            return fresh, 0
        kept = self.kept.get("read") or {}
        if (kept.get("epoch"), kept.get("step")) != (epoch, step):
            self._step = 0
            return fresh, step
        self._cycle = kept["cycle"]
        if kept["cycle"] or kept["ended"]:  # see ExactLoader: Lightning must see the end once
            self._ended, self._later = True, {} if kept["ended"] else kept
            return None, 0
        self._announce(kept)
        return kept, 0

    def _warn_of_restart(self, epoch: int) -> None:
        cut_short = 0 <= self._epoch < epoch and not self._over and self._step
        if cut_short and has_state(self.loader.dataset) and not self._warned:
            self._warned = True
            self.say(
                f"{self.name}: the epoch ended after {self._step} batches, before the end of the "
                "stream (limit_train_batches); every epoch starts at the beginning of the stream."
            )

    def _announce(self, kept: dict[str, Any]) -> None:
        samples = sum(count for count, state, end in kept["shards"] if state is None and not end)
        if samples:
            self.say(
                f"{self.name}: reading {samples} samples again to reach the position of the run; "
                f"with state_dict and load_state_dict, {type(self.loader.dataset).__name__} "
                "could continue there directly."
            )

    def _requests(self, shards: list[Shard], turn: int) -> Iterator[Turn]:
        number, begin = next(self._passes), list(shards)
        base = mix(self.name, self.seed, self._epoch, self._cycle, self.rank) >> 64
        epoch = None if self.position is None else self._epoch
        for i in count():
            who, idle = i % len(begin), i < turn
            start = begin[i] if i < len(begin) else None
            yield Turn(number, spread(base, who), epoch, start, idle)

    def _note(self, shards: list[Shard], turn: int, ended: bool) -> None:
        if self.position is not None:
            now = {"epoch": self._epoch, "step": self._step, "cycle": self._cycle, "turn": turn}
            self._history.append({**now, "ended": ended, "shards": list(shards)})

    def keep(self, epoch: int, step: int) -> dict[str, Any]:
        """Returns the state for a checkpoint after `step` batches of the epoch."""
        kept: dict[str, Any] = {"workers": self.inner.num_workers}
        noted = [n for n in self._history if n["epoch"] == epoch and n["step"] <= step]
        if noted:
            read = noted[-1]["shards"]
            shards = [[shard.samples, unpacked(shard.state), shard.ended] for shard in read]
            kept["read"] = {**noted[-1], "step": step, "shards": shards}
        elif step and self.kept.get("read"):
            kept["read"] = self.kept["read"]
        return kept


class _Turns:
    """The batch sampler of the inner loader; it never ends, the workers report the end."""

    def __init__(self) -> None:
        self.ready: Iterator[Turn] = iter(())

    def __iter__(self) -> Iterator[Turn]:
        return self.ready
