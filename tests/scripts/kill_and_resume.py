"""Kill trainings at random moments and show that they end as if nothing had happened.

usage: python tests/scripts/kill_and_resume.py [--kills 20] [--seed 0]

One training runs undisturbed. Then the same training is started over and over, killed (SIGKILL) and
resumed: in turn after a random time, while its resume state is being written, and while its best
weights are being written. Whenever one ends, its weights and history must equal the undisturbed
ones byte for byte. Prints a line per kill and a summary; exits with 1 if anything differed.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAIN = Path(__file__).parents[2] / "train.py"
SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
MOMENTS = ("at a random time", "writing state", "writing best")


def command(root: Path, runs: str) -> list[str]:
    return [
        sys.executable, str(TRAIN), "--model", "unet", "--dataset", "phantom", "--size", "32",
        "--epochs", "6", "--batch-size", "16", "--cpu", "--resume", "--no-test",
        "--set", "limit_patients=12", "patience=6",
        "--runs", str(root / runs), "--cache", str(root / "cache"),
    ]  # fmt: skip


def folder(root: Path, runs: str) -> Path:
    return root / runs / "phantom" / "unet-bce" / "without0+1-seed0"


def start_and_kill(root: Path, moment: str, after_s: float) -> bool:
    """Start or resume the run and kill it at the moment named; False if it ended first."""
    process = subprocess.Popen(command(root, "killed"), **SILENT)
    name = moment.removeprefix("writing ")
    aside = folder(root, "killed") / f".{name}.safetensors.{process.pid}"
    deadline = time.monotonic() + after_s
    while process.poll() is None:
        if aside.exists() if moment != MOMENTS[0] else time.monotonic() > deadline:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.0005)
    if process.returncode:
        raise SystemExit(f"the training failed by itself with status {process.returncode}")
    return False


def same(root: Path) -> bool:
    return all(
        (folder(root, "killed") / name).read_bytes() == (folder(root, "whole") / name).read_bytes()
        for name in ("model.safetensors", "history.csv")
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        began = time.monotonic()
        subprocess.run(command(root, "whole"), check=True, **SILENT)
        whole_s = time.monotonic() - began
        kills = ended = equal = 0
        moments = dict.fromkeys(MOMENTS, 0)
        while kills < args.kills:
            moment = MOMENTS[kills % len(MOMENTS)]
            if start_and_kill(root, moment, rng.uniform(0, whole_s)):
                kills += 1
                moments[moment] += 1
                print(f"kill {kills}: {moment}", flush=True)
                if kills < args.kills and rng.random() < 0.7:
                    continue
            # Now let it end, and compare.
            subprocess.run(command(root, "killed"), check=True, **SILENT)
            ended += 1
            equal += same(root)
            shutil.rmtree(root / "killed")
    told = ", ".join(f"{count} {moment}" for moment, count in moments.items())
    print(f"{kills} kills ({told}); {ended} trainings ended, {equal} bit-identical")
    return 0 if equal == ended else 1


if __name__ == "__main__":
    sys.exit(main())
