"""Random damage to files."""

from __future__ import annotations

import shutil


def damaged(rng, content):
    """Cuts, empties, zeroes, scrambles or lengthens bytes as disks and other programs do."""
    changed = bytearray(content)
    position = int(rng.integers(len(content)))
    length = int(rng.integers(1, 1 + len(content) - position))
    kind = rng.choice(["cut", "empty", "bytes", "zeros", "noise", "twice", "longer", "other"])
    if kind == "cut":
        del changed[position:]
    elif kind == "empty":
        changed.clear()
    elif kind == "bytes":
        for place in rng.integers(len(content), size=rng.integers(1, 9)):
            changed[place] = rng.integers(256)
    elif kind == "zeros":
        changed[position : position + length] = bytes(length)
    elif kind == "noise":
        changed[position : position + length] = rng.bytes(length)
    elif kind == "twice":
        changed[position:position] = content[position : position + length]
    elif kind == "longer":
        changed += rng.bytes(length)
    else:
        changed = bytearray(b'{"another": "kind of file"}\n')
    return bytes(changed)


def put_back(folder, original):
    """Makes a folder what it was."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)
