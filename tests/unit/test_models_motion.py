import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.motion.batches import BatchOrder, ease_speeds, render_batch
from models.motion.camera import FULL_SPEEDS, STEP_AXES, plan_shake, plan_steps, view_matrices
from models.motion.checkpoint import read_checkpoint, save_checkpoint
from models.motion.clips import ClipStyle, Frames, load_texture, render_clip, seed_generator
from models.motion.demo import FRAME_RATE, REST_SECONDS, demo_frames, demo_schedule
from models.motion.evaluate import normalize_clips, score_clips
from models.motion.labels import MOTION_LABELS, REVERSED_INDICES, REVERSED_LABELS
from models.motion.schedule import PHASES, WARM_UP, Schedule, shrink_phases
from models.motion.textures import HELD_OUT_KINDS, TRAINING_KINDS

cv2 = pytest.importorskip("cv2", reason="OpenCV renders the clips")

STYLE = ClipStyle(side=64, textures=4)

# Which way a point of the picture moves from one frame to the next, x right and y down:
# (start in fractions of the side from the centre) -> sign of its displacement.
CONTENT_MOVES = {
    "pan left": [((0.0, 0.0), (1, 0))],
    "pan right": [((0.0, 0.0), (-1, 0))],
    "tilt up": [((0.0, 0.0), (0, 1))],
    "tilt down": [((0.0, 0.0), (0, -1))],
    "zoom in": [((0.3, 0.0), (1, 0)), ((0.0, -0.3), (0, -1))],
    "zoom out": [((0.3, 0.0), (-1, 0)), ((0.0, -0.3), (0, 1))],
    "rotate clockwise": [((0.3, 0.0), (0, -1)), ((0.0, -0.3), (-1, 0))],
    "rotate counter-clockwise": [((0.3, 0.0), (0, 1)), ((0.0, -0.3), (1, 0))],
}


def find_dot(frame: Frames) -> tuple[float, float]:
    weight = frame.astype(float).mean(-1)
    ys, xs = np.mgrid[: frame.shape[0], : frame.shape[1]]
    return float((xs * weight).sum() / weight.sum()), float((ys * weight).sum() / weight.sum())


@pytest.mark.parametrize("label", list(CONTENT_MOVES))
def test_content_moves_against_the_camera(label: str) -> None:
    side = 200
    axis, sign = STEP_AXES[label]
    step = np.zeros((1, 4))
    step[0, axis] = sign * 0.1
    base = np.array([[1.0, 0, side / 2], [0, 1.0, side / 2], [0, 0, 1.0]])
    for (x, y), (to_right, down) in CONTENT_MOVES[label]:
        world = np.zeros((side, side, 3), np.uint8)
        dot = (round(side / 2 + x * side), round(side / 2 + y * side))
        cv2.circle(world, dot, 4, (255, 255, 255), -1)
        seen = [
            find_dot(cv2.warpAffine(world, m, (side, side), flags=cv2.WARP_INVERSE_MAP))
            for m in view_matrices(step, base, 0, (side, side))
        ]
        moved_x, moved_y = seen[1][0] - seen[0][0], seen[1][1] - seen[0][1]
        assert moved_x * to_right + moved_y * down > 3
        assert abs(moved_x * down) + abs(moved_y * to_right) < 3


@pytest.mark.parametrize("label", ["pan left", "pan right", "tilt up", "tilt down"])
def test_rendered_pans_shift_the_picture(label: str) -> None:
    axis, sign = STEP_AXES[label]
    agree = 0
    for seed in range(6):
        clip = render_clip(label, (seed,), ClipStyle(textures=2, frames=4))
        grey = clip.astype(np.float32).mean(-1)
        window = np.outer(np.hanning(64), np.hanning(64)).astype(np.float32)
        for before, after in pairwise(grey):
            shift, _ = cv2.phaseCorrelate(before, after, window)
            agree += shift[axis] * -sign > 0
    assert agree >= 15  # of 18


