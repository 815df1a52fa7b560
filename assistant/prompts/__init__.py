"""Prompt texts, one Markdown file for each command."""
