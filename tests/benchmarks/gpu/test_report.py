import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.report import Report, run_all

ROOT = Path(__file__).parents[3]
PASSED = """print('{"passed": true, "detail": "all equal", "figures": {"percent": 100.0}}')"""
FAILED = """print('{"passed": false, "detail": "differs", "figures": {}}')"""
ROW = {"title": " engine", "rtfx": 61.25, "windows_per_s": 4.5}
SPEED = f"print({json.dumps(json.dumps({'rows': [ROW], 'ratios': {'fast': 2.0}}))})"


def reported(commands, seconds=60.0):
    report, shown = Report(device="a device", torch="2"), io.StringIO()
    commands = {name: ["-c", code] for name, code in commands.items()}
    run_all(report, commands, seconds, shown)
    return report, shown.getvalue().splitlines()


def test_every_check_has_a_line():
    report, lines = reported({"tokens": PASSED, "benchmark": SPEED})
    assert report.passed
    assert lines[0] == "a device, torch 2"
    assert lines[1].startswith("ok      tokens") and lines[1].endswith("all equal")
    assert lines[2].endswith(" engine 61.2 times real time or 4.50 windows/s, fast 2.00")
    assert lines[3] == "passed"
    assert report.as_json()["checks"][0]["figures"] == {"percent": 100.0}


def test_a_failed_or_crashed_check_does_not_end_the_others():
    crashed = "import sys; sys.exit('CUDA error: an illegal memory access was encountered')"
    report, lines = reported({"graphs": crashed, "tokens": FAILED, "training": PASSED})
    assert not report.passed
    assert "FAILED  graphs" in lines[1] and "status 1: CUDA error: an illegal" in lines[1]
    assert "FAILED  tokens" in lines[2]
    assert "ok      training" in lines[3]
    assert lines[4] == "2 of 3 checks failed"


def test_a_check_that_hangs_is_stopped():
    report, lines = reported({"graphs": "import time; time.sleep(600)"}, seconds=1.0)
    assert not report.passed
    assert "did not finish in the 1 s left" in lines[1]


def test_output_that_is_no_outcome_fails_and_is_shown():
    report, lines = reported({"benchmark": "print('not JSON')"})
    assert not report.passed
    assert "not JSON" in lines[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(capsys):
    assert main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "finds no GPU" in line


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_make_gpu_without_a_gpu_fails():
    done = subprocess.run(
        ["/usr/bin/env", "make", "gpu", f"PYTHON_GPU={sys.executable}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode
    assert "finds no GPU" in done.stderr


def test_an_unknown_check_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "speed"])
    assert "expected some of" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_program_runs_on_the_cpu(capsys):
    """With its processes, its benchmark too."""
    assert main(["--device", "cpu", "--windows", "6", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    passed = {check["name"]: check["passed"] for check in value["checks"]}
    expected = {"graphs": True, "tokens": True, "memory": None, "training": True, "benchmark": True}
    assert passed == expected
    assert value["passed"]
