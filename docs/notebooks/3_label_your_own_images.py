# %% [markdown]
# # Label your own images
#
# A labeling campaign on a folder of images: what to label next, labels that are on disk as they arrive, and whether it
# beats random choices. The images here are digits that are written into a folder first; put your own in place of them.

# %%
# On Colab, clone this repository into the folder ntk_al, and install it; JAX stays as it is:
# %pip install --quiet "./ntk_al[experiments,labeling]"

# %%
import pathlib
import tempfile

import jax
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from ntk_al import labeling, models, training

folder = pathlib.Path(tempfile.mkdtemp())
names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
truth = {}  # what a person would say
for i, (pixels, number) in enumerate(zip(*load_digits(return_X_y=True), strict=True)):
    name = f"{i:04}.png"
    (folder / "images").mkdir(exist_ok=True)
    Image.fromarray((pixels.reshape(8, 8) * 15).astype(np.uint8)).save(folder / "images" / name)
    truth[name] = names[number]

# %% [markdown]
# A source says how images become inputs. `Standardized` scales them as networks like it. Sixty images are set apart to
# measure accuracy; no strategy proposes them.

# %%
source = labeling.Standardized(labeling.ImageFolder(folder / "images", size=(8, 8), channels=1))
campaign = labeling.Campaign.create(folder / "digits", source, class_names=names, audit=60)


def ask(ids):
    """Shows images, and tells their labels; here the answers are known."""
    _, panels = plt.subplots(1, len(ids[:10]), figsize=(10, 1.4), layout="constrained")
    for panel, i in zip(panels, ids, strict=False):
        panel.imshow(Image.open(campaign.path(i)), cmap="gray_r")
        panel.set_title(truth[i], fontsize=8)
        panel.set_axis_off()
    plt.show()
    campaign.tell(ids, [truth[i] for i in ids], by="notebook")


# %% [markdown]
# ## The first batch
#
# There is no network yet: typical images of different clusters.

# %%
ask(campaign.next(30))

# %% [markdown]
# ## Train, and ask again

# %%
config = training.TrainingConfig(epochs=50, batch_size=16)
module = models.ConvNet(num_classes=10, width=32)


def train(x, y):
    network = training.initialize(jax.random.key(0), module, x)
    return training.fit(jax.random.key(1), network, x, y, config)[0]


network = train(*campaign.labeled())
ask(campaign.next(20, network))

# %% [markdown]
# ## Without training
#
# The new labels move the posterior of the network, so that the next batch knows them.

# %%
campaign.absorb(network)
ask(campaign.next(20))

# %% [markdown]
# ## Is it beating random?
#
# The labels of the audit are a random sample, so that networks trained on them say what random labels would have given.

# %%
audit = campaign.next(0, audit=60)
campaign.tell(audit, [truth[i] for i in audit])
network = train(*campaign.labeled())
report = campaign.report(network, train)
print(report)

# %% [markdown]
# The campaign is a folder on disk. Close it, and open it again tomorrow with `labeling.Campaign.open(folder)`.

# %%
campaign.close()
assert report.accuracy.value > 0.7
assert report.comparison.num_labels == 48
