"""What a person consented to, derived from the snapshot; the page's own claim beside it.

A disclosure is an element tagged `data-ec-disclosure="key"` (without a key it is called
`disclosure`). Its **controls** are, in this order:

1. what is tagged `data-ec-consent-checkbox` and names it in `data-ec-consent-for`
   (several keys stand apart by spaces);
2. what is tagged so without naming any, where there is only one disclosure, or where it
   stands inside it or in one label with it;
3. untagged checkboxes inside it or in one label with it, or whose `label for` has it.

| mechanism | |
| --- | --- |
| `manual` | there is a control, and a person ticked it, or it is not ticked |
| `pre_selected` | its control is ticked, and was so from the start or was never touched |
| `non_interactive` | there is no control: consent would be by going on |

`agreed` is what the snapshot shows: every control ticked; without one, that a person's
own submission was captured and the page does not itself say otherwise. Where in doubt
it is false. The states of controls are the library's word, as all of an upload is; what
contradicts the snapshot or the claim is flagged, never smoothed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from evidence.snapshot import ELEMENT, Claim, Control, Envelope, Highlight, Node, text_of

MAX_DISCLOSURES = 100
MAX_TEXT = 5000

_UNNAMED = "disclosure"
_SUBMITTING = frozenset({"submit", "click", "keydown"})


class Mechanism(StrEnum):
    """How consent was given, or would have been."""

    MANUAL = "manual"
    PRE_SELECTED = "pre_selected"
    NON_INTERACTIVE = "non_interactive"


class Flag(StrEnum):
    """How the claim, the controls and the snapshot differ."""

    CLAIM_WITHOUT_ELEMENT = "claim_without_element"
    AGREED_DIFFERS = "agreed_differs"
    TEXT_DIFFERS = "text_differs"
    NOT_VISIBLE = "not_visible"
    KEY_TWICE = "key_twice"
    CONTROL_DIFFERS = "control_differs"
    CONTROL_MASKED = "control_masked"
    CONTROL_MISSING = "control_missing"


@dataclass(slots=True)
class Derived:
    """The disclosures of a capture, and where they differ from what was claimed.

    Attributes:
        disclosures: each with key, language, agreed, consentMechanism.
        flags: each with key and flag.
    """

    disclosures: list[dict[str, Any]] = field(default_factory=list)
    flags: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Tagged:
    """A disclosure with the controls that were found for it."""

    key: str
    node: Node
    controls: list[Node] = field(default_factory=list)


def derive(envelope: Envelope, nodes: Sequence[Node]) -> Derived:
    """Derives the disclosures of an upload; `nodes` are those of its snapshot."""
    found = Derived()
    tagged = _tagged(nodes, found)
    _give_controls(envelope.snapshot, nodes, tagged)
    claims = {claim.key: claim for claim in envelope.disclosures}
    states = {control.node_id: control for control in envelope.controls}
    submitted = _submitted(envelope.highlight, nodes)
    for disclosure in tagged.values():
        claim = claims.get(disclosure.key)
        found.disclosures.append(_judged(disclosure, claim, states, submitted, found))
    for key in claims.keys() - tagged.keys():
        found.flags.append(_flag(key, Flag.CLAIM_WITHOUT_ELEMENT))
    found.flags.sort(key=lambda flag: (flag["key"], flag["flag"]))
    return found


def _tagged(nodes: Iterable[Node], found: Derived) -> dict[str, _Tagged]:
    """The tagged disclosures by key; of two with one key the first counts."""
    tagged: dict[str, _Tagged] = {}
    for node in nodes:
        name = node.attributes.disclosure
        if name is None or node.type != ELEMENT:
            continue
        key = _key(name)
        if key in tagged:
            found.flags.append(_flag(key, Flag.KEY_TWICE))
        elif len(tagged) < MAX_DISCLOSURES:
            tagged[key] = _Tagged(key, node)
    return tagged


def _key(name: object) -> str:
    text = name.strip().replace("\0", "")[:128] if isinstance(name, str) else ""
    return text or _UNNAMED


def _give_controls(root: Node, nodes: Sequence[Node], tagged: dict[str, _Tagged]) -> None:
    boxes = [node for node in nodes if node.attributes.consent_box is not None]
    if not tagged:
        return
    only = next(iter(tagged.values())) if len(tagged) == 1 else None
    loose = []
    for box in boxes:
        named = _names(box)
        for key in named & tagged.keys():
            tagged[key].controls.append(box)
        if not named and only:
            only.controls.append(box)
        elif not named:
            loose.append(box)
    if all(disclosure.controls for disclosure in tagged.values()):
        return
    near = _near(root, nodes)
    for candidates in (loose, [node for node in nodes if _is_checkbox(node)]):
        bare = [disclosure for disclosure in tagged.values() if not disclosure.controls]
        for disclosure in bare:
            close = near.get(id(disclosure.node), set())
            disclosure.controls += [box for box in candidates if id(box) in close]


def _names(box: Node) -> set[str]:
    text = box.attributes.consent_for
    return set(text.split()) if isinstance(text, str) else set()


def _is_checkbox(node: Node) -> bool:
    return node.tag_name == "input" and node.attributes.type == "checkbox"


def _near(root: Node, nodes: Sequence[Node]) -> dict[int, set[int]]:
    """For each disclosure the nodes inside it, in its label, or that its labels are for."""
    by_id = {node.attributes.id: node for node in nodes if isinstance(node.attributes.id, str)}
    near: dict[int, set[int]] = {}
    waiting: list[tuple[Node, Node | None, Node | None]] = [(root, None, None)]
    in_label: dict[int, set[int]] = {}
    labels_of: dict[int, list[Node]] = {}
    while waiting:
        node, label, disclosure = waiting.pop()
        if node.attributes.disclosure is not None:
            disclosure = node
            near[id(node)] = set()
            labels_of[id(node)] = [label] if label else []
        if node.tag_name == "label":
            label = node
            in_label[id(node)] = {id(by_id.get(str(node.attributes.for_), node))}
            if disclosure is not None:
                labels_of[id(disclosure)].append(node)
        if label is not None:
            in_label[id(label)].add(id(node))
        if disclosure is not None:
            near[id(disclosure)].add(id(node))
        waiting.extend((child, label, disclosure) for child in node.child_nodes)
    for name, labels in labels_of.items():
        for label in labels:
            near[name] |= in_label[id(label)]
    return near


def _submitted(highlight: Highlight | None, nodes: Sequence[Node]) -> bool:
    """Whether a person's own submission was captured, by a tagged control where there is one."""
    if highlight is None or not highlight.is_trusted or highlight.event_type not in _SUBMITTING:
        return False
    submits = [node for node in nodes if node.attributes.submit is not None]
    if not submits or highlight.event_type == "submit":
        return True
    return any(highlight.node_id in _ids(node) for node in submits)


