"""What a message of Spark Connect holds: a job travels in the query there, and with it all that a round starts from."""

from __future__ import annotations

from pyspark.sql import SparkSession

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.exchange import ResetMoments
from sparknet.compiler.sections import StepSync
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.connect import is_connect_session
from sparknet.runtime.spark.sizes import MIB, size_of

MESSAGE_BYTES = 128 * MIB
"""The most that pyspark's client sends and a server takes, unless they are told otherwise."""
_BESIDE = MIB
"""What the query takes beside what it carries, at most."""
_SENDS, _TAKES = "grpc.max_send_message_length", "spark.connect.grpc.maxInboundMessageSize"


def most_bytes(session: SparkSession) -> int:
    """The most bytes of a message from a session of Spark Connect to its server."""
    client = getattr(session, "client", None)
    options = dict(getattr(getattr(client, "_builder", None), "_channel_options", ()))
    sends = int(options.get(_SENDS, MESSAGE_BYTES))  # -1 is no limit
    takes = size_of(str(session.conf.get(_TAKES, str(MESSAGE_BYTES))), unit=1)
    return takes if sends < 0 else min(sends, takes)


def sent_bytes(net: CompiledNet) -> int:
    """What a round of the net sends at least: its graph, the parameters and, unless workers begin anew, the state."""
    train = net.train
    anew = isinstance(train.moments, ResetMoments) or isinstance(train.sync, StepSync)
    state = 0 if anew and train.workers != 1 else net.optimizer_state_size
    return int(net.step.ByteSize()) + 4 * (net.parameter_count + state)


def check_message(session: SparkSession, size: int) -> None:
    """Raise SparkNetError where a job of `size` bytes does not fit into a message of a session of Spark Connect."""
    if not is_connect_session(session) or size <= (most := most_bytes(session) - _BESIDE):
        return
    raise problem(
        "R0069",
        f"a round sends {size / MIB:,.1f} MiB in a message, and Spark Connect takes {most / MIB:,.1f} MiB",
        notes=["parameters and optimizer's state, 4 bytes a number, travel in the query: it has no broadcasts"],
        helps=[
            "train where this process is the driver, as with `--master spark://...`, `yarn` or `spark-submit`",
            "a smaller net, an optimizer with less state, or `moments = reset` sends less",
            f"or raise the limit on both sides: `{_TAKES}` of the server, and `{_SENDS}` of a `ChannelBuilder`",
        ],
    )
