"""Trains the motion classifier from nothing, and checks the bundle made of it.

``python -m models.motion.train --out DIR`` runs the whole schedule, and goes on from its last
state after an interruption. It writes ``motion.pdparams``, ``labels.txt``, ``report.json`` and,
through ``edgecls convert``, ``bundle/``. A seed fixes the data and the order of everything; the
weights agree between machines up to the rounding of their arithmetic.

The network shifts features by one frame only, and then averages frames, so it judges triples of
frames. Training therefore starts on triples, each also played backwards on the same early
features, with the apparent motion at every place as a second target. Whole clips of eight frames
follow, with reversed and shuffled ones among them; shuffled and hand-held clips are ``still``.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.motion.batches import Batch, stream_batches
from models.motion.checkpoint import export_weights, save_checkpoint
from models.motion.clips import Frames, seed_generator
from models.motion.evaluate import (
    CLIP_FRAMES,
    CLIP_SIDE,
    HELD_OUT_POOLS,
    Predict,
    format_score,
    normalize_clips,
    open_bundle,
    open_checkpoint,
    render_held_out,
    score_clips,
)
from models.motion.flow import measure_flow
from models.motion.labels import MOTION_LABELS, REVERSED_INDICES, STILL
from models.motion.network import SHIFT_STAGE, MotionNet, join_triples, shift_frames
from models.motion.priming import prime_network
from models.motion.schedule import PHASES, VIEWS, Phase, Schedule, shrink_phases

WIDTH: Final = 0.375
CLASS_EXPAND: Final = 320
SMOOTHING: Final = 0.03
LOG_EVERY: Final = 20
SAVE_EVERY: Final = 100

_log = logging.getLogger(__name__)
_STILL: Final = MOTION_LABELS.index(STILL)
_REVERSED: Final = torch.tensor(REVERSED_INDICES)


@dataclass(frozen=True)
class Mirror:
    """A symmetry of the picture, and what it does to motions.

    Attributes:
        labels: class index to class index.
        axes: where each of dx, dy, zoom and turn comes from.
        signs: factor of each afterwards.
    """

    labels: tuple[int, ...]
    axes: tuple[int, ...]
    signs: tuple[float, ...]


MIRRORS: Final = (
    Mirror((0, 2, 1, 3, 4, 5, 6, 8, 7), (0, 1, 2, 3), (-1.0, 1.0, 1.0, -1.0)),
    Mirror((0, 1, 2, 4, 3, 5, 6, 8, 7), (0, 1, 2, 3), (1.0, -1.0, 1.0, -1.0)),
    Mirror((0, 3, 4, 1, 2, 5, 6, 8, 7), (1, 0, 2, 3), (1.0, 1.0, 1.0, -1.0)),
)
"""Left and right swapped, up and down swapped, and both axes swapped."""


def mirror_batch(
    clips: Tensor, labels: Tensor, steps: Tensor, kind: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Applies a symmetry to clips ``[N, T, 3, S, S]``, labels ``[N]`` and steps ``[N, T-1, 4]``."""
    mirror = MIRRORS[kind]
    turned = (clips.flip(4), clips.flip(3), clips.transpose(3, 4))[kind]
    moved = steps[..., list(mirror.axes)] * torch.tensor(mirror.signs)
    return turned, torch.tensor(mirror.labels)[labels], moved


