# %% [markdown]
# # Five minutes
#
# Which examples should be labeled next? Here a network is trained on 40 labeled digits, chooses 40 more, and is trained
# again, beside a network that got 40 random ones.

# %%
# On Colab, clone this repository into the folder ntk_al, and install it; JAX stays as it is:
# %pip install --quiet "./ntk_al[experiments]"

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx

from ntk_al import Network, data, lookahead, training

digits = data.load("digits")  # 8×8 pixels, from scikit-learn
order = np.random.default_rng(0).permutation(len(digits.x_train))
labeled, pool = order[:40], order[40:540]


# %% [markdown]
# Any JAX network will do: Flax NNX and Linen, Equinox, or a plain function.


# %%
class Net(nnx.Module):
    def __init__(self, rngs):
        self.conv1 = nnx.Conv(1, 16, (3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs)
        self.head = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.conv2(nnx.relu(self.conv1(x))))
        return self.head(x.mean((1, 2)))


config = training.TrainingConfig(epochs=80, batch_size=16, learning_rate=0.05)


def train(rows):
    network = Network.from_nnx(Net(nnx.Rngs(0)))
    x, y = digits.x_train[rows], digits.y_train[rows]
    network, _ = training.fit(jax.random.key(0), network, x, y, config)
    return network, training.accuracy(network, digits.x_test, digits.y_test)


network, before = train(labeled)
print(f"with 40 labels: {before:.1%}")

# %% [markdown]
# `select` predicts for every candidate what its label would change, and takes the best, one after another.

# %%
chosen = lookahead.select(
    network, digits.x_train[labeled], digits.y_train[labeled], digits.x_train[pool], 40
)
rows = pool[chosen.rows]

figure, panels = plt.subplots(2, 10, figsize=(10, 2.4), layout="constrained")
for panel, row in zip(panels.flat, rows, strict=False):
    panel.imshow(digits.x_train[row, ..., 0], cmap="gray_r")
    panel.set_axis_off()
figure.suptitle("what to label next, best first")
plt.show()

# %%
_, after = train(np.concatenate([labeled, rows]))
_, random = train(order[:80])
print(f"with 40 more: {after:.1%} chosen, {random:.1%} random")

# %% [markdown]
# One comparison says little. `ntk-al sweep --strategy=mlmoc,margin,random --seed=0..9 --workdir=runs/mine` makes many, and
# `ntk-al figure curves summary --workdir=runs/mine` draws them with intervals.

# %%
assert after > before
assert after > 0.7
