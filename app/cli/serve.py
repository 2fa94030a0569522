"""``venire serve`` and ``venire worker``: run the service, and what grades its batches."""

from argparse import ArgumentParser, Namespace

from app.cli.wiring import Commands, Wiring


def add(commands: Commands, wiring: Wiring) -> None:
    """Every setting is an option; what is not given comes from the environment."""
    parser = commands.add_parser("serve", help="run the service", description="Run the service.")
    _takes_settings(parser, wiring)
    parser.set_defaults(run=_serve)
    parser = commands.add_parser(
        "worker",
        help="grade batches",
        description="Grade batches until told to stop. Any number of workers may share a database; on "
        "SIGTERM a worker records the calls under way, begins no other, and ends.",
    )
    _takes_settings(parser, wiring)
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this process does")
    parser.set_defaults(run=_work)


def _takes_settings(parser: ArgumentParser, wiring: Wiring) -> None:
    for option in wiring.options:
        shown = f" Default: {option.default}." if option.default else ""
        parser.add_argument(
            option.flag,
            dest=option.variable,
            metavar="VALUE",
            help=f"{option.meaning}{shown} [{option.variable}]".replace("%", "%%"),
        )


def _serve(arguments: Namespace, wiring: Wiring) -> int:
    return wiring.serve(_given(arguments, wiring))


def _work(arguments: Namespace, wiring: Wiring) -> int:
    return wiring.work(_given(arguments, wiring), arguments.parent)


def _given(arguments: Namespace, wiring: Wiring) -> dict[str, str]:
    given = {option.variable: getattr(arguments, option.variable) for option in wiring.options}
    return {variable: value for variable, value in given.items() if value is not None}
