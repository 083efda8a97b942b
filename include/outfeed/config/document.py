"""A YAML text as plain data, with the place of every key and value, and no secret in it (design §7).

The text is read once, by libyaml. What can't be turned into data, and what looks like a secret, becomes
a `Problem`; its value is withheld, so that nothing later can repeat it in a message (XX-06).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from yaml import (
    CollectionEndEvent,
    CollectionStartEvent,
    CSafeLoader,
    MappingNode,
    MarkedYAMLError,
    Node,
    ScalarNode,
    SequenceNode,
    YAMLError,
    parse,
)
from yaml.constructor import ConstructorError

from outfeed.config.problems import Problem

KeyPath = tuple[str | int, ...]

#: No customer's file needs more; reading a text of a hundred thousand brackets would end the process.
_MAX_DEPTH = 20
#: Characters of the longest number that a file can mean.
_LONGEST_NUMBER = 40

#: What a person can do about a mistake that libyaml finds: by a part of its words.
_HINTS = {
    "violates indentation": "YAML takes no tabs for indentation: use spaces",
    "cannot start any token": "put a text that begins with this character in quotes",
    "mapping values are not allowed": "put a text that holds ': ' in quotes; else look at the indentation",
    "could not find expected ':'": "a key needs a ':' and a space after it; or a quote is not closed",
    "did not find expected key": "look at the indentation of this line and the one before, and at its quotes",
    "did not find expected ',' or": "close the bracket, or look for a missing comma",
    "did not find expected '-' indicator": "all items of a list are indented alike",
    "unexpected end of stream": "a quote is opened and never closed",
    "did not find expected node content": "a bracket is opened and never closed, or a value is missing",
    "found undefined alias": "put a text that begins with * in quotes",
}

_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|(^|_)pwd($|_)|secret|token|credential|private_?key|(access|api|account)_?key"
)
_SECRET_VALUE = re.compile(
    # A block in armor that is not public.
    r"-----BEGIN (?!(?:[A-Z0-9 ]+ )?(?:PUBLIC KEY(?: BLOCK)?|CERTIFICATE)-----)"
    r"|\bAGE-SECRET-KEY-"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # an AWS access key
    r"|\b[a-z][a-z0-9+.-]*://[^\s/?#@:]*:[^\s/?#@]+@",  # a URI with user:password@
    re.IGNORECASE,
)
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_INSTEAD = (
    "put it into an Airflow connection and name that under 'connection'; "
    "if this file was ever shared, replace the secret"
)


class Document:
    """A parsed file.

    Attributes:
        data: the root mapping as plain values; None for each withheld one, and for a file without a mapping.
        problems: what is wrong with the text itself.
    """

    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        self.data: dict[str, Any] | None = None
        self._withheld: set[KeyPath] = set()
        self._places: dict[KeyPath, tuple[Node, Node]] = {}
        self._seen: set[int] = set()
        try:
            if self._is_flat(text):
                self._read(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            said = error.problem or error.context or ""
            self._syntax(line, column, said, _hint(said, _line(text, line)[column - 1 :]))
        except YAMLError as error:
            position = int(getattr(error, "position", 0))
            line = text.count("\n", 0, position) + 1
            column = position - text.rfind("\n", 0, position)
            self._syntax(line, column, getattr(error, "reason", None))

    def resolve(self, path: Sequence[str | int]) -> KeyPath:
        """`path` without the steps that the file does not have, such as the tag of a union."""
        known: KeyPath = ()
        for step in path:
            if (*known, step) in self._places:
                known = (*known, step)
        return known

    def place(self, path: Sequence[str | int], *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value at `path`, or of its key; of what is around it, if it has none."""
        key_node, value = self._places.get(self.resolve(path), (None, None))
        if key_node is None or value is None:
            return 1, 1
        mark = (value if isinstance(value, ScalarNode) and not key else key_node).start_mark
        return mark.line + 1, mark.column + 1

    def withholds(self, path: KeyPath) -> bool:
        """Whether the value at `path`, or one around it, was withheld: its problem has been named."""
        return any(path[:length] in self._withheld for length in range(1, len(path) + 1))

    def _is_flat(self, text: str) -> bool:
        """Whether a text can be read at all: a reader goes as deep as it is nested."""
        depth = 0
        for event in parse(text, CSafeLoader):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > _MAX_DEPTH:
                mark: Any = event.start_mark
                message = f"the file is nested more than {_MAX_DEPTH} deep"
                self.problems.append(
                    Problem(
                        mark.line + 1, mark.column + 1, message, "no key needs that: look at the brackets"
                    )
                )
                return False
        return True

    def _read(self, text: str) -> None:
        loader = CSafeLoader(text)
        try:
            self._take(loader, loader.get_single_node())
        finally:
            loader.dispose()

    def _take(self, loader: CSafeLoader, root: Node | None) -> None:
        if root is None:
            self._syntax(1, 1, "the file is empty")
        elif not isinstance(root, MappingNode):
            self._problem(root, "a customer's file is a list of 'key: value' lines, and this is not")
        else:
            data = self._value(loader, root, (), root)
            self.data = data if isinstance(data, dict) else None

    def _value(self, loader: CSafeLoader, node: Node, path: KeyPath, key: Node) -> Any:
        self._places[path] = (key, node)
        if id(node) in self._seen:
            self._withheld.add(path)
            self._problem(key, "an alias (*name) is not supported", "write the value out")
            return None
        self._seen.add(id(node))
        if isinstance(node, MappingNode):
            return self._mapping(loader, node, path)
        if isinstance(node, SequenceNode):
            items = enumerate(node.value)
            return [self._value(loader, item, (*path, index), item) for index, item in items]
        return self._scalar(loader, node, path)

    def _mapping(self, loader: CSafeLoader, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                self._problem(key_node, "this key is not text", "write it in quotes")
            elif key in data:
                first = self._places[(*path, key)][0].start_mark.line + 1
                self._problem(key_node, f"the key {key!r} stands here twice, first in line {first}")
            elif _SECRET_VALUE.search(key):
                self._problem(key_node, "this key looks like a secret", _INSTEAD)
            elif _SECRET_NAME.search(re.sub(r"[\s-]", "_", key.lower())):
                data[key] = None
                self._places[(*path, key)] = (key_node, value_node)
                self._withheld.add((*path, key))
                self._problem(key_node, f"{key!r} is a secret, and none may stand in this file", _INSTEAD)
            else:
                data[key] = self._value(loader, value_node, (*path, key), key_node)
        return data

    def _scalar(self, loader: CSafeLoader, node: Node, path: KeyPath) -> Any:
        if _SECRET_VALUE.search(node.value):
            self._withheld.add(path)
            self._problem(
                node, f"{nearest_key(path)!r} holds a secret, and none may stand in this file", _INSTEAD
            )
            return None
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            self._withheld.add(path)
            message = f"{nearest_key(path)!r} can't be read: the number has {len(node.value)} characters"
            self._problem(node, message, "put a text of digits in quotes")
            return None
        try:
            return loader.construct_object(node)
        except (ConstructorError, ValueError, OverflowError) as error:
            self._withheld.add(path)
            said = error.problem if isinstance(error, ConstructorError) else error
            self._problem(node, f"{nearest_key(path)!r} can't be read: {said}")
            return None

    def _problem(self, node: Node, message: str, hint: str = "") -> None:
        mark = node.start_mark
        self.problems.append(Problem(mark.line + 1, mark.column + 1, message, hint))

    def _syntax(self, line: int, column: int, said: str | None, hint: str = "") -> None:
        message = f"the YAML can't be read: {said or 'unknown error'}"
        self.problems.append(Problem(line, column, message, hint))


def _line(text: str, number: int) -> str:
    lines = text.split("\n")
    return lines[number - 1] if number <= len(lines) else ""


def _hint(said: str, rest: str) -> str:
    """What to do about a mistake, from libyaml's words and what stands at its place."""
    if rest.startswith("\t"):
        return _HINTS["violates indentation"]
    return next((hint for words, hint in _HINTS.items() if words in said), "")


def nearest_key(path: KeyPath) -> str:
    """The last key of a path: by it the reader of a message knows the value."""
    return next((step for step in reversed(path) if isinstance(step, str)), "the value")
