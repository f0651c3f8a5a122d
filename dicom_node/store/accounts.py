"""Accounts, sessions and tokens of the console, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dicom_node.domain.accounts import Account, ApiToken, Role, Session
from dicom_node.domain.errors import IntegrityError
from dicom_node.store import schema

if TYPE_CHECKING:
    from dicom_node.store.database import Database

__all__ = ["SqlAccounts"]

_accounts, _sessions, _tokens = schema.accounts, schema.sessions, schema.tokens


class SqlAccounts:
    """A `ports.AccountStore`. Any number of threads may use one object."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_account(
        self, name: str, role: Role, *, password_hash: str, subject: str = "", now: float
    ) -> Account:
        """See `ports.AccountStore.add_account`."""
        with self._database.write() as connection:
            known = _accounts.c.folded == name.casefold()
            if connection.execute(sa.select(_accounts.c.id).where(known)).first() is not None:
                raise IntegrityError(f"there is an account {name!r} already")
            connection.execute(
                sa.insert(_accounts).values(
                    name=name,
                    folded=name.casefold(),
                    role=role.value,
                    subject=subject or None,
                    password_hash=password_hash,
                    disabled=False,
                    created_at=now,
                )
            )
            return _account(connection.execute(sa.select(_accounts).where(known)).one())

    def account(self, name: str) -> Account | None:
        """See `ports.AccountStore.account`."""
        return self._one(_accounts.c.folded == name.casefold())

    def account_of_subject(self, subject: str) -> Account | None:
        """See `ports.AccountStore.account_of_subject`."""
        return self._one(_accounts.c.subject == subject)

    def accounts(self) -> tuple[Account, ...]:
        """See `ports.AccountStore.accounts`."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(_accounts).order_by(_accounts.c.folded))
            return tuple(_account(row) for row in rows)

    def password_hash(self, account_id: int) -> str:
        """See `ports.AccountStore.password_hash`."""
        with self._database.read() as connection:
            query = sa.select(_accounts.c.password_hash).where(_accounts.c.id == account_id)
            return connection.execute(query).scalar() or ""

    def change_account(
        self,
        account_id: int,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        password_hash: str | None = None,
        now: float,
    ) -> None:
        """See `ports.AccountStore.change_account`."""
        given = {"role": role, "disabled": disabled, "password_hash": password_hash}
        values = {key: value for key, value in given.items() if value is not None}
        with self._database.write() as connection:
            admins = sa.select(sa.func.count()).where(
                _accounts.c.role == Role.ADMIN.value, sa.not_(_accounts.c.disabled)
            )
            before = connection.execute(admins).scalar()
            connection.execute(
                sa.update(_accounts).where(_accounts.c.id == account_id).values(values)
            )
            if before and not connection.execute(admins).scalar():
                raise IntegrityError(
                    "this is the last admin who may log in: make another one first"
                )
            connection.execute(sa.delete(_sessions).where(_sessions.c.account_id == account_id))
            if disabled:
                connection.execute(
                    sa.update(_tokens)
                    .where(_tokens.c.account_id == account_id, _tokens.c.revoked_at.is_(None))
                    .values(revoked_at=now)
                )

    def rehash(self, account_id: int, password_hash: str) -> None:
        """See `ports.AccountStore.rehash`."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(_accounts)
                .where(_accounts.c.id == account_id)
                .values(password_hash=password_hash)
            )

    def begin_session(
        self,
        account_id: int,
        *,
        token_digest: str,
        csrf: str,
        address: str,
        now: float,
        expires_at: float,
    ) -> Session:
        """See `ports.AccountStore.begin_session`."""
        with self._database.write() as connection:
            connection.execute(
                sa.insert(_sessions).values(
                    account_id=account_id,
                    token_digest=token_digest,
                    csrf=csrf,
                    address=address,
                    created_at=now,
                    seen_at=now,
                    expires_at=expires_at,
                )
            )
            connection.execute(
                sa.update(_accounts).where(_accounts.c.id == account_id).values(last_login_at=now)
            )
            query = _with_account().where(_sessions.c.token_digest == token_digest)
            return _session(connection.execute(query).one())

    def session(self, token_digest: str, *, now: float, idle_s: float) -> Session | None:
        """See `ports.AccountStore.session`."""
        query = _with_account().where(
            _sessions.c.token_digest == token_digest,
            _sessions.c.expires_at > now,
            _sessions.c.seen_at > now - idle_s,
            sa.not_(_accounts.c.disabled),
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else _session(row)

    def touch_session(self, session_id: int, now: float) -> None:
        """See `ports.AccountStore.touch_session`."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(_sessions).where(_sessions.c.id == session_id).values(seen_at=now)
            )

    def sessions(self, account_id: int, now: float) -> tuple[Session, ...]:
        """See `ports.AccountStore.sessions`."""
        query = _with_account().where(
            _sessions.c.account_id == account_id, _sessions.c.expires_at > now
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_sessions.c.seen_at.desc()))
            return tuple(_session(row) for row in rows)

    def end_session(self, session_id: int) -> None:
        """See `ports.AccountStore.end_session`."""
        self._end(_sessions.c.id == session_id)

    def end_sessions(self, account_id: int) -> int:
        """See `ports.AccountStore.end_sessions`."""
        return self._end(_sessions.c.account_id == account_id)

    def forget_expired(self, now: float) -> int:
        """See `ports.AccountStore.forget_expired`."""
        return self._end(_sessions.c.expires_at <= now)

    def add_token(
        self,
        account_id: int,
        *,
        name: str,
        role: Role,
        token_digest: str,
        now: float,
        expires_at: float | None,
    ) -> ApiToken:
        """See `ports.AccountStore.add_token`."""
        with self._database.write() as connection:
            connection.execute(
                sa.insert(_tokens).values(
                    account_id=account_id,
                    name=name,
                    role=role.value,
                    token_digest=token_digest,
                    created_at=now,
                    expires_at=expires_at,
                )
            )
            query = _with_owner().where(_tokens.c.token_digest == token_digest)
            return _token(connection.execute(query).one())

    def token(self, token_digest: str, now: float) -> tuple[ApiToken, Account] | None:
        """See `ports.AccountStore.token`."""
        query = (
            _with_owner()
            .add_columns(*_labelled())
            .where(
                _tokens.c.token_digest == token_digest,
                _tokens.c.revoked_at.is_(None),
                sa.or_(_tokens.c.expires_at.is_(None), _tokens.c.expires_at > now),
                sa.not_(_accounts.c.disabled),
            )
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else (_token(row), _owner(row))

    def touch_token(self, token_id: int, now: float) -> None:
        """See `ports.AccountStore.touch_token`."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(_tokens).where(_tokens.c.id == token_id).values(last_used_at=now)
            )

    def tokens(self) -> tuple[ApiToken, ...]:
        """See `ports.AccountStore.tokens`."""
        with self._database.read() as connection:
            rows = connection.execute(_with_owner().order_by(_tokens.c.id.desc()))
            return tuple(_token(row) for row in rows)

    def revoke_token(self, token_id: int, now: float) -> ApiToken | None:
        """See `ports.AccountStore.revoke_token`."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(_tokens)
                .where(_tokens.c.id == token_id, _tokens.c.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            row = connection.execute(_with_owner().where(_tokens.c.id == token_id)).one_or_none()
            return None if row is None else _token(row)

    def _one(self, condition: sa.ColumnElement[bool]) -> Account | None:
        with self._database.read() as connection:
            row = connection.execute(sa.select(_accounts).where(condition)).one_or_none()
            return None if row is None else _account(row)

    def _end(self, condition: sa.ColumnElement[bool]) -> int:
        with self._database.write() as connection:
            return connection.execute(sa.delete(_sessions).where(condition)).rowcount


def _labelled() -> list[sa.Label[Any]]:
    return [
        column.label(f"owner_{column.name}")
        for column in _accounts.c
        if column.name != "password_hash"
    ]


def _with_account() -> sa.Select[Any]:
    return sa.select(_sessions, *_labelled()).join(
        _accounts, _accounts.c.id == _sessions.c.account_id
    )


def _with_owner() -> sa.Select[Any]:
    return sa.select(_tokens, _accounts.c.name.label("owner")).join(
        _accounts, _accounts.c.id == _tokens.c.account_id
    )


def _account(row: sa.Row[Any]) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        subject=row.subject or "",
        disabled=row.disabled,
        created_at=row.created_at,
        last_login_at=row.last_login_at,
    )


def _owner(row: sa.Row[Any]) -> Account:
    return Account(
        id=row.owner_id,
        name=row.owner_name,
        role=Role(row.owner_role),
        subject=row.owner_subject or "",
        disabled=row.owner_disabled,
        created_at=row.owner_created_at,
        last_login_at=row.owner_last_login_at,
    )


def _session(row: sa.Row[Any]) -> Session:
    return Session(
        id=row.id,
        account=_owner(row),
        csrf=row.csrf,
        created_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        address=row.address,
    )


def _token(row: sa.Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        owner=row.owner,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
