"""A recipe → one whose zip was written anew: other order, comment, compression, doubled or foreign members, bombs."""

import io
import random
import warnings
import zipfile


def rewrite(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A valid zip with valid checksums that is not as it was packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
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
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # zipfile warns of doubled names
        for member, body in members:
            archive.writestr(zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0)), body, method)
        if how == "comment":
            archive.comment = chance.randbytes(chance.randint(1, 40))
    return buffer.getvalue()
