from __future__ import annotations

import numpy as np
import pytest
import torch

from emulator.azure_ml.training.backbone import CHANNELS, STRIDES
from emulator.azure_ml.training.head import Assigner, Head, loss, overlaps

SIZE = 320


@pytest.fixture(scope="module")
def head() -> Head:
    torch.manual_seed(0)
    return Head(3, SIZE, 32).eval()


@pytest.fixture(scope="module")
def centres(head: Head) -> torch.Tensor:
    return torch.cat([head.centres(level) for level in range(len(STRIDES))])


def taps(count: int, size: int = SIZE) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(count, c, size // s, size // s) for c, s in zip(CHANNELS, STRIDES, strict=True))


def level_of(cells: torch.Tensor) -> set[int]:
    ends = np.cumsum([(SIZE // s) ** 2 for s in STRIDES])
    return {int(np.searchsorted(ends, int(cell), side="right")) for cell in cells}


def iou_by_hand(one: np.ndarray, other: np.ndarray) -> float:
    width, height = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    inner = max(0.0, width) * max(0.0, height)
    return inner / (sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)) - inner)


def random_boxes(count: int, seed: int) -> torch.Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed))
    return torch.cat([corners.amin(1), corners.amax(1) + 0.01], dim=1)


def test_a_head_answers_a_box_and_a_score_of_each_class_for_each_cell(head: Head) -> None:
    boxes, logits = head(taps(2))
    cells = sum((SIZE // stride) ** 2 for stride in STRIDES)
    assert boxes.shape == (2, cells, 4)
    assert logits.shape == (2, cells, 3)


def test_each_box_holds_the_centre_of_its_cell(head: Head, centres: torch.Tensor) -> None:
    boxes, _ = head(taps(1))
    assert (boxes[0, :, :2] <= centres + 1e-6).all()
    assert (boxes[0, :, 2:] >= centres - 1e-6).all()


def test_a_new_head_believes_in_nothing(head: Head) -> None:
    _, logits = head(taps(1))
    assert logits.sigmoid().mean() < 0.05


def test_cells_are_in_rows(head: Head) -> None:
    first = head.centres(2)[:2]
    assert first.tolist() == [[pytest.approx(0.05), pytest.approx(0.05)], [pytest.approx(0.15), pytest.approx(0.05)]]


@pytest.mark.parametrize(("side", "levels"), [(0.06, {0}), (0.2, {0}), (0.6, {1}), (0.95, {2})])
def test_a_box_is_learnt_at_the_stride_of_its_size(head: Head, side: float, levels: set[int]) -> None:
    low, high = 0.5 - side / 2, 0.5 + side / 2
    found = Assigner(head)(torch.tensor([[low, low, high, high]]))
    assert level_of((found == 0).nonzero().flatten()) >= levels


@pytest.mark.parametrize("seed", range(5))
def test_cells_that_learn_a_box_lie_inside_it(head: Head, centres: torch.Tensor, seed: int) -> None:
    boxes = random_boxes(6, seed)
    found = Assigner(head)(boxes)
    cells = (found >= 0).nonzero().flatten()
    mine = boxes[found[cells]]
    assert len(cells)
    assert (mine[:, :2] < centres[cells]).all()
    assert (mine[:, 2:] > centres[cells]).all()


def test_every_box_that_is_large_enough_is_learnt_by_some_cell(head: Head) -> None:
    for side in np.linspace(0.05, 1.0, 40):
        low, high = 0.5 - side / 2, 0.5 + side / 2
        assert (Assigner(head)(torch.tensor([[low, low, high, high]])) == 0).any(), side


def test_the_smaller_of_two_boxes_in_one_place_is_learnt_there(head: Head) -> None:
    found = Assigner(head)(torch.tensor([[0.4, 0.4, 0.6, 0.6], [0.45, 0.45, 0.55, 0.55]]))
    other = Assigner(head)(torch.tensor([[0.45, 0.45, 0.55, 0.55]]))
    assert (found[other == 0] == 1).all()


def test_an_image_without_boxes_teaches_no_cell_a_box(head: Head) -> None:
    assert (Assigner(head)(torch.zeros(0, 4)) == -1).all()


def test_overlaps_are_those_worked_out_by_hand() -> None:
    one, other = random_boxes(50, 1), random_boxes(50, 2)
    iou, generalised = overlaps(one, other)
    wanted = [iou_by_hand(a, b) for a, b in zip(one.numpy(), other.numpy(), strict=True)]
    assert iou.numpy() == pytest.approx(wanted, abs=1e-5)
    assert (generalised <= iou + 1e-6).all()
    assert (generalised > -1.0).all()


def test_the_generalised_overlap_tells_far_from_near() -> None:
    here = torch.tensor([[0.0, 0.0, 0.1, 0.1]] * 2)
    iou, generalised = overlaps(here, torch.tensor([[0.2, 0.0, 0.3, 0.1], [0.8, 0.0, 0.9, 0.1]]))
    assert iou.tolist() == [0.0, 0.0]
    assert generalised.tolist() == pytest.approx([-1 / 3, -7 / 9], abs=1e-4)


def test_a_box_overlaps_itself_wholly() -> None:
    iou, generalised = overlaps(random_boxes(5, 3), random_boxes(5, 3))
    assert iou.tolist() == pytest.approx([1.0] * 5, abs=1e-4)
    assert generalised.tolist() == pytest.approx([1.0] * 5, abs=1e-4)


def test_the_loss_falls_while_a_box_is_learnt_and_the_box_is_found() -> None:
    torch.manual_seed(0)
    small = Head(2, 96, 32)
    features, assigner = taps(2, 96), Assigner(small)
    truth = [(torch.tensor([[0.1, 0.2, 0.6, 0.7]]), torch.tensor([1])), (torch.zeros(0, 4), torch.zeros(0).long())]
    descent, losses = torch.optim.AdamW(small.parameters(), 0.01), []
    for _ in range(40):
        found = loss(small, assigner, features, truth)
        descent.zero_grad()
        found.backward()
        descent.step()
        losses.append(found.item())
    boxes, logits = small(features)
    best = logits[0, :, 1].argmax()
    assert losses[-1] < 0.3 * losses[0]
    assert overlaps(boxes[0, best][None], truth[0][0])[0].item() > 0.7
    assert logits[0].amax(0)[1] > logits[0].amax(0)[0]


def test_a_batch_without_a_single_box_has_a_loss_that_can_be_learnt_from(head: Head) -> None:
    nothing = (torch.zeros(0, 4), torch.zeros(0).long())
    found = loss(head, Assigner(head), taps(1), [nothing])
    assert torch.isfinite(found)
    assert found.requires_grad
