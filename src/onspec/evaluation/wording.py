"""Figures as people read them; what is not certain never reads as if it were."""


def number(value: float | None) -> str:
    """Three decimals; what is not 1 never reads as 1, and what is not defined says so."""
    if value is None:
        return "n/a"
    return ">0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def percent(share: float) -> str:
    """`13.2 %`: one decimal, three where one would read 0."""
    value = share * 100
    return "0 %" if share == 0 else f"{value:.1f} %" if value >= 0.1 else f"{value:.3f} %"


def score_text(score: float) -> str:
    """Four decimals; what is not 0 or 1 never reads as such."""
    if 0.99995 <= score < 1:
        return ">0.9999"
    return "<0.0001" if 0 < score < 0.00005 else f"{score:.4f}"


def ppm(share: float) -> str:
    """`38 462`: parts per million, whole ones; what is not 0 or a million never reads as such."""
    millionths = share * 1e6
    if 0 < millionths < 1:
        return "<1"
    whole = round(millionths)
    return thousands(min(whole, 999_999) if share < 1 else whole)


def thousands(count: int) -> str:
    """`38 462`, with narrow spaces."""
    return f"{count:,}".replace(",", "\u202f")