def _ids(node: Node) -> Iterator[int]:
    waiting = [node]
    while waiting:
        here = waiting.pop()
        yield here.id
        waiting.extend(here.child_nodes)


def _judged(
    disclosure: _Tagged,
    claim: Claim | None,
    states: dict[int, Control],
    submitted: bool,
    found: Derived,
) -> dict[str, Any]:
    text = text_of(disclosure.node)
    mechanism, agreed = _consent(disclosure, states, found)
    if mechanism is Mechanism.NON_INTERACTIVE:
        agreed = submitted and (claim is None or claim.agreed)
    if claim is not None:
        found.flags += [_flag(disclosure.key, flag) for flag in _differs(claim, text, agreed)]
    return {
        "key": disclosure.key,
        "language": text.replace("\0", "")[:MAX_TEXT],
        "agreed": agreed,
        "consentMechanism": str(mechanism),
    }


def _consent(
    disclosure: _Tagged, states: dict[int, Control], found: Derived
) -> tuple[Mechanism, bool]:
    if not disclosure.controls:
        return Mechanism.NON_INTERACTIVE, False
    agreed, by_hand = True, True
    for box in disclosure.controls:
        state = states.get(box.id)
        ticked = _is_ticked(box, state)
        for flag in _doubts(box, state):
            found.flags.append(_flag(disclosure.key, flag))
        agreed = agreed and ticked
        touched = state is not None and state.touched and not state.default_checked
        by_hand = by_hand and (touched or not ticked)
    return (Mechanism.MANUAL if by_hand else Mechanism.PRE_SELECTED), agreed


def _is_ticked(box: Node, state: Control | None) -> bool:
    """What the picture shows counts; of a control that is no input, what the library saw."""
    if state is not None and state.masked:
        return False
    if box.tag_name == "input":
        return _shows_tick(box)
    return state is not None and state.checked is True


def _shows_tick(box: Node) -> bool:
    return box.attributes.checked not in {None, False}


def _doubts(box: Node, state: Control | None) -> Iterator[Flag]:
    if state is None:
        yield Flag.CONTROL_MISSING
    elif state.masked:
        yield Flag.CONTROL_MASKED
    elif box.tag_name == "input" and bool(state.checked) != _shows_tick(box):
        yield Flag.CONTROL_DIFFERS


def _differs(claim: Claim, text: str, agreed: bool) -> Iterator[Flag]:
    if claim.agreed != agreed:
        yield Flag.AGREED_DIFFERS
    claimed = " ".join(claim.language.split())
    # The library cuts at 5,000 units of UTF-16, and never through a pair of them.
    cut = len(claim.language.encode("utf-16-le")) // 2 >= MAX_TEXT - 1
    if claimed != text and not (cut and text.startswith(claimed)):
        yield Flag.TEXT_DIFFERS
    if claim.visible is False:
        yield Flag.NOT_VISIBLE


def _flag(key: str, flag: Flag) -> dict[str, Any]:
    return {"key": key, "flag": str(flag)}
