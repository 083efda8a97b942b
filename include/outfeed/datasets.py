"""Where datasets are found: SQL per engine, contract and reference tables, as data (design §1).

A dataset is a folder, by default `include/datasets/<dataset with _ for ->` beside this package;
`OUTFEED_DATASETS` names another parent folder. A platform with other tables replaces its SQL there.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from outfeed.errors import Action, TerminalError


@dataclasses.dataclass(frozen=True)
class Statement:
    """One SQL statement of a dataset, and the file that it comes from, for messages."""

    file: str
    text: str


def dataset_folder(dataset: str) -> Path:
    """The folder of a dataset.

    Raises:
        TerminalError: if there is none.
    """
    parent = Path(os.environ.get("OUTFEED_DATASETS") or Path(__file__).parents[1] / "datasets")
    folder = parent / dataset.replace("-", "_")
    if not folder.is_dir():
        raise TerminalError(
            f"the dataset {dataset!r} has no folder",
            where=str(folder),
            action=Action.ENGINEER,
            remedy="set OUTFEED_DATASETS to the folder that holds the datasets",
        )
    return folder


def read_statement(dataset: str, engine: str, name: str) -> Statement:
    """The statement `<engine>/<name>.sql` of a dataset.

    Raises:
        TerminalError: if the dataset has no such file.
    """
    path = dataset_folder(dataset) / engine / f"{name}.sql"
    try:
        return Statement(f"{path.parts[-3]}/{engine}/{path.name}", path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TerminalError(
            f"the dataset {dataset!r} can't be read from {engine}: a file is missing",
            where=str(path),
            action=Action.ENGINEER,
            remedy="write it as the dataset's README.md describes",
        ) from None