def draw_orders(count: int, shuffle: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Frame orders ``[count, 8]``, reversed or shuffled, and which of them are shuffled.

    A shuffled order is one that leads neither forwards nor backwards.
    """
    orders = np.tile(np.arange(CLIP_FRAMES)[::-1], (count, 1))
    shuffled = rng.random(count) < shuffle
    for row in np.flatnonzero(shuffled):
        while abs(np.corrcoef(np.arange(CLIP_FRAMES), orders[row])[0, 1]) > 0.5:
            orders[row] = rng.permutation(CLIP_FRAMES)
    return torch.from_numpy(orders), torch.from_numpy(shuffled)


class Trainer:
    """The network, its running average, the auxiliary heads and the optimizer."""

    def __init__(self, width: float, class_expand: int, side: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.side, self.seed, self.step = side, seed, 0
        classes = len(MOTION_LABELS)
        self.network = MotionNet(classes, width, class_expand)
        prime_network(self.network)
        self.average = MotionNet(classes, width, class_expand)
        self.average.load_state_dict(self.network.state_dict())
        for network in (self.network, self.average):
            network.to(memory_format=torch.channels_last)
        channels = self.network.stages[SHIFT_STAGE][-1].pw_conv_2.conv.out_channels
        self.heads = nn.ModuleList(nn.Conv2d(channels, 2, 1) for _ in range(2))
        parameters = [*self.network.parameters(), *self.heads.parameters()]
        decayed = [p for p in parameters if p.ndim > 1]
        free = [p for p in parameters if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.02}, {"params": free, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on."""
        parts = ("network", "average", "heads", "optimizer")
        return {"step": self.step, **{name: getattr(self, name).state_dict() for name in parts}}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up a :meth:`state`."""
        self.step = state["step"]
        for name in ("network", "average", "heads", "optimizer"):
            getattr(self, name).load_state_dict(state[name])

    def _encode(self, clips: Tensor) -> Tensor:
        frames = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.network.encode_frames(frames).unflatten(0, clips.shape[:2])

    def _lose_triples(self, clips: Tensor, labels: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        features = self._encode(clips)
        joined = join_triples(
            torch.cat((features, features.flip(1))).contiguous(), self.network.frames
        )
        first, *rest = self.network.stages[SHIFT_STAGE]
        early = first(joined.contiguous(memory_format=torch.channels_last))
        late = nn.Sequential(*rest)(early)
        logits = self.network.fc(self.network.embed_late(late))
        truth = torch.cat((labels, _REVERSED[labels]))
        flow = measure_flow(steps, self.side)
        flow = torch.cat((flow, -flow))
        loss = functional.cross_entropy(logits, truth, label_smoothing=SMOOTHING)
        for head, places in zip(self.heads, (early, late), strict=True):
            loss = loss + 0.5 * functional.smooth_l1_loss(head(places), flow, beta=0.3)
        return loss, (logits.argmax(1) == truth).float().mean()

    def _lose_clips(
        self, clips: Tensor, labels: Tensor, shuffle: float, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        features = self._encode(clips)
        orders, shuffled = draw_orders(len(labels), shuffle, rng)
        altered = features[torch.arange(len(labels))[:, None], orders]
        both = torch.cat((features, altered)).flatten(0, 1)
        moved = shift_frames(both, CLIP_FRAMES, self.network.frames)
        embedded = self.network.embed_features(moved.contiguous(memory_format=torch.channels_last))
        logits = self.network.fc(embedded.unflatten(0, (-1, CLIP_FRAMES)).mean(1))
        other = torch.where(shuffled, _STILL, _REVERSED[labels])
        truth = torch.cat((labels, other))
        loss = functional.cross_entropy(logits, truth, label_smoothing=SMOOTHING)
        return loss, (logits.argmax(1) == truth).float().mean()

    def learn(self, batch: Batch, phase: Phase, rate: float) -> tuple[float, float]:
        """Takes one step.

        Args:
            batch: rendered clips; every second step sees them mirrored or transposed.
            phase: the phase of the schedule.
            rate: learning rate.

        Returns:
            Loss, and share of right answers.
        """
        self.network.train()
        rng = seed_generator(self.seed, self.step)
        torch.manual_seed(int(rng.integers(2**31)))
        clips = torch.from_numpy(normalize_clips(batch.frames))
        labels, steps = torch.from_numpy(batch.labels), torch.from_numpy(batch.steps)
        if self.step % VIEWS:
            kind = int(rng.integers(len(MIRRORS)))
            clips, labels, steps = mirror_batch(clips, labels, steps, kind)
        if phase.frames == CLIP_FRAMES:
            loss, right = self._lose_clips(clips, labels, phase.shuffle, rng)
        else:
            loss, right = self._lose_triples(clips, labels, steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._blend_average(min(0.997, self.step / (self.step + 9)))
        return float(loss.detach()), float(right)

    def _blend_average(self, keep: float) -> None:
        pairs = zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        )
        with torch.no_grad():
            for average, current in pairs:
                if average.is_floating_point():
                    average.lerp_(current, 1 - keep)

    def predict(self, clips: Frames) -> Any:
        """Logits of the averaged network, see ``evaluate.Predict``."""
        with torch.inference_mode():
            return self.average.eval()(torch.from_numpy(normalize_clips(clips))).numpy()


def save_state(trainer: Trainer, path: Path) -> None:
    """Writes the state under a temporary name, then puts it in place."""
    temporary = path.with_suffix(".tmp")
    torch.save(trainer.state(), temporary)
    temporary.replace(path)


def train(trainer: Trainer, schedule: Schedule, out: Path, workers: int, probes: int) -> None:
    """Runs the schedule from the trainer's step to the end.

    Args:
        trainer: where to start.
        schedule: what to do.
        out: folder for the state, and for ``curve.jsonl`` with the accuracy over time.
        workers: rendering processes.
        probes: clips per held-out set in the accuracies along the way.
    """
    held_out = {pool: render_held_out(pool, probes, trainer.side) for pool in HELD_OUT_POOLS}
    orders = schedule.order_batches(trainer.seed, trainer.side, trainer.step)
    began, total = time.monotonic(), np.zeros(2)
    for batch in stream_batches(orders, workers):
        for _ in range(VIEWS):
            phase, _progress = schedule.find_phase(trainer.step)
            total += trainer.learn(batch, phase, schedule.learning_rate(trainer.step))
            if trainer.step % LOG_EVERY == 0:
                loss, right = total / LOG_EVERY
                total[:] = 0
                _log.info(
                    "%s, step %d of %d, %.0f s: loss %.3f, right %.1f %%",
                    *(phase.name, trainer.step, schedule.steps, time.monotonic() - began),
                    *(loss, 100 * right),
                )
        if trainer.step % SAVE_EVERY == 0 or trainer.step == schedule.steps:
            save_state(trainer, out / "state.pt")
            row: dict[str, float] = {"step": trainer.step, "seconds": time.monotonic() - began}
            for pool, (clips, labels) in held_out.items():
                row[pool] = score_clips(trainer.predict, clips, labels).accuracy
            with (out / "curve.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            _log.info("held out: %s", row)


def assess(predict: Predict, side: int, count: int) -> dict[str, Any]:
    """Scores a classifier on both held-out sets; logs and returns it all."""
    report: dict[str, Any] = {}
    for pool in HELD_OUT_POOLS:
        score = score_clips(predict, *render_held_out(pool, count, side))
        _log.info("%s", format_score(pool, score))
        report[pool] = asdict(score)
    return report


def make_bundle(checkpoint: Path, labels: Path, bundle: Path, side: int) -> float:
    """Converts the checkpoint with ``edgecls convert``, and compares both on random clips.

    Returns:
        Largest difference of the logits as a share of their range.
    """
    program = Path(sys.executable).with_name("edgecls")  # of this environment, if it has one
    command = [str(program) if program.exists() else "edgecls", "convert", str(checkpoint)]
    command += ["-o", str(bundle), "--family", "pp-tsmv2", "--frames", str(CLIP_FRAMES)]
    command += ["--labels", str(labels), "--size", str(side)]
    command += ["--short-side", str(side), "--resize", "keep_aspect", "--clip-length", "1.0"]
    command += ["--name", "camera motion", "--force"]
    subprocess.run(command, check=True)
    shape = (8, CLIP_FRAMES, side, side, 3)
    clips = seed_generator(1).integers(0, 256, shape).astype(np.uint8)
    ours, theirs = open_checkpoint(checkpoint)(clips), open_bundle(bundle)(clips)
    return float(np.abs(ours - theirs).max() / np.ptp(ours))


def main() -> None:
    """Command line entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder for everything written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=float, default=WIDTH, help="channel multiplier")
    parser.add_argument("--class-expand", type=int, default=CLASS_EXPAND)
    parser.add_argument("--side", type=int, default=CLIP_SIDE, help="side of the input in pixels")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--length", type=float, default=1.0, help="factor on all numbers of steps")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workers", type=int, default=1, help="rendering processes")
    parser.add_argument("--clips", type=int, default=900, help="clips per held-out set at the end")
    parser.add_argument("--probes", type=int, default=180, help="the same along the way")
    parser.add_argument("--no-bundle", action="store_true", help="stop before the conversion")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(args.width, args.class_expand, args.side, args.seed)
    if (args.out / "state.pt").exists():
        trainer.restore(torch.load(args.out / "state.pt", weights_only=True))
        _log.info("going on from step %d", trainer.step)
    schedule = Schedule(shrink_phases(PHASES, args.length), args.rate)
    train(trainer, schedule, args.out, args.workers, args.probes)
    checkpoint, labels = args.out / "motion.pdparams", args.out / "labels.txt"
    save_checkpoint(export_weights(trainer.average), checkpoint)
    labels.write_text("".join(f"{label}\n" for label in MOTION_LABELS), encoding="utf-8")
    settings = {name: str(value) for name, value in vars(args).items()}
    report = {"settings": settings, **assess(open_checkpoint(checkpoint), args.side, args.clips)}
    if not args.no_bundle:
        report["bundle_difference"] = make_bundle(
            checkpoint, labels, args.out / "bundle", args.side
        )
        if report["bundle_difference"] > 1e-4:
            raise SystemExit(f"the bundle differs: {report['bundle_difference']:.1e}")
    (args.out / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
