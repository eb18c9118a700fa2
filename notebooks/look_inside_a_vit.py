# %% [markdown]
# # Looking inside a ViT
#
# Attention and embeddings of a trained vision transformer. This uses the newest finished run of a
# `ViT`; `python train.py model=vit model.patch_size=2` trains one in a minute.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from arclight import load
from arclight_zoo.image.rollout import attention_map
from arclight_zoo.image.vit import ViT

runs = [load(file.parent) for file in Path("../runs").glob("*/summary.json")]
runs = [run for run in runs if run.summary["status"] == "finished"]
runs = [run for run in runs if run.config["model"]["_target_"].endswith(".ViT")]
assert runs, "No run of a ViT has finished yet: python train.py model=vit model.patch_size=2"
run = max(runs, key=lambda run: run.path.stat().st_mtime)
model = run.task.model
assert isinstance(model, ViT)
run

# %% [markdown]
# ## Attention rollout
#
# The contribution of each patch to the class token, over all layers with their residual connections
# (Abnar & Zuidema, 2020). The images are the first of the test set.

# %%
count = 8
images, classes = run.data.examples("test", range(count))
maps = attention_map(model, images)
guesses = run.predict(images).argmax(1)
size = images.shape[-1]
smooth = torch.nn.functional.interpolate(maps[:, None], size=(size, size), mode="bilinear")[:, 0]

figure, axes = plt.subplots(2, count, figsize=(1.5 * count, 3.4), layout="constrained")
for i in range(count):
    run.task.draw_example(axes[0, i], (images, classes), i)
    names = [run.task.class_names[int(c)] for c in (guesses[i], classes[i])]
    axes[0, i].set_title(f"{names[0]} (true {names[1]})", fontsize=9)
    run.task.draw_example(axes[1, i], (images, classes), i)
    axes[1, i].imshow(smooth[i].numpy(), cmap="inferno", alpha=0.6)
for axis in axes.flat:
    axis.set_axis_off()

# %% [markdown]
# ## Patch embeddings
#
# The principal components of the patch embedding's filters, as in figure 7 of the ViT paper
# (Dosovitskiy et al., 2021).

# %%
weight = next(model.patch_embed.parameters()).detach()
if weight.ndim == 4:  # not with shifted_patches, which see more than a patch
    width, channels, side, _ = weight.shape
    _, strength, filters = torch.linalg.svd(weight.view(width, -1), full_matrices=False)
    filters = filters.view(-1, channels, side, side).permute(0, 2, 3, 1)
    shares = strength.square() / strength.square().sum()
    shown = min(12, len(filters))
    figure, axes = plt.subplots(1, shown, figsize=(1.1 * shown, 1.6), squeeze=False)
    for axis, pattern, share in zip(axes[0], filters, shares, strict=False):
        low, high = pattern.min(), pattern.max()
        axis.imshow(((pattern - low) / (high - low)).squeeze(2).numpy(), cmap="gray")
        axis.set_title(f"{share:.0%}", fontsize=9)
        axis.set_axis_off()

# %% [markdown]
# ## Position embeddings
#
# The cosine similarity of each position embedding to all others. If the run has learnt that nearby
# patches belong together, nearby positions are similar.

# %%
tokens = model.pos_embed[0].detach()
patches = tokens if model.cls_token is None else tokens[1:]
unit = patches / patches.norm(dim=1, keepdim=True).clamp(min=1e-12)
alike = unit @ unit.T
side = round(len(patches) ** 0.5)

figure, axes = plt.subplots(side, side, figsize=(side, side), layout="constrained", squeeze=False)
for axis, row in zip(axes.flat, alike, strict=True):
    axis.imshow(row.view(side, side).numpy(), vmin=-1, vmax=1, cmap="coolwarm")
    axis.set_axis_off()
