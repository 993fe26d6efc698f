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
    one_to_one: bool = Field(
        False, description="a report finds one defect, by an IoU of half; else each that it shares a pixel with"
    )


class ClassificationFigures(_Figures):
    """Which class an image was told to be; for classifiers, and where there are several classes of defects."""

    accuracy: float | None = None
    f1_macro: float | None = None
    confusion: list[list[int]] | None = Field(None, description="images: rows are the truth, columns what was told")
    classes: list[str] | None = Field(None, description="the labels of the confusion's rows and columns")


class ClassFigures(_Figures):
    """One class of defects."""

    average_precision: float | None = Field(None, description="of images with this class against good ones")
    images: int = Field(0, description="judged images with this class on them")
    escapes: int = Field(0, description="of those, judged OK")
    escape_rate: Rate | None = None
    false_rejects: int = Field(0, description="good images judged NG that were taken for this class")
    pixel: PixelFigures
    detection: DetectionFigures


class KindFigures(_Figures):
    """One kind of defects: a class, or with one class those of about a size. Counts at the operating point."""

    kind: str
    size_from: float | None = Field(None, description="√area; `null` where kinds are classes or the size is not known")
    size_to: float | None = None
    defects: int
    found: int
    other_class: int = Field(description="reported, but as another class")
    missed: int
    not_judged: int = Field(description="wholly in zones that the rules ignore")
    area: float | None = Field(description="of all of them, in px² or mm²; `null` where the labels do not tell it")
    cumulative_share: float = Field(description="of the defects, up to and with this kind")


class ZoneFigures(_Figures):
    """One zone of the rules, or `elsewhere`. All but the two counts of labels are `null` in an ignored zone."""

    use: str | None = Field(description="ignore, forbid or `null`")
    defects: int = Field(description="labelled defects that touch the zone")
    defective: int = Field(description="images with such a defect")
    found: int | None
    missed: int | None = Field(description="not found, or reported as another class")
    escapes: int | None = Field(description="images with such a defect that were judged OK")
    escape_rate: Rate | None
    false_reports: int | None = Field(description="reports that touch the zone and no label")
    false_rejects: int | None = Field(description="good images judged NG with such a report")


class DetectabilityFigures(_Figures):
    """From which size on defects are found (POD, MIL-HDBK-1823A). Without a curve, `reason` says why."""

    measure: str = Field(description="what size is: the square root of a labelled defect's area")
    unit: str = Field(description="px or mm")
    defects: int = Field(description="of known size that were judged")
    found: int = Field(description="reported, by whatever class")
    intercept: float | None = Field(None, description="b0 of logit POD(a) = b0 + b1·ln a")
    slope: float | None = Field(None, description="b1")
    a50: float | None = Field(None, description="size that is found with a probability of 50 %")
    a90: float | None = Field(None, description="the same for 90 %")
    a90_95: float | None = Field(None, description="size that is found by 90 % with a confidence of 95 %")
    smallest: float | None = Field(None, description="size in the data; the curve is not known under it")
    largest: float | None = None
    reason: str | None = None


class CalibrationBin(_Figures):
    """Images that score about the same."""

    score_from: float
    score_to: float
    images: int
    defective: int
    mean_score: float | None
    share: Rate = Field(description="defective share")


class CalibrationFigures(_Figures):
    """How far a score can be read as the probability of being defective, on data with this share of defects."""

    expected_calibration_error: float | None
    bins: tuple[CalibrationBin, ...]


class CostFigures(_Figures):
    """Expected cost of a part, in units of what an error costs. A review costs nothing."""

    escape_cost: float
    false_reject_cost: float
    defect_share: float | None
    share_given: bool = Field(description="false: the share is that of the data")
    counted: str = Field(description="images, or parts where these have several")
    at_threshold: float | None
    least: float | None
    least_threshold: float | None
    all_ok: float | None = Field(description="if nothing were inspected")
    all_ng: float | None = Field(description="if every part were rejected")


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
    not_inspectable: Images = Field(
        Images(good=0, defective=0),
        description="of `images`, those that do not look like the training's: REVIEW if not NG, so no escapes",
    )
    threshold: float = Field(description="image threshold, also in `thresholds`")
    thresholds: Thresholds
    image: ImageFigures
    parts: PartFigures
    pixel: PixelFigures
    detection: DetectionFigures
    classification: ClassificationFigures = ClassificationFigures()
    per_class: dict[str, ClassFigures]
    kinds: tuple[KindFigures, ...] = ()
    zones: dict[str, ZoneFigures] | None = Field(None, description="`null` where the rules have none")
    detectability: DetectabilityFigures | None = None
    calibration: CalibrationFigures | None = None
    costs: CostFigures | None = None
    notes: tuple[str, ...] = ()
    provenance: MetricsProvenance | None = None

    def to_json(self) -> str:
        """`metrics.json`."""
        return self.model_dump_json(indent=2) + "\n"
