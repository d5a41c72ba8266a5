"""Train one combination of model and loss, or the whole grid. See --help."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
import tomllib
from pathlib import Path

from brainseg.config import DATA, HOW, WHAT, Config, ConfigError, from_json
from brainseg.data import DATASETS, Paths
from brainseg.data.splits import FOLDS
from brainseg.models.specs import MODELS


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """What is to be trained, see ``add_wishes``, and how: runs and hardware."""
    parser = argparse.ArgumentParser(
        description="Train brain-tumour segmentation models on MRI.",
        epilog="Examples: train.py --model unet --loss bce --data DIR | "
        "train.py --model all --loss all --dataset phantom --encoder-weights none | "
        "train.py --plan docs/study/plan.toml --data lgg=DIR figshare=DIR",
    )
    groups = add_wishes(parser)
    add = groups[WHAT].add_argument
    add("--init-from", type=Path, metavar="CHECKPOINT", help="folder or file of weights to start "
        "from; tensors that don't fit are left out")  # fmt: skip
    add("--plan", type=Path, metavar="FILE", help="train what a plan says, stage by stage; of the "
        "flags that say what is trained only --data goes with it")  # fmt: skip
    add("--stage", nargs="+", metavar="NAME", help="these stages of the plan (default: all)")
    add = groups[DATA].add_argument
    add("--data", nargs="+", metavar="DIR", help="its folder; of several data sets one for each, "
        "or one for all, or NAME=DIR (default: $BRAINSEG_DATA or data/)")  # fmt: skip
    add("--unlabelled", type=Path, nargs="+", metavar="DIR", help="folders of scans without a mask "
        "for --semi; masks beside them are not read")  # fmt: skip
    runs = parser.add_argument_group("runs and hardware")
    add = runs.add_argument
    add("--runs", type=Path, metavar="DIR", default=Path("runs"),
        help="where runs live (default: runs)")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="copy finished checkpoints and bases to DIR/<name>")
    add("--push-to-hub", metavar="USER/REPO", help="also push finished checkpoints to the "
        "Hugging Face Hub")  # fmt: skip
    add("--private", action="store_true", help="make that repository private")
    add("--cache", type=Path, metavar="DIR", help="prepared slices, and maps that stacks are "
        "fitted on (default: $BRAINSEG_CACHE or ~/.cache/brainseg)")  # fmt: skip
    there = runs.add_mutually_exclusive_group().add_argument
    there("--resume", action="store_true", help="continue an unfinished run from its last epoch")
    there("--overwrite", action="store_true", help="start anew where a run exists")
    add("--no-test", action="store_true", help="leave the test fold's scores for later: the same "
        "command without this flag adds them")  # fmt: skip
    add("--config", type=Path, metavar="FILE", help="repeat the run of a checkpoint's config.json; "
        "flags given beside it win")  # fmt: skip
    add("--precision", choices=("auto", "bf16", "fp16", "no"), default="auto",
        help="auto: bf16 where the hardware has it (default: auto)")  # fmt: skip
    add("--cpu", action="store_true", help="do not use a GPU")
    add("--compile", nargs="?", const="inductor", choices=("inductor", "eager"), help="train "
        "networks that torch.compile has made faster (eager: traced only)")  # fmt: skip
    add("--ray", metavar="ADDRESS", help="spread runs over a Ray cluster (auto, ray://HOST:PORT, "
        "or local to start one here)")  # fmt: skip
    add("--track", choices=("none", "tensorboard", "trackio"), default="none",
        help="log the epochs")  # fmt: skip
    args = parser.parse_args(argv)
    args.data = data_folders(args.data, parser)
    return args


def data_folders(
    given: list[str] | None, parser: argparse.ArgumentParser
) -> list[Path] | dict[str, Path] | None:
    """What ``--data`` says: folders in the order of the data sets, or by their names."""
    pairs = [text.partition("=") for text in given or ()]
    named = {name: Path(folder) for name, sign, folder in pairs if sign and name in DATASETS}
    if named and len(named) < len(given):
        parser.error("--data takes folders, or NAME=DIR once for each data set: not both.")
    return named or (given and [Path(folder) for folder in given])


def add_wishes(parser: argparse.ArgumentParser) -> dict:
    """The flags that say what is to be trained; returns their groups."""
    groups = {name: parser.add_argument_group(name) for name in (WHAT, DATA, HOW)}
    add_settings(groups)
    add = groups[DATA].add_argument
    add("--classes", action="store_true", help="tell the data set's classes apart, kinds of tumour "
        "or regions of one, instead of tumour only")  # fmt: skip
    add("--left-out", nargs="+", choices=(*"01234", "all"), metavar="K", help="folds of "
        "patients not trained on: the first is tested, a second, if there is one, chooses epoch "
        "and threshold; all: five runs, each without one fold (default: 0 1)")  # fmt: skip
    add = groups[HOW].add_argument
    add("--seeds", nargs="+", type=int, metavar="N", help="of every random choice; one or several "
        "(default: 0)")  # fmt: skip
    add("--set", nargs="+", action="extend", metavar="KEY=VALUE", default=[],
        help=f"any other setting of a run: {', '.join(by_set().values())}")  # fmt: skip
    return groups


def by_set() -> dict[str, str]:
    """The settings of a run that have no flag of their own, with what ``--help`` says of each."""
    return {
        setting.name: f"{setting.name}={json.dumps(setting.default)} ({setting.metadata['help']})"
        for setting in dataclasses.fields(Config)
        if "help" in setting.metadata and "group" not in setting.metadata
    }


def add_settings(groups: dict) -> None:
    """A flag for each setting of a run that has one.

    Defaults are None, to tell "not given" from "given".
    """
    for setting in dataclasses.fields(Config):
        flag = dict(setting.metadata)
        group, text, default = flag.pop("group", None), flag.pop("help", None), setting.default
        if group is None:
            continue
        if setting.name == "dataset":
            flag["choices"] = tuple(DATASETS)
        elif isinstance(default, int | float):
            flag["type"] = type(default)
        if default not in (None, ()):
            shown = default if isinstance(default, tuple) else (default,)
            text += f" (default: {' '.join(map(str, shown))})"
        groups[group].add_argument(f"--{setting.name.replace('_', '-')}", help=text, **flag)


def resolve(args: argparse.Namespace) -> list[Config]:
    """The configurations the command line asks for, bases before stacks."""
    if args.plan:
        return resolve_plan(args)
    if args.stage:
        raise ConfigError(f"--stage {args.stage[0]} is of a plan: give --plan FILE too.")
    base = read_config(args.config) if args.config else Config()
    if args.init_from:
        from brainseg.files import sha256
        from brainseg.training.start import weights_file

        base = dataclasses.replace(base, init_from=sha256(weights_file(args.init_from)))
    if args.unlabelled:
        from brainseg.data.unlabelled import digest_of, load_unlabelled

        scans = digest_of(load_unlabelled(args.unlabelled))
        semi = args.semi or base.semi
        base = dataclasses.replace(base, unlabelled=scans, semi=semi)
    configs = wanted(args, base, args.data)
    for flag, target in (("--out", args.out), ("--push-to-hub", args.push_to_hub)):
        if target and len({(config.left_out, config.seed) for config in configs}) > 1:
            raise ConfigError(
                f"{flag} goes with one run of a model and one seed: the others would replace it."
            )
    return configs


def resolve_plan(args: argparse.Namespace) -> list[Config]:
    """The configurations of a plan's stages, in its order.

    A plan is TOML: ``common``, flags of every run, and tables ``[[stage]]`` with a ``name``, its
    own ``common`` if there is some, and ``runs``, each the flags of one command of train.py that
    say what is to be trained.
    """
    for name, default in vars(wishes("", "")).items():
        if getattr(args, name) != default:
            flag = name.replace("_", "-")
            raise ConfigError(f"--{flag} does not go with --plan, which says what is trained.")
    for name in ("init_from", "unlabelled", "config", "out", "push_to_hub"):
        if getattr(args, name):
            raise ConfigError(f"--{name.replace('_', '-')} does not go with --plan: leave it out.")
    try:
        plan = tomllib.loads(args.plan.read_text(encoding="utf-8"))
        stages = {stage["name"]: stage for stage in plan["stage"]}
        lines = [
            (name, " ".join([plan.get("common", ""), stage.get("common", ""), line]))
            for name, stage in stages.items()
            for line in stage["runs"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--plan {args.plan} can't be read ({error}): expected TOML with [[stage]] tables of a "
            "name and a list of runs."
        ) from error
    if len(stages) < len(plan["stage"]):
        raise ConfigError(f"--plan {args.plan} has two stages of one name: give each its own.")
    if unknown := sorted(set(args.stage or ()) - set(stages)):
        raise ConfigError(f"--stage {unknown[0]}: {args.plan} has {', '.join(stages)}.")
    return [
        config
        for name, line in lines
        if not args.stage or name in args.stage
        for config in wanted(
            wishes(line, f"{args.plan}, stage {name}: {line.strip()}"), Config(), args.data
        )
    ]


def wishes(line: str, where: str) -> argparse.Namespace:
    """What a line of flags in a plan says is to be trained."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_wishes(parser)

    def refuse(message: str) -> None:
        raise ConfigError(f"{where}: {message}.")

    parser.error = refuse
    try:
        words = shlex.split(line)
    except ValueError as error:  # a quote that nothing closes
        refuse(str(error))
    return parser.parse_args(words)


