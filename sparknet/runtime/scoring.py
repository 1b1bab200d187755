"""Loss and metrics of a finished run on rows of any kind."""

from __future__ import annotations

from contextlib import closing

from sparknet.compiler.compiled import CompiledNet
from sparknet.runtime.backend import Backend
from sparknet.runtime.encoding.binding import BoundPort
from sparknet.runtime.encoding.encode import choose_layout
from sparknet.runtime.engines.base import Graph
from sparknet.runtime.manifest import bound_inputs, bound_targets
from sparknet.runtime.problems import no_rows
from sparknet.runtime.run_folder import SavedRun
from sparknet.runtime.training.records import Score
from sparknet.runtime.training.rounds import EvaluationTask
from sparknet.runtime.training.scores import in_worker_order, score_of


def scored_ports(run: SavedRun) -> tuple[BoundPort, ...]:
    """What feeds the evaluation graph: inputs, then targets."""
    return (*bound_inputs(run.manifest, run.encoders), *bound_targets(run.manifest, run.encoders))


def evaluation_graph(run: SavedRun, net: CompiledNet) -> Graph:
    """The evaluation graph of a run of `net`, as engines take it."""
    from onnx import load_model_from_string  # which `import sparknet` does without

    return Graph.of("evaluation", load_model_from_string(run.evaluation), net.statistics_size)


def score(run: SavedRun, net: CompiledNet, graph: Graph, backend: Backend) -> Score:
    """Mean loss and metrics, by the `evaluation_graph`, over all rows of the one source of `backend`, which is closed.

    The rows are placed as with the workers that the run had, so that they give the same bytes wherever they are scored.
    Raises SparkNetError for columns and rows that do not fit.
    """
    with closing(backend):
        bound = backend.resolve(scored_ports(run))
        ((key, profile),) = backend.profile(bound, decode=False, keep=True).items()
        if profile.rows == 0:
            raise no_rows(key, None)
        layout = choose_layout(bound, profile)
        backend.encode(bound, layout, {key: {"test": 1.0}}, run.manifest.workers).check([profile])
        results = backend.evaluate(EvaluationTask(graph, layout, "test", run.parameters))
    return score_of(net, "test", in_worker_order(results))
