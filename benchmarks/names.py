"""Names of contestants that several files use."""

OURS = "rnnspec.build"
PACKED = "pack_padded_sequence"
SHARED_MASK = "one dropout mask for both directions"
CELLS = "stacked cells, which cuDNN cannot run"
SEQUENTIAL = "Sequential"
TORCH_COMPILE = "the same, torch.compile"
XLA = "the same, jit_compile=True"
