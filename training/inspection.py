"""`python -m training inspect`: dialogues as the model will see them, with the trained tokens in colour."""

from __future__ import annotations

from collections.abc import Set
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.text import Text

from assistant.cli.terminal import printable
from training import dataset, vocabulary
from training.config import Recipe
from training.encoding import TEMPLATES, Vocabulary, control_names, pieces


def show(recipe: Recipe, rows: int) -> int:
    """Print the first `rows` dialogues: where they come from, their text by template, their ids and trained tokens."""
    console = Console(highlight=False, markup=False, emoji=False)
    corpus = dataset.load(recipe)
    words = Vocabulary(vocabulary.obtain(recipe, corpus))
    controls = {words.control_id(name) for name in control_names(TEMPLATES[recipe.template])}
    for note in corpus.notes:
        console.print(note, style="dim")
    console.print(Text.assemble(("trained", "bold green"), ", ", ("control token", "underline")))
    for dialogue in corpus.train[:rows]:
        cut = pieces(dialogue.conversation, TEMPLATES[recipe.template], words, recipe.block)
        console.rule(f"{Path(dialogue.source).name} line {dialogue.line}")
        about = f"{dialogue.source}, tree {dialogue.tree}, licence {dialogue.licence}"
        console.print(printable(about), style="dim", soft_wrap=True)
        for number, encoded in enumerate(cut.encoded, start=1):
            console.print(
                f"piece {number} of {len(cut.encoded)}: {len(encoded.ids)} tokens, {sum(encoded.trained)} trained", style="dim"
            )
            console.print(coloured(list(encoded.ids), list(encoded.trained), words, controls))
            console.print(" ".join(map(str, encoded.ids)), style="dim")
        if cut.left_out:
            console.print(f"{cut.left_out} exchange(s) longer than {recipe.block} tokens are left out", style="yellow")
    return 0


def coloured(ids: list[int], trained: list[bool], words: Vocabulary, controls: Set[int | None]) -> Text:
    """The text of `ids`: what is trained in bold green, control tokens underlined, unlike the same characters in content."""
    shown = Text()
    marked = zip(ids, trained, strict=True)
    for (flag, control), group in groupby(marked, key=lambda one: (one[1], one[0] if one[0] in controls else None)):
        style = " ".join(["bold green"] * flag + ["underline"] * (control is not None))
        shown.append(printable(words.decode([token for token, _ in group])), style=style)
    return shown
