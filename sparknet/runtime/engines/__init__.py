"""What runs the graphs: stock ONNX Runtime, or onnxruntime-training."""
