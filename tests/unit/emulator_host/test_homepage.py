from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.routing import Route

from emulator.functions_host.homepage import home
from tests.support.faked_app import product
from tests.support.in_process import Host, faked_host

LINKS = ["client/v2", "dashboard", "docs", "health", "openapi.json", "schemas"]


@pytest.mark.parametrize("prefix", ["api", ""])
def test_the_root_leads_to_what_may_be_read_without_a_key(prefix: str, tmp_path: Path) -> None:
    with faked_host(tmp_path) as (host, _):
        functions = [Host._function(f) for f in product().get_functions()]
        host.application.routes.append(Route("/", home(functions, prefix)))
        page = host.ask("GET", "/", key="")
        links = re.findall(r'href="([^"]+)"', page.text)
        assert links == [f"/{prefix}/{name}".replace("//", "/") for name in LINKS]
        if prefix:
            assert {host.ask("GET", link, key="").status_code for link in links} == {200}
        assert host.ask("POST", "/").status_code == 404
