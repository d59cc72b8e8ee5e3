"""What adapters share: functions in C, and ONNX files with the sizes of inputs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rnnspec_conformance import suite
from rnnspec_conformance.adapters.c_code import call_function
from rnnspec_conformance.cases import CASES
from rnnspec_conformance.layout import Case

CASES_OF_STATES = [case for case in CASES if case.name == "state-carried"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    """A suite of cases with few inputs and with many, as ONNX files."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("conformance") / "suite"
    return suite.write(folder, [*CASES[::9], *CASES_OF_STATES], ["onnx"])


SOURCE = """
void sums(int batch, const float x[restrict batch][2], const bool on[1], const int64_t shift[1],
          float sum[batch]) {
    for (int i = 0; i < batch; ++i) sum[i] = x[i][0] + x[i][1] + on[0] * shift[0];
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_function_in_c_is_called_with_the_sizes_of_its_inputs() -> None:
    source = f"#include <stdbool.h>\n#include <stdint.h>\n{SOURCE}"
    for batch in (1, 3):
        x = np.arange(2 * batch, dtype=np.float32).reshape(batch, 2)
        (sums,) = call_function(source, "sums", [x, np.array([True]), np.array([5])])
        assert sums.tolist() == (x.sum(axis=1) + 5).tolist()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_what_the_c_compiler_says_is_the_refusal() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)^cc: model\.c:.*nothing"):
        call_function("void f(const float x[1], float y[1]) { nothing; }", "f", [np.ones(1)])


def test_onnx_files_get_the_sizes_of_inputs(cases: tuple[Case, ...], tmp_path: Path) -> None:
    from rnnspec_conformance.adapters.onnx_files import names, save_with_sizes, sizes

    path = next(case.folder for case in cases if case.name == "state-carried") / "model.onnx"
    inputs = [np.zeros((2, 5, 3)), np.zeros((2, 4)), np.zeros((2, 4))]
    assert sizes(path, inputs) == {"batch": 2, "steps": 5}
    save_with_sizes(path, inputs, tmp_path / "model.onnx")
    assert sizes(tmp_path / "model.onnx", inputs) == {}
    assert names(tmp_path / "model.onnx") == names(path)


def test_generators_of_c_get_no_text_that_leaves_a_comment(
    cases: tuple[Case, ...], tmp_path: Path
) -> None:
    import onnx

    from rnnspec_conformance.adapters.onnx_files import save_for_generator

    ours, target = tmp_path / "ours.onnx", tmp_path / "plain.onnx"
    for case in cases:
        save_for_generator(case.folder / "model.onnx", target)
        model = onnx.load(case.folder / "model.onnx")
        assert onnx.load(target).graph == model.graph
    hostile = "*/ int evil; /*"
    model.graph.node[0].doc_string = model.graph.doc_string = hostile
    onnx.save(model, ours)
    save_for_generator(ours, target)
    assert b"evil" not in target.read_bytes()
    for place, key in (
        (model.graph, "name"),
        (model.graph.node[0], "name"),
        (model.graph.node[0].attribute.add(), "s"),
        (model.graph.input[0].type.tensor_type.shape.dim[0], "dim_param"),
    ):
        setattr(place, key, hostile.encode() if key == "s" else hostile)
        onnx.save(model, ours)
        with pytest.raises(ValueError, match="not a plain name"):
            save_for_generator(ours, target)
        place.ClearField(key)
