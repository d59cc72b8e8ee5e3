"""Which names a network and a layer may bear, so that every generated file is sound."""

from __future__ import annotations

import re
from itertools import product

from pydantic_core import PydanticCustomError

from rnnspec.spec import reserved
from rnnspec.spec.wording import received

MAX_NAME_LENGTH = 64
NAME_PATTERN = f"[a-z][a-z0-9_]{{0,{MAX_NAME_LENGTH - 1}}}"

_NAME = re.compile(NAME_PATTERN)

IN_GENERATED_CODE = frozenset(
    """
    build_model callable functional hard_sigmoid layers masked masked_max masked_mean model nn ops
    set_forget_bias single_bias_lstm single_bias_rnn tensor variational_dropout
    """.split()  # noqa: SIM905 - words, one beside the other, are easier to check
) | frozenset(
    "".join(words)
    for words in product(
        ("", "masked_"),
        ("", "unbiased_"),
        ("stepwise_", "recurrent_dropout_"),
        ("rnn", "lstm", "gru", "reset_first_gru"),
    )
)

# Every public attribute of a torch.nn.Module (PyTorch 2.13) that a layer name could hide;
# tests/backends/test_reserved_names.py compares it with the installed one.
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
    """.split()  # noqa: SIM905 - words, one beside the other, are easier to check
)
IN_GENERATED_CLASS = frozenset({"inputs", "mask", "masking", "reset_parameters", "self"})
# What stands in a Keras model beside its layers: Keras numbers these itself, from a counter that
# the whole process shares, and refuses a model in which a layer has the name of one.
KERAS_OPERATION = re.compile(
    "(any|cast|expand_dims|greater|less|logical_or|max|maximum|not_equal|sum|true_divide|where)(_[0-9]+)?"
)
_SQUASHED = frozenset(word.replace("_", "") for word in IN_GENERATED_CODE)


def check_network_name(name: str) -> str:
    """Return ``name`` if a file, a class and a module may be called so.

    Raises:
        PydanticCustomError: it is no snake_case name, or hides something that files of that name
            use or that Python would import in their place.
    """
    _check_form(name)
    # The class is called name without underscores, so that value_error would hide ValueError.
    squashed = name.replace("_", "")
    if name in reserved.STANDARD_LIBRARY:
        raise _taken(name, "a module of Python's standard library")
    if squashed in reserved.BUILTINS:
        raise _taken(name, "spelled like one of Python's builtins")
    if name in reserved.PACKAGES:
        raise _taken(name, "the name of a package")
    if name in reserved.RUN_UNASKED:
        raise _taken(name, "what Python, pip or pytest run by themselves")
    if name in reserved.WINDOWS_DEVICES:
        raise _taken(name, "a device on Windows, where no file can have this name")
    if squashed in _SQUASHED:
        raise _taken(name, "used by the generated code")
    return name


def check_layer_name(name: str) -> str:
    """Return ``name`` if a layer, and so an attribute of the generated class, may be called so.

    Raises:
        PydanticCustomError: it is no snake_case name, hides an attribute of that class, or is
            what Keras may call an operation in the same model.
    """
    _check_form(name)
    if KERAS_OPERATION.fullmatch(name):
        raise _taken(name, "what Keras calls an operation of its own")
    if name in TORCH_MODULE_ATTRIBUTES:
        raise _taken(name, "an attribute of every torch.nn.Module")
    if name in IN_GENERATED_CLASS:
        raise _taken(name, "used by the generated code")
    return name


def _check_form(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise PydanticCustomError(
            "name_form",
            "expected a name of at most 64 lower-case letters a-z, digits and underscores that "
            "begins with a letter, received {received}",
            {"received": received(name)},
        )
    if name in reserved.KEYWORDS:
        raise _taken(name, "a keyword of Python")
    if name in reserved.CAPITAL_KEYWORDS:
        raise _taken(name, f"spelled like Python's {name.capitalize()}")


def _taken(name: str, what: str) -> PydanticCustomError:
    return PydanticCustomError(
        "name_taken", "'{name}' is {what}; choose another name", {"name": name, "what": what}
    )
