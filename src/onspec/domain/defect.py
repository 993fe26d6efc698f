"""One defect as it is measured on a part; the object users see in JSON."""

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class Defect(BaseModel):
    """A connected region that the model marked, or a box that it drew, with its measures.

    Pixels count from the top left of the original image, x to the right, y down. Millimetres are `None` without a
    pixel size. Where the pixels' sides differ, elongation and orientation are those on the part. `polygon` is the outer
    outline; a box has its corners there. Contrast and the distance to other defects are measured where rules ask for
    them, else `None`.
    """

    model_config = ConfigDict(frozen=True)

    cls: str = Field("defect", validation_alias=AliasChoices("class", "cls"), serialization_alias="class")
    score: float = Field(ge=0, le=1)
    bbox: tuple[int, int, int, int] = Field(description="x, y, width, height in px")
    centroid: tuple[float, float] = Field(description="x, y in px")
    area_px: int = Field(ge=1)
    area_mm2: float | None = None
    length_px: float = Field(ge=0, description="long side of the smallest enclosing rectangle, px")
    width_px: float = Field(ge=0, description="short side of the smallest enclosing rectangle, px")
    length_mm: float | None = None
    width_mm: float | None = None
    elongation: float = Field(ge=1, description="length / width")
    orientation_deg: float = Field(ge=0, lt=180, description="long side against the x axis, counter-clockwise as seen")
    contrast: float | None = Field(
        None, ge=-1, le=1, description="mean gray less the median around it, as a share of the full range"
    )
    distance_to_edge_px: float | None = Field(None, ge=0, description="to the nearest edge of the image")
    distance_to_edge_mm: float | None = Field(None, ge=0)
    distance_to_defect_px: float | None = Field(None, ge=0, description="to the nearest other defect listed")
    distance_to_defect_mm: float | None = Field(None, ge=0)
    grade: str | None = Field(None, description="that the rules gave it")
    polygon: tuple[tuple[int, int], ...] = ()
