"""AOTInductor runs the steps of the example where its program refuses others, with PyTorch 2.13.

With AOTI_RUNTIME_CHECK_INPUTS=1 in the environment, it refuses them too.
"""

import torch
from torch._inductor import aoti_compile_and_package, aoti_load_package
from torch.export import Dim

lstm = torch.nn.LSTM(1, 2, batch_first=True).eval()
open_sizes = ({0: Dim.AUTO, 1: Dim.AUTO},)
program = torch.export.export(lstm, (torch.ones(2, 5, 1),), dynamic_shapes=open_sizes)
compiled = aoti_load_package(aoti_compile_and_package(program))
for steps in (5, 9, 3):
    x = torch.ones(2, steps, 1)
    for run in (program.module(), compiled):
        print("expected", steps, "steps")
        try:
            print("received", run(x)[0].shape[1], "steps")
        except Exception as error:  # noqa: BLE001 - of either
            print("received", type(error).__name__)
