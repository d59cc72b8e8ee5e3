"""The record of the PyTorch backend."""

from itertools import product

from rnnspec.backends.base import Backend
from rnnspec.ir.text import composed_names
from rnnspec.words import POOLING_FUNCTIONS, ReservedNames

_CELLS = ("rnn", "lstm", "gru", "reset_first_gru")
_CLASSES = product(("", "masked_"), ("", "unbiased_"), ("stepwise_", "recurrent_dropout_"), _CELLS)
_WITH_ATTENTION = product(
    ("", "masked_"),
    ("", "unbiased_"),
    _CELLS,
    ("_with_",),
    ("", "masked_"),
    ("", "scaled_"),
    ("additive_", "dot_", "general_"),
    ("attention",),
)
_RESERVED = ReservedNames(
    in_source=frozenset(
        """
        batch_norm callable functional hard_sigmoid layers legacy_hard_sigmoid masked masked_lstm
        model nn single_bias_lstm single_bias_rnn
        single_step softplus tensor tied_linear variational_dropout
        """.split()  # noqa: SIM905 - names side by side are easier to check
    ).union(
        map("".join, _CLASSES), map("".join, _WITH_ATTENTION), composed_names(), POOLING_FUNCTIONS
    ),
    in_class=frozenset({"begin", "initial_states", "mask", "reset_parameters", "self"}),
    # Every public attribute of torch.nn.Module (PyTorch 2.13) that a layer name could hide; a test
    # compares the list with the installed version.
    in_framework=frozenset(
        """
        add_module apply bfloat16 buffers call_super_init children compile cpu cuda double
        dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
        get_submodule half ipu load_state_dict modules mtia named_buffers named_children
        named_modules named_parameters parameters register_backward_hook register_buffer
        register_forward_hook register_forward_pre_hook register_full_backward_hook
        register_full_backward_pre_hook register_load_state_dict_post_hook
        register_load_state_dict_pre_hook register_module register_parameter
        register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
        set_extra_state set_submodule share_memory state_dict to to_empty train training
        type xpu zero_grad
        """.split()  # noqa: SIM905 - names side by side are easier to check
    ),
)

TORCH = Backend(
    name="torch",
    title="PyTorch",
    package="rnnspec.backends.torch",
    distribution="torch",
    minimum=(2, 6),
    extra="torch",
    forms=("training", "inference", "step"),
    files=("{name}.py", "{name}.safetensors"),
    loading=(
        "import sys",
        "from safetensors.torch import load_file",
        "sys.path.append({folder!r})",
        "from {name} import {entry}",
        "model = {entry}()",
        "model.load_state_dict(load_file({path!r}))",
    ),
    optimizers="torch.optim",
    reserved_names=_RESERVED,
)
