"""Print the validation counts of fixed weights; run by test_processes.py in 1 and 2 processes."""

import sys
from pathlib import Path

import torch

from brainseg.config import Config
from brainseg.data.cache import prepared_set
from brainseg.data.phantom import load
from brainseg.data.splits import slice_roles
from brainseg.models.unet import UNet
from brainseg.training.batches import Batches
from brainseg.training.learner import make_accelerator
from brainseg.training.loop import validate

accelerator = make_accelerator("no", cpu=True)
# 7 slices a case and batches of 4: no share of any process is a whole number of batches.
config = Config(model="unet", size=32, batch_size=4)
data = prepared_set(load(None, patients=10, size=32, slices=7), 32, Path(sys.argv[1]))
torch.manual_seed(0)
model = UNet(3, 8)
batches = Batches(config, data, None, accelerator.device)
counts = validate(model, config, batches, slice_roles(data.patients, (0, 1))["val"], accelerator)
accelerator.print("counts", accelerator.num_processes, counts.sum(), counts.flatten().tolist())
accelerator.end_training()
