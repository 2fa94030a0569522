"""``venire keys``: create, list, revoke."""

from argparse import Namespace

from app.cli.client import Service, part
from app.cli.errors import OK
from app.cli.options import talks
from app.cli.output import Output, Table
from app.cli.wiring import Commands, Wiring

_SCOPES = ("grade", "anchors", "read", "admin")


def add(commands: Commands, wiring: Wiring) -> None:
    """The first key ends the time in which whoever calls from this machine needs none."""
    group = commands.add_parser("keys", help="create, list and revoke keys")
    actions = group.add_subparsers(metavar="ACTION", required=True)
    creating = actions.add_parser("create", help="make a key; it is shown once")
    creating.add_argument("name", metavar="NAME", help="what it is for")
    creating.add_argument(
        "--scope",
        action="append",
        choices=_SCOPES,
        dest="scopes",
        help="what it may do; repeatable (default: admin, which is everything)",
    )
    talks(creating, _create)
    talks(actions.add_parser("list", help="the project's keys"), _list)
    revoking = actions.add_parser("revoke", help="revoke a key")
    revoking.add_argument("id", metavar="ID", help="as k_0c5m0n2x9k4qz")
    talks(revoking, _revoke)


async def _create(arguments: Namespace, service: Service, output: Output) -> int:
    body = {"name": arguments.name, "scopes": arguments.scopes or ["admin"]}
    made = await service.post("/keys", body)
    output.document(made)
    output.note(
        f"{made['id']} opens project {made['project']} for {', '.join(made['scopes'])}; shown only now:"
    )
    output.say(made["key"])
    return OK


async def _list(arguments: Namespace, service: Service, output: Output) -> int:
    keys = await service.all("/keys")
    output.document(keys)
    rows = [
        (
            key["id"],
            key["name"],
            key["prefix"],
            ", ".join(key["scopes"]),
            "revoked" if key["revoked_at"] else "valid",
            key["last_used_at"] or "never",
        )
        for key in keys
    ]
    if rows:
        output.table(Table("", ("key", "name", "begins", "scopes", "state", "last used"), rows))
    else:
        output.say("There is no key: the service answers on this machine only. venire keys create NAME")
    return OK


async def _revoke(arguments: Namespace, service: Service, output: Output) -> int:
    await service.delete(f"/keys/{part(arguments.id)}")
    output.document({"id": arguments.id, "revoked": True})
    output.say(f"{arguments.id} is revoked; within two seconds no process of the service takes it any more.")
    return OK
