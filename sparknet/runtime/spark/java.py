"""Finding the Java that Spark needs, without starting either."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from sparknet.runtime.problems import problem

OLDEST_JAVA = 17


def find_java() -> Path | None:
    """The `java` that Spark will start: that of JAVA_HOME, else the first on the PATH."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    return Path(found) if found else None


def java_version(java: Path) -> int | None:
    """The major version, from the `release` file beside the binary; None where there is no such file."""
    release = java.resolve().parent.parent / "release"
    found = re.search(r'JAVA_VERSION="(?:1\.)?(\d+)', release.read_text("utf-8")) if release.is_file() else None
    return int(found[1]) if found else None


def check_java() -> None:
    """Raise SparkNetError unless there is a Java that Spark 4 runs on."""
    java = find_java()
    helps = [f"install Java {OLDEST_JAVA} or 21, or point JAVA_HOME at one", "`--local` trains without Spark and Java"]
    if java is None:
        home = os.environ.get("JAVA_HOME")
        where = f"JAVA_HOME is {home}, which holds no bin/java" if home else "no `java` on the PATH, and no JAVA_HOME"
        raise problem("R0060", f"Spark needs Java: {where}", helps=helps)
    version = java_version(java)
    if version is not None and version < OLDEST_JAVA:
        raise problem("R0060", f"Spark needs Java {OLDEST_JAVA} or newer, but {java} is Java {version}", helps=helps)
