"""What an archive keeps of a recipe, so that later it can be told what judged."""

import json
from hashlib import sha256

from onspec.recipe.package import Package


def facts_of(package: Package) -> tuple[str, str, str, str]:
    """Identity, name, sha256 of the network, and `recipe.json` with the sha256 of the taught image as `taught`.

    Of a hastened recipe the network is both, one behind the other.
    """
    recipe = package.recipe.model_dump(mode="json", by_alias=True)
    recipe["taught"] = None if package.taught is None else sha256(package.taught).hexdigest()
    text = json.dumps(recipe, ensure_ascii=False, separators=(",", ":"))
    networks = package.model + (package.coarse or b"")
    return package.identity, package.recipe.name, sha256(networks).hexdigest(), text
