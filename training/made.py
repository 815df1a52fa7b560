"""Small dialogues about code that the project makes itself, for tests and for trying the recipes without any data."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Literal

_TASKS = {
    "adds two numbers": ("add(a, b)", "return a + b", "add(2, 3)", "5"),
    "multiplies two numbers": ("multiply(a, b)", "return a * b", "multiply(4, 6)", "24"),
    "returns the larger of two numbers": ("larger(a, b)", "return a if a > b else b", "larger(7, 2)", "7"),
    "reverses a string": ("reverse(text)", "return text[::-1]", "reverse('abc')", "'cba'"),
    "counts the words of a text": ("count_words(text)", "return len(text.split())", "count_words('one two')", "2"),
    "tells whether a number is even": ("is_even(number)", "return number % 2 == 0", "is_even(8)", "True"),
    "returns the last item of a list": ("last(items)", "return items[-1]", "last([1, 2, 9])", "9"),
    "sums the squares of a list": ("sum_of_squares(items)", "return sum(x * x for x in items)", "sum_of_squares([1, 2])", "5"),
    "removes doubles but keeps the order": (
        "unique(items)",
        "return list(dict.fromkeys(items))",
        "unique([1, 1, 2])",
        "[1, 2]",
    ),
    "says hello to somebody": ("greet(name)", "return f'Hello, {name}!'", "greet('Ada')", "'Hello, Ada!'"),
    "computes the factorial of a number": (
        "factorial(number)",
        "return 1 if number < 2 else number * factorial(number - 1)",
        "factorial(4)",
        "24",
    ),
    "returns the n-th Fibonacci number": (
        "fibonacci(n)",
        "return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)",
        "fibonacci(6)",
        "8",
    ),
    "computes the average of a list": ("average(items)", "return sum(items) / len(items)", "average([2, 4])", "3.0"),
    "finds the smallest item of a list": ("smallest(items)", "return min(items)", "smallest([3, 1, 2])", "1"),
    "sorts a list from large to small": (
        "descending(items)",
        "return sorted(items, reverse=True)",
        "descending([1, 3, 2])",
        "[3, 2, 1]",
    ),
    "tells whether a word is a palindrome": (
        "is_palindrome(word)",
        "return word == word[::-1]",
        "is_palindrome('level')",
        "True",
    ),
    "converts Celsius to Fahrenheit": ("fahrenheit(celsius)", "return celsius * 9 / 5 + 32", "fahrenheit(100)", "212.0"),
    "counts how often a letter occurs in a text": (
        "occurrences(text, letter)",
        "return text.count(letter)",
        "occurrences('banana', 'a')",
        "3",
    ),
    "joins words with a comma": ("join(words)", "return ', '.join(words)", "join(['a', 'b'])", "'a, b'"),
    "reads a whole file": (
        "read(path)",
        "return open(path, encoding='utf-8').read()",
        "read('notes.txt')",
        "the text of the file",
    ),
}
_ASK = (
    "Write a Python function that {}.",
    "Please give me a function in Python that {}.",
    "How do I write a function that {}?",
)
_ANSWER = ("Here it is:", "This function does that:", "You can write it like this:")
_WHY = ("Why does that work?", "Can you explain it?", "What does `{}` give?")


def dialogues(split: Literal["train", "test"]) -> Iterator[dict[str, Any]]:
    """Rows in `messages` form, always the same ones; test dialogues are new mixtures of the same tasks and wordings."""
    random_ = random.Random(f"dialogues {split}")
    for number in range(3000 if split == "train" else 40):
        task = random_.choice(sorted(_TASKS))
        yield {
            "messages": _messages(task, random_),
            "source": "made",
            "license": "Apache-2.0",
            "group": f"{split}:{number}",
        }


def _messages(task: str, random_: random.Random) -> list[dict[str, str]]:
    signature, body, call, result = _TASKS[task]
    code = f"```python\ndef {signature}:\n    {body}\n```"
    turns = [random_.choice(_ASK).format(task), f"{random_.choice(_ANSWER)}\n\n{code}"]
    if random_.random() < 0.5:
        question = random_.choice(_WHY).format(call)
        turns += [
            question,
            f"The function is called with its arguments; `{call}` gives {result}, because the body is `{body}`.",
        ]
    roles = ("user", "assistant") * 2
    return [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]
