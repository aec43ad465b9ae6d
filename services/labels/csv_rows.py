"""The lines of a table as columns of numbers until the file's end, when the unit of its boxes is known."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from services.labels.annotation import Box
from services.labels.csv_layout import Layout, cells
from services.labels.options import Options
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading
from services.labels.references import image_path, task_path
from services.labels.unit import SETTLED, unit_of
from services.labels.values import bounds, class_name, number, shown, side
from services.state import Problem

_NO_BOX = (0.0, 0.0, 0.0, 0.0)


def _is_class(text: str) -> bool:
    """Label Studio's CSV has shapes and several choices as JSON in a cell."""
    return class_name(text) is not None and not text.startswith(("[{", '{"'))


class Table:
    """Images, classes and boxes, numbered as they are first named."""

    def __init__(self, file: str, layout: Layout) -> None:
        self._file, self._layout = file, layout
        self._images: dict[str, int] = {}
        self._known: dict[str, int] = {}
        """The images as lines name them."""
        self._about: list[tuple[int, int, int]] = []
        """Line, width and height of each image."""
        self._broken = array("l")
        self._classes: dict[str, int] = {}
        self._image, self._class, self._line = array("l"), array("l"), array("l")
        self._kind, self._boxes = array("b"), array("d")
        self._largest, self._whole = 0.0, True

    def take(self, place: str, count: int, text: str | None) -> Iterator[Problem]:
        """Take a line; what cannot be read is told."""
        found = None if text is None else cells(text, self._layout.delimiter)
        image = self._number(count, found) if found else None
        if not found or image is None:
            expected = "UTF-8 text with an image's name, and every quote closed"
            yield problem("csv-line-invalid", self._file, place, expected=expected, found=shown(text))
            return
        labels, box = self._labels(found), self._box(found)
        if not labels and box == ():
            return
        if trouble := self._trouble(place, found, labels, box):
            self._broken[image] += 1
            yield trouble
        elif self._number_of(found, self._layout.confidence) == 0:
            self._broken[image] += 1  # Open Images: the class is known not to be there, which says nothing of others
        else:
            for label in labels:
                self._append(image, label, count, box or (), self._number_of(found, self._layout.crowd) == 1)

    def _labels(self, found: Sequence[str]) -> list[str]:
        said, names = found[self._layout.labels], self._layout.names
        if names:
            return [name for name, flag in zip(names, said, strict=False) if number(flag) == 1]
        return [cell for cell in said if cell]

    def _cell(self, found: Sequence[str], at: int | None) -> str:
        return found[at] if at is not None and at < len(found) else ""

    def _number_of(self, found: Sequence[str], at: int | None) -> float | None:
        if at is None:
            return None
        text = self._cell(found, at)
        return number(text.replace(",", ".") if self._layout.delimiter != "," else text)

    def _number(self, count: int, found: Sequence[str]) -> int | None:
        """The image's, by its name; None where it has none."""
        said = self._cell(found, self._layout.image)
        if (known := self._known.get(said)) is not None:
            return known
        name = task_path(said) if said.startswith("/data/") else image_path(said)
        if name is None:
            return None
        image = self._known[said] = self._images.setdefault(name, len(self._about))
        if image == len(self._about):
            width, height = (side(self._cell(found, at)) for at in (self._layout.width, self._layout.height))
            self._about.append((count, width, height))
            self._broken.append(0)
        return image

    def _box(self, found: Sequence[str]) -> Box | tuple[()] | None:
        """The box of the corners that are given; empty without any cell of one, None where they are broken."""
        at = self._layout.box
        corners = [pair for pair in zip(at[::2], at[1::2], strict=True) if any(self._cell(found, n) for n in pair)]
        numbers = [n for pair in corners for cell in pair if (n := self._number_of(found, cell)) is not None]
        if not corners:
            return ()
        if len(corners) < 2 or len(numbers) < 2 * len(corners):
            return None
        if self._layout.sized:
            left, top, across, down = numbers
            return left, top, left + across, top + down
        return (numbers[0], numbers[1], numbers[2], numbers[3]) if self._layout.header else bounds([numbers])

    def _trouble(
        self, place: str, found: Sequence[str], labels: Sequence[str], box: Box | tuple[()] | None
    ) -> Problem | None:
        if not labels or not all(label in self._classes or _is_class(label) for label in labels):
            said = shown(list(found[self._layout.labels]))
            return problem("class-invalid", self._file, place, expected="a class's name", found=said)
        if box is None or (box == () and self._layout.box):
            said = shown([self._cell(found, at) for at in self._layout.box])
            return problem("box-invalid", self._file, place, expected="numbers for every corner", found=said)
        return None

    def _append(self, image: int, label: str, count: int, box: Box | tuple[()], crowd: bool) -> None:
        self._image.append(image)
        self._class.append(self._classes.setdefault(label, len(self._classes)))
        self._line.append(count)
        self._kind.append(bool(box) + 2 * crowd)
        self._boxes.extend(box or _NO_BOX)
        self._largest = max(self._largest, *map(abs, box or _NO_BOX))
        self._whole = self._whole and all(map(float.is_integer, box))

    def result(self, options: Options) -> Iterator[Reading]:
        """Everything that waited for the file's end."""
        declared = "normalised" if self._layout.shares else options.coordinates
        unit = unit_of(declared, self._largest, whole=self._whole, larger_images=self._are_larger)
        if unit is None and any(kind & 1 for kind in self._kind):
            found = f"no number above {self._largest:g}, and image sizes that prove neither"
            yield problem("coordinates-unclear", self._file, expected=SETTLED, found=found)
        else:
            yield from self._records(shares=unit == "normalised")

    def _are_larger(self) -> bool:
        return all(width > 1 and height > 1 for _, width, height in self._about)

    def _records(self, *, shares: bool) -> Iterator[ImageRecord]:
        rows: list[array[int]] = [array("l") for _ in self._about]
        for row, image in enumerate(self._image):
            rows[image].append(row)
        classes = list(self._classes)
        for name, image in self._images.items():
            line, width, height = self._about[image]
            labels = tuple(self._label(row, classes, shares=shares) for row in rows[image])
            yield ImageRecord(name, f"line {line}", labels, width, height, self._broken[image])

    def _label(self, row: int, classes: Sequence[str], *, shares: bool) -> RawLabel:
        name, place, kind = classes[self._class[row]], f"line {self._line[row]}", self._kind[row]
        if not kind & 1:
            return RawLabel(name, None, place)
        left, top, right, bottom = self._boxes[4 * row : 4 * row + 4]
        return RawLabel(name, (left, top, right, bottom), place, bool(kind & 2), shares=shares)
