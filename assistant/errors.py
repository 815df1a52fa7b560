"""Every failure that a user can meet, as one tree.

    AssistantError                 exit  HTTP  what happened
    ├── UsageError                   2   400   the request itself makes no sense
    ├── InputError                   3   400   a file, range or text that cannot be used
    │   └── ContextOverflow          3   400   more tokens than the model's window holds
    │       └── ChatFull             3   400   a chat that has outgrown the window
    ├── SettingsError                4   500   the settings file cannot be understood
    ├── ModelError                   5   404   a model that is unknown, unsafe, damaged or cannot run here
    │   ├── ConsentNeeded            5   403   a download that the user has not agreed to
    │   └── OutOfMemory              5   507   the model or request does not fit
    ├── DownloadError                6   502   the network or the source failed
    ├── StorageError                 7   507   disk full, no permission, file in use
    ├── HostError                    8   503   the model host cannot be started, reached or understood
    │   ├── HostCrashed              8   502   the model host died during a request
    │   └── HostBusy                 8   429   the queue is full; try again later
    ├── NoEdit                       9   422   an answer came, but no edit could safely be made of it
    │   └── EditConflict             9   409   the file changed while the model was thinking
    ├── SandboxError                10   501   code cannot be run safely on this system
    └── Cancelled                  130   499   the user stopped it

Each message is one line that can be shown to a user, and `remedy` says what to do next.  The shell turns an error into its
`exit_code`, the model host into its `status` and `code`; nothing else translates errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar


class AssistantError(Exception):
    """A failure with a sentence for the user and a remedy.

    `message` says what went wrong, `remedy` what to do about it (one sentence each, no trailing newline).

    Why: A bug of ours, or a condition that nobody foresaw.
    What to do: Report it with the output of the same command and `--debug`.
    """

    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class UsageError(AssistantError):
    """The request itself makes no sense: two options that exclude each other, a number out of range.

    Why: A command without what it needs, options that exclude each other, a name that does not exist.
    What to do: Read the sentence; `assistant COMMAND --help` shows what there is.
    """

    exit_code, status, code = 2, 400, "invalid_request"


class InputError(AssistantError):
    """A file, range or text that cannot be used: missing, empty, binary, past the end.

    Why: The name is wrong, the file holds no text, or the lines are not there.
    What to do: Check the name, the folder and the range.
    """

    exit_code, status, code = 3, 400, "invalid_input"


class ContextOverflow(InputError):
    """The prompt and the reply together need more tokens than the model's window holds.

    Why: A long file, many attachments, or a model with a small window.
    What to do: Choose fewer lines or files, or a model with a larger window.
    """

    code = "context_length_exceeded"


class ChatFull(ContextOverflow):
    """A chat has outgrown the model's window, though its last message alone would fit.

    Why: Each turn is added to what the model reads.
    What to do: Begin a new chat (`/new`), or have the oldest messages left out (`--shorten`).
    """

    code = "chat_full"


class SettingsError(AssistantError):
    """The settings file or an environment variable cannot be understood.

    Why: A typing mistake in `settings.toml`, in a variable or in an option.
    What to do: Mend what the sentence names; README lists all settings.
    """

    exit_code, status, code = 4, 500, "invalid_settings"


class ModelError(AssistantError):
    """A model that is unknown, unsafe, damaged, or that cannot run on this machine.

    Why: A wrong name, a file that was cut or changed, or an engine that is not installed.
    What to do: `assistant models list` shows all names, `assistant models verify` checks files.
    """

    exit_code, status, code = 5, 404, "model_error"


class ConsentNeeded(ModelError):
    """A download that the user has not agreed to yet.

    Why: Nothing over 50 MB is fetched unasked, and nobody was there to ask.
    What to do: Run the command that the sentence names, or give `-y`.
    """

    status, code = 403, "consent_needed"


class OutOfMemory(ModelError):
    """The model, or the request on top of it, does not fit into memory; the message gives the numbers.

    Why: The model is large, or other programs hold the memory.
    What to do: Choose a smaller model or `--quantization`, or close something.
    """

    status, code = 507, "out_of_memory"


class DownloadError(AssistantError):
    """The network or the source of a model failed; what has arrived is kept and the next try resumes.

    Why: No network, a proxy, or a source that is down.
    What to do: Try again later: what has arrived is kept. `--source` takes another one.
    """

    exit_code, status, code = 6, 502, "download_failed"


class StorageError(AssistantError):
    """The disk is full, a folder is not writable, or a file is in use.

    Why: The disk, its permissions, or another program that holds the file.
    What to do: Free some space or mend the permissions; `STARCHAT_HOME` and `STARCHAT_CACHE` move our folders.
    """

    exit_code, status, code = 7, 507, "storage_error"


class HostError(AssistantError):
    """The model host cannot be started, reached or understood.

    Why: The host could not start, was stopped, or a server at a URL does not answer.
    What to do: Try again: a host starts by itself. `assistant doctor` shows where its log is.
    """

    exit_code, status, code = 8, 503, "host_unavailable"


class HostCrashed(HostError):
    """The model host died during a request; the next request starts a new one.

    Why: Want of memory, or a fault in native code.
    What to do: Ask again; if it happens again, choose a smaller model.
    """

    status, code = 502, "host_crashed"


class HostBusy(HostError):
    """The queue is full.  `retry_after` is a hint in seconds.

    Why: Many programs ask at once.
    What to do: Wait for as long as the sentence says.
    """

    status, code = 429, "queue_full"

    def __init__(self, message: str, remedy: str = "", retry_after: float = 5.0) -> None:
        super().__init__(message, remedy)
        self.retry_after = retry_after


class NoEdit(AssistantError):
    """An answer came, but no edit could safely be made of it; the answer is kept in `reply`.

    Why: The model answered in another form than it was asked for.
    What to do: Read the answer, which is shown; choose fewer lines, or a stronger model.
    """

    exit_code, status, code = 9, 422, "no_edit"

    def __init__(self, message: str, remedy: str = "", reply: str = "") -> None:
        super().__init__(message, remedy)
        self.reply = reply


class EditConflict(NoEdit):
    """The region changed while the model was thinking; nothing was written and the answer is kept in `reply`.

    Why: You, or a program, changed the same lines meanwhile.
    What to do: Run the command again.
    """

    status, code = 409, "edit_conflict"


class SandboxError(AssistantError):
    """There is no sandbox on this system, or it cannot be made; nothing was run.

    Why: The kernel is too old, or forbids what a sandbox is made of.
    What to do: Run the code yourself, or give `--unsandboxed` if you trust it.
    """

    exit_code, status, code = 10, 501, "no_sandbox"


class Cancelled(AssistantError):
    """The user stopped it.

    Why: Ctrl-C, a cancelled request, or a No to a question.
    What to do: Nothing; nothing was changed.
    """

    exit_code, status, code = 130, 499, "cancelled"


def every_error() -> Iterator[type[AssistantError]]:
    """The whole tree, parents before children."""
    pending: list[type[AssistantError]] = [AssistantError]
    while pending:
        error = pending.pop(0)
        yield error
        pending.extend(error.__subclasses__())


def from_code(code: str, message: str, remedy: str = "") -> AssistantError:
    """The error that a host named by its wire `code`; an unknown code becomes a plain HostError."""
    for error in every_error():
        if error.code == code and error is not AssistantError:
            return error(message, remedy)
    return HostError(message, remedy)
