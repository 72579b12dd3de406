# %% [markdown]
# # What a label changes
#
# The paper's method, step by step, in two dimensions, where everything can be drawn: a network, its tangent kernel, what it
# would become if a point were labeled, and the score of every point (Mohamadi, Bae and Sutherland 2022).

# %%
# On Colab, clone this repository into the folder ntk_al, and install it; JAX stays as it is:
# %pip install --quiet "./ntk_al[experiments]"

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from ntk_al import kernels, lookahead, models, posterior, training

rng = np.random.default_rng(0)
angle = rng.uniform(0, np.pi, 300)
y = rng.integers(0, 2, 300)
x = np.stack([np.cos(angle) + y - 0.5, np.where(y == 0, 1, -1) * np.sin(angle)], axis=1)
x = (x + rng.normal(scale=0.12, size=x.shape)).astype(np.float32)
labeled, pool = np.arange(8), np.arange(8, 300)

# %% [markdown]
# ## A network, trained on eight labels

# %%
config = training.TrainingConfig(epochs=400, batch_size=8, learning_rate=0.02, weight_decay=0)
module = models.MLP(num_classes=2, width=512, blocks=2)
start = training.initialize(jax.random.key(0), module, x)
network, loss = training.fit(jax.random.key(1), start, x[labeled], y[labeled], config)

grid = np.stack(np.meshgrid(np.linspace(-2, 2, 45), np.linspace(-1.6, 1.6, 45)), -1)
grid = grid.reshape(-1, 2).astype(np.float32)


def draw(panel, values, title, **options):
    panel.tricontourf(*grid.T, values, levels=20, **options)
    for number, marker in enumerate("os"):
        rows = labeled[y[labeled] == number]
        panel.scatter(*x[rows].T, marker=marker, color="white", edgecolor="black", s=60)
    panel.scatter(*x[pool].T, color="black", s=2)
    panel.set_title(title)
    panel.set_axis_off()


def confidence(outputs):
    """The second output minus the first one."""
    return np.asarray(outputs)[:, 1] - np.asarray(outputs)[:, 0]


figure, panel = plt.subplots(figsize=(5, 4), layout="constrained")
draw(panel, confidence(network.predict(grid)), "f₂ − f₁", cmap="RdBu", vmin=-1.5, vmax=1.5)
plt.show()

# %% [markdown]
# ## The tangent kernel, and the posterior
#
# Θ(x, x') = ⟨∂f(x)/∂θ, ∂f(x')/∂θ⟩ says how much a step that changes the output at x' changes it at x. Retraining the
# linearized network is kernel regression, and its outputs at all points are the mean of a Gaussian process whose covariance is
# S = Θ − Θ(·, L) Θ(L, L)⁻¹ Θ(L, ·).

# %%
points = np.concatenate([x[pool], grid])
blocks = kernels.blocks(network, x[labeled], points)
residual = np.eye(2)[y[labeled]] - network.predict(x[labeled])
belief = posterior.condition(blocks, residual, network.predict(points), ridge=1e-4)
S = np.asarray(belief.covariance)

row = int(np.argmax(np.diagonal(S)[: len(pool)]))
on_grid = slice(len(pool), None)
figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
draw(panels[0], np.sqrt(np.diagonal(S)[on_grid]), "√S(x, x): what is not known", cmap="viridis")
draw(
    panels[1],
    S[on_grid, row] / S[row, row],
    "S(x, x_j) / S(x_j, x_j)",
    cmap="PuOr",
    vmin=-1,
    vmax=1,
)
panels[1].scatter(*points[row], marker="*", s=200, color="red")
plt.show()

# %% [markdown]
# ## One label more
#
# If x_j (the star) is labeled, the mean moves by w(x, x_j) times the error at x_j: a rank-one update, and no training
# (Eq. 11 and 12). Really retraining gives nearly the same.

# %%
told = belief.observe(index=row, label=int(y[pool[row]]))
more = np.append(labeled, pool[row])
retrained, _ = training.fit(jax.random.key(2), network, x[more], y[more], config)
predicted = confidence(told.mean[on_grid]) - confidence(network.predict(grid))
real = confidence(retrained.predict(grid)) - confidence(network.predict(grid))

figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
limit = float(np.abs(real).max())
draw(panels[0], predicted, "the predicted change", cmap="RdBu", vmin=-limit, vmax=limit)
draw(panels[1], real, "the change by retraining", cmap="RdBu", vmin=-limit, vmax=limit)
plt.show()
agreement = np.corrcoef(predicted, real)[0, 1]
print(f"correlation of the predicted with the real change: {agreement:.2f}")

# %% [markdown]
# ## The score of every candidate
#
# MLMOC (Eq. 13) sums the length of that change over all points, under the label that the network finds most likely.

# %%
scores = np.asarray(lookahead.score(network, x[labeled], y[labeled], x[pool]))
figure, panel = plt.subplots(figsize=(5, 4), layout="constrained")
image = panel.scatter(*x[pool].T, c=scores, s=25, cmap="magma")
panel.scatter(*x[labeled].T, marker="x", color="tab:blue", s=60)
figure.colorbar(image, label="MLMOC")
panel.set_axis_off()
plt.show()

# %% [markdown]
# Is the ranking that of real retraining? Here are eight candidates, each of which is really added.

# %%
some = np.argsort(-scores)[:: len(pool) // 8][:8]
f = np.asarray(network.predict(x[pool]))
changes = []
for j in some:
    rows = np.append(labeled, pool[j])
    targets = np.append(y[labeled], f[j].argmax())
    after, _ = training.fit(jax.random.key(3), network, x[rows], targets, config)
    changes.append(np.linalg.norm(np.asarray(after.predict(x[pool])) - f, axis=1).sum())
rank = stats.spearmanr(scores[some], changes).statistic
print(f"rank correlation with real retraining: {rank:.2f}")

# %%
assert agreement > 0.7
assert rank > 0.4
