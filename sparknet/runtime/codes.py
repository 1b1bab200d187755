"""Codes of the runtime's diagnostics, each with its one-line title."""

from __future__ import annotations

CODES: dict[str, str] = {
    # ----- sources -----
    "R0001": "nothing at a path",
    "R0002": "a column that the data lacks",
    "R0003": "a file that is not what it should be",
    "R0004": "no `data` section, or one without a source",
    "R0005": "a path that only Spark, or only this machine, can read",
    "R0006": "several columns of one name",
    "R0007": "data outside the folder of the file",
    "R0008": "sources or files that do not go together",
    "R0009": "a folder too deep or too large",
    # ----- values -----
    "R0010": "null",
    "R0011": "NaN or infinity",
    "R0012": "the wrong number of numbers",
    "R0013": "a type that holds no numbers",
    "R0014": "a label outside the classes, or a token outside the vocabulary",
    "R0015": "a label or token that is not whole",
    "R0016": "a number too large for float32",
    "R0017": "neither 0 nor 1",
    "R0018": "a sequence without a step",
    "R0019": "a category that is not known",
    "R0028": "an image or a recording that cannot be read",
    "R0029": "a weight below 0",
    # ----- runs that cannot start -----
    "R0020": "no rows",
    "R0021": "no rows in a split",
    "R0022": "a batch larger than the rows",
    "R0023": "data that changed underway",
    "R0024": "a phase of training that the run has no room for",
    "R0025": "a net with nothing to train",
    "R0026": "labels that are more or fewer than the classes",
    # ----- runs that break -----
    "R0030": "a loss that is not finite",
    "R0031": "a worker that failed",
    "R0032": "no answer in time",
    "R0033": "a failure of Spark",
    "R0034": "no room for rows that do not fit into memory",
    # ----- run folders -----
    "R0041": "no run folder",
    "R0042": "a damaged run folder",
    "R0043": "a run folder of another version",
    "R0044": "a folder of a net that was compiled, not trained",
    # ----- checkpoints -----
    "R0045": "checkpoints of an earlier run",
    "R0046": "no checkpoint to resume from",
    "R0047": "a checkpoint of another run",
    "R0048": "a place for checkpoints that is out of reach or of no use",
    "R0049": "a disk without room for a run",
    # ----- predictions -----
    "R0050": "predictions that cannot be written",
    "R0051": "a column of that name exists",
    "R0052": "an unknown type of file",
    "R0053": "a prediction without rows or without a place for them",
    "R0054": "what is no table",
    # ----- Spark -----
    "R0060": "no Java that Spark runs on",
    "R0061": "Spark does not start",
    "R0062": "pyspark, or what it needs for Spark Connect, is not installed",
    "R0063": "a master that Spark does not know",
    "R0064": "a cluster that gives no executors",
    "R0065": "a setting of Spark that leaves a run no room",
    "R0066": "executors whose Python is not fit for the run",
    "R0067": "executors with too little memory",
    "R0068": "Spark Connect and Spark without it at the same time",
    "R0069": "a round that no message of Spark Connect holds",
    # ----- engines -----
    "R0070": "the package of another engine",
    "R0071": "a net that an engine refuses",
    # ----- trackers -----
    "R0080": "the package of a tracker",
    "R0081": "a folder that can hold no event files",
    "R0082": "an MLflow that cannot be reached",
    # ----- searches -----
    "R0090": "Optuna is not installed",
    "R0091": "a net without choices",
    "R0092": "no validation rows to compare trials on",
    "R0093": "scores that cannot be compared",
    "R0094": "a search in which no trial finished",
    "R0095": "a search that cannot be gone on with",
}