@pytest.mark.parametrize("label", MOTION_LABELS)
def test_steps_stay_within_the_announced_speeds(label: str) -> None:
    for seed in range(20):
        steps = plan_steps(label, 8, FULL_SPEEDS, seed_generator(seed))
        assert steps.shape == (7, 4)
        mean = np.abs(steps.mean(0))
        if label == "still":
            assert mean[:2].max() < 0.006
            continue
        axis, sign = STEP_AXES[label]
        low, high = {0: (0.014, 0.13), 1: (0.014, 0.13), 2: (0.018, 0.1), 3: (0.03, 0.22)}[axis]
        assert low < mean[axis] < high
        assert np.sign(steps.mean(0)[axis]) == sign


def test_shake_leads_nowhere() -> None:
    ends = [plan_shake(8, 0.02, seed_generator(seed)).sum(0)[0] for seed in range(200)]
    assert abs(float(np.mean(ends))) < 0.005


def test_a_seed_fixes_a_clip() -> None:
    first, again = (render_clip("zoom in", (3, 4), STYLE) for _ in range(2))
    assert first.shape == (8, 64, 64, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != render_clip("zoom in", (3, 5), STYLE)).any()


def test_one_frame_is_the_same_whatever_the_class() -> None:
    for seed in range(4):
        clips = np.stack([render_clip(label, (seed,), STYLE) for label in MOTION_LABELS])
        same = [t for t in range(8) if (clips[:, t] == clips[:1, t]).all()]
        assert len(same) >= 1
        assert not (clips[:, -1] == clips[:1, -1]).all() or not (clips[:, 0] == clips[:1, 0]).all()


def test_anchor_frame_is_drawn_without_regard_to_the_class() -> None:
    places = set()
    for seed in range(12):
        one, other = (render_clip(label, (seed,), STYLE) for label in ("pan left", "zoom out"))
        places |= {t for t in range(8) if (one[t] == other[t]).all()}
    assert len(places) >= 4


def test_held_out_textures_are_others() -> None:
    assert not set(TRAINING_KINDS) & set(HELD_OUT_KINDS)
    assert len(HELD_OUT_KINDS) >= 1
    train, unseen = load_texture("train", 0)[0], load_texture("seen-kinds", 0)[0]
    assert (train != unseen).any()


@pytest.mark.parametrize("kind", [*TRAINING_KINDS, *HELD_OUT_KINDS])
def test_textures_have_contrast_in_both_directions(kind: str) -> None:
    paint = {**TRAINING_KINDS, **HELD_OUT_KINDS}[kind]
    texture = paint(seed_generator(5), 160)
    assert texture.shape == (160, 160, 3)
    assert texture.dtype == np.uint8
    grey = texture.astype(float).mean(-1)
    assert np.abs(np.diff(grey, axis=0)).mean() > 1
    assert np.abs(np.diff(grey, axis=1)).mean() > 1


def test_reversal_is_its_own_inverse() -> None:
    assert set(REVERSED_LABELS) == set(MOTION_LABELS)
    for index, label in enumerate(MOTION_LABELS):
        assert REVERSED_LABELS[REVERSED_LABELS[label]] == label
        assert REVERSED_INDICES[REVERSED_INDICES[index]] == index


def test_batches_follow_their_number() -> None:
    order = BatchOrder(0, 1, 4, ClipStyle(side=32, frames=3, speeds=ease_speeds(0.8), textures=2))
    first, again = render_batch(order), render_batch(order)
    assert first.frames.shape == (4, 3, 32, 32, 3)
    assert first.steps.shape == (4, 2, 4)
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.labels, again.labels)


def test_schedule_warms_up_and_ends_at_nothing() -> None:
    schedule = Schedule(PHASES, 1.0)
    rates = [schedule.learning_rate(step) for step in range(schedule.steps)]
    assert rates[0] < 0.1
    assert max(rates) == rates[WARM_UP] == 1.0
    assert rates[-1] < 1e-3
    assert schedule.find_phase(schedule.steps - 1)[0].frames == 8
    assert all(phase.steps % 2 == 0 for phase in shrink_phases(PHASES, 0.0123))
    assert schedule.order_batches(0, 64, 100)[0].number == 50


