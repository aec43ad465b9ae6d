from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping

import pytest

from services.access.door import Door
from services.access.keys import Keys, NewKey, Rotation, Scope
from services.access.meter import NONE, Meter, Quota
from services.access.principal import MOST_CHARACTERS, read_principal
from services.access.ring import FRESH_SECONDS, MOST_LOOPS, STALE_SECONDS, Ring
from services.access.usage import Usage
from services.cloud.fakes import FakeBlobStore, FakeClock
from services.errors import BadRequest, Forbidden, OverQuota, Unauthorized, UpstreamBusy, VisionloopError

OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"


class Bench:
    """A door over fakes; `ticks` is its monotonic clock."""

    def __init__(self, *, easy_auth: bool = False, quota: Quota = NONE) -> None:
        self.clock, self.ticks, self.reads, self.away = FakeClock(), 0.0, 0, False
        self.store = FakeBlobStore(clock=self.clock)
        self.keys = Keys(self.store, self.clock)
        self.ring = Ring(self.read, lambda: self.ticks)
        self.meter = Meter(lambda: Usage(self.store), self.clock, lambda: self.ticks, every=3600)
        self.meter._start = lambda seconds: None  # type: ignore[method-assign]  # tests flush
        self.door = Door(self.ring, self.meter, self.clock, easy_auth=easy_auth, quota=quota)

    def read(self, name: str, etag: str) -> tuple[int, str, bytes]:
        self.reads += 1
        if self.away:
            raise UpstreamBusy("Storage answered 503")
        found = self.store.blobs.get(name)
        if found is None:
            return 404, "", b""
        return (304, etag, b"") if found.etag == etag else (200, found.etag, found.data)

    def ask(self, key: str, scope: Scope = "predict", loop: str = "cards") -> str:
        return self.door.admit(loop, {"x-api-key": key}, scope)

    def made(self, **asked: object) -> str:
        return self.keys.add("cards", NewKey.model_validate(asked))[1]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def principal(*roles: str, auth: str = "aad", **claims: str) -> str:
    found = [{"typ": typ, "val": val} for typ, val in claims.items()]
    found += [{"typ": "roles", "val": role} for role in roles] + [{"typ": OID, "val": "0000-1"}]
    sent = {"auth_typ": auth, "claims": found, "name_typ": "name", "role_typ": "roles"}
    return base64.b64encode(json.dumps(sent).encode()).decode()


@pytest.mark.parametrize(
    "header",
    [("authorization", "Bearer {}"), ("authorization", "bearer {}"), ("x-api-key", "{}"), ("x-api-key", " {} ")],
)
def test_a_key_comes_in_either_header(bench: Bench, header: tuple[str, str]) -> None:
    key = bench.made()
    assert key.startswith(f"vlk_{bench.door.admit('cards', {header[0]: header[1].format(key)}, 'predict')}_")


def test_nothing_and_nonsense_are_refused_alike(bench: Bench) -> None:
    key = bench.made()
    wrong: list[Mapping[str, str]] = [
        {}, {"x-api-key": "x"}, {"authorization": f"Basic {key}"}, {"authorization": "Bearer eyJ0"}, {"x-api-key": key[:-1]},
        {"x-api-key": key[:-4] + "aaaa"}, {"x-api-key": "vlk_000000000000_" + "a" * 43}, {"x-api-key": "ä" * 99},
        {"x-ms-client-principal": principal("visionloop.predict")},
    ]  # fmt: skip
    for headers in wrong:
        with pytest.raises(Unauthorized) as told:
            bench.door.admit("cards", headers, "predict")
        assert key.split("_", 2)[2][:6] not in told.value.detail
    with pytest.raises(BadRequest):
        bench.door.admit("../cards", {"x-api-key": key}, "predict")


def test_a_key_of_another_loop_is_none_of_this(bench: Bench) -> None:
    key = bench.made()
    with pytest.raises(Unauthorized, match="none of fruit"):
        bench.ask(key, loop="fruit")


