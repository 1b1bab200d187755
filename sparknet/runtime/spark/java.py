"""Finding the Java that Spark needs, without starting either."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from sparknet.runtime.problems import problem
from sparknet.runtime.spark.masters import LOCAL, chosen_master

OLDEST_JAVA, NEWEST_JAVA = 17, 25
"""The newest is that which the documentation of Spark 4.3 names; a newer one is tried, and told if it fails."""


def find_java() -> Path | None:
    """The `java` that Spark will start: that of JAVA_HOME, else the first on the PATH."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    return Path(found) if found else None


def lacks_java(master: str | None) -> bool:
    """Whether Spark would run here for want of a `master`, but cannot, so that a command does without."""
    return master is None and chosen_master(None) == LOCAL and find_java() is None


def java_version(java: Path) -> int | None:
    """The major version, from the `release` file beside the binary; None where there is no such file."""
    release = java.resolve().parent.parent / "release"
    found = re.search(r'JAVA_VERSION="(?:1\.)?(\d+)', release.read_text("utf-8")) if release.is_file() else None
    return int(found[1]) if found else None


def check_java() -> None:
    """Raise SparkNetError unless there is a Java that Spark 4 runs on."""
    java = find_java()
    install = f"install Java {OLDEST_JAVA}, 21 or {NEWEST_JAVA}, or point JAVA_HOME at one"
    helps = [install, "`--local` trains without Spark and Java"]
    if java is None:
        home = os.environ.get("JAVA_HOME")
        where = f"JAVA_HOME is {home}, which holds no bin/java" if home else "no `java` on the PATH, and no JAVA_HOME"
        raise problem("R0060", f"Spark needs Java: {where}", helps=helps)
    version = java_version(java)
    if version is not None and version < OLDEST_JAVA:
        raise problem("R0060", f"Spark needs Java {OLDEST_JAVA} or newer, but {java} is Java {version}", helps=helps)


def java_note() -> list[str]:
    """What to say of a Java that is newer than any that Spark is known to run on, when Spark has not started."""
    java = find_java()
    version = java_version(java) if java is not None else None
    if version is None or version <= NEWEST_JAVA:
        return []
    return [f"{java} is Java {version}; Spark 4 is known to run on Java {OLDEST_JAVA} to {NEWEST_JAVA}"]
