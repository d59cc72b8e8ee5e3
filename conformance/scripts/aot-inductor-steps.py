"""AOTInductor takes longer the more steps the example has, with PyTorch 2.13 on a CPU."""

import time

import torch
from torch._inductor import aoti_compile_and_package

gru = torch.nn.GRU(2, 4, batch_first=True).eval()
for steps in (5, 10, 20, 40):
    program = torch.export.export(gru, (torch.ones(2, steps, 2),))
    start = time.monotonic()
    aoti_compile_and_package(program)
    print(f"{steps} steps: {time.monotonic() - start:.0f} seconds")
