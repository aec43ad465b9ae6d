from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads would take the cores of other tests

import torch

torch.set_num_threads(1)
