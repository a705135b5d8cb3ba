"""Disclosures derived from the snapshot, and the page's claim against them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.disclosures import Derived, derive
from evidence.snapshot import read
from tests.builders_capture import Json, a_disclosure, a_page, a_text, an_element, an_envelope

SUBMITTED = {"nodeId": 1, "source": "auto", "isTrusted": True, "eventType": "submit"}


def test_a_box_that_a_person_ticked_is_manual() -> None:
    """Unticked in the page, touched, ticked in the picture."""
    box = a_box(checked=True)
    derived = of([a_disclosure("tcpa"), box], controls=[a_state(box, touched=True)])
    assert derived.disclosures == [
        {
            "key": "tcpa",
            "language": "I agree to be called.",
            "agreed": True,
            "consentMechanism": "manual",
        }
    ]
    assert derived.flags == []


@pytest.mark.parametrize(
    ("ticked", "state", "expected"),
    [
        (True, {"touched": True, "defaultChecked": False}, ("manual", True)),
        (True, {"touched": False, "defaultChecked": True}, ("pre_selected", True)),
        (True, {"touched": True, "defaultChecked": True}, ("pre_selected", True)),
        (True, {"touched": False, "defaultChecked": False}, ("pre_selected", True)),
        (False, {"touched": True, "defaultChecked": True}, ("manual", False)),
        (False, {"touched": False, "defaultChecked": False}, ("manual", False)),
    ],
)
def test_a_tick_counts_as_a_persons_only_where_one_made_it(
    ticked: bool, state: dict[str, bool], expected: tuple[str, bool]
) -> None:
    """Ticked from the start, or by a script, is pre-selected; an empty box is nobody's consent."""
    box = a_box(checked=ticked)
    derived = of([a_disclosure("tcpa"), box], controls=[a_state(box, **state)])
    assert judged(derived) == {"tcpa": expected}


def test_without_a_control_consent_is_to_go_on() -> None:
    """A trusted submit agrees; none, or one by a script, does not."""
    assert judged(of([a_disclosure("t")], highlight=SUBMITTED)) == {"t": ("non_interactive", True)}
    by_script = SUBMITTED | {"isTrusted": False}
    for highlight in (None, by_script, SUBMITTED | {"eventType": "scroll"}):
        derived = of([a_disclosure("t")], highlight=highlight)
        assert judged(derived) == {"t": ("non_interactive", False)}


def test_a_click_counts_on_the_tagged_submit_control_only() -> None:
    """Where a page tags its submit control, a click elsewhere is no consent."""
    icon = an_element("i")
    page = [a_disclosure("t"), an_element("button", icon, data_ec_submit=""), an_element("a")]
    click = SUBMITTED | {"eventType": "click"}
    inside = of(page, highlight=click | {"nodeId": icon["id"]})
    beside = of(page, highlight=click | {"nodeId": page[2]["id"]})
    assert judged(inside) == {"t": ("non_interactive", True)}
    assert judged(beside) == {"t": ("non_interactive", False)}


def test_a_pages_no_is_never_turned_into_a_yes() -> None:
    """A disclosure without tagged control whose script says false was not agreed to."""
    derived = of([a_disclosure("t")], highlight=SUBMITTED, disclosures=[a_claim("t", agreed=False)])
    assert judged(derived) == {"t": ("non_interactive", False)}


def test_a_claim_that_the_picture_contradicts_is_flagged() -> None:
    """Agreed, text and visibility; and a key that no element has."""
    box = a_box(checked=False)
    derived = of(
        [a_disclosure("tcpa"), box],
        controls=[a_state(box)],
        disclosures=[
            a_claim("tcpa", agreed=True, language="Something else", visible=False),
            a_claim("ghost", agreed=True),
        ],
    )
    assert judged(derived) == {"tcpa": ("manual", False)}
    assert derived.flags == [
        {"key": "ghost", "flag": "claim_without_element"},
        {"key": "tcpa", "flag": "agreed_differs"},
        {"key": "tcpa", "flag": "not_visible"},
        {"key": "tcpa", "flag": "text_differs"},
    ]


