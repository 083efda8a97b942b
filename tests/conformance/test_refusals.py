"""What every connector does when its server refuses a right, is full, or lacks what others have."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from outfeed.connectors.base import CheckState, Delivered, Outgoing
from outfeed.errors import DestinationConflict, OutfeedError, TerminalError
from tests.conformance.cases import Case, Cell, proves
from tests.conformance.contents import HeldStream, content, failure, outgoing, stream
from tests.conformance.places import Place
from tests.conformance.places.base import Ability

pytestmark = pytest.mark.servers

OLD, NEW = b"the customer's own", b"ours"


@proves(Case.NO_OVERWRITE)
def test_without_the_right_to_overwrite_all_but_overwriting_works(place: Place, cell: Cell) -> None:
    # DX-063, D27
    if why := place.meaningless.get("overwrite"):
        place.put("taken", OLD)
        results = place.deliver(outgoing("taken", NEW), outgoing("free", NEW))
        assert isinstance(failure(results["taken"]), DestinationConflict)
        assert isinstance(results["free"], Delivered)
        assert place.read("taken") == OLD
        cell.not_applicable(why)
        return
    with place.without("overwrite") as (guarded, how):
        guarded.put("taken", OLD)
        assert guarded.deliver(outgoing("free", NEW))["free"].outcome == "created"
        assert isinstance(_refused(guarded, outgoing("taken", NEW)), DestinationConflict)
        assert guarded.deliver(outgoing("taken", OLD))["taken"].outcome == "identical"
        assert guarded.read("taken") == OLD
        assert guarded.read("free") == NEW
        assert guarded.names() == {"taken", "free"}
    cell.brought_about(how)


@proves(Case.NO_DELETE)
def test_without_the_right_to_delete_files_arrive(place: Place, cell: Cell) -> None:
    # DX-062
    files = [outgoing("a/file", NEW), outgoing("large", content(9_000_000)), outgoing("empty", b"")]
    with place.without("delete") as (guarded, how):
        results = guarded.deliver(*files)
        assert [result.outcome for result in results.values()] == ["created"] * 3
        assert guarded.read("large") == content(9_000_000)
        assert isinstance(_refused(guarded, outgoing("a/file", OLD)), DestinationConflict)
        checks = {check.step: check for check in guarded.preflight()}
        names = guarded.names()

    # That it was refused is seen by what we could not remove of our own.
    ours = {name for name in names if name.startswith(".outfeed-")}
    assert ours
    assert names - ours == {file.path for file in files}
    # A delivery is possible all the same.
    assert not [check for check in checks.values() if check.state is CheckState.FAILED and check.blocks]
    cell.brought_about(how)


@proves(Case.NO_RENAME)
def test_without_the_right_to_rename_no_file_is_wrong(place: Place, cell: Cell) -> None:
    # XX-04
    if why := place.meaningless.get("rename"):
        assert place.connector().capabilities.atomic == "put"
        assert isinstance(place.deliver(outgoing("site/file", NEW))["site/file"], Delivered)
        assert place.names() == {"site/file"}
        cell.not_applicable(why)
        return
    with place.without("rename") as (guarded, how):
        if guarded.abilities.get("rename") == "none":
            _writes_in_place(guarded)
        else:
            assert isinstance(_refused(guarded, outgoing("site/file", NEW)), TerminalError)
            assert guarded.deliver(outgoing("file", NEW))["file"].outcome == "created"
            assert guarded.names() == {"file", "site/"}
    cell.brought_about(how)


def _writes_in_place(place: Place) -> None:
    """A server that can't rename gets files under their names, and we say so (DX-032)."""
    with place.connector() as connector:
        assert connector.capabilities.atomic == "none"
        results = list(connector.deliver([outgoing("site/file", NEW), outgoing("empty", b"")]))
    assert all(isinstance(result, Delivered) for result in results)
    assert isinstance(_refused(place, outgoing("site/file", OLD)), DestinationConflict)
    assert place.deliver(outgoing("site/file", NEW))["site/file"].outcome == "identical"
    assert "declared" in str(_refused(place, outgoing("wrong", NEW, size=5)))
    assert place.names() == {"site/file", "empty"}
    assert place.read("site/file") == NEW


