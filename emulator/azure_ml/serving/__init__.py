"""One slot's process: an ONNX model behind Azure ML's scoring contract. Needs onnxruntime, never torch."""
