"""The folder of a search: what it is, its journal, its table, and the best run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from sparknet.compiler.folder import NET, Count, Entry, Text, check_output
from sparknet.runtime import run_folder
from sparknet.runtime.hostile import damaged, explain, read_file
from sparknet.runtime.model import Model
from sparknet.runtime.problems import problem
from sparknet.runtime.tuning.records import JOURNAL, TABLE, Trial, append, csv_of, line_of, read_journal, rewrite

SEARCH, BEST = "search.json", "best"
_CAP = 1 << 20


class SearchFile(Entry):
    """What a search is. One that goes on must be the same, or else its trials could not be compared."""

    format: Literal[1] = 1
    net: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The digest of the source, imports and settings written into it."""
    metric: Text
    sampler: Literal["grid", "tpe"]
    seed: Count
    batch: Count
    prune: bool


def digest_of(source: str) -> str:
    """What `SearchFile.net` says of a source."""
    return sha256(source.encode()).hexdigest()


class SearchFolder:
    """Where a search leaves what it finds. Only whole lines are added, and whole files replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def best(self) -> Path:
        """The run folder of the best trial."""
        return self.path / BEST

    def saved(self, resume: bool) -> SearchFile | None:
        """The search to go on with, None for a new one; raises SparkNetError where that cannot be."""
        file = self.path / SEARCH
        if not resume:
            if file.is_file():
                helps = ["`--resume`, or `resume=True` in Python, goes on with it; or name another folder"]
                raise problem("R0095", f"`{self.path}` holds a search already", helps=helps)
            check_output(self.path)
            return None
        if not file.exists():
            check_output(self.path)
            return None
        try:
            return SearchFile.model_validate_json(read_file(file, _CAP))
        except ValidationError as error:
            raise damaged(file, explain(error)) from error

    def known(self, search: SearchFile, saved: SearchFile | None) -> dict[int, Trial]:
        """The trials that are known already, by number; raises SparkNetError where they are of another search."""
        if saved is None:
            return {}
        for name in SearchFile.model_fields:
            if (before := getattr(saved, name)) != getattr(search, name):
                what = "the net, its settings or its workers" if name == "net" else f"`{name}`, {before} then,"
                message = f"the search in `{self.path}` cannot be gone on with: {what} changed since"
                helps = ["take back what was changed, or begin a search in another folder"]
                raise problem("R0095", message, helps=helps)
        return {trial.trial: trial for trial in read_journal(self.path / JOURNAL)}

    def begin(self, search: SearchFile, known: Iterable[Trial]) -> None:
        """Make the folder, if it is not there; its journal holds what is known, without a line that was cut off."""
        self.path.mkdir(parents=True, exist_ok=True)
        rewrite(self.path / SEARCH, f"{search.model_dump_json(indent=2)}\n".encode())
        rewrite(self.path / JOURNAL, b"".join(map(line_of, known)))

    def add(self, trial: Trial) -> None:
        """Write down a trial that is over."""
        append(self.path / JOURNAL, trial)

    def finish(self, trials: list[Trial], ranked: list[Trial], names: list[str]) -> None:
        """Write the journal in the order of the trials, and the table from the best to the worst."""
        rewrite(self.path / JOURNAL, b"".join(map(line_of, trials)))
        rewrite(self.path / TABLE, csv_of(ranked, names).encode())

    def holds_best(self, source: str) -> bool:
        """Whether the best run is there already."""
        try:
            return read_file(self.best / NET, len(source.encode())) == source.encode()
        except Exception:
            return False

    def save_best(self, model: Model) -> None:
        """Write the best run, in the place of the one that was there before."""
        old = self.path / f".{BEST}.{token_hex(4)}.old"
        if self.best.exists():
            self.best.rename(old)
        run_folder.save(self.best, model.run, model.net)
        shutil.rmtree(old, ignore_errors=True)
