"""Who grades: a person with an invitation, or one whom somebody with a key for anchors names."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from app.access.keys import Caller, KeyRing
from app.domain.annotation import Annotator, Invitation, Queue
from app.domain.ids import read_id
from app.domain.model_names import names_a_model
from app.domain.problems import BadInput, Conflict, NotFound, NotPermitted, Problem
from app.domain.projects import Project, Scope
from app.storage import annotations, invitations
from app.storage.database import Database


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation with its key, which is shown this once."""

    invitation: Invitation
    token: str


@dataclass(slots=True)
class People:
    """Invitations, and who a caller is."""

    db: Database
    keys: KeyRing
    now: Callable[[], datetime] = _utc_now

    async def invite(
        self, project: Project, queue: Queue, *, name: str, type: str, expires_at: datetime | None
    ) -> NewInvitation:
        """A key by which one person can grade in this queue and do nothing else.

        Raises
        ------
        BadInput
            If the name or type names a model, or the time has passed.
        Conflict
            While the service has no key: the first one closes it to whoever made it here.
        """
        annotator = person(project, name, type)
        if expires_at is not None and expires_at <= self.now():
            raise BadInput(
                "the invitation would be over before it begins",
                [Problem("must lie in the future", path="expires_at", value=expires_at.isoformat())],
            )
        if not await self.keys.has_keys():
            raise Conflict(
                "make a key for yourself first (venire keys create): an invitation is a key, and with the"
                " first key the service asks everybody for one"
            )
        key, token = await self.keys.create(
            project, f"{annotator.name} grades {queue.name}"[:200], frozenset({Scope.ANNOTATE})
        )
        await annotations.put_annotator(self.db, project.id, annotator)
        await invitations.add_invitation(
            self.db,
            project.id,
            key_id=key.id,
            queue=queue,
            annotator=annotator,
            expires_at=expires_at,
            now=self.now(),
        )
        made = await invitations.find_invitation(self.db, key.id)
        assert made is not None  # it was just added
        return NewInvitation(made, token)

    async def invited(self, queue: Queue) -> tuple[Invitation, ...]:
        """Everyone who was invited to a queue, oldest first."""
        return await invitations.invitations_to(self.db, queue)

    async def revoke(self, project: Project, queue: Queue, shown_id: str) -> None:
        """Take an invitation back; what the person graded stays. NotFound if the queue has none such."""
        key_id = read_id("k", shown_id)
        if key_id not in {one.key_id for one in await self.invited(queue)}:
            raise NotFound("invitation", shown_id)
        await self.keys.revoke(project, key_id, shown_id)

    async def invitation_of(self, caller: Caller) -> Invitation | None:
        """The invitation that a caller came with, if it came with one that still holds.

        Raises
        ------
        NotPermitted
            If it is over.
        """
        if caller.key is None or Scope.ANNOTATE not in caller.key.scopes:
            return None
        found = await invitations.find_invitation(self.db, caller.key.id)
        if found is None:
            raise NotPermitted("this key is no invitation")
        if found.expires_at is not None and found.expires_at <= self.now():
            raise NotPermitted("this invitation is over; ask whoever sent it for another")
        return found

    async def who(self, caller: Caller, queue: str, name: str | None, type: str | None) -> Annotator:
        """The person who grades in this queue for ``caller``.

        Raises
        ------
        NotPermitted
            If the caller's invitation is to another queue, or names another person.
        BadInput
            If nobody is named, or a model is.
        """
        invitation = await self.invitation_of(caller)
        if invitation is None:
            return person(caller.project, name or "", type or "")
        if invitation.queue != queue:
            raise NotPermitted("this invitation is for another queue")
        if name is not None and name != invitation.annotator.name:
            raise NotPermitted("an invitation is for one person, whose name it has")
        return invitation.annotator


def person(project: Project, name: str, type: str) -> Annotator:
    """The annotator of that name and type; BadInput with all that is wrong with them."""
    problems = []
    for path, text in (("annotator", name.strip()), ("annotator_type", type.strip())):
        if not text:
            problems.append(Problem("say who grades", path=path))
        elif (model := names_a_model(text)) is not None:
            problems.append(Problem(f"people grade here, and {model!r} names a model", path=path, value=text))
    if problems:
        raise BadInput("nobody can grade under this name", problems)
    return annotations.annotator_of(project.id, name.strip(), type.strip())
