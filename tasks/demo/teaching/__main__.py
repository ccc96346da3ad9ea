"""Train and evaluate the demo teacher: `python -m tasks.demo.teaching`."""

import argparse
from pathlib import Path

from rich.console import Console

from tasks.demo.teaching.model import TEACHER_FOLDER
from tasks.demo.teaching.recipe import Recipe, make_teacher


def main() -> None:
    """The command line: sizes that can be reduced for a trial, and the folder."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.demo.teaching",
        description="Train the demo teacher (about half an hour on two CPU cores).",
    )
    parser.add_argument("--folder", type=Path, default=TEACHER_FOLDER)
    parser.add_argument(
        "--start",
        type=Path,
        help="continue from the weights in this folder, for instance with --short-steps 0",
    )
    parser.add_argument("--short-windows", type=int, default=Recipe.num_short_windows)
    parser.add_argument("--short-steps", type=int, default=Recipe.num_short_steps)
    parser.add_argument("--windows", type=int, default=Recipe.num_windows)
    parser.add_argument("--steps", type=int, default=Recipe.num_steps)
    arguments = parser.parse_args()
    console = Console()
    recipe = Recipe(
        num_short_windows=arguments.short_windows,
        num_short_steps=arguments.short_steps,
        num_windows=arguments.windows,
        num_steps=arguments.steps,
    )
    for name, rate in make_teacher(recipe, arguments.folder, arguments.start).items():
        console.print(f"held-out WER, {name}: {100 * rate:.1f} %")


if __name__ == "__main__":
    main()
