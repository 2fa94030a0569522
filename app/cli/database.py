"""``venire db``: the database of this machine's settings."""

from argparse import Namespace

from app.cli.errors import OK
from app.cli.options import prints_json
from app.cli.output import Output
from app.cli.wiring import Commands, Wiring


def add(commands: Commands, wiring: Wiring) -> None:
    """Upgrade; the service does the same when it starts."""
    group = commands.add_parser("db", help="bring the database up to date")
    actions = group.add_subparsers(metavar="ACTION", required=True)
    upgrading = actions.add_parser("upgrade", help="run the migrations; safe to run twice")
    prints_json(upgrading)
    upgrading.set_defaults(run=_upgrade)


def _upgrade(arguments: Namespace, wiring: Wiring) -> int:
    where = wiring.upgrade_database()
    output = Output(as_json=arguments.json)
    output.document({"database": where, "status": "up to date"})
    output.say(f"{where} is up to date")
    return OK
