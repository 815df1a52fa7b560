"""The golden paths: what each client must be able to do in its real editor; their names stand in `clients.json`."""

from __future__ import annotations

FIX = "fix from a diagnostic"
EXPLAIN = "explain"
TRANSLATE = "translate to a new file"
EDIT_AND_UNDO = "edit, then one undo restores the bytes"
CHAT = "chat of two turns with a selection"
CANCEL = "cancel mid-answer"
TYPING = "typing during generation"
RESTART = "server killed and restarted"
LOADING = "model still loading"

GOLDEN_PATHS = (FIX, EXPLAIN, TRANSLATE, EDIT_AND_UNDO, CHAT, CANCEL, TYPING, RESTART, LOADING)
MORE = (STOCK := "fix by the stock client, without a plugin", GHOST := "ghost text", INSTALL := "installed as a package")
