"""Measures Eq. 9: how far is a trained network from its linearization?

    python -m experiments.studies.linearization --workdir=DIR

f_lin(x) = f_0(x) + ∂f_0(x)/∂θ · (θ − θ_0) is the network linearized at its initialization. Both are
trained to convergence by gradient descent, from the same weights and with the same learning rate.
The paper states ‖f − f_lin‖ = O(1/√width).

What is measured is the root mean square of f − f_lin over test points and logits, both of which are
as many at all widths. The slope on log-log axes should thus be −1/2 or less. In the NTK
parameterization it may well be less, because 1/√width is a bound. For smooth activations the
tangent kernel moves by O(1/width) during training (Dyer and Gur-Ari 2020, Huang and Yau 2020), and
so does f − f_lin, so −1 is expected for ``erf``. ReLUs have no second derivative, but training
switches a share of about 1/√width of them on or off. In a layer of n units, these are √n errors of
about 1/n each, with random signs. This rough count suggests −3/4; what was measured is flatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from . import descent, networks, results
from .problem import draw_problem
from .settings import Settings


def row(width: int | None, seed: int, settings: Settings) -> dict[str, Any]:
    """Measures the distance of a network of finite width from its linearization.

    Returns:
      ``rms_difference``, the root mean square of f − f_lin; ``relative_difference``, that divided
      by the root mean square of f_lin − f_0; the training residual at the end of both trainings, as
      a share of that at initialization; and their numbers of steps.
    """
    assert width is not None
    data_key, key = jax.random.split(jax.random.key(seed))
    problem = draw_problem(data_key, settings)
    x, y, activation = problem.x, problem.y, settings.activation
    initial = networks.initialize(
        jax.random.fold_in(key, width), width, x.shape[1], y.shape[1], settings
    )
    rate = descent.learning_rate(initial, x, settings)
    trained = descent.train(initial, x, y, settings, rate=rate)
    moved = descent.train_linearized(initial, x, y, settings, rate=rate)
    before, after = (
        np.asarray(networks.outputs(params, problem.x_test, activation=activation))
        for params in (initial, trained.params)
    )
    linearized = np.asarray(
        networks.linearized_outputs(initial, moved.params, problem.x_test, activation=activation)
    )
    return {
        "rms_difference": _rms(after - linearized),
        "relative_difference": _rms(after - linearized) / _rms(linearized - before),
        "residual_network": trained.residual,
        "residual_linearized": moved.residual,
        "steps_network": trained.steps,
        "steps_linearized": moved.steps,
    }


STUDY = results.Study("linearization", ("rms_difference", "relative_difference"), row)


def measure(
    widths: Sequence[int], seeds: Sequence[int], settings: Settings | None = None
) -> dict[str, Any]:
    """Measures the distance from the linearization for all widths and seeds.

    Args:
      widths: the widths of the networks.
      seeds: the seeds, each with its own labeled points, test points and weights.
      settings: all other settings.

    Returns:
      ``definition``, the settings; ``slopes`` of ``rms_difference`` and ``relative_difference``
      over the widths, see ``scaling.slope``; and ``rows``, each with its ``width``, its ``seed``
      and what ``row`` measures.

    Raises:
      DivergedError: if a training does not converge.
    """
    return results.measure(STUDY, widths, seeds, settings or Settings())


def _rms(a: np.ndarray) -> float:
    return float(np.sqrt(np.mean(a**2)))


if __name__ == "__main__":
    results.main(STUDY)
