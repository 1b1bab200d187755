"""What the trainer asks of the machinery underneath, and the data it learns from it. Two answers: `local`, `spark`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import pyarrow as pa

from sparknet.compiler.sections import SplitName
from sparknet.grammar.diagnostics import Label, SparkNetError
from sparknet.runtime.encoding.binding import BoundPort, check_agreement, check_types, expand, typed, within
from sparknet.runtime.encoding.encode import Layout, Shares
from sparknet.runtime.encoding.learning import Terms
from sparknet.runtime.encoding.moments import Axes, Moments
from sparknet.runtime.encoding.profile import Profile
from sparknet.runtime.engines.base import Engine
from sparknet.runtime.evaluation.counting import ErrorTask
from sparknet.runtime.evaluation.errors import Errors
from sparknet.runtime.problems import CHANGED, changed, no_rows
from sparknet.runtime.training.balance import Classes
from sparknet.runtime.training.rounds import Evaluation, EvaluationTask, RoundResult, RoundTask, Shard


@dataclass(frozen=True)
class Encoded:
    """How many rows the encoding gave to each split and worker; places without rows are absent."""

    rows: Mapping[tuple[SplitName, int], int]
    block_rows: int
    digest: str
    """Of all blocks and their places, 64 hexadecimal digits: equal wherever the same rows are encoded alike."""

    def check(self, profiles: Iterable[Profile]) -> None:
        """Raise SparkNetError unless these are as many rows as the profiles have seen."""
        if sum(self.rows.values()) != sum(profile.rows for profile in profiles):
            raise changed("the data")

    def split_rows(self, split: SplitName) -> int:
        """Rows of a split, over all workers."""
        return sum(count for (name, _), count in self.rows.items() if name == split)

    def shards(self) -> tuple[Shard, ...]:
        """The training rows of every worker that has any, in worker order."""
        train = sorted((worker, count) for (split, worker), count in self.rows.items() if split == "train")
        return tuple(Shard(worker, count, self.block_rows) for worker, count in train)


def digest_of(blocks: Iterable[tuple[SplitName, int, int, bytes]]) -> str:
    """The digest of blocks, each given by its split, worker, index and own digest, in any order."""
    found = sha256()
    for split, worker, index, digest in sorted(blocks):
        found.update(f"{split}:{worker}:{index}:{digest.hex()}\n".encode())
    return found.hexdigest()


@dataclass(frozen=True)
class Sources:
    """What `resolve` asks of sources, each by its name; `first` are the columns of the first of them."""

    labels: Mapping[str, Label | None]
    """Every source, and where the `.net` file names it."""
    first: Sequence[str]
    checked: Callable[[str, Sequence[BoundPort]], pa.Schema]
    """The schema of a source that has the columns of some ports; raises SparkNetError for one that lacks them."""
    is_empty: Callable[[str], bool]
    """Whether a source has no rows, as far as it can be read."""


def resolve(bound: Sequence[BoundPort], sources: Sources) -> tuple[BoundPort, ...]:
    """As `Backend.resolve`. A source without rows may say anything of the types of its columns, not of their names."""
    found = expand(bound, sources.first)
    schemas = {}
    for key in sources.labels:
        with within(key, sources.labels):
            schemas[key] = sources.checked(key, found)
    try:
        check_agreement(found, schemas, sources.labels)
        found = typed(found, next(iter(schemas.values())))
        for key, schema in schemas.items():
            with within(key, schemas):
                check_types(found, schema)
    except SparkNetError:
        for key, label in sources.labels.items():
            if sources.is_empty(key):
                with within(key, sources.labels):
                    raise no_rows(key, label) from None
        raise
    return found


@contextmanager
def explained(backend: Backend, bound: Sequence[BoundPort]) -> Iterator[None]:
    """Where an encoding that is the first to decode some files meets a cell that it cannot take, say which and why.

    To the encoding, it is one that pass 1 found good. Other failures, such as of the disk or of Spark, are no cells':
    to read all the data once more would find nothing, and take as long again.
    """
    try:
        yield
    except SparkNetError as error:
        if any(each.code == CHANGED for each in error.diagnostics) and any(each.decodes for each in bound):
            backend.profile(bound)
        raise


class Backend(Protocol):
    """Holds the data and runs a function for each worker. Results come back in worker order."""

    @property
    def engine(self) -> Engine:
        """What runs the graphs in each worker."""
        ...

    @property
    def slots(self) -> int:
        """How many workers can run at the same time."""
        ...

    @property
    def job_overhead_seconds(self) -> float:
        """What a job costs beside its work, about."""
        ...

    def resolve(self, bound: Sequence[BoundPort]) -> tuple[BoundPort, ...]:
        """The ports with the columns that the data has for them; raises SparkNetError for columns that do not fit."""
        ...

    def profile(self, bound: Sequence[BoundPort], decode: bool = True, keep: bool = False) -> dict[str, Profile]:
        """Check every row of the columns of resolved ports; raises SparkNetError for what cannot be used.

        The data comes from one source or several, each under a name of its own, as in the `data` section. Images and
        recordings need no `decode` where `encode` follows: it says of a bad one what would have been said here. With
        `keep`, `encode` of this backend is to follow next, which may go on from what was read.
        """
        ...

    def learn(self, bound: Sequence[BoundPort], layout: Layout, shares: Mapping[str, Shares]) -> Terms:
        """What the encoders of the ports learn from the training rows; nothing of rows in other splits."""
        ...

    def encode(self, bound: Sequence[BoundPort], layout: Layout, shares: Mapping[str, Shares], workers: int) -> Encoded:
        """Encode the rows into blocks once, and keep them until `close`. `shares` has those of each source."""
        ...

    def moments(self, layout: Layout, axes: Axes) -> dict[int, Moments]:
        """The moments of the encoded training rows, for some of the ports."""
        ...

    def classes(self, layout: Layout, field: int) -> dict[int, Classes]:
        """The classes of each worker's encoded training rows, by a field of the layout."""
        ...

    def train(self, task: RoundTask, shards: Sequence[Shard]) -> RoundResult:
        """One round on every shard, averaged; an evaluation beside, where the task asks for one."""
        ...

    def slices(self, task: RoundTask, shards: Sequence[Shard]) -> int | None:
        """In how many slices the workers' vectors are averaged before they reach the driver.

        0 where they come straight to it, None where they are there already.
        """
        ...

    def evaluate(self, task: EvaluationTask) -> list[Evaluation]:
        """One evaluation on every worker that has rows of the split."""
        ...

    def errors(self, task: ErrorTask) -> Errors:
        """Where the net errs on all rows of the split, of which there is at least one."""
        ...

    def close(self) -> None:
        """Let go of the blocks."""
        ...
