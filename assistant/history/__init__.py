"""Conversations on disk, in one SQLite file of the user's own; shared by every shell and editor."""
