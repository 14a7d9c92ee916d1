"""Model repositories for inference servers: NVIDIA Triton and OpenVINO Model Server."""
