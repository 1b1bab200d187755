"""The one way in which the runtime raises its diagnostics; their codes are in `codes`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError


def problem(
    code: str, message: str, *, label: Label | None = None, helps: Sequence[str] = (), notes: Sequence[str] = ()
) -> SparkNetError:
    """One diagnostic as an error to raise; `label` is the place in the `.net` file that led here, if there is one."""
    labels = () if label is None else (label,)
    return SparkNetError((Diagnostic(code, message, labels, tuple(notes), tuple(helps)),))


CHANGED = "R0023"
LATE = "R0032"
"""What a job that gave no answer in its time ends in."""


def changed(what: str, label: Label | None = None) -> SparkNetError:
    """What was read twice was not the same twice."""
    return problem(
        CHANGED,
        f"{what} changed while it was being read",
        label=label,
        helps=["write the data to files first, or persist the DataFrame, so that reading it twice agrees"],
    )


def marked(label: Label | None, text: str) -> Label | None:
    """The same place with another text beside the carets."""
    return None if label is None else Label(label.source, label.span, text)


def listing(names: Iterable[str], most: int = 12) -> str:
    """Names for a message, the tail of a long list left out."""
    every = list(names)
    shown = ", ".join(f"`{name}`" for name in every[:most])
    return shown + (f" and {len(every) - most} more" if len(every) > most else "")


def no_rows(key: str, label: Label | None) -> SparkNetError:
    """The source of a key of `data`, named at `label`, is empty; a DataFrame that was given has no label."""
    given = "data" if key in ("source", "train") else key
    message = "the data holds no rows" if label else f"the DataFrame given as `{given}` holds no rows"
    return problem("R0020", message, label=label)
