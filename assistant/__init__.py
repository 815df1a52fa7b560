"""StarChat Assistant: a coding assistant that lives on the user's own machine.

Start reading at `assistant.turn`: one turn from a request to an answer or an edit.
"""

__version__ = "0.1.0"
