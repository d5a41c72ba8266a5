"""Train one combination of model and loss, or the whole grid. See --help."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path

from brainseg.config import LEAKS, Config, ConfigError, from_json

MODELS = ("unet", "unet_resnet34", "deeplabv3plus", "unetpp", "all")
LOSSES = ("bce", "dice", "hybrid", "all")
DATASETS = ("lgg", "figshare", "brats", "folder", "phantom")
RARE = (
    "weight_decay", "ema", "patience", "val_every", "small_share", "empty_share", "slice_share",
    "grey_share", "limit_patients",
)  # fmt: skip


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    default = Config()
    parser = argparse.ArgumentParser(
        description="Train brain-tumour segmentation models on MRI.",
        epilog="Examples: train.py --model unet --loss bce --data DIR | "
        "train.py --model all --loss all --dataset phantom --encoder-weights none",
    )
    # Defaults of what belongs to the configuration are None, to tell "not given" from "given".
    group = parser.add_argument_group("what to train")
    add = group.add_argument
    add("--model", nargs="+", choices=MODELS, help="one or several")
    add("--loss", nargs="+", choices=LOSSES, help="hybrid: 0.7 BCE + 0.3 Dice")
    add("--encoder", metavar="NAME", help="any smp or timm (tu-...) encoder; not for unet")
    add("--encoder-weights", choices=("imagenet", "none"), help="what encoders start from")
    add("--init-from", type=Path, metavar="CHECKPOINT", help="folder or file of weights to start "
        "from; tensors that don't fit are left out")  # fmt: skip
    add("--stack-inputs", choices=("predictions", "predictions+image"), help="what unetpp reads")
    add("--stack-folds", type=int, metavar="N", help="blocks of training patients for the "
        "out-of-fold predictions unetpp is fitted on")  # fmt: skip
    add("--bases", nargs="+", metavar="NAME", help="checkpoints whose predictions unetpp reads")

    add("--leak", choices=LEAKS, help="make a mistake on purpose, to measure what it feigns: split "
        "by slice, or fit unetpp on predictions for its bases' own training patients")  # fmt: skip

    add = parser.add_argument_group("data").add_argument
    add("--dataset", choices=DATASETS, help="which data set")
    add("--data", type=Path, metavar="DIR", help="its folder (default: $BRAINSEG_DATA or data/)")
    add("--folds", nargs="+", choices=(*"01234", "all"), metavar="K", help="test on "
        "fold K, validate on the next; one or several, or all (default: 0)")  # fmt: skip
    add("--size", type=int, metavar="PIXELS", help="side of the square network input")

    add = parser.add_argument_group("optimisation").add_argument
    add("--epochs", type=int, metavar="N", help="every tumour slice once an epoch")
    add("--batch-size", type=int, metavar="SLICES", help="lower it when memory is short")
    add("--lr", type=float, metavar="RATE", help="peak learning rate of AdamW, one cycle")
    add("--seeds", nargs="+", type=int, metavar="N", help="of every random choice; one or several "
        "(default: 0)")  # fmt: skip
    add("--set", nargs="+", metavar="KEY=VALUE", default=[], help="any other setting of a run: "
        + ", ".join(f"{key}={json.dumps(getattr(default, key))}" for key in RARE))  # fmt: skip

    add = parser.add_argument_group("runs and hardware").add_argument
    add(
        "--runs",
        type=Path,
        metavar="DIR",
        default=Path("runs"),
        help="where runs live (default: runs)",
    )
    add("--out", type=Path, metavar="DIR", help="also copy finished checkpoints to DIR/<name>")
    add("--push-to-hub", metavar="USER/REPO", help="also push finished checkpoints to the "
        "Hugging Face Hub")  # fmt: skip
    add("--private", action="store_true", help="make that repository private")
    add("--cache", type=Path, metavar="DIR", help="prepared slices (default: $BRAINSEG_CACHE or "
        "~/.cache/brainseg)")  # fmt: skip
    add("--resume", action="store_true", help="continue an unfinished run from its last epoch")
    add("--overwrite", action="store_true", help="start anew where a run exists")
    add("--no-test", action="store_true", help="leave the test fold's scores for later: the same "
        "command without this flag adds them")  # fmt: skip
    add("--config", type=Path, metavar="FILE", help="repeat the run of a checkpoint's config.json; "
        "flags given beside it win")  # fmt: skip
    add("--precision", choices=("auto", "bf16", "fp16", "no"), help="auto: bf16 where the hardware "
        "has it")  # fmt: skip
    add("--cpu", action="store_true", help="do not use a GPU")
    add("--ray", metavar="ADDRESS", help="spread runs over a Ray cluster (auto, ray://HOST:PORT, "
        "or local to start one here)")  # fmt: skip
    add(
        "--track", choices=("none", "tensorboard", "trackio"), default="none", help="log the epochs"
    )
    for action in parser._actions:
        value = getattr(default, action.dest, None)
        if value is not None:
            shown = " ".join(value) if isinstance(value, tuple) else value
            action.help += f" (default: {shown})"
    return parser.parse_args(argv)


def resolve(args: argparse.Namespace) -> list[Config]:
    """The configurations the command line asks for, bases before stacks."""
    base = read_config(args.config) if args.config else Config()
    known = base.to_json()
    given = {k: v for k, v in vars(args).items() if k in known and v is not None}
    for model_or_loss in ("model", "loss"):
        given.pop(model_or_loss, None)
    if given.get("encoder_weights") == "none":
        given["encoder_weights"] = None
    for setting in args.set:
        key, _, value = setting.partition("=")
        try:
            given[key] = json.loads(value)
        except ValueError as error:
            raise ConfigError(
                f"--set {setting}: expected KEY=NUMBER, as {RARE[0]}=0.01."
            ) from error
    if args.init_from:
        given["init_from"] = weights_sha256(args.init_from)
    from brainseg.training.runs import combinations

    chosen = combinations(args.model or [base.model], args.loss or [base.loss])
    if args.encoder and len(chosen) > 1:
        raise ConfigError("--encoder goes with one model: give one --model beside it.")
    folds = args.folds or [base.fold]
    folds = range(5) if "all" in folds else [int(fold) for fold in folds]
    seeds = args.seeds or [base.seed]
    for flag, target in (("--out", args.out), ("--push-to-hub", args.push_to_hub)):
        if target and len(folds) * len(seeds) > 1:
            raise ConfigError(
                f"{flag} goes with one fold and one seed: the others would replace it."
            )
    return [
        from_json({**known, **given, "model": m, "loss": loss, "fold": fold, "seed": seed})
        for fold in folds
        for seed in seeds
        for m, loss in chosen
    ]


def read_config(path: Path) -> Config:
    """The configuration in a checkpoint's ``config.json``."""
    from brainseg.checkpoints.folder import our_part

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return from_json(values if "model" in values else our_part(values)["run"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"--config {path} can't be read ({error}): expected a checkpoint's config.json."
        ) from error


def weights_sha256(path: Path) -> str:
    import hashlib

    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"--init-from {path}: expected a checkpoint folder or weights file.")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def make_tracker(kind: str):
    """From a run's folder to a function that logs one epoch's row."""

    def tracker(folder: Path):
        if kind == "tensorboard":
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ConfigError(
                    "--track tensorboard needs it: pip install tensorboard"
                ) from error
            writer = SummaryWriter(folder / "tensorboard")

            def log(row: dict) -> None:
                for key, value in row.items():
                    writer.add_scalar(key, value, row["epoch"])
                writer.flush()

            return log
        if kind == "trackio":
            try:
                import trackio
            except ImportError as error:
                raise ConfigError("--track trackio needs it: pip install trackio") from error
            trackio.init(project="brainseg", name="-".join(folder.parts[-2:]))
            return trackio.log
        return lambda row: None

    return tracker


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    try:
        configs = resolve(args)
        from brainseg.training.runs import plan, table

        needed = plan(configs, args.runs)
        if args.push_to_hub:  # what would fail after hours of training shall fail now
            from brainseg.checkpoints.hub.client import parse_repo, require_token

            parse_repo(args.push_to_hub)
            require_token()
        failed = on_ray(args, needed) if args.ray else here(args, configs, needed)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; --resume continues.", file=sys.stderr)
        return 130
    if len(needed) > 1 and is_main_process():
        print(table(list(needed), args.runs))
    if failed:
        names = ", ".join(config.name for config in failed)
        print(f"{len(failed)} of {len(needed)} runs failed: {names}", file=sys.stderr)
    pushed = not args.push_to_hub or push([c for c in configs if c not in failed], args)
    return 0 if pushed and not failed else 1


