"""TLS options of MariaDB and MySQL connections, as the driver gets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outfeed.connectors.base import Credentials
from outfeed.errors import Action, TerminalError
from outfeed.sources.mysql import MysqlEngine


def options(extra: dict[str, Any], url: str = "mysql://db.example.com/platform") -> dict[str, Any]:
    return MysqlEngine(url, Credentials(login="a", password="b", extra=extra), 1)._tls()


def test_an_authority_means_that_the_servers_name_is_checked(tmp_path: Path) -> None:
    # XX-06
    authority = tmp_path / "ca.pem"
    authority.touch()
    expected = {"ssl_ca": str(authority), "ssl_verify_cert": True, "ssl_verify_identity": True}
    assert options({"ssl": {"ca": str(authority)}}) == expected
    assert options({"ssl": f'{{"ca": "{authority}"}}'}) == expected
    assert options({}, f"mysql://db.example.com/platform?ssl_ca={authority}") == expected


def test_modes_are_those_of_the_servers_own_clients() -> None:
    assert options({"ssl_mode": "disabled"}) == {"ssl_disabled": True}
    assert options({}) == {}
    assert "ssl" in options({"ssl_mode": "REQUIRED"})


@pytest.mark.parametrize(
    "extra", [{"ssl_mode": "MAYBE"}, {"ssl": "no json"}, {"ssl": {"ca": "/nowhere/ca.pem"}}]
)
def test_what_can_not_be_is_the_operators_to_correct(extra: dict[str, Any]) -> None:
    with pytest.raises(TerminalError) as caught:
        options(extra)
    assert caught.value.action is Action.OPERATOR
