"""A small client of Airflow's public REST API, for tests, the demo and people at a prompt."""

from __future__ import annotations

import time
from typing import Any

import httpx

#: States in which a DAG run stays.
FINISHED = ("success", "failed")

#: What Airflow answers, and how often and after how many seconds it is asked again.
_LOCKED = '"Database error"'
_LOCKED_TRIES = 5
_LOCKED_PAUSE = 2.0


class AirflowRest:
    """Logged in as one user; every answer that is not a success raises `httpx.HTTPStatusError`."""

    def __init__(self, base_url: str, user: str, password: str) -> None:
        self._client = httpx.Client(base_url=base_url, timeout=60)
        answer = self._client.post("/auth/token", json={"username": user, "password": password})
        answer.raise_for_status()
        self.token: str = answer.json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {self.token}"

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Calls `/api/v2<path>` and returns the parsed answer.

        Asks again where SQLite was locked: Airflow then has done nothing, and hides the database's own words.
        """
        answer = self._client.request(method, f"/api/v2{path}", **options)
        for _ in range(_LOCKED_TRIES):
            if answer.status_code != httpx.codes.INTERNAL_SERVER_ERROR or _LOCKED not in answer.text:
                break
            time.sleep(_LOCKED_PAUSE)
            answer = self._client.request(method, f"/api/v2{path}", **options)
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {path}: {answer.status_code} {answer.text}",
                request=answer.request,
                response=answer,
            )
        return answer.json() if answer.content else None

    def dag_ids(self) -> set[str]:
        """The DAGs that can run now."""
        return {dag["dag_id"] for dag in self._all("/dags", "dags")}

    def import_errors(self) -> dict[str, str]:
        """The text of each import error by file name, relative to its bundle."""
        return {
            error["filename"]: error["stack_trace"] for error in self._all("/importErrors", "import_errors")
        }

    def pause(self, dag_id: str, *, paused: bool) -> None:
        """Pauses or unpauses a DAG."""
        self.request("PATCH", f"/dags/{dag_id}", json={"is_paused": paused})

    def trigger(self, dag_id: str, *, conf: dict[str, Any] | None = None, **body: Any) -> str:
        """Starts a manual run and returns its id; without `logical_date` the run has none."""
        run = self.request(
            "POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf or {}, **body}
        )
        return str(run["dag_run_id"])

    def backfill(self, dag_id: str, start: str, end: str, **body: Any) -> int:
        """Starts a backfill of the windows that begin in `[start, end]`; returns its id."""
        made = self.request(
            "POST", "/backfills", json={"dag_id": dag_id, "from_date": start, "to_date": end, **body}
        )
        return int(made["id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A run as Airflow describes it."""
        found: dict[str, Any] = self.request("GET", f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}")
        return found

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG, oldest first."""
        return self._all(f"/dags/{dag_id}/dagRuns?order_by=run_after", "dag_runs")

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 300) -> str:
        """The state in which a run ended."""
        deadline = time.monotonic() + timeout
        while (state := self.run(dag_id, run_id)["state"]) not in FINISHED:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{dag_id} {run_id} is {state} after {timeout} s: {self.task_states(dag_id, run_id)}"
                )
            time.sleep(1)
        return str(state)

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """State by task id, with `[index]` behind those that are mapped."""
        return {_label(instance): instance["state"] for instance in self._instances(dag_id, run_id)}

    def labels(self, dag_id: str, run_id: str) -> set[str]:
        """What the mapped tasks of a run are called in the UI."""
        instances = self._instances(dag_id, run_id)
        return {instance["rendered_map_index"] for instance in instances if instance["map_index"] >= 0}

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, *, attempt: int = 1, map_index: int = -1
    ) -> str:
        """The log of one try, as text."""
        found = self.request(
            "GET",
            f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}/logs/{attempt}",
            params={"map_index": map_index, "full_content": True},
        )
        return "\n".join(str(line) for line in found["content"])

    def pools(self) -> dict[str, int]:
        """Slots by pool."""
        return {pool["name"]: pool["slots"] for pool in self._all("/pools", "pools")}

    def _instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        path = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances?limit=1000"
        found: list[dict[str, Any]] = self.request("GET", path)["task_instances"]
        return found

    def _all(self, path: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        joint = "&" if "?" in path else "?"
        while True:
            page = self.request("GET", f"{path}{joint}limit=100&offset={len(found)}")
            found += page[key]
            if len(found) >= page["total_entries"] or not page[key]:
                return found


def _label(instance: dict[str, Any]) -> str:
    index = instance["map_index"]
    return instance["task_id"] if index < 0 else f"{instance['task_id']}[{index}]"


def _quoted(run_id: str) -> str:
    return run_id.replace("+", "%2B")