def test_demo_follows_its_schedule() -> None:
    schedule = demo_schedule()
    assert {segment.label for segment in schedule} == set(MOTION_LABELS)
    for segment, following in pairwise(schedule):
        assert segment.end_s == following.start_s
    source, again = demo_frames(), demo_frames()
    frames = [next(source) for _ in range(60)]
    assert all((next(again)[1] == frame).all() for _, frame in frames[:3])
    times = [time for time, _ in frames]
    assert times[0] == 0
    np.testing.assert_allclose(np.diff(times), 1 / FRAME_RATE)
    assert all(frame.shape == (240, 320, 3) and frame.dtype == np.uint8 for _, frame in frames)
    still = int(REST_SECONDS * FRAME_RATE)
    assert (frames[0][1] == frames[still - 1][1]).all()
    assert (frames[still][1] != frames[still + 5][1]).any()


def test_a_perfect_classifier_scores_in_full() -> None:
    clips = np.zeros((18, 8, 4, 4, 3), np.uint8)
    labels = np.arange(18) % 9
    clips[:, 0, 0, 0, 0] = labels + 1  # the first frame says the class, the last its reverse
    clips[:, -1, 0, 0, 0] = np.array(REVERSED_INDICES)[labels] + 1

    def predict(frames: Frames) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        logits = np.eye(10, dtype=np.float32)[frames[:, 0, 0, 0, 0]]
        return logits[:, 1:]

    score = score_clips(predict, clips, labels)
    assert score.accuracy == score.reversed_accuracy == 1
    assert np.trace(score.confusion) == 18


def test_pixels_are_normalized_as_in_imagenet() -> None:
    clips = np.full((1, 2, 3, 4, 3), 255, np.uint8)
    pixels = normalize_clips(clips)
    assert pixels.shape == (1, 2, 3, 3, 4)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[0, 0, :, 0, 0], [2.2489, 2.4286, 2.64], atol=1e-4)


