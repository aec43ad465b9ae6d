from __future__ import annotations

import hmac
import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from services.access import secret
from services.access.keys import MOST_KEYS, Key, Keys, NewKey, Rotation, keys_blob
from services.cloud.fakes import FakeBlobStore, FakeClock
from services.errors import ChangedMeanwhile, Conflict, NotFound

CLOCK = FakeClock()


@pytest.fixture
def store() -> FakeBlobStore:
    return FakeBlobStore(clock=CLOCK)


@pytest.fixture
def keys(store: FakeBlobStore) -> Keys:
    return Keys(store, CLOCK)


def opens(keys: Keys, text: str) -> bool:
    given = secret.parts(text)
    assert given is not None
    return any(k.id == given.id and k.opened_by(given.secret, CLOCK()) for k in keys.list("cards"))


def test_a_key_opens_and_storage_has_its_hash_only(store: FakeBlobStore, keys: Keys) -> None:
    key, text = keys.add("cards", NewKey(name="phone"))
    assert opens(keys, text)
    assert text.startswith(f"vlk_{key.id}_")
    kept = store.read(keys_blob("cards")).data.decode()
    assert secret.digest(text.split("_", 2)[2]) in kept
    assert text.split("_", 2)[2] not in kept
    assert key.hash not in json.dumps(key.shown())


def test_secrets_are_256_bits_and_never_the_same() -> None:
    made = {secret.new_secret() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(one) for one in made} == {43}
    assert all(secret.parts(secret.text(secret.new_id(), one)) for one in made)


@pytest.mark.parametrize(
    "text", ["", "vlk_", "vlk_0123456789ab_", "vlk_0123456789AB_" + "a" * 43, "vlk_0123456789ab_" + "a" * 44,
             "xvlk_0123456789ab_" + "a" * 43, "vlk_0123456789ab_" + "ä" * 43, "vlk_../../../cards_" + "a" * 43,
             "vlk_0123456789ab_" + "a" * 43 + "\n"],
)  # fmt: skip
def test_what_is_no_key_has_no_parts(text: str) -> None:
    assert secret.parts(text) is None


def test_every_hash_is_compared_in_constant_time(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    _, first = keys.add("cards", NewKey())
    [key] = keys.list("cards")
    keys.rotate("cards", key.id, Rotation())
    [key] = keys.list("cards")
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest

    def noted(a: str, b: str) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    for given in (first.split("_", 2)[2], "wrong" * 8):
        compared.clear()
        key.opened_by(given, CLOCK())
        assert [b for _, b in compared] == [key.hash, key.old[0].hash], "neither a hit nor a miss ends it early"
        assert all(len(a) == len(b) == 64 for a, b in compared)


def test_a_rotated_key_is_good_for_the_overlap(keys: Keys) -> None:
    key, first = keys.add("cards", NewKey())
    _, second = keys.rotate("cards", key.id, Rotation(overlap_hours=1))
    assert opens(keys, first)
    assert opens(keys, second)
    CLOCK.advance(3601)
    assert not opens(keys, first)
    assert opens(keys, second)


def test_a_rotation_without_overlap_ends_all_secrets_before(keys: Keys) -> None:
    key, first = keys.add("cards", NewKey())
    _, second = keys.rotate("cards", key.id, Rotation(overlap_hours=48))
    _, third = keys.rotate("cards", key.id, Rotation(overlap_hours=0))
    assert [opens(keys, text) for text in (first, second, third)] == [False, False, True]
    assert keys.list("cards")[0].old == []


def test_a_shorter_overlap_shortens_those_before(keys: Keys) -> None:
    key, _ = keys.add("cards", NewKey())
    keys.rotate("cards", key.id, Rotation(overlap_hours=48))
    keys.rotate("cards", key.id, Rotation(overlap_hours=1))
    [found] = keys.list("cards")
    assert [old.until for old in found.old] == [CLOCK() + timedelta(hours=1)] * 2


def test_a_removed_key_opens_nothing(keys: Keys) -> None:
    key, text = keys.add("cards", NewKey())
    keys.remove("cards", key.id)
    assert not opens(keys, text)
    for change in (lambda: keys.remove("cards", key.id), lambda: keys.rotate("cards", key.id, Rotation())):
        with pytest.raises(NotFound):
            change()


def test_keys_of_other_loops_are_others(keys: Keys) -> None:
    keys.add("cards", NewKey())
    assert keys.list("fruit") == []


def test_admin_is_for_everything() -> None:
    common = {"id": "a", "hash": "b", "created": CLOCK()}
    assert all(Key(scopes=["admin"], **common).allows(scope) for scope in ("predict", "label", "admin"))
    assert not Key(scopes=["predict"], **common).allows("label")


@pytest.mark.parametrize(
    "wrong", [{"scopes": []}, {"scopes": ["all"]}, {"per_minute": 0}, {"per_day": -1}, {"name": "a\nb"}, {"hash": "a"}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NewKey.model_validate(wrong)


def test_there_are_so_many_at_most(store: FakeBlobStore, keys: Keys) -> None:
    key, _ = keys.add("cards", NewKey())
    document = {"keys": [key.model_dump(mode="json")] * MOST_KEYS}
    store.write(keys_blob("cards"), json.dumps(document).encode())
    with pytest.raises(Conflict, match="remove one"):
        keys.add("cards", NewKey())


def test_two_who_add_at_once_both_have_their_key(keys: Keys, store: FakeBlobStore) -> None:
    other, meanwhile = Keys(store, CLOCK), list[object]()
    real = store.write

    def write(name: str, data: bytes, **condition: object) -> str:
        if not meanwhile:
            meanwhile.append(1)
            other.add("cards", NewKey(name="second"))
        return real(name, data, **condition)  # type: ignore[arg-type]

    store.write = write  # type: ignore[method-assign]
    keys.add("cards", NewKey(name="first"))
    assert [key.name for key in keys.list("cards")] == ["second", "first"]


def test_endless_changes_by_others_end(store: FakeBlobStore, keys: Keys) -> None:
    def write(*_: object, **__: object) -> str:
        raise ChangedMeanwhile("always")

    store.write = write  # type: ignore[method-assign]
    with pytest.raises(ChangedMeanwhile, match="try again"):
        keys.add("cards", NewKey())
