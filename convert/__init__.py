"""Trained Paddle checkpoints become verified ONNX bundles."""
