"""A study of attribute agreement out of the archive: what each station said of the same parts, and what they are."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from onspec.domain import DataError, Verdict
from onspec.evaluation.agreement import CATEGORIES, AttributeStudy
from onspec.records.record import Entry


def study_of(entries: Iterable[Entry]) -> tuple[AttributeStudy, int]:
    """The study of records, oldest first, and how many reviewed parts are left out, as a station has not judged them.

    A station is an appraiser, its inspections of a part id in the order of time are the trials, and the part's newest
    review is its truth. Parts count that every station judged, with as many trials as all of them have.

    Raises:
        DataError: no part with a part id was reviewed and judged everywhere.
    """
    said: defaultdict[str, defaultdict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    truth: dict[str, tuple[float, bool]] = {}
    for entry in entries:
        part, verdict = entry.record.inspection.part_id, entry.record.inspection.verdict
        if part is None or verdict is Verdict.ERROR:
            continue
        said[part][entry.record.station].append(verdict)
        for reviewed in entry.reviews:
            at = reviewed.time.timestamp()
            if at >= truth.get(part, (0.0, False))[0]:
                truth[part] = at, reviewed.review.truth == "defective"
    known = [part for part in said if part in truth]
    stations = sorted({station for part in known for station in said[part]})
    parts = sorted(part for part in known if len(said[part]) == len(stations))
    if not parts:
        raise DataError(
            f"the archive has no part for a study: {len(said)} part ids, {len(known)} of them reviewed, none judged at "
            f"all of {len(stations)} stations; inspect known parts with their part_id and review them"
        )
    trials = min(len(said[part][station]) for part in parts for station in stations)
    verdicts = np.array(
        [[[CATEGORIES.index(v) for v in said[part][station][:trials]] for station in stations] for part in parts],
        np.int64,
    )
    defective = np.array([truth[part][1] for part in parts])
    names = tuple(str(n + 1) for n in range(trials))
    return AttributeStudy(tuple(parts), tuple(stations), names, verdicts, defective), len(known) - len(parts)
