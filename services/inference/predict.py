"""One request for predictions: images in, a slot's answer out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from services.cloud.ports.scoring import AsyncScorer
from services.errors import BadRequest, UpstreamRefused, UpstreamTimeout
from services.inference.answer import Answer, Prediction, answer, predictions, to_json
from services.inference.body import Images, check_body, check_count, read_images, scoring_images, takes_long
from services.inference.cache import Cache, Scored
from services.inference.calls import Calls
from services.inference.capture import Capturer
from services.inference.champion import Champions
from services.inference.image import Picture, as_sent, measured
from services.inference.record import Recorder
from services.inference.render import decoded, render
from services.inference.routes import Routes, Score
from services.inference.targets import slot_key
from services.inference.wishes import Wishes, read_wishes
from services.settings import Settings
from services.state import Champion
from services.threads import in_thread

BATCH_IMAGES, BATCH_BYTES = 8, 1_000_000
"""What one request to a slot holds of several images."""
T = TypeVar("T")
S = TypeVar("S")
Fetch = Callable[[str, float], bytes]
"""An address to the bytes that are there, within seconds; blocks, and raises BadRequest."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request over HTTP; names of `headers` are in lower case."""

    loop: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes over HTTP."""

    content: bytes
    content_type: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """What a model found in some images, and how long our part and the slot took, in milliseconds."""

    loop: str
    model: Champion
    pictures: Sequence[Picture]
    predictions: Sequence[Sequence[Prediction]]
    timing: Mapping[str, float]

    def answers(self) -> list[Answer]:
        """One answer an image."""
        both = zip(self.pictures, self.predictions, strict=True)
        return [answer(self.loop, self.model, picture, found, self.timing) for picture, found in both]


class Predictor:
    """Answers for every loop, on the event loop; what blocks is done in threads, and only where it is needed."""

    def __init__(
        self,
        champions: Champions,
        scorer: AsyncScorer,
        settings: Settings,
        recorder: Recorder | None = None,
        fetch: Fetch | None = None,
        calls: Calls | None = None,
        capturer: Capturer | None = None,
        missed: Callable[[str], object] = lambda _: None,
    ) -> None:
        """All can be replaced; without `recorder` nothing is counted, without `fetch` no address is taken.

        `missed` is told of a loop for whose champion nobody was there to answer.
        """
        self._capturer = capturer
        self._champions, self._scorer, self._settings = champions, scorer, settings
        self._fetch = fetch or _fetch_nothing
        self._routes = Routes(champions, recorder, calls=calls, missed=missed)
        self._cache = Cache(settings.predict_cache_size)

    async def reply(self, request: Request) -> Reply:
        """Answer a request as docs/api.md describes it.

        Raises:
            VisionloopError: with the HTTP status of what is wrong.
        """
        began = time.monotonic()
        wishes = read_wishes(request.query, request.headers, self._settings.predict_deadline_seconds)
        await self._champions.champion(request.loop)  # a loop without a model says so before it looks at images
        images = await self._images(request, began + wishes.deadline)
        if images.scoring:
            return await self._pass_on(request, wishes, began)
        if wishes.drawn and len(images.data) != 1:
            raise BadRequest("A picture is drawn of one image at a time")
        found = await self.infer(request.loop, images.data, wishes, began)
        if wishes.drawn:
            drawn = await in_thread(partial(render, found.pictures[0].data, found.predictions[0], wishes.drawn))
            return Reply(drawn, f"image/{wishes.drawn.lower()}", told(found.model, found.timing, wishes))
        content = to_json(found.answers(), several=images.several)
        return Reply(content, "application/json", told(found.model, found.timing, wishes))

    async def check(self, request: Request) -> None:
        """See that a request may be kept for later; its images are looked at then.

        Raises:
            BadRequest: what it asks for makes no sense, or it is empty.
            TooLarge: no request needs as much.
            NotFound, NoChampion: there is no model to ask.
        """
        read_wishes(request.query, request.headers, self._settings.predict_deadline_seconds)
        await self._champions.champion(request.loop)
        check_body(len(request.body), self._settings)
        if not request.body:
            check_count(0, self._settings)

    async def infer(self, loop: str, images: Sequence[bytes], wishes: Wishes, began: float) -> Found:
        """Ask about images; the caller's time runs from `began`, on the monotonic clock.

        Raises:
            VisionloopError: with the HTTP status of what is wrong.
        """
        ends = began + wishes.deadline
        pictures = [await self._picture(images, number) for number in range(len(images))]
        sent = time.monotonic()
        data = [picture.data for picture in pictures]
        said: dict[str, Scored] = {}

        async def look(model: Champion, until: float) -> tuple[list[list[Prediction]], float]:
            """And when the slot had answered; what it answered in another shape is its failure."""
            so_far = said.setdefault(f"{slot_key(model)} {model.model.version}", [])
            ask = partial(self._score, model, data, until, so_far)
            scored, at = await self._cache.get(model, data, ask), time.monotonic()
            both = zip(scored, pictures, strict=True)
            return [predictions(one, model.task, size, wishes.threshold, wishes.top) for one, size in both], at

        model, (found, ended) = await self._ask(loop, wishes, ends, look)
        timing = {"proxy": 1000 * (sent - began + time.monotonic() - ended), "model": 1000 * (ended - sent)}
        if self._capturer is not None and not (wishes.slot or wishes.version):
            self._offer(self._capturer, loop, model, zip(pictures, found, strict=True))
        return Found(loop, model, pictures, found, timing)

    def _offer(
        self, capturer: Capturer, loop: str, model: Champion, both: Iterable[tuple[Picture, Sequence[Prediction]]]
    ) -> None:
        policy = self._champions.capture(loop)
        if policy is not None and policy.share > 0:
            for picture, found in both:
                capturer.offer(loop, policy, model, picture, found)

    async def _images(self, request: Request, ends: float) -> Images:
        content_type = request.headers.get("content-type", "")
        read = partial(read_images, request.body, content_type, self._settings)
        images = await in_thread(read) if takes_long(request.body, content_type) else read()
        if not images.addresses:
            return images
        return replace(images, data=await in_thread(lambda: self._fetched(images.addresses, ends)))

    def _fetched(self, addresses: Sequence[str], ends: float) -> list[bytes]:
        count = len(addresses)
        return [_one_of(count, n, partial(self._fetch_by, ends, url)) for n, url in enumerate(addresses)]

    def _fetch_by(self, ends: float, url: str) -> bytes:
        late = UpstreamTimeout("The deadline passed before all images were fetched from their addresses")
        if (left := ends - time.monotonic()) <= 0:
            raise late
        try:
            return self._fetch(url, left)
        except BadRequest:
            if time.monotonic() >= ends:
                raise late from None
            raise

    async def _picture(self, images: Sequence[bytes], number: int) -> Picture:
        def look(way: Callable[[bytes, Settings], S]) -> S:
            return _one_of(len(images), number, lambda: way(images[number], self._settings))

        sent = look(as_sent)
        return sent if sent is not None else await in_thread(lambda: look(measured))

    async def _pass_on(self, request: Request, wishes: Wishes, began: float) -> Reply:
        ends = began + wishes.deadline

        async def forward(model: Champion, until: float) -> bytes:
            left = until - time.monotonic()
            return await self._scorer.forward(model.scoring_uri, model.slot, request.body, deadline=left)

        sent = time.monotonic()
        try:
            model, content = await self._ask(request.loop, wishes, ends, forward)
        except UpstreamRefused:
            await in_thread(lambda: _check_decodable(scoring_images(request.body, self._settings)))
            raise
        timing = {"proxy": 1000 * (sent - began), "model": 1000 * (time.monotonic() - sent)}
        return Reply(content, "application/json", told(model, timing, wishes))

    async def _ask(self, loop: str, wishes: Wishes, ends: float, score: Score[T]) -> tuple[Champion, T]:
        if wishes.slot or wishes.version:
            return await self._routes.ask_one(loop, wishes.slot, wishes.version, score, ends=ends)
        return await self._routes.ask(loop, score, client=wishes.client, ends=ends)

    async def _score(self, model: Champion, images: Sequence[bytes], ends: float, found: Scored) -> Scored:
        """Put what a slot says behind what it said of the first images: of those it is not asked again."""
        try:
            for batch in batches(images[len(found) :]):
                left = ends - time.monotonic()
                if left <= 0:
                    raise UpstreamTimeout(f"The deadline passed after {len(found)} of {len(images)} images")
                found += await self._scorer.score(model.scoring_uri, model.slot, batch, deadline=left)
        except UpstreamRefused:
            await in_thread(partial(_check_decodable, images))  # where an image is to blame, the caller is told so
            raise
        return found


def batches(images: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Images in their order, as many at a time as a slot takes; one that is too large alone goes alone.

    What follows a batch is parted as it would be alone.
    """
    start = size = 0
    for number, image in enumerate(images):
        if number > start and (number - start >= BATCH_IMAGES or size + len(image) > BATCH_BYTES):
            yield images[start:number]
            start, size = number, 0
        size += len(image)
    if images:
        yield images[start:]


def _check_decodable(images: Sequence[bytes]) -> None:
    for number, image in enumerate(images):
        _one_of(len(images), number, partial(decoded, image))


def _one_of(count: int, number: int, work: Callable[[], T]) -> T:
    """Say of several images which one is wrong."""
    try:
        return work()
    except BadRequest as error:
        if count == 1:
            raise
        raise type(error)(f"Image {number + 1} of {count}: {error.detail}", **error.extra) from None


def told(model: Champion, timing: Mapping[str, float], wishes: Wishes) -> dict[str, str]:
    """The headers that say who answered, and how long it took."""
    spent = ", ".join(f"{name};dur={value:.2f}" for name, value in timing.items())
    found = {
        "server-timing": spent,
        "x-visionloop-model": f"{model.model.name}:{model.model.version}",
        "x-visionloop-slot": model.slot,
    }
    return {**found, "preference-applied": f"wait={wishes.deadline:g}"} if wishes.preferred else found


def _fetch_nothing(_: str, __: float) -> bytes:
    raise BadRequest("url: addresses of images are not taken here")
