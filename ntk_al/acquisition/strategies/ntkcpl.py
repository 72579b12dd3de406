"""NTKCPL: how much of the pool a label would let the network tell apart, by clusters."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import clustering, geometry
from ntk_al.acquisition.strategies.criteria import scores_of
from ntk_al.acquisition.strategy import Utilities, facts
from ntk_al.lookahead import ALL_LOGITS, from_kernel
from ntk_al.lookahead.belief import Belief
from ntk_al.network.features import last_features
from ntk_al.types import Array

MOST_CLUSTERS = 500
"""Upper bound for the number of clusters before any is divided."""


def ntkcpl(key: Array, candidates: CandidateSet) -> Utilities:
    """−Σ_x 1[argmax f⁺(x) ≠ cluster of x], the risk after a label under cluster pseudo-labels.

    Wen, Pizarro and Williams 2023, "NTKCPL: Active learning on top of self-supervised model by
    estimating true coverage" (arXiv:2306.04099). Each point's pseudo-label is its cluster. A
    network whose classes are the clusters is trained on the labeled points, in closed form by the
    empirical tangent kernel; f⁺ is what it becomes when x_j is added with its own cluster. The
    evaluation points that f⁺ assigns to their clusters are those that the labels cover.

    What the abstract leaves open was decided here:

    - k-means divides the last features, scaled to length one, of labeled points, candidates and
      evaluation points into as many clusters as there are labels, but at least one for each class
      and at most 500.
    - A cluster whose labels disagree is divided: each of its points goes with the nearest of its
      labeled points, and those of one class stay together.
    - The clusters are those from before the query, so a label that is revealed within it counts
      as its point's cluster.
    - Features are those of the trained network; the paper begins with a self-supervised one.

    Args:
      key: unused.
      candidates: the candidates.

    Raises:
      ValueError: if the read-out is ``"all_logits"``, whose kernel belongs to the network's own
        classes.
      MissingExtraError: if scikit-learn is not installed.
    """
    del key
    if candidates.options.readout == ALL_LOGITS:
        raise ValueError(
            "the strategy 'ntkcpl' predicts clusters, so it needs a kernel that is the same for "
            "all outputs: choose a read-out other than 'all_logits'"
        )
    belief, clusters = candidates.once(_condition)
    if candidates.observed:
        rows = np.array(candidates.observed_rows)
        belief = belief.observe(rows, clusters[rows])
    # `flips` counts the points whose class is not that of the reference: here, their cluster.
    one_hot = np.eye(belief.mean.shape[1], dtype=belief.mean.dtype)[clusters]
    belief = dataclasses.replace(belief, logits=jnp.asarray(one_hot))
    missed = np.asarray(scores_of(belief, candidates, "flips", reference="network"))
    return Utilities(np.where(np.isfinite(missed), -missed, -np.inf), facts(belief))


def _condition(given: CandidateSet) -> tuple[Belief, np.ndarray]:
    """Trains the network of clusters; returns its posterior and the clusters of query points."""
    of_labeled, of_query = _clusters(given)
    num = 1 + max(of_labeled.max(), of_query.max())
    targets = np.eye(num, dtype=given.network_logits.dtype)[of_labeled]
    problem = given.problem
    zeros = np.zeros((len(of_query), num), targets.dtype)
    num_pool = problem.num_pool
    problem = dataclasses.replace(
        problem,
        targets=targets,
        residual=targets,
        pool_logits=zeros[:num_pool],
        eval_logits=None if problem.x_eval is None else zeros[num_pool:],
    )
    tiled = given.x_eval is None and not given.needs_posterior
    return from_kernel.condition(problem, given.options, given.blocks if tiled else None), of_query


def _clusters(given: CandidateSet) -> tuple[np.ndarray, np.ndarray]:
    """Computes the clusters of the labeled points, ``[L]``, and of the query points, ``[Q]``."""
    # k-means depends on the order of its points, which must not be that of the pool.
    order = np.argsort(given.ids)
    sets = [given.labeled_features[: len(given.x_labeled)], given.features[order]]
    if given.x_eval is not None:
        sets.append(np.asarray(last_features(given.network, given.x_eval)))
    points = np.concatenate([geometry.normalized(features) for features in sets])
    classes = np.asarray(given.problem.targets).argmax(1)
    num = min(max(len(classes), given.network_logits.shape[1]), MOST_CLUSTERS, len(points))
    clusters = divided(points, clustering.k_means(points, num), classes)
    of_labeled, of_query = clusters[: len(classes)], clusters[len(classes) :]
    of_query[order] = of_query[: len(order)].copy()
    return of_labeled, of_query


def divided(points: np.ndarray, clusters: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Divides clusters until no two labeled points of one cluster have different classes.

    Args:
      points: ``[N, d]``; the labeled ones come first.
      clusters: the cluster of each point, ``[N]``.
      classes: the classes of the labeled points, ``[L]``.

    Returns:
      The clusters of all points, numbered from 0 without gaps, ``[N]``.
    """
    labeled = np.arange(len(classes))
    of_class = np.zeros(len(points), int)
    for cluster in np.unique(clusters):
        marked = labeled[clusters[labeled] == cluster]
        if len(np.unique(classes[marked])) > 1:
            members = np.flatnonzero(clusters == cluster)
            nearest = geometry.nearest(points[members], points[marked])[1]
            of_class[members] = classes[marked][nearest]
            of_class[marked] = classes[marked]  # copies of a point may have different labels
    pairs = np.stack([clusters, of_class], axis=1)
    return np.asarray(np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1))
