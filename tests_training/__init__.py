"""Tests of the engine `onnxruntime-training`, in an environment that has its package: see CONTRIBUTING.md."""
