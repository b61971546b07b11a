"""Who is named in rules and rights (`user:a@x.io`, `team:ml`, `virtualaccount:app`), beside who there is."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gateway.config.document import Document, FieldPath
from gateway.config.manifests.access_token import PersonalAccessToken, find_user
from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.manifests.role import CallingRoles
from gateway.config.manifests.role_binding import RoleBinding
from gateway.config.manifests.team import Team
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.config.plain_words import nearest
from gateway.config.problem import Problem
from gateway.config.reading import Reading
from gateway.model import EVERYONE

KINDS: Final[Mapping[str, str]] = {"user": "user", "team": "team", "virtualaccount": "virtual account"}
"""The kinds of subject, and what messages call them."""

KnownSubjects = Mapping[str, frozenset[str]]
"""Names by kind, in force or not. Of a kind that is missing manifests do not know the names."""


def known_subjects(documents: Iterable[Document]) -> KnownSubjects:
    """Everybody who may be named; who is in a team and has no token yet too.

    Where an identity provider signs users in, no manifest knows them all.
    """
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    found["team"].add(EVERYONE)
    is_closed = True
    for document in documents:
        match document.type:
            case "virtual-account":
                found["virtualaccount"].add(document.name)
            case "team":
                found["team"].add(document.name)
                members = document.body.get("members")
                found["user"].update(
                    member
                    for member in (members if isinstance(members, list) else ())
                    if isinstance(member, str)
                )
            case "pat":
                user = find_user(document.body.get("user_fqn"))
                found["user"].update([] if user is None else [user])
            case "external-identity-provider":
                is_closed = False
    if not is_closed:
        del found["user"]
    return {kind: frozenset(names) for kind, names in found.items()}


def check_subjects(
    document: Document, path: FieldPath, subjects: Sequence[str] | None, known: KnownSubjects
) -> Iterator[Problem]:
    """A pattern of another kind, or that nobody has, is a slip or of what comes later."""
    for index, subject in enumerate(subjects or ()):
        kind, colon, name = subject.partition(":")
        if kind in KINDS and colon:
            yield from check_named(document, (*path, index), name, known.get(kind), KINDS[kind])
        elif not subject.startswith("*"):
            yield _no_kind(document, (*path, index), subject)


def _no_kind(document: Document, path: FieldPath, subject: str) -> Problem:
    kinds = ", ".join(f"{kind}:" for kind in KINDS)
    return document.warning(path, f"'{subject}' is no kind of subject", f"Write one of {kinds} and a name")


def check_named(
    document: Document, path: FieldPath, pattern: str, known: frozenset[str] | None, what: str
) -> Iterator[Problem]:
    """Whether *pattern* names any of *known*, which is None where manifests do not know."""
    if known is None:
        return
    if pattern not in known and not any(fnmatch.fnmatchcase(name, pattern) for name in known):
        fix = nearest(pattern, known) or "'*' stands for any text"
        yield document.warning(path, f"'{pattern}' matches no {what}", fix)


def check_sharing(
    document: Document,
    account: ProviderAccount | VirtualModelAccount,
    known: KnownSubjects,
    roles: CallingRoles,
) -> Iterator[Problem]:
    """What is wrong with who may use an account, and with who alone may use a model of it."""
    for index, collaborator in enumerate(account.collaborators):
        path: FieldPath = ("collaborators", index)
        yield from _check_member(document, (*path, "subject"), collaborator.subject, known)
        if not collaborator.may_call(roles):
            yield document.warning(
                (*path, "role_id"),
                f"the role '{collaborator.role_id}' lets nobody call",
                f"Write one of {', '.join(sorted(roles.of_accounts))}",
            )
    for index, model in enumerate(account.integrations if isinstance(account, ProviderAccount) else ()):
        path = ("integrations", index, "authorized_subjects")
        if model.authorized_subjects == ():
            yield document.warning(path, "nobody may use this model", "Remove the empty list, or fill it")
        for number, subject in enumerate(model.authorized_subjects or ()):
            yield from _check_member(document, (*path, number), subject, known)


def check_bound(document: Document, binding: RoleBinding, known: KnownSubjects) -> Iterator[Problem]:
    """What is wrong with who is bound."""
    for index, bound in enumerate(binding.subjects):
        path: FieldPath = ("subjects", index)
        if bound.type not in KINDS:
            yield document.warning(path, f"no {bound.type} calls yet", "It has no effect; it may stay")
        else:
            yield from _check_member(document, (*path, "name"), bound.subject, known)


def subjects_that_share(readings: Iterable[Reading], roles: CallingRoles) -> frozenset[str]:
    """Who may use something by the list of an account, or by a role binding."""
    found: set[str] = set()
    for reading in readings:
        match reading.written:
            case ProviderAccount(collaborators=all_of_them) | VirtualModelAccount(collaborators=all_of_them):
                found.update(one.subject for one in all_of_them if one.may_call(roles))
            case RoleBinding() as binding if binding.grants(roles):
                found.update(bound.subject for bound in binding.subjects)
    return frozenset(found)


def _check_member(
    document: Document, path: FieldPath, subject: str, known: KnownSubjects
) -> Iterator[Problem]:
    """Rights are given letter by letter: what looks like a pattern is a name that nobody has."""
    kind, colon, name = subject.partition(":")
    if kind not in KINDS or not colon:
        yield _no_kind(document, path, subject)
    elif kind in known and name not in known[kind]:
        other = "" if kind == "virtualaccount" else f", or team:{EVERYONE}"
        fix = nearest(name, known[kind]) or f"Name a {KINDS[kind]} of this configuration{other}"
        yield document.warning(path, f"there is no {KINDS[kind]} '{name}'", fix)


def check_callers(readings: Sequence[Reading], known: KnownSubjects) -> Iterator[Problem]:
    """What is wrong with users and teams."""
    callers = {
        reading.written.user for reading in readings if isinstance(reading.written, PersonalAccessToken)
    }
    by_lower = {user.lower(): user for user in callers}
    for reading in readings:
        match reading.written:
            case PersonalAccessToken() as token:
                yield from _check_token(reading.document, token, known)
            case Team(members=members):
                for index, member in enumerate(members):
                    user = by_lower.get(member.lower(), member)
                    if member not in callers and user != member:
                        message = f"'{member}' has no token, '{user}' has one: upper and lower case differ"
                        yield reading.document.warning(("members", index), message, f"Write '{user}'")


def _check_token(document: Document, token: PersonalAccessToken, known: KnownSubjects) -> Iterator[Problem]:
    if token.user in known["virtualaccount"]:
        # What is kept for a caller (files, batches, sessions) is kept by its name.
        message = f"the user has the name of the virtual account '{token.user}'"
        yield document.error(("user_fqn",), message, "Give the virtual account another name")
    if not token.tokens:
        yield document.warning(
            ("tokens",), "no tokens, so nobody can call with this one", "Add tokens: [env:NAME]"
        )
