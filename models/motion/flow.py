"""Apparent motion at the places of a feature map, as an auxiliary target in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

CELL: Final = 16
"""Input pixels per cell of the third stage's output; cell ``i`` is centred on pixel ``16 i``."""
FLOW_SCALE: Final = 20.0
"""Brings typical motions, a twentieth of the picture per frame, to one."""


def _invert_steps(steps: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices ``[..., 3, 3]`` from the later to the earlier view, and their inverses."""
    import torch

    scale = torch.exp(-steps[..., 2])
    cos, sin = scale * torch.cos(steps[..., 3]), scale * torch.sin(steps[..., 3])
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rows = (cos, -sin, steps[..., 0], sin, cos, steps[..., 1], zero, zero, one)
    matrices = torch.stack(rows, -1).unflatten(-1, (3, 3))
    return matrices, torch.linalg.inv(matrices)


def measure_flow(steps: Tensor, side: int) -> Tensor:
    """Flow at the middle frame of triples.

    Args:
        steps: camera steps of clips of three frames, ``[N, 2, 4]``, see
            :mod:`models.motion.camera`.
        side: side of the picture in pixels.

    Returns:
        Mean displacement of the content per frame, right and down, in twentieths of the side,
        ``[N, 2, G, G]`` with ``G = ceil(side / 16)``. Playing the triple backwards negates it.
    """
    import torch

    cells = -(-side // CELL)
    places = (torch.arange(cells) * CELL - (side - 1) / 2) / side
    grid = torch.stack(torch.meshgrid(places, places, indexing="xy")).flatten(1)
    points = torch.cat((grid, torch.ones(1, grid.shape[1])))
    matrices, inverses = _invert_steps(steps)
    shift = (inverses[:, 1] - matrices[:, 0]) @ points
    return (shift[:, :2] * (FLOW_SCALE / 2)).unflatten(-1, (cells, cells))
