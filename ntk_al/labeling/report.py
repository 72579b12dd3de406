"""What a campaign has reached: labels, agreement of the network with them, and accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ntk_al.labeling.events import Label
from ntk_al.labeling.ledger import Ledger

RECENT = 50
"""How many arrivals make the recent agreement."""


@dataclasses.dataclass(frozen=True)
class Rate:
    """A rate with its 95 % interval.

    Attributes:
      value: the share that was right.
      low: the lower end of Wilson's interval.
      high: its upper end.
      num: of how many.
    """

    value: float
    low: float
    high: float
    num: int

    @classmethod
    def of(cls, right: Sequence[bool] | np.ndarray) -> Rate:
        """Returns the rate of true values, of which there must be some."""
        right = np.asarray(right, bool)
        from scipy import stats  # a second that `import ntk_al` need not take

        test = stats.binomtest(int(right.sum()), len(right))
        interval = test.proportion_ci(confidence_level=0.95, method="wilson")
        return cls(float(right.mean()), float(interval.low), float(interval.high), len(right))

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Chosen labels beside equally many random ones, on the same audit examples.

    Attributes:
      num_labels: how many labels each network was trained on, about.
      chosen: accuracy after the first that many chosen labels.
      random: accuracy after that many random labels, which are other audit labels.
      difference: chosen minus random.
      low: the lower end of the 95 % interval of the difference.
      high: its upper end.
      num_saved: how many labels fewer, of the first chosen ones, reach the accuracy of the random
        ones; ``None`` if that was not found, or if it is not known that chosen ones are better.
    """

    num_labels: int
    chosen: Rate
    random: Rate
    difference: float
    low: float
    high: float
    num_saved: int | None

    @property
    def is_settled(self) -> bool:
        """Whether the interval of the difference does not hold zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        verdict = "yes" if self.low > 0 else "no" if self.high < 0 else "not known yet"
        saved = "" if not self.num_saved else f", and {self.num_saved} labels saved"
        return (
            f"Is it beating random? {verdict}: with {self.num_labels} labels each, "
            f"{100 * self.chosen.value:.1f} % chosen and {100 * self.random.value:.1f} % random, "
            f"{100 * self.difference:+.1f} points [{100 * self.low:.1f}, {100 * self.high:.1f}] "
            f"on {self.chosen.num} audit labels{saved}"
        )


@dataclasses.dataclass(frozen=True)
class Report:
    """The report of a campaign; ``print`` it.

    Attributes:
      num_examples: N.
      per_class: how many labels each class has, the audit's not counted.
      num_skipped: how many examples were skipped.
      num_replaced: how many labels were replaced.
      num_audit: how many audit labels there are.
      size_audit: how many audit examples there are.
      agreement: how often the network had predicted the label that was given, of all that arrived.
        The network proposed these because it was unsure, so that this is no accuracy.
      recent_agreement: the same of the last ``RECENT``.
      accuracy: of the network, on the audit labels.
      comparison: with random labels, if a training function was given and there are enough labels.
      missing: why there is no comparison, although a training function was given.
      num_pending: how many proposed examples have neither a label nor a skip.
      num_trained: how many of the labels were there when the network was first used, if it was.
    """

    num_examples: int
    per_class: Mapping[Label, int]
    num_skipped: int
    num_replaced: int
    num_audit: int
    size_audit: int
    agreement: Rate | None
    recent_agreement: Rate | None
    accuracy: Rate | None = None
    comparison: Comparison | None = None
    missing: str | None = None
    num_pending: int = 0
    num_trained: int | None = None

    @property
    def num_labels(self) -> int:
        """How many examples have a label, the audit's not counted."""
        return sum(self.per_class.values())

    def __str__(self) -> str:
        classes = ", ".join(f"{name}: {num}" for name, num in self.per_class.items())
        lines = [
            f"{self.num_labels} labels of {self.num_examples} examples ({classes})",
            f"{self.num_skipped} skipped, {self.num_replaced} replaced",
        ]
        if self.agreement and self.recent_agreement:
            line = (
                f"of {self.agreement.num} labels of proposed examples, the network had predicted "
                f"{self.agreement}"
            )
            if self.recent_agreement.num < self.agreement.num:
                line += f"; of the last {self.recent_agreement.num}, {self.recent_agreement}"
            lines.append(line)
        if not self.size_audit:
            lines.append("accuracy is not known: the campaign was created without audit examples")
        elif not self.num_audit:
            lines.append(
                f"accuracy is not known: none of the {self.size_audit} audit examples has a label"
            )
        elif self.accuracy is None:
            lines.append(
                f"{self.num_audit} of {self.size_audit} audit examples have a label, for the "
                "accuracy of a network"
            )
        else:
            line = f"accuracy on {self.num_audit} of {self.size_audit} audit examples: "
            line += str(self.accuracy)
            if self.num_trained is not None and self.num_trained < self.num_labels:
                line += f", of a network of {self.num_trained} of the {self.num_labels} labels"
            lines.append(line)
        if self.num_pending:
            lines.append(f"{self.num_pending} proposed examples have no answer yet")
        if any((self.agreement, self.accuracy, self.comparison)):
            lines.append("in brackets: intervals of 95 %")
        if self.comparison is not None:
            line = str(self.comparison)
            if not self.comparison.is_settled and self.num_audit < self.size_audit:
                line += "; more audit labels narrow the interval"
            lines.append(line)
        if self.missing is not None:
            lines.append(f"Is it beating random? not known: {self.missing}")
        return "\n".join(lines)


def of_ledger(
    ledger: Ledger,
    accuracy: Rate | None = None,
    comparison: Comparison | None = None,
    missing: str | None = None,
    num_trained: int | None = None,
) -> Report:
    """Makes the report of a campaign from its labels, and from what else is known."""
    state = ledger.state
    labels = np.array([*ledger.training().values()], int)
    counts = np.bincount(labels, minlength=ledger.classes.num).tolist()
    agreed = [arrival.predicted == arrival.label for arrival in state.arrivals.values()]
    return Report(
        num_examples=state.created.num_examples,
        per_class=dict(zip(ledger.recorded(range(len(counts))), counts, strict=True)),
        num_skipped=len(state.skipped),
        num_replaced=state.num_replaced,
        num_audit=len(ledger.audited()),
        size_audit=len(ledger.audit),
        agreement=Rate.of(agreed) if agreed else None,
        recent_agreement=Rate.of(agreed[-RECENT:]) if agreed else None,
        accuracy=accuracy,
        comparison=comparison,
        missing=missing,
        num_pending=len(state.pending),
        num_trained=num_trained,
    )
