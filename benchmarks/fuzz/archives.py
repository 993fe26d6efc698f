"""A recipe → one whose zip was written anew, or whose members were changed and packed anew."""

import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any

from onspec.recipe import archive

_STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 1 << 31, 1 << 40, 1 << 70, 0.5, -0.5, 1e-300, 1e308, "", "x", "\ud800", "9" * 5000, [], {},
    [[[[[]]]]], {"x": 1},
)  # fmt: skip


def rewrite(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A valid zip with valid checksums that is not as it was packed: other order, comment, compression, doubled or
    foreign members, bombs."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = [(info.filename, file.read(info)) for info in file.infolist()]
    how = chance.choice(("order", "comment", "compress", "double", "foreign", "bomb", "drop", "change"))
    at = chance.randrange(len(members))
    name, content = members[at]
    if how == "order":
        chance.shuffle(members)
    elif how == "double":
        members.append((name, content))
    elif how == "foreign":
        members.append((chance.choice(("../up", "/etc/x", "golden/a/b", "new", "golden/" + "n" * 300)), b"x"))
    elif how == "bomb":
        members.append(("golden/bomb.png", bytes(32 << 20)))
    elif how == "drop":
        del members[at]
    elif how == "change":
        spot = chance.randrange(len(content)) if content else 0
        members[at] = (name, content[:spot] + chance.randbytes(1) + content[spot + 1 :])
    method = zipfile.ZIP_DEFLATED if how in ("compress", "bomb") else zipfile.ZIP_STORED
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as file:
        warnings.simplefilter("ignore")  # zipfile warns of doubled names
        for member, body in members:
            file.writestr(zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0)), body, method)
        if how == "comment":
            file.comment = chance.randbytes(chance.randint(1, 40))
    return buffer.getvalue()


def repack(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Members changed and packed anew with right sums, as whoever means harm would: only a signature tells that."""
    members = archive.take_apart(data, "recipe")
    texts = [name for name in members if name.endswith(".json")]
    others = [name for name in members if name not in texts and name not in (archive.SUMS, archive.SIGNATURE)]
    how = chance.randrange(4)
    if how == 0:
        name = chance.choice(others)
        members[name] = _damaged(members[name], chance)
    elif how == 1:
        del members[chance.choice([*others, *texts])]
    else:
        name = archive.RECIPE if how == 2 else chance.choice(texts)
        members[name] = with_strange_value(members[name], chance)
    return archive.build(members)


def _damaged(content: bytes, chance: random.Random) -> bytes:
    if not content or chance.random() < 0.2:
        return chance.choice((b"", chance.randbytes(300)))
    if chance.random() < 0.2:
        return content[: chance.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(min(len(changed), chance.choice((200, 1 << 40))))] = chance.randrange(256)
    return bytes(changed)


def with_strange_value(text: bytes, chance: random.Random) -> bytes:
    """One value anywhere in the tree replaced, left out, or joined by a key that nobody knows."""
    tree = json.loads(text)
    spots: list[Callable[[Any], None]] = []
    _collect(tree, spots)
    if not spots:
        return text[:-1]
    chance.choice(spots)(chance.choice(_STRANGE))
    return json.dumps(tree, ensure_ascii=True).encode()


def _collect(tree: Any, spots: list[Callable[[Any], None]]) -> None:  # noqa: ANN401
    """What sets each value, and what adds one."""
    if isinstance(tree, dict):
        spots += [partial(tree.__setitem__, key) for key in (*tree, "strange")]
        for value in tree.values():
            _collect(value, spots)
    elif isinstance(tree, list):
        spots += [partial(tree.__setitem__, at) for at in range(len(tree))] + [tree.append]
        for value in tree:
            _collect(value, spots)
