"""Redis from Debian, in memory only, with a password: the broker of Airflow's Celery workers."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from tests.servers.process import binary, free_ports, running, scratch

INSTALL = "apt-get install -y --no-install-recommends redis-server"


@dataclasses.dataclass(frozen=True)
class RedisServer:
    """A running server.

    Attributes:
        url: `redis://:password@127.0.0.1:port/0`, as Celery reads it.
    """

    port: int
    password: str = "outfeed-redis"

    @property
    def url(self) -> str:
        """URL of the first database, with the password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


@contextlib.contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A new, empty server on a free port."""
    (port,) = free_ports(1)
    server = RedisServer(port)
    with scratch("redis") as folder:
        config = folder / "redis.conf"
        config.write_text(
            f"bind 127.0.0.1\nport {port}\nrequirepass {server.password}\n"
            f'save ""\nappendonly no\ndir {folder}\n'
        )
        with running([binary("redis-server", INSTALL), str(config)], port=port, log=folder / "log"):
            yield server
