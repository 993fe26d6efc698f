"""Golden samples are there for a reason each, few, small, and always the same."""

import itertools
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from onspec.decision.thresholds import Thresholds
from onspec.domain import Verdict
from onspec.recipe import archive
from onspec.recipe.golden_choice import MOST, Candidate, choose_golden

AT = Thresholds(image=0.5)


def candidate(name: str, score: float, *, bad: bool = False) -> Candidate:
    return Candidate(f"{name}.png", name, bad, score, size=100)


CLEAR = [candidate(f"g{i}", 0.01 * i) for i in range(9)] + [
    candidate(f"b{i}", 1 - 0.01 * i, bad=True) for i in range(9)
]


def chosen(candidates: list[Candidate], thresholds: Thresholds = AT, **bounds: int) -> dict[str, str]:
    return {name: c.part for name, c in choose_golden(candidates, thresholds, **bounds)}


def test_the_clearest_the_nearest_and_the_typical() -> None:
    assert chosen(CLEAR) == {
        "clear-good.png": "g0",
        "clear-defect.png": "b0",
        "under-threshold.png": "g8",
        "over-threshold.png": "b8",
        "typical-good.png": "g4",
        "typical-defect.png": "b4",
    }


def test_a_score_on_the_threshold_would_flip_without_a_fault() -> None:
    near = [candidate("near-under", 0.4999), candidate("near-over", 0.5001, bad=True)]
    assert not {"near-under", "near-over"} & set(chosen([*CLEAR, *near]).values())


def test_an_escape_or_false_reject_next_to_the_threshold_is_one() -> None:
    found = chosen([*CLEAR, candidate("escape", 0.45, bad=True), candidate("reject", 0.6)])
    assert (found["under-threshold.png"], found["over-threshold.png"]) == ("escape", "reject")


def test_the_review_band_has_its_own() -> None:
    found = chosen([*CLEAR, candidate("asked", 0.4)], Thresholds(image=0.5, review=0.3))
    assert found["under-threshold.png"] == "asked"
    assert found["under-review.png"] == "g8"


def test_each_class_has_its_clearest() -> None:
    classes = ("dent", "a / b", "pore")
    bad = [
        replace(
            candidate(f"{i}{n}", 0.9 - 0.1 * n, bad=True),
            cls=cls,
            class_scores={other: 0.9 - 0.1 * n if other == cls else 0.01 for other in classes},
        )
        for (i, cls), n in itertools.product(enumerate(classes), range(3))
    ]  # fmt: skip
    found = chosen([candidate("g", 0.1), *bad])
    assert found["clear-defect.png"] == "00"  # a dent: it needs no second one
    assert (found["clear-a-b.png"], found["clear-pore.png"]) == ("10", "20")
    assert "clear-dent.png" not in found


def test_every_verdict_is_among_them() -> None:
    judged = [replace(c, verdict=Verdict.NG if c.defective else Verdict.OK) for c in CLEAR]
    odd = replace(candidate("odd", 0.005), verdict=Verdict.REVIEW)  # a rule asks, the score does not
    assert chosen([*judged, odd])["judged-review.png"] == "odd"


def test_large_files_are_left_out_but_never_both_clear_ones() -> None:
    large = [replace(c, size=1000) for c in CLEAR]
    assert set(chosen(large, most_bytes=100)) == {"clear-good.png", "clear-defect.png"}
    assert len(chosen(large, most_bytes=3500)) == 3
    assert len(chosen(large, most=4)) == 4


SOME = st.lists(
    st.builds(
        Candidate,
        name=st.text("abc/ä .", min_size=1, max_size=9).map(lambda text: f"{text}.PNG"),
        part=st.sampled_from("pqrstuvw"),
        defective=st.booleans(),
        score=st.floats(0, 1),
        size=st.integers(0, 10),
        cls=st.sampled_from([None, "dent", "pore"]),
        class_scores=st.fixed_dictionaries({"dent": st.floats(0, 1), "pore": st.floats(0, 1)}),
        verdict=st.sampled_from([None, *Verdict]),
    ),
    max_size=30,
    unique_by=lambda c: c.name,
)


@given(SOME, st.randoms(), st.integers(0, 60))
def test_whatever_the_images(candidates: list[Candidate], random: Random, most_bytes: int) -> None:
    found = choose_golden(candidates, Thresholds(image=0.5, review=0.4), most_bytes=most_bytes)
    assert len(found) <= MOST
    assert len({c.part for _, c in found}) == len(found) == len({name for name, _ in found})
    assert sum(c.size for _, c in found[2:]) <= most_bytes
    assert all(archive.GOLDEN_NAME.fullmatch(name) for name, _ in found)
    if any(not c.defective for c in candidates):
        assert any(not c.defective for _, c in found)
    again = list(candidates)
    random.shuffle(again)
    assert choose_golden(again, Thresholds(image=0.5, review=0.4), most_bytes=most_bytes) == found
