"""The classes of camera motion.

Every name says what the *camera* does, so the picture content does the opposite:

* ``pan left``: the camera turns left, the content moves to the right;
* ``tilt up``: the camera turns up, the content moves down;
* ``zoom in``: the lens narrows, the content grows away from the centre;
* ``rotate clockwise``: the camera rolls clockwise as seen by the person behind it, the content
  turns counter-clockwise;
* ``still``: no consistent motion. The camera rests, is hand-held with a jitter that leads
  nowhere, or the frames are in no meaningful order.
"""

from typing import Final

STILL: Final = "still"

MOTION_LABELS: Final[tuple[str, ...]] = (
    STILL,
    "pan left",
    "pan right",
    "tilt up",
    "tilt down",
    "zoom in",
    "zoom out",
    "rotate clockwise",
    "rotate counter-clockwise",
)
"""The class names in the order of the network's logits."""

REVERSED_LABELS: Final[dict[str, str]] = {
    "still": "still",
    "pan left": "pan right",
    "pan right": "pan left",
    "tilt up": "tilt down",
    "tilt down": "tilt up",
    "zoom in": "zoom out",
    "zoom out": "zoom in",
    "rotate clockwise": "rotate counter-clockwise",
    "rotate counter-clockwise": "rotate clockwise",
}
"""What each class becomes when the same frames are played backwards."""

REVERSED_INDICES: Final[tuple[int, ...]] = tuple(
    MOTION_LABELS.index(REVERSED_LABELS[label]) for label in MOTION_LABELS
)
"""``REVERSED_LABELS`` as class indices: ``REVERSED_INDICES[i]`` is the reverse of class ``i``."""
