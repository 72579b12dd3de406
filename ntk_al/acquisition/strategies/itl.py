"""Information about the evaluation points together: information-based transductive learning."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities, facts
from ntk_al.lookahead.belief import Belief
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.landmarks import LandmarkPosterior
from ntk_al.types import Array

_JITTER = 1e-6  # of the mean prior variance; kernels in float32 are off by 1e-7


def itl(key: Array, candidates: CandidateSet) -> Utilities:
    """I(f(A); y_j), how much a label says of the network at all evaluation points A (ITL).

    ½ log (S_jj + λ) / (S_jj − S_jA S_AA⁻¹ S_Aj + λ), of Hübotter et al. 2024 ("Transductive Active
    Learning: Theory and Applications", NeurIPS 37), with the covariance S of the retrained
    linearized network. Unlike ``epig``, it does not count twice what two evaluation points share.
    Where the candidates are the evaluation points, it is ½ log(1 + S_jj / λ): the uncertainty of
    the candidate alone. With ``options.readout="all_logits"``, a label is a vector of C outputs.

    Args:
      key: unused.
      candidates: the candidates.
    """
    del key
    belief, first = candidates.posterior, candidates.problem.num_candidates or 0
    return Utilities(information(belief, len(candidates.x), first), facts(belief))


def information(belief: Belief, num_candidates: int, first: int) -> np.ndarray:
    """Computes I(f(A); y_j) of the candidates, ``[U]``, in nats.

    Args:
      belief: the posterior at the query points, of which the first are the candidates.
      num_candidates: U.
      first: the row of the first evaluation point; A reaches from it to the last query point.
    """
    num_outputs = belief.logits.shape[1] if isinstance(belief, FullPosterior) else 1
    noise = float(belief.noise)
    among, cross, own = _blocks(belief, num_candidates, first)
    prior = belief.flat.prior if isinstance(belief, FullPosterior) else belief.prior
    among += _JITTER * float(np.asarray(prior).mean()) * np.eye(len(among))
    whitened = np.linalg.solve(np.linalg.cholesky(among), cross)
    whitened = whitened.reshape(len(among), num_candidates, num_outputs)
    explained = np.einsum("aic,aid->icd", whitened, whitened)
    left = own - explained
    # What A explains all of is left with a rounding error of either sign.
    values = np.maximum(np.linalg.eigvalsh((left + np.swapaxes(left, 1, 2)) / 2), 0)
    before = np.maximum(np.linalg.eigvalsh(own), 0) + noise
    tiny = np.finfo(float).tiny
    ratio = np.maximum(before, tiny) / np.maximum(values + noise, tiny)
    return np.asarray(0.5 * np.log(ratio).sum(1))


def _blocks(
    belief: Belief, num_candidates: int, first: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns S(A, A), S(A, U) and the diagonal blocks of S(U, U), ``[U, C, C]``."""
    if isinstance(belief, LandmarkPosterior):
        factor = np.asarray(belief.factor, np.float64)
        points, pool = factor[first:], factor[:num_candidates]
        remainder = np.asarray(belief.remainder, np.float64)
        among = points @ points.T + np.diag(remainder[first:])
        cross = points @ pool.T
        if not first:  # the candidates are the first evaluation points
            cross[np.arange(num_candidates), np.arange(num_candidates)] += remainder[
                :num_candidates
            ]
        return among, cross, np.asarray(belief.variance, np.float64)[:num_candidates, None, None]
    if isinstance(belief, FullPosterior):
        s = np.asarray(belief.covariance, np.float64)
        num, num_outputs = s.shape[:2]
        own = np.einsum("jcjd->jcd", s[:num_candidates, :, :num_candidates])
        flat = s.reshape(num * num_outputs, num * num_outputs)
        rows = slice(first * num_outputs, None)
        return flat[rows, rows].copy(), flat[rows, : num_candidates * num_outputs], own
    s = np.asarray(belief.covariance, np.float64)
    own = s.diagonal()[:num_candidates, None, None]
    return s[first:, first:].copy(), s[first:, :num_candidates], own