def test_the_picture_wins_over_the_librarys_word() -> None:
    """A control said to be ticked that the snapshot shows empty is empty, and flagged."""
    box = a_box(checked=False)
    derived = of([a_disclosure("t"), box], controls=[a_state(box, checked=True, touched=True)])
    assert judged(derived) == {"t": ("manual", False)}
    assert derived.flags == [{"key": "t", "flag": "control_differs"}]


def test_boxes_go_with_the_disclosures_they_name() -> None:
    """One box for two disclosures, and every box of a disclosure must be ticked."""
    both, second = a_box("one two", checked=True), a_box("two", checked=False)
    derived = of(
        [a_disclosure("one"), a_disclosure("two"), both, second],
        controls=[a_state(both, touched=True), a_state(second)],
    )
    assert judged(derived) == {"one": ("manual", True), "two": ("manual", False)}


@pytest.mark.parametrize("where", ["inside", "wrapping label", "label for", "label inside"])
def test_an_untagged_box_beside_the_text_is_its_control(where: str) -> None:
    """The integrator forgot the tag: what a person sees as one is one."""
    box = an_element("input", type="checkbox", id="box", checked=True)
    other = an_element("input", type="checkbox", id="other")
    text = a_disclosure("t")
    page = {
        "inside": [a_disclosure("t", box)],
        "wrapping label": [an_element("label", box, text)],
        "label for": [box, an_element("label", text, for_="box")],
        "label inside": [box, a_disclosure("t", an_element("label", a_text("x"), for_="box"))],
    }[where]
    state = a_state(box, touched=True)
    derived = of([other, *page], controls=[state], highlight=SUBMITTED)
    assert judged(derived) == {"t": ("manual", True)}


def test_another_disclosures_box_is_not_ones_own() -> None:
    """A ticked box elsewhere on the page consents to nothing here."""
    box = an_element("input", type="checkbox", checked=True)
    derived = of([a_disclosure("one", box), a_disclosure("two")], controls=[a_state(box)])
    assert judged(derived)["two"] == ("non_interactive", False)


def test_a_custom_control_is_read_from_the_library() -> None:
    """An element that is no input has no state in the snapshot."""
    widget = an_element("div", data_ec_consent_checkbox="", data_ec_consent_for="t")
    state = {"nodeId": widget["id"], "type": "custom", "checked": True, "touched": True}
    derived = of([a_disclosure("t"), widget], controls=[state])
    assert judged(derived) == {"t": ("manual", True)}


def test_a_masked_control_tells_nothing() -> None:
    """It is not agreed to, and the flag says why."""
    box = a_box(checked=False)
    state = {"nodeId": box["id"], "checked": None, "defaultChecked": None, "masked": True}
    derived = of([a_disclosure("t"), box], controls=[state])
    assert judged(derived) == {"t": ("manual", False)}
    assert derived.flags == [{"key": "t", "flag": "control_masked"}]


def test_of_two_elements_with_one_key_the_first_counts() -> None:
    """And it is flagged: a hidden second text must not pass for the first."""
    derived = of([a_disclosure("t"), a_disclosure("t", text="Another.")])
    assert [one["language"] for one in derived.disclosures] == ["I agree to be called."]
    assert {"key": "t", "flag": "key_twice"} in derived.flags


def test_a_disclosure_may_have_no_key() -> None:
    """Where there is one, its name can be left out; an attribute alone is `true`."""
    for name in ("", "  ", True):
        element = an_element("p", a_text("Text"), data_ec_disclosure=name)
        assert judged(of([element])) == {"disclosure": ("non_interactive", False)}


