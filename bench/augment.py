"""What augmentation costs beside the training step that it feeds: processor time on one thread.

    python bench/augment.py

Batches of bytes are changed as `train { augment = ... }` says; the peer is the step of the net that takes them, in
stock ONNX Runtime. Medians of `TURNS` turns.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from step_nets import NETS

import sparknet
from sparknet.compiler.augmentations import AnyAugmentation, Crop, Flip, Noise, Rotate, Shift
from sparknet.runtime.engines.base import OnnxRuntimeEngine, Step
from sparknet.runtime.training.augment import Augmented, augment

TURNS = 15
WAYS: dict[str, tuple[AnyAugmentation, ...]] = {
    "flip": (Flip(),),
    "shift(4)": (Shift(pixels=4),),
    "crop(0.8)": (Crop(share=0.8),),
    "rotate(15)": (Rotate(degrees=15),),
    "noise(0.05)": (Noise(deviation=0.05),),
    "flip, shift(4), noise(0.05)": (Flip(), Shift(pixels=4), Noise(deviation=0.05)),
}


def median(work) -> float:
    """Milliseconds of the processor."""
    taken = []
    for turn in range(TURNS):
        began = time.process_time()
        work(turn)
        taken.append(time.process_time() - began)
    return 1000 * statistics.median(taken)


def main() -> None:
    random = np.random.default_rng(0)
    for name in ("CNN 28x28, batch 128", "residual 32x32, batch 32"):
        bench = NETS[name]
        net = sparknet.compile(bench.source)
        images = random.integers(0, 256, (bench.batch, *bench.row), np.uint8)
        engine, feeds = OnnxRuntimeEngine(), {port: rows[0] for port, rows in bench.data().items()}
        graph, parameters, state = engine.training_graph(net), net.initial_parameters(), net.initial_optimizer_state()
        step = Step(feeds, bench.batch, 1e-6, 0)
        whole = median(lambda turn: engine.train(graph, parameters, state, [step]))  # noqa: B023 - called at once
        print(f"{name}: a step {whole:.1f} ms")
        for way, augmentations in WAYS.items():
            ways = [Augmented(0, augmentations, 0, 255)]
            cost = median(lambda turn: augment([images], ways, 0, 0, turn))  # noqa: B023 - called at once
            print(f"  {way}: {cost:.2f} ms, {cost / whole:.1%} of the step")


if __name__ == "__main__":
    main()
