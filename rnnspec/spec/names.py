"""Checks of network and layer names, so that every generated file is valid Python."""

from __future__ import annotations

import re
from itertools import product

from pydantic_core import PydanticCustomError

from rnnspec.spec import reserved
from rnnspec.wording import received

MAX_NAME_LENGTH = 64
# Names become files, modules, classes and attributes. No capital letters, because some file systems
# ignore case.
NAME_PATTERN = f"[a-z][a-z0-9_]{{0,{MAX_NAME_LENGTH - 1}}}"

_NAME = re.compile(NAME_PATTERN)

IN_GENERATED_CODE = (
    frozenset(
        """
    build_model callable frozen_embed functional gate_masks gate_products hard_sigmoid jnp
    l2_normalized layers legacy_hard_sigmoid masked masked_lstm masked_max masked_mean model nn nnx
    np ops partial running_max running_mean running_sum set_forget_bias single_bias_lstm
    single_bias_rnn single_step softplus symmetric_uniform tensor variational_dropout
    """.split()  # noqa: SIM905 - names side by side are easier to check
    )
    | frozenset(
        "".join(words)
        for words in product(
            ("", "masked_"),
            ("", "unbiased_"),
            ("stepwise_", "recurrent_dropout_"),
            ("rnn", "lstm", "gru", "reset_first_gru"),
        )
    )
    | frozenset(
        "".join(words)
        for words in product(
            ("", "masked_"),
            ("", "unbiased_"),
            ("", "recurrent_dropout_"),
            ("rnn", "lstm", "gru", "reset_first_gru"),
            ("_layer",),
        )
    )
)

# Every public attribute of torch.nn.Module (PyTorch 2.13) that a layer name could hide;
# tests/backends/test_reserved_names.py compares the list with the installed version.
TORCH_MODULE_ATTRIBUTES = frozenset(
    """
    add_module apply bfloat16 buffers call_super_init children compile cpu cuda double
    dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu load_state_dict modules mtia named_buffers named_children
    named_modules named_parameters parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
    set_submodule share_memory state_dict to to_empty train training type xpu zero_grad
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
# Likewise of flax.nnx.Module (Flax 0.12), beside those above.
NNX_MODULE_ATTRIBUTES = frozenset(
    {"iter_children", "iter_modules", "perturb", "set_attributes", "sow"}
)
IN_GENERATED_CLASS = frozenset(
    {"initial_states", "inputs", "mask", "masking", "reset_parameters", "self"}
)
# Operations in a Keras model, beside its layers. Keras numbers them with a counter that is shared
# by the whole process, and rejects a model if a layer has the name of an operation.
KERAS_OPERATION = re.compile(
    "(any|cast|concatenate|expand_dims|get_item|greater|less|logical_or|max|maximum|not_equal|ones_like|sqrt|square|sum|true_divide|where)(_[0-9]+)?"
)
_SQUASHED = frozenset(name.replace("_", "") for name in IN_GENERATED_CODE)


def check_network_name(name: str) -> str:
    """Return ``name`` if a file, a class and a module can have this name.

    Raises:
        PydanticCustomError: it is not a snake_case name, or it shadows a name that the generated
            file uses or a module that Python would import.
    """
    _check_form(name)
    # The class has the name without underscores: value_error would shadow ValueError.
    squashed = name.replace("_", "")
    if name in reserved.STANDARD_LIBRARY:
        raise _taken_error(name, "is a module of Python's standard library")
    if squashed in reserved.BUILTINS:
        raise _taken_error(name, "has the spelling of a Python builtin")
    if name in reserved.PACKAGES:
        raise _taken_error(name, "is the name of a package")
    if name in reserved.RUN_UNASKED:
        raise _taken_error(name, "is a file that Python, pip or pytest runs automatically")
    if name in reserved.WINDOWS_DEVICES:
        raise _taken_error(name, "is a device name on Windows, where no file can have it")
    if squashed in _SQUASHED:
        raise _taken_error(name, "is used by the generated code")
    return name


def check_layer_name(name: str) -> str:
    """Return ``name`` if a layer, and so an attribute of the generated class, can have it.

    Raises:
        PydanticCustomError: it is not a snake_case name, shadows an attribute of the class, or
            is a name that Keras may give to an operation in the model.
    """
    _check_form(name)
    if KERAS_OPERATION.fullmatch(name):
        raise _taken_error(name, "is a name that Keras gives to an operation")
    if name in TORCH_MODULE_ATTRIBUTES:
        raise _taken_error(name, "is an attribute of every torch.nn.Module")
    if name in NNX_MODULE_ATTRIBUTES:
        raise _taken_error(name, "is an attribute of every flax.nnx.Module")
    if name in IN_GENERATED_CLASS:
        raise _taken_error(name, "is used by the generated code")
    return name


def _check_form(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise PydanticCustomError(
            "name_form",
            "expected a name of at most 64 lower-case letters a-z, digits and underscores that "
            "starts with a letter, received {received}",
            {"received": received(name)},
        )
    if name in reserved.KEYWORDS:
        raise _taken_error(name, "is a Python keyword")
    if name in reserved.CAPITAL_KEYWORDS:
        raise _taken_error(name, f"has the spelling of Python's {name.capitalize()}")


def _taken_error(name: str, reason: str) -> PydanticCustomError:
    context = {"name": name, "reason": reason}
    return PydanticCustomError("name_taken", "'{name}' {reason}; choose another name", context)
