"""The one exception tree. Every message says what is wrong, what was got, what is allowed and what to do next.

OnspecError                  anything onspec refuses, in one plain sentence
├── UsageError               an option or argument that cannot be right
├── MissingExtraError        an optional dependency is not installed; names the install line
├── DataError                a data set that cannot be used as it is
│   ├── LayoutError          no known layout, or not the one that was named
│   ├── LabelError           a label that does not fit its image
│   └── SplitError           a split that is absent, leaks or leaves a part out
├── ImageError               one image that cannot be judged; among a thousand it ends as ERROR, the rest go on
│   ├── UnreadableImageError absent, truncated, corrupt or of a format nobody here decodes
│   ├── UnexpectedImageError readable, but of another size, depth or colour than the recipe was made for
│   ├── PartNotFoundError    the part is not where and as the rules' `part` says, so its zones are unknown
│   └── NotInspectableError  it does not look like those of the training: it shows nothing, or the rules refuse it
├── RulesError               acceptance rules that cannot be applied
├── RecipeError              a recipe file that cannot be used
│   └── IntegrityError       a recipe changed after it was packed, or not signed by whom it should be
├── EngineError              an inference engine that is unknown, cannot start or failed
├── RecordError              a verdict that cannot be recorded, or a record that is not there
└── EvidenceError            a claim that the data cannot support
"""


class OnspecError(Exception):
    """Base of all that onspec refuses. `str(error)` is the sentence a user reads."""


class UsageError(OnspecError):
    """An option or argument that cannot be right."""


class MissingExtraError(OnspecError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part of onspec; install it with: pip install 'onspec[{extra}]'")


class DataError(OnspecError):
    """A data set that cannot be used as it is."""


class LayoutError(DataError):
    """No known layout, or not the one that was named."""


class LabelError(DataError):
    """A label that does not fit its image."""


class SplitError(DataError):
    """A split that is absent, leaks or leaves a part out."""


class ImageError(OnspecError):
    """One image that cannot be judged."""


class UnreadableImageError(ImageError):
    """An image that is absent, truncated, corrupt or of an unknown format."""


class UnexpectedImageError(ImageError):
    """A readable image of another size, depth or colour than the recipe was made for."""


class PartNotFoundError(ImageError):
    """The part whose zones the rules speak of is not in the image, or not where it may be."""


class NotInspectableError(ImageError):
    """An image that does not look like those of the training: no verdict on it could be trusted."""


class RulesError(OnspecError):
    """Acceptance rules that cannot be applied."""


class RecipeError(OnspecError):
    """A recipe file that cannot be used."""


class IntegrityError(RecipeError):
    """A recipe that was changed after it was packed, or is not signed by whom it should be."""


class EngineError(OnspecError):
    """An inference engine that is unknown, cannot start or failed."""


class RecordError(OnspecError):
    """A verdict that cannot be recorded, or a record that is not there or cannot be used."""


class EvidenceError(OnspecError):
    """A claim that the data cannot support."""
