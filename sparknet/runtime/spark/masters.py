"""The forms of a Spark master, and which one is meant where none is named."""

from __future__ import annotations

import os
import re

from sparknet.runtime.problems import problem

_FORMS = re.compile(
    r"local|local\[(\*|[1-9]\d*)(,\s*[1-9]\d*)?\]|local-cluster\[\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\]|yarn"
    r"|(spark|k8s|sc)://.+"
)
LOCAL = "local[*]"
SUBMITTED = "the master of spark-submit"


def check_master(master: str | None) -> None:
    """Raise SparkNetError for a master of a form that Spark does not know."""
    if master is not None and not _FORMS.fullmatch(master):
        forms = "`local`, `local[4]`, `local[*]`, `spark://host:7077`, `yarn`, `k8s://https://host:443`"
        helps = [f"masters are {forms}, and `sc://host:15002` of Spark Connect"]
        raise problem("R0063", f"Spark knows no master `{master}`", helps=helps)


def is_connect(master: str) -> bool:
    """Whether this is the address of a Spark Connect server."""
    return master.startswith("sc://")


def is_submitted() -> bool:
    """Whether `spark-submit` runs this process: its JVM waits for us, with all settings that it was given."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def chosen_master(master: str | None) -> str:
    """Where to run: at `master`, else where `spark-submit` or SPARK_REMOTE say, else on this machine."""
    if master is not None:
        return master
    return SUBMITTED if is_submitted() else os.environ.get("SPARK_REMOTE") or LOCAL
