"""Names below the base directory on a server, and those of one try aside: what FTP and SFTP share."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from outfeed.connectors.transfer import TEMPORARY_FOLDER, is_leftover, temporary_name
from outfeed.errors import Action, OutfeedError, SupersededError, TransientError


class RemoteBase:
    """Guarantees that all names of one try lie below the base directory (DX-074, VI-D15).

    Args:
        base: base directory as configured.
        attempt: token of the try.
    """

    def __init__(self, base: str, attempt: str) -> None:
        self._base = base.rstrip("/")
        self._attempt = attempt
        self._own = temporary_name(attempt)
        self._numbers = count()

    def path(self, relative: str = "") -> str:
        """The path on the server of a path below the base."""
        return f"{self._base}/{relative}" if relative else self._base or "/"

    def temporary(self, name: str = "") -> str:
        """The path of a temporary name of this try, or of the folder of them."""
        folder = self.path(f"{TEMPORARY_FOLDER}/{self._own}")
        return f"{folder}/{name}" if name else folder

    def next_temporary(self) -> str:
        """A temporary path that was not given before."""
        return self.temporary(str(next(self._numbers)))

    def _is_dead(self, name: str, seconds_unchanged: float) -> bool:
        """Whether a folder of temporary names is the rest of a dead try, and not ours."""
        return name != self._own and is_leftover(name, self._attempt, seconds_unchanged)

    def _removed(self, folders: Iterable[str], location: str) -> OutfeedError:
        """The error when our temporary files are gone: a newer try removed them, or the customer did.

        Args:
            folders: those of all tries that are there now.
            location: URI for messages.
        """
        if any(self._is_dead(name, 0) for name in folders):
            return SupersededError("a newer try of this delivery has taken over", where=location)
        return TransientError(
            f"the temporary files in {self.temporary()} were removed while we were writing",
            where=location,
            action=Action.CUSTOMER,
            remedy=f"retried; if it persists, exclude {TEMPORARY_FOLDER} from clean-up jobs there",
        )