def wanted(args: argparse.Namespace, base: Config, data: Paths) -> list[Config]:
    """A configuration for each combination of what is given, ``base`` where nothing is; ``data``:
    where the data sets lie, which may have to be looked at for their classes."""
    known = base.to_json()
    given = {k: v for k, v in vars(args).items() if k in known and v is not None}
    for key in ("model", "loss", "init_from", "unlabelled"):
        given.pop(key, None)
    if args.dataset:
        given["dataset"] = "+".join(args.dataset)
    given.pop("classes", None)
    if args.classes:
        from brainseg.data import classes_of

        dataset = given.get("dataset", base.dataset)
        given["classes"] = classes_of(dataset, data)
        if not given["classes"]:
            raise ConfigError(f"--classes: {dataset} states none to tell apart.")
    if given.get("encoder_weights") == "none":
        given["encoder_weights"] = None
    for setting in args.set:
        key, _, value = setting.partition("=")
        if key in known and key not in by_set():
            flag = "seeds" if key == "seed" else key.replace("_", "-")
            raise ConfigError(f"--set {setting}: {key} has a flag of its own, give --{flag}.")
        try:
            given[key] = json.loads(value)
        except ValueError as error:
            raise ConfigError(
                f"--set {setting}: expected KEY=NUMBER, as weight_decay=0.01."
            ) from error
    from brainseg.training.planning import combinations

    chosen = combinations(args.model or [base.model], args.loss or [base.loss])
    if args.encoder and len(chosen) > 1:
        raise ConfigError("--encoder goes with one model: give one --model beside it.")
    if args.atrous_rates and not any(MODELS[model].is_atrous for model, _ in chosen):
        with_them = " or ".join(name for name, spec in MODELS.items() if spec.is_atrous)
        raise ConfigError(f"--atrous-rates goes with {with_them}: no other model has them.")
    return [
        from_json({**known, **given, "model": m, "loss": loss, "left_out": left_out, "seed": seed})
        for left_out in (folds_of(args.left_out) if args.left_out else [base.left_out])
        for seed in args.seeds or [base.seed]
        for m, loss in chosen
    ]


