"""``rnnspec conformance``: write the suite, run it in tools, and report the results."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated

import typer

from rnnspec.cli.app import PACKAGES, Command, CommandGroup
from rnnspec.cli.completers import in_list, starting
from rnnspec.cli.options import Force
from rnnspec.errors import ParityError, UsageError, listed, printable
from rnnspec.errors.arguments import one_of
from rnnspec.files import Inputs, check_target, write_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from rnnspec_conformance.layout import Case
    from rnnspec_conformance.results import Results
    from rnnspec_conformance.run import Launch

app = typer.Typer(
    name="conformance",
    cls=CommandGroup,
    help=PACKAGES["conformance"],
    epilog="Example: rnnspec conformance run --tool onnxruntime",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_COMMAND = "'mytool {model} {inputs} {outputs}'"


def _cases(incomplete: str) -> list[str]:
    """Return names of cases."""
    from rnnspec_conformance.cases import CASES

    return starting(incomplete, [case.name for case in CASES])


def _several_tools(incomplete: str) -> list[str]:
    """Return lists of tools, separated by commas."""
    from rnnspec_conformance.tools import TOOLS

    return in_list(incomplete, TOOLS)


def _formats(incomplete: str) -> list[str]:
    """Return the formats of models."""
    from rnnspec_conformance.suite import formats

    return starting(incomplete, formats())


def _several_formats(incomplete: str) -> list[str]:
    """Return lists of formats of models, separated by commas."""
    from rnnspec_conformance.suite import formats

    return in_list(incomplete, formats())


Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="NAMES",
        help="Formats of the models, such as onnx,keras; by default all.",
        show_default=False,
        autocompletion=_several_formats,
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Also write the results as JSON; - prints them."),
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Also write the results as a page.")
]
Badge = Annotated[
    Path | None,
    typer.Option(
        "--badge", metavar="FILE", help="Also write a badge as SVG; only with results of one tool."
    ),
]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        help="Earlier results, from --json; exit with 1 only for what is worse.",
    ),
]


def list_(
    tools: Annotated[
        bool, typer.Option("--tools", help="List the tools that 'run --tool' takes instead.")
    ] = False,
) -> None:
    """List the cases of the suite, with the fact that each is about."""
    if tools:
        from rnnspec_conformance.tools import TOOLS

        rows = []
        for tool in TOOLS.values():
            install = tool.install or f"pip install {join(tool.packages)}"
            rows.append((tool.name, f"{tool.title}; takes {tool.format}; {install}"))
    else:
        from rnnspec_conformance.cases import CASES

        rows = [(case.name, case.fact) for case in CASES]
    width = max(len(name) for name, _ in rows)
    for name, about in rows:
        print(f"{name:{width}}  {about}")


def write(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.")],
    format: Formats = None,  # noqa: A002 - as the option
    force: Annotated[bool, typer.Option("--force", help="Replace a suite.")] = False,
) -> None:
    """Write the suite: a folder for each case, with models, inputs and outputs.

    The folder of a case is also a test of ONNX's own runner of backend tests. Each model is loaded
    again and compared with the reference. The files have the same bytes each time.
    """
    cases = _write(folder, _split(format) or None, force=force)
    print(printable(f"wrote {len(cases)} cases to {folder}"))


def run(
    suite: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="A suite that 'write' made; by default it is written first."
        ),
    ] = None,
    tool: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="Tools, as 'list --tools' has them, such as onnxruntime.",
            show_default=False,
            autocompletion=_several_tools,
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help=f"Any other tool: {_COMMAND} is run once per data set, without a shell. It reads "
            "input_0.npy or input_0.pb in {inputs} and writes output_0.npy or output_0.pb to "
            "{outputs}.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of COMMAND in the results; by default its own."),
    ] = None,
    format: Annotated[  # noqa: A002 - as the option
        str | None,
        typer.Option(
            metavar="NAME",
            help="The format of {model} in COMMAND; by default onnx.",
            autocompletion=_formats,
        ),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The Python that has the tools, which needs NumPy, and not rnnspec.",
        ),
    ] = None,
    case: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Only these cases, as in 'lstm-*'; can be repeated.",
            show_default=False,
            autocompletion=_cases,
        ),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="The time for each case.")
    ] = 60,
    memory_limit: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="GB", help="The memory of each tool; only on Linux."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many tools run at the same time.")
    ] = 1,
    json: JsonFile = None,
    html: Html = None,
    badge: Badge = None,
    baseline: Baseline = None,
    force: Force = False,
) -> None:
    """Run the suite in tools, each in a process of its own.

    An interrupted run (Ctrl-C) prints and writes the results that it has.

    Exit code: 0 if all outputs are equal to the reference's, else 1; with --baseline, 1 only if a
    result is worse than there.
    """
    # Imported here because '--help' computes nothing.
    from rnnspec.machine.processes import single_threaded

    with single_threaded():  # the processes of the tools, too
        from rnnspec.cli.progress import progress
        from rnnspec_conformance.run import InterruptedRun, run_suite

        launches = _launches(
            _split(tool),
            command,
            name=name,
            format=format,
            python=python,
            seconds=time_limit,
            memory=memory_limit,
        )
        output = _ResultFiles(json, html, badge, baseline, force=force)
        output.check_tools([launch.tool.name for launch in launches])
        with _suite(suite, launches) as all_cases:
            cases = _matching(all_cases, case)
            try:
                with progress(len(launches) * (len(cases) + 2)) as step:
                    results = run_suite(cases, launches, step, jobs)
            except InterruptedRun as stop:
                output.write(stop.results)
                raise
        output.write(results)
    if baseline is None and any(results.failures):
        raise typer.Exit(1)


def report(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES", help="Results that 'run --json' wrote."),
    ],
    json: JsonFile = None,
    html: Html = None,
    badge: Badge = None,
    baseline: Baseline = None,
    force: Force = False,
) -> None:
    """Print the results of several runs in one table.

    Where two files have the same tool and case, the later file counts.
    """
    from rnnspec_conformance.results import merge, read_results

    output = _ResultFiles(json, html, badge, baseline, force=force, inputs=files)
    results = merge([read_results(path) for path in files])
    output.check_tools([*results.tools])
    output.write(results)


class _ResultFiles:
    """The files to write, and the baseline, which is read before anything is run."""

    def __init__(
        self,
        json: Path | None,
        html: Path | None,
        badge: Path | None,
        baseline: Path | None,
        *,
        force: bool,
        inputs: Sequence[Path] = (),
    ) -> None:
        from rnnspec_conformance.results import read_results

        self._json, self._html, self._badge, self._force = json, html, badge, force
        named = [(path, f"the input {path}") for path in inputs]
        if baseline is not None:
            named.append((baseline, "the baseline"))
        self._inputs = Inputs.of(named)
        for path, suffixes in ((json, (".json",)), (html, (".html", ".htm")), (badge, (".svg",))):
            if path is None or (path == json and path == Path("-")):
                continue
            if path.suffix not in suffixes:
                raise UsageError(f"expected a path that ends in {suffixes[0]}", str(path))
            check_target(path, force=force, inputs=self._inputs)
        self._baseline = None if baseline is None else read_results(baseline)

    def check_tools(self, tools: Sequence[str]) -> None:
        """Raise UsageError if a badge would be that of no tool or of several."""
        if self._badge is not None and len(tools) != 1:
            raise UsageError(f"--badge: expected one tool, received {listed(tools) or 'none'}")

    def write(self, results: Results) -> None:
        """Print the results, write them to the files, and compare them with the baseline.

        Raises:
            ParityError: a result is worse than in the baseline.
        """
        from rnnspec.cli.guard import print_json
        from rnnspec_conformance.report import badge, page, print_results

        if self._json == Path("-"):
            print_json(results.as_dict())
        else:
            print_results(results)
        if self._json is not None and self._json != Path("-"):
            import json

            text = json.dumps(results.as_dict(), indent=1) + "\n"
            write_file(self._json, text, force=self._force, inputs=self._inputs)
        if self._html is not None:
            text = page(results, command=join(["rnnspec", *sys.argv[1:]]))
            write_file(self._html, text, force=self._force, inputs=self._inputs)
        if self._badge is not None:
            text = badge(results, *results.tools)
            write_file(self._badge, text, force=self._force, inputs=self._inputs)
        if self._baseline is not None and (worse := results.worse_than(self._baseline)):
            raise ParityError(worse)


def _split(lists: Sequence[str] | None) -> list[str]:
    names = [name.strip() for text in lists or () for name in text.split(",")]
    return list(dict.fromkeys(names))


def _launches(
    tools: Sequence[str],
    command: str | None,
    *,
    name: str | None,
    format: str | None,  # noqa: A002
    python: str | None,
    seconds: float,
    memory: float | None,
) -> list[Launch]:
    """Return how each tool is started.

    Raises:
        UsageError: there is none, one is unknown, or an option has nothing to act on.
    """
    import shutil
    from dataclasses import replace

    from rnnspec_conformance.run import Launch, launch_command
    from rnnspec_conformance.suite import formats
    from rnnspec_conformance.tools import TOOLS

    if not tools and command is None:
        raise UsageError(f"expected --tool NAMES, or --command {_COMMAND}")
    if command is None and (name is not None or format is not None):
        option = "--name" if name is not None else "--format"
        raise UsageError(f"{option} belongs to --command")
    if python is not None and not tools:
        raise UsageError("--python belongs to --tool; a command names its own program")
    launches = [Launch(TOOLS[one_of("tool", tool, TOOLS)], tool) for tool in tools]
    if python is not None:
        interpreter = shutil.which(python)
        if interpreter is None:
            raise UsageError("expected a Python interpreter", python)
        # Not resolve(): the Python of a virtual environment is a link.
        path = str(Path(interpreter).absolute())
        launches = [replace(launch, python=path) for launch in launches]
    if command is not None:
        form = one_of("format", format or "onnx", formats())
        launches.append(launch_command(command, name or "", form))
    size = None if memory is None else int(memory * 1e9)
    return [replace(launch, seconds=seconds, memory=size) for launch in launches]


@contextmanager
def _suite(folder: Path | None, launches: Sequence[Launch]) -> Iterator[Sequence[Case]]:
    """Yield the cases of a suite, or of one that is written in the formats of the tools."""
    if folder is not None:
        from rnnspec_conformance.layout import read

        yield read(folder)
        return
    with tempfile.TemporaryDirectory() as folder_name:
        yield _write(Path(folder_name, "suite"), {launch.tool.format for launch in launches})


def _write(folder: Path, formats: Collection[str] | None, *, force: bool = False) -> Sequence[Case]:
    from rnnspec.cli.progress import progress
    from rnnspec_conformance.cases import CASES
    from rnnspec_conformance.suite import write as write_suite

    with progress(len(CASES)) as step:
        step("writing the suite")
        return write_suite(folder, formats=formats, force=force, progress=step)


def _matching(cases: Sequence[Case], patterns: Sequence[str] | None) -> Sequence[Case]:
    """Return the cases whose names match a pattern, in the order of the suite.

    Raises:
        UsageError: a pattern matches none.
    """
    if patterns is None:
        return cases
    names = [case.name for case in cases]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            if any(mark in pattern for mark in "*?["):
                raise UsageError(f"--case: no case matches {pattern!r}")
            one_of("case", pattern, names)
    return [case for case in cases if any(fnmatchcase(case.name, one) for one in patterns)]


@app.callback(invoke_without_command=True)
def _conformance(
    context: typer.Context,
    listing: Annotated[
        bool, typer.Option("--list", help="List the cases, as 'conformance list' does.")
    ] = False,
) -> None:
    if listing and context.invoked_subcommand is None:
        list_()


for _function, _example in (
    (list_, "list"),
    (write, "write suite --format onnx"),
    (run, "run --tool onnxruntime --json results.json"),
    (report, "report results.json other.json --html all.html"),
):
    _name = _function.__name__.rstrip("_")
    _epilog = f"Example: rnnspec conformance {_example}"
    app.command(_name, cls=Command, epilog=_epilog)(_function)
