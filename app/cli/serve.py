"""``venire serve``: run the service."""

from argparse import Namespace

from app.cli.wiring import Commands, Wiring


def add(commands: Commands, wiring: Wiring) -> None:
    """Every setting is an option; what is not given comes from the environment."""
    parser = commands.add_parser("serve", help="run the service", description="Run the service.")
    for option in wiring.options:
        shown = f" Default: {option.default}." if option.default else ""
        parser.add_argument(
            option.flag,
            dest=option.variable,
            metavar="VALUE",
            help=f"{option.meaning}{shown} [{option.variable}]".replace("%", "%%"),
        )
    parser.set_defaults(run=_run)


def _run(arguments: Namespace, wiring: Wiring) -> int:
    given = {option.variable: getattr(arguments, option.variable) for option in wiring.options}
    return wiring.serve({variable: value for variable, value in given.items() if value is not None})
