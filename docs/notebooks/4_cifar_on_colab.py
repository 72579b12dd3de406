# %% [markdown]
# # CIFAR10 on Colab
#
# A WideResNet on CIFAR10, on the GPU or TPU that Colab lends: 1000 labels, then 500 more, chosen by MLMOC, by margin or at
# random. On a T4 this takes a quarter of an hour, most of it training. Take "Runtime", "Change runtime type" first.

# %%
# On Colab, clone this repository into the folder ntk_al, and install it; JAX stays as it is:
# %pip install --quiet "./ntk_al[data,experiments]"

# %%
import time

import jax
import matplotlib.pyplot as plt
import numpy as np

from ntk_al import data, lookahead, models, training
from ntk_al.acquisition import STRATEGIES, CandidateSet

print(jax.devices())

# %% tags=["parameters"]
num_labeled, num_more, num_candidates = 1000, 500, 4000
width, epochs, seeds = 160, 60, (0, 1)

# %% [markdown]
# ## The data
#
# tensorflow-datasets downloads CIFAR10 once. Where TensorFlow is missing, as on Colab's TPUs, `%pip install tensorflow-cpu`
# first.

# %%
cifar = data.load("cifar10")
x, y = cifar.x_train, cifar.y_train
print(x.shape, x.dtype)

# %% [markdown]
# ## Train, choose, train again

# %%
config = training.TrainingConfig(
    epochs=epochs, batch_size=64, learning_rate=0.1, augmentation=cifar.augmentation
)
module = models.WideResNet(num_classes=10, blocks=1, width=width)


def train(rows, seed):
    network = training.initialize(jax.random.key(seed), module, x[:1])
    network, _ = training.fit(jax.random.key(seed), network, x[rows], y[rows], config)
    return network, training.accuracy(network, cifar.x_test, cifar.y_test)


def by_look_ahead(network, labeled, pool, seed):
    return lookahead.select(network, x[labeled], y[labeled], x[pool], num_more).rows


def by_strategy(name):
    def choose(network, labeled, pool, seed):
        given = CandidateSet(network, x[labeled], y[labeled], x[pool], np.arange(len(pool)))
        return STRATEGIES[name](jax.random.key(seed), given, num_more).ids

    return choose


ways = {"MLMOC": by_look_ahead, "margin": by_strategy("margin"), "random": by_strategy("random")}
accuracy = {"before": [], **{name: [] for name in ways}}
for seed in seeds:
    order = np.random.default_rng(seed).permutation(len(x))
    labeled, pool = order[:num_labeled], order[num_labeled : num_labeled + num_candidates]
    network, before = train(labeled, seed)
    accuracy["before"].append(before)
    for name, choose in ways.items():
        start = time.perf_counter()
        rows = pool[choose(network, labeled, pool, seed)]
        seconds = time.perf_counter() - start
        _, after = train(np.concatenate([labeled, rows]), seed)
        accuracy[name].append(after)
        print(
            f"seed {seed}, {name}: chosen in {seconds:.0f} s, accuracy {before:.1%} to {after:.1%}"
        )

# %% [markdown]
# The seeds share labels and weights, so that differences are paired. Two seeds are a demonstration and no evidence: for that,
# `ntk-al sweep --flagfile=cifar10.flags --strategy=mlmoc,margin,random --seed=0..9 --workdir=runs/cifar10`.

# %%
figure, panel = plt.subplots(figsize=(5, 3), layout="constrained")
for seed in range(len(seeds)):
    points = [100 * values[seed] for values in accuracy.values()]
    panel.plot(points, "o", label=f"seed {seeds[seed]}")
panel.set_xticks(range(len(accuracy)), list(accuracy))
panel.set_ylabel("test accuracy [%]")
panel.legend()
plt.show()

# %%
assert all(len(values) == len(seeds) for values in accuracy.values())
chance = 1 / np.sqrt(len(cifar.y_test))  # two standard errors of an accuracy
assert np.mean(accuracy["MLMOC"]) > np.mean(accuracy["before"]) - chance