def here(args: argparse.Namespace, configs: list[Config], needed: dict) -> list[Config]:
    """Train everything needed, one after the other, on this machine; returns what failed."""
    from brainseg.checkpoints.folder import copy_checkpoint
    from brainseg.training.loop import Interrupted, TrainingError, make_accelerator
    from brainseg.training.runs import Workplace, run

    accelerator = make_accelerator(configs[0].precision, args.cpu)
    place = Workplace(
        args.data,
        args.cache,
        args.runs,
        accelerator=accelerator,
        resume=args.resume,
        overwrite=args.overwrite,
        score=not args.no_test,
        initial=args.init_from,
        tracker=make_tracker(args.track),
    )
    failed: list[Config] = []
    for config, reads in needed.items():
        if broken := [other for other in reads if other in failed]:
            failed.append(config)
            print(f"error: {config.name} reads {broken[0].name}, which failed.", file=sys.stderr)
            continue
        asked = config in configs
        if not asked:
            accelerator.print(f"{config.name} is read by a stack: it comes first.")
        try:
            checkpoint = run(config, place if asked else place.for_needed())
            if asked and args.out and accelerator.is_main_process:
                copy_checkpoint(checkpoint, args.out / checkpoint.name)
            accelerator.print(f"{config.name}: {checkpoint.folder}")
        except Interrupted as stop:
            kept = "no epoch was finished, so there is no checkpoint"
            if stop.checkpoint:
                kept = f"the best epoch so far is in {stop.checkpoint.folder}"
            print(f"\n{kept}.", file=sys.stderr)
            raise KeyboardInterrupt from None
        except (ValueError, TrainingError, OSError) as error:
            failed.append(config)
            print(f"error: {config.name}: {error}", file=sys.stderr)
        except Exception:  # a fault of ours: told in full, and the other runs still go on
            failed.append(config)
            traceback.print_exc()
    accelerator.end_training()  # or else a process may abort while its threads still wait
    return failed


