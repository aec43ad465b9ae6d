"""The shape that all HTTP triggers answer in."""

from __future__ import annotations

import json

from triggers.http import json_answer


def test_json_is_utf_8_as_people_write_it() -> None:
    answer = json_answer({"class": "Mutter ähnlich", "odd": "\ud800"}, 202)
    assert (answer.status_code, answer.mimetype) == (202, "application/json")
    assert "Mutter ähnlich".encode() in answer.get_body()
    assert json.loads(answer.get_body())["odd"] == "?", "what is no text is no error"
