"""The checkers of `make bench-plot` accept a right figure and name what is wrong with any other."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest

from assistant import sandbox
from assistant.plotting import plot_turn
from benchmarks.plot import EXAMPLES, PEOPLE, TEAM, Example

pytest.importorskip("seaborn")
pytestmark = pytest.mark.skipif(bool(sandbox.unavailable()), reason=f"no cage: {sandbox.unavailable()}")

SCRIPTS = {
    "bars": f"""
import matplotlib.pyplot as plt
import seaborn as sns

people = {PEOPLE!r}
sns.set_theme()
fig, both = plt.subplots(1, 2)
for axes, place, what in zip(both, (0, 1), ("Height", "Age")):
    axes.bar(list(people), [values[place] for values in people.values()])
    axes.set_title(what)
""",
    "map": """
import matplotlib.pyplot as plt
from assistant.shapes import countries

fig, ax = plt.subplots()
for name, outlines in countries().items():
    for outline in outlines:
        ax.fill(*zip(*outline), color="red" if name in ("Germany", "Spain") else "lightgray")
""",
    "scatter": f"""
import matplotlib.pyplot as plt

team = {TEAM!r}
plt.scatter(*zip(*team.values()))
for name, place in team.items():
    plt.annotate(name, place)
plt.xlabel("Wins"), plt.ylabel("Points"), plt.title("Basketball season")
""",
}


def spoilt(example: Example, figures: list[dict]) -> list[list[dict]]:
    """The same figure with one thing wrong, several times."""
    changes: dict[str, list[Callable[[list[dict]], object]]] = {
        "bars": [
            lambda all_: all_[0]["axes"][0]["bars"][0].update(height=1),
            lambda all_: all_[0]["axes"][1].update(x_ticks=["0", "1", "2", "3"]),
            lambda all_: all_[0]["axes"][0].update(title="", y_label=""),
            lambda all_: all_[0]["axes"].pop(),
            lambda all_: [each.update(grid=False, background="#ffffff") for each in all_[0]["axes"]],
            lambda all_: all_.append({"title": "", "axes": [all_[0]["axes"].pop()]}),
        ],
        "map": [
            lambda all_: [each.update(color="#ff0000") for each in all_[0]["axes"][0]["outlines"]],
            lambda all_: [each.update(color="#d3d3d3") for each in all_[0]["axes"][0]["outlines"]],
            lambda all_: all_[0]["axes"][0].update(outlines=[]),
        ],
        "scatter": [
            lambda all_: all_[0]["axes"][0]["points"].pop(),
            lambda all_: all_[0]["axes"][0].update(texts=[]),
            lambda all_: all_[0]["axes"][0].update(x_label=""),
            lambda all_: all_[0]["axes"][0].update(title=""),
        ],
    }
    found = []
    for change in changes[example.name]:
        other = copy.deepcopy(figures)
        change(other)
        found.append(other)
    return found


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_right_figure_has_no_faults_and_a_wrong_one_has(run: Callable, script: Callable, example: Example) -> None:
    model = script({"reply": SCRIPTS[example.name] + "```"})
    done = run("plot", example.question, "--run", "-y", "--json", "-m", model, timeout=200)
    figures = json.loads(done.stdout)["plot"]["figures"]
    assert example.faults(figures) == []
    for other in spoilt(example, figures):
        assert example.faults(other) != []
    assert example.faults([]) != []


def test_hints_are_given_where_they_belong() -> None:
    def asked(question: str) -> str:
        return plot_turn(question).question

    for example, mark in zip(EXAMPLES, ("axes[0]", "countries()", ""), strict=True):
        others = {"axes[0]", "countries()", "set_theme"} - {mark}
        text = asked(example.question)
        assert mark in text and ("set_theme" in text) == (example.name == "bars")
        assert not any(other in text for other in others - ({"set_theme"} if example.name == "bars" else set()))
    for question in ("A heatmap of it", "A heat map in a color map of greens", "One bar chart of two teams"):
        assert asked(question) == question