def push(configs: list[Config], args: argparse.Namespace) -> bool:
    """Push finished runs to the Hub; if that fails, say how to do it later."""
    if not configs or not is_main_process():
        return True
    from brainseg.checkpoints.folder import read_checkpoint
    from brainseg.checkpoints.hub.push import push as push_checkpoints

    folders = [config.run_folder(args.runs) for config in configs]
    try:
        checkpoints = [read_checkpoint(folder) for folder in folders]
        address = push_checkpoints(checkpoints, args.push_to_hub, private=args.private)
        print(address or f"{args.push_to_hub} has all of it already: nothing was pushed.")
        return True
    except ValueError as error:
        names = " ".join(map(str, folders))
        private = " --private" if args.private else ""
        print(
            f"error: {error} The checkpoints are safe; to push them later: python -m brainseg push "
            f"{names} {args.push_to_hub}{private}",
            file=sys.stderr,
        )
        return False


def on_ray(args: argparse.Namespace, needed: dict) -> list[Config]:
    """Train everything needed on a Ray cluster; returns what failed."""
    from brainseg.training.cluster import absolute, run_on_ray

    if args.out or args.overwrite:
        raise ConfigError("--ray goes without --out and --overwrite: give a new --runs folder.")
    place = absolute(data=args.data, cache=args.cache, runs=args.runs, initial=args.init_from)
    return list(run_on_ray(needed, {**place, "score": not args.no_test}, args.ray))


def is_main_process() -> bool:
    from accelerate import PartialState

    return PartialState().is_main_process


if __name__ == "__main__":
    sys.exit(main())