@proves(Case.NO_MKDIR)
def test_without_the_right_to_make_folders_the_error_says_so(place: Place, cell: Cell) -> None:
    # DX-086, VI-D09
    if why := place.meaningless.get("mkdir"):
        assert isinstance(place.deliver(outgoing("a/b/c/file", NEW))["a/b/c/file"], Delivered)
        assert place.names() == {"a/b/c/file"}
        cell.not_applicable(why)
        return
    with place.without("mkdir") as (guarded, how):
        error = _refused(guarded, outgoing("site/file", NEW))
        checks = {check.step: check.state for check in guarded.preflight()}
        assert guarded.names() == set()
    assert isinstance(error, TerminalError)
    assert error.where
    assert error.remedy
    assert checks["mkdir"] is CheckState.FAILED
    cell.brought_about(how)


@proves(Case.FULL)
def test_what_does_not_fit_is_absent_and_arrives_when_there_is_room(place: Place, cell: Cell) -> None:
    with place.full() as (small, size, give_room, how):
        error = _refused(small, outgoing("site/large", content(size)))
        assert isinstance(error, OutfeedError)
        assert "site/large" not in small.names()
        give_room()
        result = small.deliver(outgoing("site/large", content(size)), attempt="work.2")["site/large"]
        assert result.outcome == "created"
        assert small.read("site/large") == content(size)
        assert small.names() == {"site/large"}
    cell.brought_about(how)


@proves(Case.PROBED)
def test_what_the_server_lacks_is_found_out_once(place: Place, cell: Cell) -> None:
    # DX-032, VI-D09
    if not place.abilities:
        declared = place.connector().capabilities
        with place.connector() as connector:
            assert connector.capabilities == declared
        cell.not_applicable(place.nothing_to_probe)
        return
    made = []
    for ability in place.abilities:
        with place.lacking(ability) as (poor, asked, how):
            _delivers_without(poor, ability)
            # At the beginning of two sessions, at most twice each; not for each of thirty files.
            assert asked() <= 4
        made.append(how)
    cell.brought_about(", ".join(made))


def _delivers_without(place: Place, ability: Ability) -> None:
    source = HeldStream(content(4_000_000), 3_999_999)
    held = Outgoing("held", stream(lambda: source), 4_000_000)
    results: dict[str, Any] = {}
    with place.connector(parallel=2) as connector:
        assert connector.capabilities.atomic == place.abilities[ability]
        small = [outgoing(f"{number}", content(100, number)) for number in range(30)]
        results |= {result.path: result for result in connector.deliver(small)}
        delivery = threading.Thread(
            target=lambda: results.update({result.path: result for result in connector.deliver([held])})
        )
        delivery.start()
        try:
            assert source.reached.wait(60)
            visible = "held" in place.names()
        finally:
            source.go_on.set()
            delivery.join(60)
    assert {type(result) for result in results.values()} == {Delivered}
    # Only a server that can't rename shows a file that grows.
    assert visible is (place.abilities[ability] == "none")
    assert place.sizes() == {f"{number}": 100 for number in range(30)} | {"held": 4_000_000}
    assert isinstance(_refused(place, outgoing("7", b"other")), DestinationConflict)
    assert place.read("7") == content(100, 7)


def _refused(place: Place, file: Outgoing) -> OutfeedError:
    """The error by which a delivery of one file ends, as a result or raised."""
    try:
        result = place.deliver(file)[file.path]
    except OutfeedError as error:
        return error
    error = failure(result)
    assert isinstance(error, OutfeedError)
    return error