class TestNetwork:
    @pytest.fixture(autouse=True)
    def torch_is_there(self) -> None:
        pytest.importorskip("torch", reason="the network is PyTorch")

    def test_full_width_has_the_published_names_and_shapes(self) -> None:
        from models.motion.checkpoint import export_weights
        from models.motion.network import MotionNet

        shapes = {k: list(v.shape) for k, v in export_weights(MotionNet(400)).items()}
        assert len(shapes) == 278
        assert shapes["backbone.stem.0.conv.weight"] == [32, 3, 3, 3]
        assert shapes["backbone.stem.1.pw_conv.bn._variance"] == [64]
        assert shapes["backbone.stages.0.0.dw_conv.conv.weight"] == [64, 1, 3, 3]
        assert shapes["backbone.stages.1.1.pw_conv.conv.weight"] == [256, 256, 1, 1]
        assert shapes["backbone.stages.2.0.dw_conv_list.1.conv.weight"] == [256, 1, 3, 3]
        assert "backbone.stages.2.0.dw_conv_list.2.conv.weight" not in shapes
        assert shapes["backbone.stages.2.1.dw_conv_list.2.conv.weight"] == [512, 1, 1, 1]
        assert shapes["backbone.stages.2.0.dw_conv.weight"] == [256, 1, 5, 5]
        assert shapes["backbone.stages.2.5.se.conv1.weight"] == [128, 512, 1, 1]
        assert shapes["backbone.stages.2.5.pw_conv_1.conv.weight"] == [256, 512, 1, 1]
        assert shapes["backbone.stages.3.1.pw_conv.conv.weight"] == [1024, 1024, 1, 1]
        assert shapes["backbone.last_conv.weight"] == [1280, 1024, 1, 1]
        assert shapes["backbone.fc.weight"] == [1280, 400]

    def test_shift_brings_in_the_neighbours(self) -> None:
        import torch

        from models.motion.network import join_triples, shift_frames

        x = torch.arange(1.0, 4.0)[:, None, None, None].expand(3, 8, 1, 1)
        shifted = shift_frames(x, 3, 8)
        assert shifted[:, 0, 0, 0].tolist() == [0, 1, 2]
        assert shifted[:, 1, 0, 0].tolist() == [2, 3, 0]
        assert (shifted[:, 2:] == x[:, 2:]).all()
        assert (join_triples(x[None], 8)[0] == shifted[1]).all()

    def test_checkpoint_brings_the_network_back(self, tmp_path: Path) -> None:
        import torch

        from models.motion.checkpoint import export_weights, fold_branches, load_network
        from models.motion.network import MotionNet
        from models.motion.priming import prime_network

        torch.manual_seed(0)
        network = MotionNet(9, 0.375, 64)
        prime_network(network)
        clips = torch.randn(2, 8, 3, 32, 32)
        network.train()(clips)  # moves the batch norms off their defaults
        network.eval()
        save_checkpoint(export_weights(network), tmp_path / "motion.pdparams")
        assert [p.name for p in tmp_path.iterdir()] == ["motion.pdparams"]
        weights = read_checkpoint(tmp_path / "motion.pdparams")
        with torch.inference_mode():
            ours, theirs = network(clips), load_network(weights)(clips)
            block = network.stages[2][1]
            x = torch.randn(1, 192, 6, 6)
            branches = sum(branch(x) for branch in block.dw_conv_list)
            kernel, bias = fold_branches(weights, "backbone.stages.2.1")
            folded = torch.nn.functional.conv2d(
                x, torch.from_numpy(kernel), torch.from_numpy(bias), padding=2, groups=192
            )
        assert torch.equal(ours, theirs)
        assert torch.allclose(branches, folded, atol=1e-4)

    def test_flow_is_the_motion_of_the_content(self) -> None:
        import torch

        from models.motion.flow import measure_flow

        pan_left = torch.tensor([[[-0.1, 0.0, 0.0, 0.0]] * 2])
        flow = measure_flow(pan_left, 64)
        assert flow.shape == (1, 2, 4, 4)
        assert torch.allclose(flow[0, 0], torch.tensor(2.0), atol=1e-5)
        zoom_in = torch.tensor([[[0.0, 0.0, 0.1, 0.0]] * 2])
        flow = measure_flow(zoom_in, 64)
        assert flow[0, 0, 0, 0] < 0 < flow[0, 0, 0, 3]
        backwards = measure_flow(-zoom_in.flip(1), 64)
        assert torch.allclose(backwards, -flow, atol=1e-5)

    def test_mirrors_change_labels_and_steps_together(self) -> None:
        import torch

        from models.motion.train import MIRRORS, mirror_batch

        for kind in range(len(MIRRORS)):
            for label, (axis, sign) in STEP_AXES.items():
                steps = torch.zeros(1, 1, 4)
                steps[..., axis] = sign * 0.1
                index = torch.tensor([MOTION_LABELS.index(label)])
                _, turned, moved = mirror_batch(torch.zeros(1, 2, 3, 4, 4), index, steps, kind)
                other_axis, other_sign = STEP_AXES[MOTION_LABELS[int(turned)]]
                assert moved[0, 0, other_axis] == pytest.approx(other_sign * 0.1)
                assert moved.abs().sum() == pytest.approx(0.1)

    def test_shuffled_orders_lead_nowhere(self) -> None:
        from models.motion.train import draw_orders

        orders, shuffled = draw_orders(40, 0.5, seed_generator(0))
        for order, mixed in zip(orders.tolist(), shuffled.tolist(), strict=True):
            assert sorted(order) == list(range(8))
            lead = np.corrcoef(np.arange(8), order)[0, 1]
            assert abs(lead) <= 0.5 if mixed else lead == pytest.approx(-1)


def test_checkpoints_with_anything_but_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.pdparams"
    path.write_bytes(pickle.dumps({"x": Path("y")}))
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):
        read_checkpoint(path)