def test_a_scope_that_is_not_the_keys_is_forbidden_and_not_counted(bench: Bench) -> None:
    key = bench.made(scopes=["predict"])
    for scope in ("label", "admin"):
        with pytest.raises(Forbidden, match=f"no scope {scope}"):
            bench.ask(key, scope)
    bench.meter.flush()
    assert Usage(bench.store).read("cards", bench.clock().date()) == {}
    bench.ticks = 1
    assert bench.ask(bench.made(scopes=["admin"]), "label")


def test_the_hot_path_asks_storage_once_in_fifteen_seconds(bench: Bench) -> None:
    key = bench.made()
    for second in range(60):
        bench.ticks = second
        for _ in range(5):
            bench.ask(key)
    assert bench.reads == 60 / FRESH_SECONDS


def test_a_new_key_works_in_a_second_and_a_removed_one_soon_does_not(bench: Bench) -> None:
    bench.ask(bench.made())
    bench.ticks = 2
    key = bench.made()
    who = bench.ask(key)
    bench.keys.remove("cards", who)
    assert bench.ask(key) == who
    bench.ticks += FRESH_SECONDS
    with pytest.raises(Unauthorized):
        bench.ask(key)


def test_guessing_costs_a_read_a_second_at_most(bench: Bench) -> None:
    bench.made()
    for number in range(1000):
        bench.ticks = number / 100
        with pytest.raises(Unauthorized):
            bench.ask(f"vlk_{number:012x}_" + "a" * 43)
    assert bench.reads <= 12


def test_guessing_a_known_keys_secret_does_not_either(bench: Bench) -> None:
    key = bench.made()
    for number in range(1000):
        bench.ticks = number / 100
        with pytest.raises(Unauthorized):
            bench.ask(f"{key[:17]}{number:043d}")
    assert bench.reads <= 12


def test_names_of_no_loops_are_not_collected_without_end(bench: Bench) -> None:
    for number in range(MOST_LOOPS + 50):
        bench.ring.find(f"loop-{number}", "0")
    assert len(bench.ring._known) == MOST_LOOPS


def test_a_rotated_secret_works_until_its_time(bench: Bench) -> None:
    key = bench.made()
    who = bench.ask(key)
    _, second = bench.keys.rotate("cards", who, Rotation(overlap_hours=1))
    bench.ticks += 1
    assert bench.ask(second) == bench.ask(key) == who
    bench.clock.advance(3600)
    with pytest.raises(Unauthorized):
        bench.ask(key)


def test_keys_outlive_storage_for_five_minutes(bench: Bench) -> None:
    key = bench.made()
    who = bench.ask(key)
    bench.away, bench.ticks = True, STALE_SECONDS - 1
    assert bench.ask(key) == who
    bench.ticks += FRESH_SECONDS
    with pytest.raises(UpstreamBusy):
        bench.ask(key)


def test_nothing_is_known_while_storage_is_away(bench: Bench) -> None:
    key = bench.made()
    bench.away = True
    with pytest.raises(VisionloopError, match="503"):
        bench.ask(key)


def test_quotas_of_a_key_hold(bench: Bench) -> None:
    key = bench.made(per_minute=2)
    assert bench.ask(key) == bench.ask(key)
    with pytest.raises(OverQuota) as told:
        bench.ask(key)
    assert told.value.extra["retry_after"] == 30
    bench.door.admit("cards", {"x-api-key": key}, "predict", count=False)


def test_it_costs_microseconds(bench: Bench) -> None:
    headers = {"x-api-key": bench.made(per_minute=10**9, per_day=10**9)}

    def spent() -> float:
        began = time.process_time()
        for _ in range(500):
            bench.door.admit("cards", headers, "predict")
        return (time.process_time() - began) / 500

    assert min(spent() for _ in range(5)) < 50e-6


