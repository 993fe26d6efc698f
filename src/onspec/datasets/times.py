"""Times as they are said (dates of many forms, or numbers that count up) → an order."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from onspec.domain import DataError

_FORMS = (
    *("%Y%m%d_%H%M%S", "%Y%m%d-%H%M%S", "%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d", "%Y_%m_%d", "%Y.%m.%d"),
    *("%Y-%m-%d_%H-%M-%S", "%Y-%m-%d-%H-%M-%S", "%Y_%m_%d_%H_%M_%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d"),
    *("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"),
)
"""Forms beside ISO 8601. Day and month are told apart by the place of the year or by dots; `5/6/2026` is not taken."""

_ALLOWED = "2026-05-31, 2026-05-31T07:15:00, 20260531, 20260531_071500, 31.05.2026, or a number that counts up"


def in_order(texts: Mapping[str, str]) -> dict[str, float]:
    """A number for every text by name, larger for later: seconds since 1970 for dates, else the number itself.

    All must be dates, or all numbers. Dates without a zone are compared as they are.

    Raises:
        DataError: one is neither, or some are dates and others numbers, or some name their zone and others not.
    """
    dates = {name: _date(text) for name, text in texts.items()}
    odd = next((name for name in sorted(texts) if dates[name] is None), None)
    if odd is None:
        return _seconds({name: date for name, date in dates.items() if date is not None}, texts)
    if all(re.fullmatch(r"\d+(\.\d+)?", text) for text in texts.values()):
        return {name: float(text) for name, text in texts.items()}
    raise DataError(f"{odd}: {texts[odd]!r} is no time; allowed, all of one kind: {_ALLOWED}")


def _seconds(dates: Mapping[str, datetime], texts: Mapping[str, str]) -> dict[str, float]:
    zoned = sorted(name for name, date in dates.items() if date.tzinfo is not None)
    if zoned and len(zoned) < len(dates):
        bare = min(dates.keys() - set(zoned))
        raise DataError(
            f"{zoned[0]} says its time with a zone ({texts[zoned[0]]!r}), {bare} without ({texts[bare]!r}); "
            "write all in one form"
        )
    return {name: (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() for name, date in dates.items()}


def _date(text: str) -> datetime | None:
    """The date of a text; `None` for another text, and for a number that is no date of this age."""
    for form in (None, *_FORMS):
        try:
            date = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
        except ValueError:
            continue
        if 1970 <= date.year < 2200:
            return date
    return None
