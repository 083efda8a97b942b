"""MariaDB's and MySQL's errors in Outfeed's words; no data and no secret is in the text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from outfeed.errors import OutfeedError
from outfeed.sources.server import Server
from outfeed.sources.verdicts import Verdict

#: Connection lost: what the driver's own errors amount to.
_LOST = 2013

_CODES = {
    # Login, password, database, or the way to log in.
    Verdict.REFUSED: (1044, 1045, 1049, 1130, 1251, 1698, 1820, 1862, 2059, 2061, 3118, 3159, 4151),
    Verdict.TLS: (2026,),
    Verdict.FORBIDDEN: (1142, 1143, 1227, 1345, 1356, 1370),
    # Too many connections, locks, time limits, ended sessions and servers, a table changed in the meantime.
    Verdict.PASSING: (
        *(1021, 1030, 1037, 1040, 1041, 1053, 1080, 1129, 1135, 1152, 1158, 1159, 1160, 1161, 1203, 1205),
        *(1206, 1213, 1226, 1317, 1412, 1614, 1836, 1927, 1969, 2002, 2003, 2005, 2006, _LOST, 2027, 2055),
        *(3024, 3169),
    ),
    # Syntax, table or column that isn't there, a statement that would write: the text only names them.
    Verdict.UNFIT: (1054, 1064, 1146, 1792),
}
_VERDICTS = {code: verdict for verdict, codes in _CODES.items() for code in codes}


@contextmanager
def explained(server: Server, table: str | None = None) -> Iterator[None]:
    """Raises pymysql's errors as `OutfeedError` that names the table."""
    import pymysql

    try:
        yield
    except pymysql.MySQLError as error:
        raise _translated(error, server, table) from None


def _translated(error: Exception, server: Server, table: str | None) -> OutfeedError:
    code, text = _LOST, "the connection to the server ended"
    if len(error.args) > 1 and isinstance(error.args[0], int) and error.args[0]:
        code, text = error.args[0], server.without_secrets(str(error.args[1]))
    verdict = _VERDICTS.get(code)
    if "certificate verify failed" in text:
        verdict = Verdict.TLS
    if verdict is None:
        # Other texts may quote the data.
        verdict, text = Verdict.UNFIT, f"error {code}"
    return verdict.error(f"{table}: {text}" if table else text, server.where)
