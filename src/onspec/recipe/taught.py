"""The image that a recipe's part was taught on: stored in the recipe, and what locates the part by it."""

from onspec.domain import ImageError, RecipeError, UsageError
from onspec.imaging.locating import Found, Locator
from onspec.imaging.preparation import conform
from onspec.imaging.reading import Image, decode_image
from onspec.imaging.writing import encode_image
from onspec.recipe import archive
from onspec.recipe.package import Package
from onspec.recipe.schema import Recipe


def teach(image: Image, recipe: Recipe, name: str) -> tuple[bytes, Found]:
    """The member `part/taught.png` of a recipe whose rules have a `part`, and how surely the part is found in it.

    The pixels are stored as they were read, without loss. `Found.runner_up` says how like the part the second best
    place is, within all that two parts may lie apart.

    Raises:
        UsageError: the rules have no part to find.
        UnexpectedImageError: not an image that the recipe takes.
        RulesError: the part cannot be found by this image, or could be mistaken.
    """
    spec = recipe.rules.part
    if spec is None:
        raise UsageError(
            f"{name}: the rules do not say how to find a part, so they need no image of it; give them a part, "
            "or leave out --part-image"
        )
    image = conform(image, recipe.input, name)
    return encode_image(image), Locator(image, spec).check(image)


def locator_of(package: Package) -> Locator | None:
    """What finds the package's part; `None` where the rules need none.

    Raises:
        RecipeError: rules with a part and no image of it, the reverse, or an image that the part is not in.
        RulesError: the taught image does not show what the rules say.
    """
    spec, taught, name = package.recipe.rules.part, package.taught, package.recipe.name
    if spec is None:
        if taught is not None:
            raise RecipeError(f"recipe {name}: it holds {archive.TAUGHT}, and its rules have no part; pack it again")
        return None
    if taught is None:
        raise RecipeError(
            f"recipe {name}: its rules locate a part, and the image that it was taught on is not in it; pack it with "
            "onspec pack --part-image GOOD.png"
        )
    try:
        image = conform(decode_image(taught, archive.TAUGHT), package.recipe.input, archive.TAUGHT)
    except ImageError as error:
        raise RecipeError(f"recipe {name}: {error}") from error
    return Locator(image, spec)
