"""The forms of a Spark master, checked before a JVM starts only to find that it knows no such master."""

from __future__ import annotations

import re

from sparknet.runtime.problems import problem

_FORMS = re.compile(
    r"local|local\[(\*|[1-9]\d*)(,\s*[1-9]\d*)?\]|local-cluster\[\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\]|yarn|spark://.+|k8s://.+"
)


def check_master(master: str | None) -> None:
    """Raise SparkNetError for a master of a form that Spark does not know."""
    if master is not None and not _FORMS.fullmatch(master):
        forms = "`local`, `local[4]`, `local[*]`, `spark://host:7077`, `yarn`, `k8s://https://host:443`"
        raise problem("R0063", f"Spark knows no master `{master}`", helps=[f"masters are {forms}"])
