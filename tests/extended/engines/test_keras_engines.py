"""The Keras backend on each of Keras's engines, each in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras_facts
import pytest
from graphs import ATTENDING
from offered import import_later
from small_networks import write_small

keras = import_later("keras")

SPECS = {
    "forward": ["stacked_lstm"],
    # Masks of tokens and of features, and both directions, with few steps for speed.
    "gradients": ["torchinfo_packed_lstm", "dialogue_policy_lstm", "gru_stack_both_ways"],
}
SCRIPT = """\
import json, sys, keras_facts, rnnspec
print(json.dumps(keras_facts.everything()))
for level, specs in json.loads(sys.argv[1]).items():
    print(json.dumps(rnnspec.parity(specs, ["keras"], level=level).as_dict()))
print(json.dumps(rnnspec.from_keras(rnnspec.build(specs[0], "keras")).compared))
"""


def _run(engine: str, root: Path, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the facts, and the report of each level, from a process with Keras on ``engine``."""
    paths = {
        level: [str(write_small(root / f"specs/{name}.yaml", folder)) for name in names]
        for level, names in SPECS.items()
    }
    attending = folder / "attending.yaml"
    attending.write_text(ATTENDING, encoding="utf-8")
    paths["gradients"].append(str(attending))
    told = {
        "KERAS_BACKEND": engine,
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}",
        "PYTHONWARNINGS": "error::UserWarning",
        # With so few units, waiting for a second thread costs more than it gains on a busy machine.
        "OMP_NUM_THREADS": "1",
        # JAX optimizes here, and TensorFlow uses oneDNN, as they do for their users.
        "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false",
        "TF_ENABLE_ONEDNN_OPTS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(paths)],
        env=os.environ | told,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts, *reports, compared = (json.loads(line) for line in done.stdout.splitlines())
    assert compared.startswith("compared with the model in Keras 3.")
    assert f" on {engine}: largest difference " in compared
    return facts, reports


@pytest.mark.parametrize("engine", ["tensorflow", "torch", "jax"])
def test_the_network_is_the_same(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    facts, reports = _run(engine, request.config.rootpath, tmp_path)
    if engine != keras.backend.backend():  # test_keras_facts.py has those of the usual engine
        assert facts["negative token"] == 0.0
        assert facts["known differences of Adam"] == ["epsilon"]
        assert facts["masked"] < keras_facts.ROUNDED
        for name in keras_facts.OPTIMIZERS:
            assert max(facts[f"{name}: once"], facts[f"{name}: repeated"]) < 1e-6
    for level, report in zip(SPECS, reports, strict=True):
        assert report["equal"], report
        more = ["attending"] if level == "gradients" else []
        assert [spec["name"] for spec in report["specs"]] == [*SPECS[level], *more]
        for spec in report["specs"]:
            account = spec["backends"]["keras"]
            assert account["version"].endswith(f"on {engine}")
            assert account["layers"] == spec["layers"]
            assert account["parameters"] == spec["parameters"]
            # If any part were computed in float32, the difference would be at least 1e-8.
            assert 0.0 < account[f"{level}_max_difference"] < 1e-12
