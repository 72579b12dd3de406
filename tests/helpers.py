"""Small networks, kernels with a known spectrum, and the plainest forms of what is tested."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ntk_al import Network, models
from ntk_al.network import Predictive
from ntk_al.types import GramBlocks

nnx_list = getattr(nnx, "List", list)
"""A list of layers in an NNX module, which was a plain list before Flax 0.12."""

TINY_WIDTHS = {"resnet18": 4, "convnet": 6}
"""Where 8 is more than a test needs."""


class TinyNet(nn.Module):
    """A convolution, BatchNorm and a head: every kind of parameter, compiled in a moment."""

    num_classes: int = 3

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Conv(4, (3, 3))(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Linear(nn.Module):
    """Logits that are linear in the inputs: its kernel is the same for every class, exactly."""

    num_classes: int = 3

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


def network(seed=0, num_classes=3, dtype=np.float32):
    """A tiny network whose running statistics are not the initial ones."""
    is_wide = jax.config.jax_enable_x64
    return Network(TinyNet(num_classes), _variables(seed, num_classes, dtype, is_wide))


@functools.cache  # hundreds of tests take the same few networks
def _variables(seed, num_classes, dtype, is_wide):
    del is_wide  # the random numbers depend on it
    rng = np.random.default_rng(seed)
    module = TinyNet(num_classes)
    variables = module.init(jax.random.key(seed), images(1))
    variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), variables)
    statistics = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(rng.uniform(0.1, 0.5, leaf.shape), dtype),
        variables["batch_stats"],
    )
    return {**variables, "batch_stats": statistics}


def tiny_model(name, num_classes=3, **options):
    """A model of this package, as narrow as tests like it."""
    return models.build(name, num_classes, width=TINY_WIDTHS.get(name, 8), **options)


def images(num, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(num, 4, 4, 1)).astype(dtype)


def labels(num, num_classes=3, seed=0):
    return np.random.default_rng(seed).integers(0, num_classes, num).astype(np.int32)


def kernel_with_spectrum(eigenvalues, seed=0):
    """A symmetric matrix with the given eigenvalues, float64."""
    n = len(eigenvalues)
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))
    return (basis * np.asarray(eigenvalues)) @ basis.T


def square_blocks(theta, num_labeled):
    """Blocks of one kernel over labeled points and then query points."""
    n = num_labeled
    return GramBlocks.square(theta[:n, :n], theta[:n, n:], theta[n:, n:])


def retrained(theta_xl, theta_ll, noise, residual, logits):
    """Eq. 11, afresh: f(x) + Θ(x, L) (Θ(L, L) + λI)⁻¹ (Y − f(L))."""
    a = theta_ll + noise * np.eye(len(theta_ll))
    return logits + theta_xl @ np.linalg.solve(a, residual)


@functools.partial(jax.jit, static_argnames="readout")
def gradient(net, x, readout="first_logit"):
    """∂g/∂θ of one example by itself, flat. Compiled, because one by one is slow enough."""
    leaves = jax.tree.leaves(
        jax.grad(lambda p: net.with_params(p).readout(x[None], readout)[0])(net.params)
    )
    return jnp.concatenate([leaf.ravel() for leaf in leaves])


def plain_gram(net, x1, x2, readout="first_logit"):
    """One gradient at a time, one inner product at a time."""
    rows1, rows2 = ([np.asarray(gradient(net, x, readout)) for x in xs] for xs in (x1, x2))
    return np.array([[np.dot(r1, r2) for r2 in rows2] for r1 in rows1])


def naive_scores(
    theta,
    logits,
    targets,
    *,
    num_labeled,
    num_eval,
    criterion,
    reference,
    ridge,
    noise=None,
    moved=None,
):
    """Scores by solving Eq. 11 afresh for each candidate and label; points are [L, E, U].

    Changes are measured from ``moved``, which also makes the pseudo-labels, if labels have moved
    the network.
    """
    n, e = num_labeled, num_eval
    outputs = logits if moved is None else moved
    labeled, evaluation = np.arange(n), np.arange(n, n + e)
    if noise is None:
        noise = ridge * np.diagonal(theta)[:n].mean()

    def after(j, y):
        """Outputs at the evaluation points once j is labeled as y."""
        known = np.append(labeled, j)
        residual = np.vstack([targets, np.eye(logits.shape[1])[y]]) - logits[known]
        return retrained(
            theta[np.ix_(evaluation, known)],
            theta[np.ix_(known, known)],
            noise,
            residual,
            logits[evaluation],
        )

    if criterion in PLAIN_VARIANCE_CRITERIA:
        plain = PLAIN_VARIANCE_CRITERIA[criterion]
        return plain(theta, noise, labeled, evaluation, range(n + e, len(theta)))
    before = outputs[evaluation]
    if reference == "linearized":
        residual = targets - logits[:n]
        before = retrained(theta[n : n + e, :n], theta[:n, :n], noise, residual, logits[evaluation])
    return np.array(
        [
            PLAIN_CRITERIA[criterion](functools.partial(after, j), before, outputs[j])
            for j in range(n + e, len(theta))
        ],
        np.float64,
    )


def plain_variance_removed(theta, noise, labeled, evaluation, candidates):
    """The sum of the posterior variances before each candidate is labeled, minus that after."""

    def total(known):
        a = theta[np.ix_(known, known)] + noise * np.eye(len(known))
        cross = theta[np.ix_(evaluation, known)]
        prior = theta[np.ix_(evaluation, evaluation)]
        return np.trace(prior - cross @ np.linalg.solve(a, cross.T))

    return np.array([total(labeled) - total(np.append(labeled, j)) for j in candidates])


def plain_information(theta, noise, labeled, evaluation, candidates):
    """Σ_x I(y_x; y_j): entropies of each label, of the other, and of both, all given the labels."""

    def entropy_of(points):
        """½ log det of the covariance of noisy labels; each copy of a point has its own noise."""
        a = theta[np.ix_(labeled, labeled)] + noise * np.eye(len(labeled))
        cross = theta[np.ix_(points, labeled)]
        prior = theta[np.ix_(points, points)] + noise * np.eye(len(points))
        return np.linalg.slogdet(prior - cross @ np.linalg.solve(a, cross.T))[1] / 2

    return np.array(
        [
            sum(entropy_of([x]) + entropy_of([j]) - entropy_of([x, j]) for x in evaluation)
            for j in candidates
        ]
    )


PLAIN_VARIANCE_CRITERIA = {"variance": plain_variance_removed, "epig": plain_information}
"""Each criterion of the covariance in its plainest form."""


def output_change(after, before):
    return np.linalg.norm(after - before, axis=1).sum()


PLAIN_CRITERIA = {
    "mlmoc": lambda after, before, f: output_change(after(f.argmax()), before),
    "emoc": lambda after, before, f: sum(
        p * output_change(after(y), before) for y, p in enumerate(probabilities(f))
    ),
    "eer": lambda after, _, f: (
        -sum(p * entropy(probabilities(after(y))).sum() for y, p in enumerate(probabilities(f)))
    ),
    "flips": lambda after, before, f: (after(f.argmax()).argmax(1) != before.argmax(1)).sum(),
    "brier": lambda after, before, f: sum(
        p * ((probabilities(after(y)) - probabilities(before)) ** 2).sum()
        for y, p in enumerate(probabilities(f))
    ),
    "log_score": lambda after, before, f: sum(
        p * relative_entropy(probabilities(after(y)), probabilities(before))
        for y, p in enumerate(probabilities(f))
    ),
}
"""Each criterion of labels in its plainest form: outputs after, outputs before, f(x_j)."""

PREDICTIVE = Predictive(temperature=0.4)
"""The distribution of ``probabilities``; the softmax of f itself would hide a forgotten one."""


def probabilities(outputs):
    return softmax(np.asarray(outputs, np.float64) / 0.4)


def softmax(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def entropy(p):
    return -(p * np.log(p)).sum(-1)


def relative_entropy(p, q):
    return (p * np.log(p / q)).sum()
