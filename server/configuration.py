"""Settings that follow the editor's: given at the start, pushed or pulled later."""

from __future__ import annotations

from lsprotocol import types

from assistant.errors import SettingsError
from server.options import SECTION, received, speaks
from server.session import Session


def follow(session: Session) -> None:
    """Ask to be told of changes, and pull the settings, as far as the client can do either."""
    if session.client.watches_configuration:
        wanted = types.Registration("starchat-configuration", types.WORKSPACE_DID_CHANGE_CONFIGURATION, {"section": SECTION})
        session.editor.client_register_capability(types.RegistrationParams([wanted]))
    if session.client.configuration:
        pull(session)


def pull(session: Session) -> None:
    """Ask the client for its settings; they are taken when they come."""
    session.settling = session.in_background(_pull(session))


def take(session: Session, raw: object) -> None:
    """Use settings from now on; a running turn keeps those it began with.  Those of other servers say nothing to us."""
    if not speaks(raw):
        return
    try:
        session.options = received(raw)
    except SettingsError as error:
        session.tell(str(error))


async def _pull(session: Session) -> None:
    asked = types.ConfigurationParams([types.ConfigurationItem(section=SECTION)])
    answer = await session.editor.workspace_configuration_async(asked)
    if answer and answer[0]:
        take(session, answer[0])
