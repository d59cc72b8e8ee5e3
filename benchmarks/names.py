"""The contestants that more than one file speaks of."""

OURS = "rnnspec.build"
PACKED = "pack_padded_sequence"
SHARED_MASK = "one dropout mask for both directions"
CELLS = "stacked cells, which no cuDNN runs"
SEQUENTIAL = "Sequential"
TORCH_COMPILE = "torch.compile of the same"
XLA = "the same, jit_compile=True"
