"""Named cases: networks and inputs whose Gram matrix a benchmark forms."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from absl.flags import FlagValues
from flax import nnx

from ntk_al import Network, models, training

from . import entry
from .vision_transformer import VisionTransformer

flags.disclaim_key_flags()  # the flags belong to the benchmark, which shows them in its --help

NUM_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Case:
    """A Gram matrix to form.

    Attributes:
      model: a key of ``models.MODELS``, or of ``OTHERS``.
      width: the width of the model.
      image: height, width and channels of the inputs.
      num_examples: N, for an N × N Gram matrix.
      memory_budget: bytes that computing the Gram matrix may take.
      seed: the seed of weights and inputs.
    """

    model: str
    width: int
    image: tuple[int, int, int]
    num_examples: int
    memory_budget: int = 8 * 2**30
    seed: int = 0

    def quick(self) -> Case:
        """Returns a tiny version of this case: a narrow network and a few small images."""
        return dataclasses.replace(self, width=8, image=(8, 8, self.image[2]), num_examples=4)

    def make(self) -> tuple[Network, jax.Array]:
        """Makes the network, with running statistics like those after training, and its inputs."""
        x = np.random.default_rng(self.seed).normal(size=(self.num_examples, *self.image))
        x = x.astype(np.float32)
        if self.model in OTHERS:
            return OTHERS[self.model](self), jnp.asarray(x)
        module = models.build(self.model, NUM_CLASSES, width=self.width)
        network = training.initialize(jax.random.key(self.seed), module, x)
        # Initial statistics are zeros and ones, so a peer that ignores them would go unnoticed.
        rng = np.random.default_rng(self.seed + 1)
        variables = {
            "params": network.params,
            "batch_stats": jax.tree.map(
                lambda leaf: leaf + jnp.asarray(rng.uniform(0, 0.2, leaf.shape), leaf.dtype),
                network.variables["batch_stats"],
            ),
        }
        return Network(module, variables), jnp.asarray(x)


def _vision_transformer(case: Case) -> Network:
    rngs = nnx.Rngs(case.seed)
    return Network.from_nnx(VisionTransformer(NUM_CLASSES, case.width, case.image, rngs))


OTHERS: dict[str, Callable[[Case], Network]] = {"vision_transformer": _vision_transformer}
"""Networks that are not models of the package, by name."""

CASES: dict[str, Case] = {
    "wide_resnet_64": Case("wide_resnet", 64, (28, 28, 1), 512),
    "wide_resnet_256": Case("wide_resnet", 256, (28, 28, 1), 512),
    "resnet18": Case("resnet18", 64, (32, 32, 3), 96),
    # N is the number of labels and candidates in mnist.flags.
    "mnist_protocol": Case("wide_resnet", 64, (28, 28, 1), 4100, memory_budget=4 * 2**30),
    # At N = 512, vmap(grad) and its product need more than 24 GiB.
    "vit_tiny": Case("vision_transformer", 192, (32, 32, 3), 256),
}


def define_flags(names: Sequence[str], values: FlagValues) -> None:
    """Defines the flags of a benchmark that forms the Gram matrices of the named cases."""
    entry.define_names("cases", names, "The cases to time:", values)
    flags.DEFINE_float(
        "limit", 60, "Seconds for a call; longer times are extrapolated.", flag_values=values
    )


def chosen(values: FlagValues) -> dict[str, Case]:
    """Returns the cases that the flags choose, by name."""
    cases = {name: dataclasses.replace(CASES[name], seed=values.seed) for name in values.cases}
    return {name: case.quick() if values.quick else case for name, case in cases.items()}


def rows_of_all(
    cases: Mapping[str, Case], measure: Callable[[str, Case], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Measures one case after another, and returns all rows, each with the name of its case."""
    rows = []
    for name, case in cases.items():
        print(f"{name}: {case}", file=sys.stderr, flush=True)
        rows += [{"case": name, **row} for row in measure(name, case)]
    return rows
