"""``LookAheadSampling``: the look-ahead strategies as a query strategy of scikit-activeml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from skactiveml.base import SingleAnnotatorPoolQueryStrategy
from skactiveml.utils import MISSING_LABEL, check_equal_missing_label, is_labeled, simple_batch
from sklearn.base import clone

from ntk_al._utils import checks
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions
from ntk_al.acquisition.strategy import moved_outputs
from ntk_al.adapters.skactiveml.classifier import NetworkClassifier
from ntk_al.lookahead.criteria import LABEL_CRITERIA
from ntk_al.lookahead.ridges import RECOMMENDED
from ntk_al.types import Array


class LookAheadSampling(SingleAnnotatorPoolQueryStrategy):
    """Queries the examples whose labels would change the network most (arXiv:2206.12569).

    A batch is greedy: after each choice, the posterior absorbs the label that the network itself
    would give it, so that near copies are hardly chosen twice. The ridge is that of
    ``lookahead.select``. Until the classifier has a network, the choice is random.

    Args:
      criterion: how a change becomes a utility: a criterion that depends on labels, such as
        ``"mlmoc"``, ``"emoc"`` or ``"eer"``.
      options: further options of the look-ahead by name, see ``acquisition.LookaheadOptions``.
      missing_label: what stands for a missing label.
      random_state: breaks ties.
    """

    def __init__(
        self,
        criterion: str = "mlmoc",
        options: Mapping[str, Any] | None = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.criterion = criterion
        self.options = options

    def query(
        self,
        X: Any,
        y: Any,
        clf: NetworkClassifier,
        fit_clf: bool = True,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> Any:
        """Chooses candidates.

        Args:
          X: all examples, ``[N, ...]``.
          y: their labels, ``[N]``, some of which are missing.
          clf: the classifier.
          fit_clf: whether to fit a copy of it on ``X`` and ``y``; else it must be fitted.
          candidates: rows of ``X``, or examples ``[U, ...]``; ``None`` means all without a label.
          batch_size: how many to choose.
          return_utilities: whether to return utilities, too.

        Returns:
          The chosen rows, of ``X`` or, if examples were given, of these, ``[batch_size]``; and the
          utilities before each choice, ``[batch_size, N]`` or ``[batch_size, U]``, NaN for what
          cannot be chosen.

        Raises:
          TypeError: if an argument has the wrong type.
          ValueError: if shapes do not match, or an option is unknown.
        """
        x, y, candidates, batch_size, return_utilities = self._validate_data(
            X, y, candidates, batch_size, return_utilities, reset=True
        )
        x_candidates, mapping = self._transform_candidates(candidates, x, y)
        checks.one_of("criterion", self._named(), LABEL_CRITERIA)
        options = LookaheadOptions(**{"ridge": RECOMMENDED, **(self.options or {})})
        classifier = self._fitted(clf, fit_clf, x, y)
        size = len(x) if mapping is not None else len(x_candidates)
        rows = mapping if mapping is not None else np.arange(size)
        if classifier.network_ is None:
            utilities = np.full(size, np.nan)
            utilities[rows] = 0
            return simple_batch(
                utilities,
                self.random_state_,
                batch_size=batch_size,
                return_utilities=return_utilities,
            )
        known = is_labeled(y, missing_label=self.missing_label_)
        given = CandidateSet(
            network=classifier.network_,
            x_labeled=x[known],
            y_labeled=classifier.encoded(y[known]),
            x=x_candidates,
            ids=np.arange(len(x_candidates)),
            options=options,
        )
        key = jax.random.key(int(self.random_state_.randint(2**31 - 1)))
        picks, found = _greedy(key, self.criterion, given, batch_size)
        utilities = np.full((batch_size, size), np.nan)
        utilities[:, rows] = found
        chosen = rows[picks]
        return (chosen, utilities) if return_utilities else chosen

    def _named(self) -> str:
        if not isinstance(self.criterion, str):
            raise TypeError(f"criterion must be a name, got {self.criterion!r}")
        if self.options is not None and not isinstance(self.options, Mapping):
            raise TypeError(f"options must be a dict of options by name, got {self.options!r}")
        return self.criterion

    def _fitted(self, clf: Any, fit_clf: Any, x: np.ndarray, y: np.ndarray) -> NetworkClassifier:
        if not isinstance(clf, NetworkClassifier):
            raise TypeError(f"clf must be a NetworkClassifier, got {clf!r}")
        if not isinstance(fit_clf, bool):
            raise TypeError(f"fit_clf must be a bool, got {fit_clf!r}")
        check_equal_missing_label(clf.missing_label, self.missing_label_)
        return clone(clf).fit(x, y) if fit_clf else clf


def _greedy(
    key: Array, criterion: str, given: CandidateSet, k: int
) -> tuple[list[int], np.ndarray]:
    """Returns k rows, and the utilities before each choice, ``[k, U]``, NaN for earlier choices."""
    rows: list[int] = []
    found = []
    for step in range(k):
        selection = STRATEGIES[criterion](jax.random.fold_in(key, step), given, 1)
        utilities = selection.utilities.copy()
        utilities[rows] = np.nan
        found.append(utilities)
        rows.append(int(selection.ids[0]))
        if step + 1 < k:
            label = int(np.asarray(moved_outputs(given))[rows[-1]].argmax())
            given = given.observe(rows[-1], label, is_assumed=True)
    return rows, np.stack(found)
