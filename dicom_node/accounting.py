"""The accounts of the console at the command line: the first admin is made here."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.domain.accounts import Role
from dicom_node.domain.errors import ConfigurationError
from dicom_node.terminal import ConfigOption, JsonOption, load, print_json, terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.domain.accounts import Account
    from dicom_node.settings import Settings
    from dicom_node.store.accounts import SqlAccounts

__all__ = ["app"]

app = typer.Typer(help="Who may use the web console.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Of the account.")]
RoleOption = Annotated[Role, typer.Option(help="What it may.", show_default=False)]


@app.command("add-user")
def add_user(config: ConfigOption, name: NameArgument, role: RoleOption) -> None:
    """Make an account. Its password is asked for, or read as the first line of standard input."""
    settings = load(config)
    if not name.strip() or len(name) > 64 or not name.isprintable():
        raise ConfigurationError("a name has 1 to 64 printable characters")
    hashed = _new_password(name)
    with _accounts(settings) as accounts:
        accounts.add_account(name.strip(), role, password_hash=hashed, now=time.time())
    _audit(settings, f"account {name}", f"made with the role {role}")
    typer.echo(f"{name} may log in as {role}.")


@app.command("list-users")
def list_users(config: ConfigOption, as_json: JsonOption = False) -> None:
    """List the accounts."""
    from rich.table import Table

    with _accounts(load(config)) as accounts:
        found = accounts.accounts()
    if as_json:
        print_json(
            [
                {"name": each.name, "role": each.role.value, "disabled": each.disabled}
                for each in found
            ]
        )
        return
    table = Table("Name", "Role", "Logs in by", "May log in")
    for each in found:
        by = "identity provider" if each.subject else "password"
        table.add_row(each.name, each.role.value, by, "no" if each.disabled else "yes")
    terminal().print(table if found else "There are no accounts.")


@app.command("disable-user")
def disable_user(config: ConfigOption, name: NameArgument) -> None:
    """Keep an account from logging in; its sessions and tokens end at once."""
    settings = load(config)
    with _accounts(settings) as accounts:
        accounts.change_account(_known(accounts, name).id, disabled=True, now=time.time())
    _audit(settings, f"account {name}", "disabled")
    typer.echo(f"{name} may log in no more.")


@app.command("enable-user")
def enable_user(config: ConfigOption, name: NameArgument) -> None:
    """Let a disabled account log in again."""
    settings = load(config)
    with _accounts(settings) as accounts:
        accounts.change_account(_known(accounts, name).id, disabled=False, now=time.time())
    _audit(settings, f"account {name}", "enabled")
    typer.echo(f"{name} may log in again.")


@app.command("reset-password")
def reset_password(config: ConfigOption, name: NameArgument) -> None:
    """Give an account another password; its sessions end at once."""
    settings = load(config)
    with _accounts(settings) as accounts:
        account = _known(accounts, name)
        hashed = _new_password(account.name)
        accounts.change_account(account.id, password_hash=hashed, now=time.time())
    _audit(settings, f"account {name}", "password changed")
    typer.echo(f"{name} has a new password.")


def _known(accounts: SqlAccounts, name: str) -> Account:
    found = accounts.account(name)
    if found is None:
        raise ConfigurationError(f"there is no account {name!r}")
    return found


def _new_password(name: str) -> str:
    """Hash of a password that is asked for; never an argument, which other processes can see."""
    try:
        from dicom_node.console.security.credentials import check_new_password, hash_password
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f'{error.name} is not installed: pip install "dicom-node[console]"'
        ) from error
    if sys.stdin.isatty():
        password = str(
            typer.prompt("Password", hide_input=True, confirmation_prompt="The same again")
        )
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    check_new_password(password, name)
    return hash_password(password)


@contextlib.contextmanager
def _accounts(settings: Settings) -> Iterator[SqlAccounts]:
    from dicom_node.store.ledger import open_ledger

    with contextlib.closing(open_ledger(settings.database_url())) as ledger:
        yield ledger.accounts()


def _audit(settings: Settings, what: str, words: str) -> None:
    from dicom_node.audit.events import security_changed
    from dicom_node.audit.life import operator
    from dicom_node.auditing import recorded

    recorded(settings, security_changed(settings.node.ae_title, operator(), what, words))
