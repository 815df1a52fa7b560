"""The model host: the one process that loads weights.  Nothing imports it; `assistant.host` starts it."""
