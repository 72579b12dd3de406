"""How lines look: one color a strategy in all figures, and dashes that differ in gray, too."""

from __future__ import annotations

import dataclasses
import zlib

GRAY = "#6e6e6e"

_COLORS = {
    "random": GRAY,
    "mlmoc": "#c1272d",
    "margin": "#0072b2",
    "entropy": "#56b4e9",
    "badge": "#009e73",
    "residual": "#e69f00",
    "coreset": "#8c6bb1",
    "bald": "#a6761d",
    "batchbald": "#b8a03f",
    "learning_loss": "#666600",
    "naive": "#1a1a1a",
    "one_step": "#3f7f93",
    "infinite_ntk": "#cc79a7",
    "emoc": "#7a0177",
    "eer": "#5c4033",
    "gp": "#41ab5d",
    "typiclust": "#4c72b0",
    "uherding": "#dd8452",
    "lcmd": "#da8bc3",
    "bait": "#937860",
    "last_layer": "#b5651d",
    "epig": "#2a9d8f",
    "ntkcpl": "#7a5195",
}
"""Colors that people tell apart, also with a color vision deficiency; the others share the rest.

Dashes and markers go by the order, so new rows come last."""

_MORE = ("#55a868", "#8c8c8c", "#ccb974", "#64b5cd", "#bc5090")
_DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1)),
    (0, (6, 2, 1, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
_MARKERS = "osD^vP<X"  # a star would vanish under its white edge


@dataclasses.dataclass(frozen=True)
class Style:
    """The look of a line."""

    color: str
    dashes: str | tuple[int, tuple[int, ...]]
    marker: str
    width: float = 1.6


def of(strategy: str, variant: int = 0) -> Style:
    """Returns the style of a strategy.

    Args:
      strategy: its name.
      variant: 0 for its first set of options in a figure, 1 for the second and so on. Variants
        share the color, and differ in dashes and markers.
    """
    # Not by the number in the registry: a new strategy must not change how others look.
    names = list(_COLORS)
    number = names.index(strategy) if strategy in names else zlib.crc32(strategy.encode())
    color = _COLORS.get(strategy, _MORE[number % len(_MORE)])
    first = 0 if strategy in ("mlmoc", "random") else 1 + number % (len(_DASHES) - 1)
    return Style(
        color,
        _DASHES[(first + variant) % len(_DASHES)],
        _MARKERS[(number + variant) % len(_MARKERS)],
        2.2 if strategy == "mlmoc" else 1.6,
    )
