"""Large maps are weighed some rows at a time; that changes nothing, and saves memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.domain import ScoreMap
from onspec.imaging import weighing
from onspec.imaging.instances import objects_of
from onspec.imaging.weighing import Evidence, Peak, peak_field


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 40), st.sampled_from([1, 3, 9, 25]))
def test_strips_give_what_the_whole_gives(seed: int, height: int, width: int, window: int) -> None:
    rng = np.random.default_rng(seed)
    total = ScoreMap((rng.random((height, width)) ** 4).astype(np.float32))
    labels, places = objects_of(total.values >= 0.2, None)
    ways = (Peak(window), Evidence(0.5), Evidence(8.0))
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for rows in (7, 100):
            patch.setattr(weighing, "_ROWS", rows)
            found.append([(way.image(total, None)[0], way.regions(total, labels, len(places))) for way in ways])
    for (score, regions), (whole, whole_regions) in zip(*found, strict=True):
        assert score == pytest.approx(whole, rel=1e-6, abs=1e-12)
        np.testing.assert_allclose(regions, whole_regions, rtol=1e-6, atol=1e-12)
    assert found[0][0][0] == pytest.approx(float(peak_field(total, window).max()), rel=1e-6)


def test_weighing_a_large_map_takes_a_fraction_of_its_memory() -> None:
    total = ScoreMap(np.full((8192, 1024), 0.3, np.float32))
    labels = np.ones(total.values.shape, np.int32)
    for way in (Peak(9), Evidence(0.5)):
        tracemalloc.start()
        way.regions(total, labels, 2)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * total.values.nbytes  # all odds in float64 at once, and their powers, would take six times it
