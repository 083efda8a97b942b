"""Oracle's errors in Outfeed's words; no data and no secret is in the text. Never run against a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from outfeed.errors import OutfeedError
from outfeed.sources.server import Server
from outfeed.sources.verdicts import Verdict

_CODES = {
    # Login, password, its expiry, and names of services that no listener knows.
    Verdict.REFUSED: (
        *("ORA-01017", "ORA-01005", "ORA-01045", "ORA-28000", "ORA-28001", "ORA-12154", "ORA-12505"),
        *("DPY-6003", "DPY-4027", "DPY-4001", "DPY-3015"),
    ),
    Verdict.TLS: ("DPY-6006", "ORA-28759", "ORA-29024"),
    Verdict.FORBIDDEN: ("ORA-01031", "ORA-41900"),
    # Locks, time limits, a full undo ("snapshot too old"), ended sessions, starting and stopping servers.
    Verdict.PASSING: (
        *("ORA-00018", "ORA-00020", "ORA-00028", "ORA-00054", "ORA-00060", "ORA-01012", "ORA-01013"),
        *("ORA-01033", "ORA-01034", "ORA-01089", "ORA-01090", "ORA-01092", "ORA-01555", "ORA-01652"),
        *("ORA-02391", "ORA-02396", "ORA-03113", "ORA-03114", "ORA-03135", "ORA-08103", "ORA-12170"),
        *("ORA-12514", "ORA-12516", "ORA-12520", "ORA-12528", "ORA-12537", "ORA-12541", "ORA-12570"),
        *("DPY-1001", "DPY-4011", "DPY-4024", "DPY-6000", "DPY-6001", "DPY-6005"),
    ),
    # No such table (or none that the login may see), no such column, syntax, a statement that would write.
    Verdict.UNFIT: ("ORA-00942", "ORA-00904", "ORA-00933", "ORA-01456"),
}
_VERDICTS = {code: verdict for verdict, codes in _CODES.items() for code in codes}


@contextmanager
def explained(server: Server, table: str | None = None) -> Iterator[None]:
    """Raises oracledb's errors as `OutfeedError` that names the table."""
    import oracledb

    try:
        yield
    except oracledb.Error as error:
        raise _translated(error, server, table) from None


def _translated(error: Exception, server: Server, table: str | None) -> OutfeedError:
    detail = error.args[0] if error.args else None
    code = str(getattr(detail, "full_code", ""))
    verdict = _VERDICTS.get(code)
    message = str(getattr(detail, "message", ""))
    # Later lines are help and addresses of it.
    text = message.partition("\n")[0]
    if "CERTIFICATE_VERIFY_FAILED" in message:
        verdict, text = Verdict.TLS, "the server's certificate can't be verified"
    if verdict is None:
        # Other texts may quote the data.
        verdict, text = Verdict.UNFIT, f"error {code or 'without code'}"
    text = server.without_secrets(text)
    return verdict.error(f"{table}: {text}" if table else text, server.where)