def test_the_text_is_what_the_library_reads() -> None:
    """Blocks apart, inline together, without scripts and fields; cut at 5,000 characters."""
    element = an_element(
        "div",
        a_text(" By going\n on, "),
        an_element("b", a_text("you")),
        a_text("r call"),
        an_element("p", a_text("is free.")),
        an_element("textarea", a_text("not this")),
        data_ec_disclosure="t",
    )
    claim = a_claim("t", agreed=False, language="By going on, your call is free.")
    derived = of([element], disclosures=[claim])
    assert derived.disclosures[0]["language"] == "By going on, your call is free."
    assert derived.flags == []
    long = "word " * 2000
    claim = a_claim("t", agreed=False, language=long[:5000])
    derived = of([a_disclosure("t", text=long)], disclosures=[claim])
    assert derived.disclosures[0]["language"] == long[:5000]
    assert derived.flags == []


def test_at_most_a_hundred_disclosures_are_kept() -> None:
    """What a hostile page can make the ledger keep is bounded."""
    assert len(of([a_disclosure(f"key-{n}") for n in range(500)]).disclosures) == 100


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5))
_TAGS = st.sampled_from(["input", "label", "p", "div", "script", "button"])
_NAMES = st.sampled_from(
    [
        "data-ec-disclosure",
        "data-ec-consent-checkbox",
        "data-ec-consent-for",
        "data-ec-submit",
        "for",
        "id",
        "type",
        "checked",
    ]
)


def _nodes(children: st.SearchStrategy[list[Json]]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {
            "type": st.integers(0, 6),
            "id": st.integers(-2, 9),
            "tagName": _TAGS,
            "attributes": st.dictionaries(_NAMES, _VALUES, max_size=4),
            "childNodes": children,
        }
    )


_LEAF = _nodes(st.just([]))
_TREE = st.recursive(_LEAF, lambda inner: _nodes(st.lists(inner, max_size=4)), max_leaves=12)


@given(_TREE)
def test_no_snapshot_breaks_it(page: Json) -> None:
    """Ids twice, labels for themselves, attributes of any kind: always an answer that fits JSON."""
    state = {"nodeId": 1, "checked": True, "touched": True}
    derived = read_and_derive(an_envelope(page, controls=[state], highlight=SUBMITTED))
    for one in derived.disclosures:
        assert one.keys() == {"key", "language", "agreed", "consentMechanism"}
    json.dumps([derived.disclosures, derived.flags])


def a_box(names: str = "", *, checked: bool) -> Json:
    """A tagged checkbox; `names` are the disclosures it is for."""
    attributes: dict[str, Any] = {"type": "checkbox", "data_ec_consent_checkbox": ""}
    if names:
        attributes["data_ec_consent_for"] = names
    if checked:
        attributes["checked"] = True
    return an_element("input", **attributes)


def a_state(box: Json, **state: Any) -> Json:
    """What the library saw of a box: as the snapshot shows it, unticked from the start."""
    checked = bool(box["attributes"].get("checked"))
    seen = {"checked": checked, "defaultChecked": False, "touched": False, "masked": False}
    return {"nodeId": box["id"], "type": "checkbox"} | seen | state


def a_claim(key: str, *, agreed: bool, **fields: Any) -> Json:
    """A claim of the page's script, with the text of `a_disclosure`."""
    claim = {"key": key, "agreed": agreed, "language": "I agree to be called.", "visible": True}
    return claim | fields


def of(elements: list[Json], **fields: Any) -> Derived:
    """What is derived of a page with these elements."""
    return read_and_derive(an_envelope(a_page(*elements), **fields))


def read_and_derive(envelope: Json) -> Derived:
    """What is derived of an upload."""
    return derive(*read(json.dumps(envelope).encode()))


def judged(derived: Derived) -> dict[str, tuple[str, bool]]:
    """Mechanism and agreement by key."""
    return {d["key"]: (d["consentMechanism"], d["agreed"]) for d in derived.disclosures}
