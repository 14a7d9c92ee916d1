"""Where a graph mixes the frames of a clip, and the stages that it may be cut into because of it.

The analysis knows operators, not networks: it works on any graph with the input `clips`, float32
[N, T, 3, H, W], and the output `logits`. Levels and stages are explained in `models.stages`.
"""
