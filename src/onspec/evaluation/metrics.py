"""`metrics.json`. A figure that the data does not define is `null`."""

from pydantic import BaseModel, ConfigDict, Field

from onspec.decision.thresholds import Thresholds


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(_Figures):
    """A share with its exact (Clopper–Pearson) two-sided interval; all `null` where there is nothing to count."""

    value: float | None
    low: float | None
    high: float | None
    confidence: float


class Images(_Figures):
    """Images that were judged, by truth."""

    good: int
    defective: int


class ImageFigures(_Figures):
    """Images or parts as a whole. Escapes and false rejects follow the verdict, the rest follows the score."""

    average_precision: float | None
    auroc: float | None
    escapes: int = Field(description="defective and judged OK")
    false_rejects: int = Field(description="good and judged NG")
    reviews_good: int
    reviews_defective: int
    escape_rate: Rate
    false_reject_rate: Rate
    false_rejects_at_zero_escapes: int | None


class PartFigures(ImageFigures):
    """The same over parts: a part is what escapes or is rejected, however many images show it."""

    good: int
    defective: int
    errors: int = Field(description="parts with an image that could not be judged, and none that was NG")


class PixelFigures(_Figures):
    """At the pixel threshold. `dice` and `iou` are means over defective images of which it is known where."""

    dice: float | None
    iou: float | None
    dice_pooled: float | None = Field(description="of all such images taken as one: large defects weigh more")
    aupro: float | None
    images: int = Field(description="defective images with a mask that is not empty")
    good_marked_share: float | None = Field(None, description="marked share of good images' pixels, mean")
    iou_classes: float | None = Field(None, description="mean IoU over the labelled classes, images taken as one")
    boundary_f1: float | None = Field(None, description="F1 of outlines within 2 px, mean; over all classes together")


class DetectionFigures(_Figures):
    """Single defects at the operating point: as boxes for the task `detect`, else as regions.

    The average precisions are those of boxes, and depend on no threshold.
    """

    map_50: float | None = None
    map_50_95: float | None = None
    precision: float | None
    recall: float | None
    f1: float | None
    f1_iou50: float | None = Field(None, description="F1 of boxes that overlap one to one by half or more")
    defects: int
    defects_found: int
    reported: int
    reported_right: int


class ClassificationFigures(_Figures):
    """Which class an image was told to be; for classifiers, and where there are several classes of defects."""

    accuracy: float | None = None
    f1_macro: float | None = None
    confusion: list[list[int]] | None = Field(None, description="images: rows are the truth, columns what was told")
    classes: list[str] | None = Field(None, description="the labels of the confusion's rows and columns")


class ClassFigures(_Figures):
    """One class of defects."""

    average_precision: float | None = Field(None, description="of images with this class against good ones")
    pixel: PixelFigures
    detection: DetectionFigures


class MetricsProvenance(_Figures):
    """Where the figures come from. Times are UTC in ISO 8601."""

    created: str
    onspec: str
    recipe: str = Field(description="NAME@sha256:HEX")
    engine: str
    data: str = Field(description="the data set folder's name")
    layout: str
    fingerprint: str = Field(description="sha256 over names, contents, labels and split")
    split_from: str = Field(description="who said which part belongs to which split")
    command: str
    seconds: float
    versions: dict[str, str] = Field(default_factory=dict)


class Metrics(_Figures):
    """What `onspec evaluate` found; `notes` says in sentences what limits the figures."""

    task: str
    split: str
    images: Images
    errors: int = Field(description="images that could not be judged; they count nowhere else")
    threshold: float = Field(description="image threshold, also in `thresholds`")
    thresholds: Thresholds
    image: ImageFigures
    parts: PartFigures
    pixel: PixelFigures
    detection: DetectionFigures
    classification: ClassificationFigures = ClassificationFigures()
    per_class: dict[str, ClassFigures]
    notes: tuple[str, ...] = ()
    provenance: MetricsProvenance | None = None

    def to_json(self) -> str:
        """`metrics.json`."""
        return self.model_dump_json(indent=2) + "\n"