class TestEasyAuth:
    """Identities, where the setting says that App Service checks them."""

    @pytest.mark.parametrize("role", ["visionloop.predict", "visionloop.predict.cards", "visionloop.admin"])
    def test_a_role_lets_in(self, role: str) -> None:
        headers = {"x-ms-client-principal": principal("other", role), "authorization": "Bearer eyJ0"}
        assert Bench(easy_auth=True).door.admit("cards", headers, "predict") == "entra:0000-1"

    def test_each_identity_has_the_quota_of_the_settings_for_each_loop(self) -> None:
        bench = Bench(easy_auth=True, quota=Quota(per_minute=2))
        ours, other = (
            {"x-ms-client-principal": principal("visionloop.predict", **more)} for more in ({}, {"oid": "0000-2"})
        )
        for _ in range(2):
            bench.door.admit("cards", ours, "predict")
        with pytest.raises(OverQuota) as told:
            bench.door.admit("cards", ours, "predict")
        assert told.value.extra["retry_after"] == 30
        bench.door.admit("cards", ours, "predict", count=False)
        bench.door.admit("fruit", ours, "predict")
        bench.door.admit("cards", other, "predict")

    def test_the_day_of_an_identity_ends_at_midnight(self) -> None:
        bench = Bench(easy_auth=True, quota=Quota(per_day=1))
        headers = {"x-ms-client-principal": principal("visionloop.predict")}
        bench.door.admit("cards", headers, "predict")
        with pytest.raises(OverQuota, match="midnight"):
            bench.door.admit("cards", headers, "predict")
        bench.clock.advance(24 * 3600)
        assert bench.door.admit("cards", headers, "predict") == "entra:0000-1"

    @pytest.mark.parametrize("roles", [(), ("visionloop.label",), ("visionloop.predict.fruit",), ("visionloop",)])
    def test_no_role_is_forbidden(self, roles: tuple[str, ...]) -> None:
        with pytest.raises(Forbidden, match=r"visionloop\.predict\.cards"):
            Bench(easy_auth=True).door.admit("cards", {"x-ms-client-principal": principal(*roles)}, "predict")

    @pytest.mark.parametrize(
        "header", ["x", "e30=", "bnVsbA==", "W10=", "ä", principal("visionloop.predict", auth="google"), "A" * 10**6]
    )
    def test_what_is_no_identity_is_refused(self, header: str) -> None:
        with pytest.raises(Unauthorized):
            Bench(easy_auth=True).door.admit("cards", {"x-ms-client-principal": header}, "predict")

    def test_a_long_header_is_not_read(self) -> None:
        with pytest.raises(Unauthorized):
            read_principal(principal("visionloop.predict", extra="x" * MOST_CHARACTERS))

    def test_a_key_goes_first_and_a_wrong_one_is_not_made_up_for(self) -> None:
        bench = Bench(easy_auth=True)
        headers = {"x-ms-client-principal": principal("visionloop.admin"), "x-api-key": "vlk_wrong"}
        with pytest.raises(Unauthorized):
            bench.door.admit("cards", headers, "predict")


def test_a_key_that_was_looked_at_lately_costs_no_thread(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[object] = []

    async def noted(work: Callable[[], str]) -> str:
        threads.append(work)
        return work()

    monkeypatch.setattr("services.access.door.in_thread", noted)
    key = bench.made()

    def come(given: str) -> str:
        return asyncio.run(bench.door.let_in("cards", {"x-api-key": given}, "predict"))

    assert [come(key) for _ in range(5)] == [bench.ask(key)] * 5
    assert len(threads) == 1
    with pytest.raises(Unauthorized):
        come(f"{key[:-4]}0000")
    bench.ticks += FRESH_SECONDS
    come(key)
    assert len(threads) == 3, "only what asks storage goes to a thread"
    with pytest.raises(Unauthorized):
        come("nothing of the kind")
    assert len(threads) == 3
