"""What an inference graph says of itself."""

from __future__ import annotations

from hashlib import sha256

import sparknet


def test_an_inference_graph_carries_the_text_that_it_was_compiled_from_and_its_digest() -> None:
    text = "let width = 4\nnet N {\n input x: float[3]\n dense(width) -> dense(2)\n output y: float[2]\n}\n"
    net = sparknet.compile(text, settings=["width=5"])
    found = {p.key: p.value for p in net.inference(net.initial_parameters()).metadata_props}
    kept = found["sparknet.net"]
    assert "width = 5" in kept
    assert kept == net.source.text
    assert found["sparknet.net.sha256"] == sha256(kept.encode()).hexdigest()
    assert sparknet.compile(kept).parameter_count == net.parameter_count
