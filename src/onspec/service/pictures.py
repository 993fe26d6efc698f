"""Overlays and score maps in an answer, for who asks for them."""

import base64
import json
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from onspec.domain import ScoreMap
from onspec.imaging.overlays import PREDICTION, outline_polygons, to_display
from onspec.imaging.writing import encode_image
from onspec.runtime.inspector import Result

PictureType = Literal["png", "jpeg"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What goes into an answer beside the inspection.

    Attributes:
        overlay: the image with its defects outlined, in this format.
        maps: the score map of each class, 16-bit PNG (0…65535 = 0…1), or 8-bit JPEG to look at.
    """

    overlay: PictureType | None = None
    maps: PictureType | None = None

    def __bool__(self) -> bool:
        """Whether anything is wanted."""
        return self.overlay is not None or self.maps is not None


NO_PICTURES = Wanted()


def picture_type(text: str) -> PictureType:
    """Raises ValueError for what is none."""
    if text in get_args(PictureType):
        return cast("PictureType", text)
    raise ValueError(f"must be {' or '.join(get_args(PictureType))}; got {text!r}")


def add_pictures(result: Result, wanted: Wanted) -> str:
    """The inspection's JSON with `overlay` and `maps` added: data URLs, which a page shows and any language unpacks.

    On an ERROR there is nothing to draw; the fields are null then.
    """
    fields: dict[str, str | dict[str, str] | None] = {}
    if wanted.overlay is not None:
        fields["overlay"] = _overlay(result, wanted.overlay)
    if wanted.maps is not None:
        fields["maps"] = _maps(result, wanted.maps)
    return result.inspection.to_json()[:-1] + "," + json.dumps(fields, ensure_ascii=False)[1:]


def _overlay(result: Result, kind: PictureType) -> str | None:
    if result.image is None or result.prediction is None:
        return None
    picture = to_display(result.image)
    outline_polygons(picture, [defect.polygon for defect in result.inspection.defects], PREDICTION)
    return _url(encode_image(picture, f".{kind}"), kind)


def _maps(result: Result, kind: PictureType) -> dict[str, str] | None:
    if result.prediction is None:
        return None
    return {m.cls: _url(encode_map(m, kind), kind) for m in result.maps}


def encode_map(score_map: ScoreMap, kind: PictureType = "png") -> bytes:
    """16-bit PNG with 65535 = 1, or 8-bit JPEG."""
    depth, most = (np.uint16, 65535.0) if kind == "png" else (np.uint8, 255.0)
    return encode_image(np.rint(score_map.values * most).astype(depth), f".{kind}")


def _url(data: bytes, kind: PictureType) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