def folds_of(given: list[str]) -> list[tuple[int, ...]]:
    """The folds that each run leaves out."""
    if "all" in given:
        return [(fold,) for fold in range(FOLDS)]
    return [tuple(int(fold) for fold in given)]


def read_config(path: Path) -> Config:
    """The configuration in a checkpoint's ``config.json``."""
    from brainseg.checkpoints.settings import our_part

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return from_json(values if "model" in values else our_part(values)["run"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"--config {path} can't be read ({error}): expected a checkpoint's config.json."
        ) from error


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    try:
        configs = resolve(args)
        from brainseg.training.planning import plan

        needed = plan(configs, args.runs)
        if args.push_to_hub:  # what would fail after hours of training shall fail now
            from brainseg.checkpoints.hub.client import parse_repo, require_token

            parse_repo(args.push_to_hub)
            require_token()
        uncopied: list[str] = []
        failed = on_ray(args, needed) if args.ray else here(args, configs, needed, uncopied)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; --resume continues.", file=sys.stderr)
        return 130
    if len(needed) > 1 and is_main_process():
        from brainseg.training.runs import table

        print(table(needed, args.runs))
    if failed:
        titles = "; ".join(config.title for config in failed)
        print(f"{len(failed)} of {len(needed)} runs failed: {titles}", file=sys.stderr)
    pushed = not args.push_to_hub or push([c for c in configs if c not in failed], args)
    return 0 if pushed and not failed and not uncopied else 1


def here(
    args: argparse.Namespace, configs: list[Config], needed: dict, uncopied: list[str]
) -> list[Config]:
    """Train everything needed, one after the other, on this machine; returns what failed.
    ``uncopied`` gets the names of those that could not be copied to ``--out``."""
    from brainseg.checkpoints.folder import Checkpoint, copy_checkpoint, find_base
    from brainseg.training.learner import make_accelerator
    from brainseg.training.runs import Workplace, run_all

    tracker = None if args.track == "none" else args.track
    accelerator = make_accelerator(args.precision, args.cpu, tracker, args.compile)
    place = Workplace(
        args.data,
        args.cache,
        args.runs,
        accelerator=accelerator,
        resume=args.resume,
        overwrite=args.overwrite,
        score=not args.no_test,
        initial=args.init_from,
        unlabelled=args.unlabelled,
    )

    def copy(checkpoint: Checkpoint) -> None:
        if not args.out or not accelerator.is_main_process:
            return
        try:
            for one in (*(find_base(checkpoint, base) for base in checkpoint.bases), checkpoint):
                copy_checkpoint(one, args.out / one.name)
        except (ValueError, OSError) as error:  # the run itself is whole, and others may read it
            uncopied.append(checkpoint.name)
            print(f"error: {checkpoint.folder} could not be copied: {error}", file=sys.stderr)

    failed = run_all(needed.values(), configs, place, copy)
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
    from brainseg.training.cluster import run_on_ray
    from brainseg.training.learner import make_accelerator
    from brainseg.training.runs import Workplace, conclude

    if args.out or args.overwrite or args.track != "none":
        raise ConfigError(
            "--ray goes without --out, --overwrite and --track: give a new --runs folder."
        )
    place = Workplace(
        args.data, args.cache, args.runs, None, score=not args.no_test, initial=args.init_from,
        unlabelled=args.unlabelled,
    )  # fmt: skip
    options = {"precision": args.precision, "cpu": args.cpu, "compiler": args.compile}
    failed = list(run_on_ray(needed.values(), place, args.ray, **options))
    conclude(needed, dataclasses.replace(place, accelerator=make_accelerator("no", cpu=True)))
    return failed


def is_main_process() -> bool:
    from accelerate import PartialState

    return PartialState().is_main_process


if __name__ == "__main__":
    sys.exit(main())
