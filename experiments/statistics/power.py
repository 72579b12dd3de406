"""The power of a paired t test: what a number of seeds can show."""

from __future__ import annotations

import bisect

import numpy.typing as npt
from scipy import optimize, stats

from ntk_al._utils import checks

from . import arguments

_MOST_SEEDS = 2**30
_LARGEST_EFFECT = 2.0**14


def detectable_difference(
    spread: npt.ArrayLike, num_seeds: int, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The smallest true mean difference that a two-sided paired t test is likely to detect.

    Args:
      spread: the standard deviation of the paired differences in units of accuracy, or such
        differences, ``[S]`` with S ≥ 2, whose standard deviation is then taken.
      num_seeds: the number of pairs of the test.
      power: the probability of p < alpha if the true difference is the one returned.
      alpha: the level of the test.

    Returns:
      The difference, in units of accuracy.

    Raises:
      ValueError: if there are fewer than two seeds, or too few for any difference; if the spread is
        negative, not finite or made of fewer than two differences; or if not 0 < alpha < power < 1.

    Examples:
      >>> round(detectable_difference(0.02, num_seeds=10), 4)
      0.0199
    """
    sd = _standard_deviation(spread)
    _check_test(power, alpha)
    checks.at_least("num_seeds", num_seeds, 2)
    upper = 1.0
    while _power(upper, num_seeds, alpha) < power:
        upper *= 2
        if upper > _LARGEST_EFFECT:
            raise ValueError(
                f"with {num_seeds} seeds, no difference is detected at alpha={alpha} with power "
                f"{power}: add seeds"
            )
    effect = optimize.brentq(lambda effect: _power(effect, num_seeds, alpha) - power, 0, upper)
    return float(effect) * sd


def seeds_needed(
    spread: npt.ArrayLike, difference: float, power: float = 0.8, alpha: float = 0.05
) -> int:
    """The smallest number of seeds with which a two-sided paired t test detects a difference.

    Args:
      spread: see ``detectable_difference``.
      difference: the true mean difference in units of accuracy, of either sign, not zero.
      power: the probability of p < alpha.
      alpha: the level of the test.

    Raises:
      ValueError: if the difference is zero or not finite, or so small that more than 2^30 seeds are
        needed; see also ``detectable_difference``.

    Examples:
      >>> seeds_needed(0.02, difference=0.01)
      34
    """
    sd = _standard_deviation(spread)
    _check_test(power, alpha)
    checks.positive("the absolute difference", abs(difference))
    if sd == 0:
        return 2
    effect = abs(difference) / sd

    def is_enough(num_seeds: int) -> bool:
        return _power(effect, num_seeds, alpha) >= power

    enough = 2
    while not is_enough(enough):
        enough *= 2
        if enough > _MOST_SEEDS:
            raise ValueError(
                f"a difference of {difference} with a standard deviation of {sd} needs more than "
                f"{_MOST_SEEDS} seeds"
            )
    return bisect.bisect_left(range(enough), True, lo=max(2, enough // 2), key=is_enough)


def _power(effect: float, num_seeds: int, alpha: float) -> float:
    """Returns the probability of p < alpha if the mean is ``effect`` standard deviations.

    The square of t has the F distribution with 1 and n − 1 degrees of freedom and noncentrality
    n effect². TTestPower of statsmodels rests on scipy's noncentral t, which is NaN at some
    effects, and then its solve_power returns wrong numbers for five seeds or fewer.
    """
    if effect == 0:  # where the noncentral F of scipy is wrong
        return alpha
    noncentrality = num_seeds * min(effect, _LARGEST_EFFECT) ** 2
    critical = stats.f.isf(alpha, 1, num_seeds - 1)
    return float(stats.ncf.sf(critical, 1, num_seeds - 1, noncentrality))


def _standard_deviation(spread: npt.ArrayLike) -> float:
    spread = arguments.finite("spread", spread)
    if spread.ndim == 0:
        sd = float(spread)
    elif spread.ndim == 1 and spread.size > 1:
        sd = float(spread.std(ddof=1))
    else:
        raise ValueError(
            "spread must be a standard deviation or at least two differences, got shape "
            f"{spread.shape}"
        )
    checks.at_least("the standard deviation", sd, 0)
    return sd


def _check_test(power: float, alpha: float) -> None:
    arguments.probability("power", power)
    arguments.probability("alpha", alpha)
    if power <= alpha:
        raise ValueError(f"power must be above alpha, got power={power} and alpha={alpha}")
