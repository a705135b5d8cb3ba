"""YAML with lines: entries that read themselves, and note what is wrong with them.

The YAML is composed into nodes, which know their lines, and never into Python
objects: no tag can do anything. Size, depth and the entries reached through aliases
are bounded.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from gateway.market_plan import DocumentError, Mistake, Place

Word = TypeVar("Word", bound=StrEnum)

SIZE_MAX_BYTES = 1 << 20
ENTRIES_MAX = 200_000
"""Aliases repeat what they name, so a small document could ask for very much."""

_DEPTH_MAX = 16
_FIELD = re.compile(r"[A-Za-z0-9_<-]{1,40}", re.ASCII)
_TEXT_TAGS = frozenset({"str", "int", "float", "timestamp"})


class Notes:
    """The mistakes found in one document, and how many entries were read."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._entries = 0

    def count(self) -> None:
        """Counts an entry; raises `DocumentError` past the limit."""
        self._entries += 1
        if self._entries > ENTRIES_MAX:
            raise _refusal(1, f"asks for more than {ENTRIES_MAX} entries")


class Entry:
    """A value in the document. Each way to read it notes a mistake where it is not such."""

    def __init__(self, node: Node, path: str, notes: Notes, key: Node | None = None) -> None:
        notes.count()
        self._node = node
        self._notes = notes
        # A value that was left out begins wherever the next thing does: not its line.
        marked = key if key is not None and node.value == "" else node
        self.place = Place(marked.start_mark.line + 1, path)

    def fail(self, problem: str) -> None:
        """Notes a mistake at this place."""
        self._notes.mistakes.append(Mistake(self.place, problem))

    def fields(self, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Entry]:
        """The entries of a mapping by name; unknown, repeated and missing ones are mistakes."""
        found: dict[str, Entry] = {}
        if not isinstance(self._node, MappingNode):
            self.fail("must be a mapping")
            return found
        for key, value in self._node.value:
            name = key.value if isinstance(key, ScalarNode) else ""
            entry = Entry(value, self._below(name), self._notes, key)
            if name not in required + optional:
                Entry(key, self._below(name), self._notes).fail("is not a field of this document")
            elif name in found:
                Entry(key, self._below(name), self._notes).fail("is given twice")
            else:
                found[name] = entry
        for name in required:
            if name not in found:
                self.fail(f"{name} is missing")
        return found

    def items(self) -> list[Entry]:
        """The entries of a list."""
        if not isinstance(self._node, SequenceNode):
            self.fail("must be a list")
            return []
        path = self.place.path
        nodes = enumerate(self._node.value)
        return [Entry(node, f"{path}[{index}]", self._notes) for index, node in nodes]

    def text(self, form: re.Pattern[str], problem: str) -> str | None:
        """The text as it is written, where it has the form; else notes the problem."""
        if self._is(_TEXT_TAGS) and form.fullmatch(self._node.value):
            return str(self._node.value)
        self.fail(problem)
        return None

    def flag(self) -> bool:
        """A boolean."""
        if self._is({"bool"}) and self._node.value.lower() in ("true", "false"):
            return str(self._node.value).lower() == "true"
        self.fail("must be true or false")
        return False

    def word(self, kind: type[Word]) -> Word | None:
        """One of the words of an enumeration."""
        if self._is({"str"}) and self._node.value in list(kind):
            return kind(self._node.value)
        self.fail(f"must be {' or '.join(kind)}")
        return None

    def _is(self, tags: set[str] | frozenset[str]) -> bool:
        tag = str(self._node.tag).removeprefix("tag:yaml.org,2002:")
        return isinstance(self._node, ScalarNode) and tag in tags

    def _below(self, name: str) -> str:
        # A name that could not be a field is not repeated: it may be a key gone astray.
        shown = name if _FIELD.fullmatch(name) else "?"
        return f"{self.place.path}.{shown}" if self.place.path else shown


def compose(text: str, notes: Notes) -> Entry:
    """Reads YAML text; takes about 5 s for 1 MiB, the largest there may be.

    Raises `DocumentError` with the line where it is no YAML.
    """
    if len(text.encode(errors="surrogatepass")) > SIZE_MAX_BYTES:
        raise _refusal(1, "the document is larger than 1 MiB")
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = _DEPTH_MAX
    yaml.composer.warn_double_anchors = False
    try:
        root = yaml.compose(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _refusal(line, "not YAML: holds a control character") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or error.context or "cannot be read").replace("\0", "the end")
        raise _refusal(mark.line + 1 if mark else 1, f"not YAML: {problem}") from None
    except (YAMLError, ValueError, RecursionError):
        raise _refusal(1, "not YAML that can be read") from None
    if root is None:
        raise _refusal(1, "the document is empty")
    return Entry(root, "", notes)


def _refusal(line: int, problem: str) -> DocumentError:
    return DocumentError([Mistake(Place(line, ""), problem)])
