"""The language server: the assistant's door for editors."""
