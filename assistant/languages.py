"""The languages we know: what their files are called, how a fence names them, and how their comments begin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    name: for people.  fence: the info string of a code fence.  aliases: other info strings that mean it.
    extensions: file name endings with their dot, in lower case.  filenames: whole file names.
    comments: what a line comment begins with.
    grammar: the module of its tree-sitter grammar and the function in it, or None.
    brackets: whether brackets outside strings and comments must balance; false for prose and markup.
    """

    name: str
    fence: str
    extensions: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    comments: tuple[str, ...] = ("//",)
    grammar: tuple[str, str] | None = None
    brackets: bool = True
    filenames: tuple[str, ...] = ()


PLAIN = Language("plain text", "text", (".txt",), ("plaintext", "txt"), (), brackets=False)
"""What a file is taken for whose ending we do not know."""

PYTHON = Language(
    "Python", "python", (".py", ".pyi", ".pyw"), ("py", "python3", "python2"), ("#",), ("tree_sitter_python", "language")
)

_HASH = ("#",)
_SLASHES = ("//",)

LANGUAGES: tuple[Language, ...] = (
    PYTHON,
    Language(
        "JavaScript",
        "javascript",
        (".js", ".jsx", ".mjs", ".cjs"),
        ("js", "jsx", "node"),
        _SLASHES,
        ("tree_sitter_javascript", "language"),
    ),
    Language(
        "TypeScript",
        "typescript",
        (".ts", ".mts", ".cts"),
        ("ts",),
        _SLASHES,
        ("tree_sitter_typescript", "language_typescript"),
    ),
    Language("TypeScript JSX", "tsx", (".tsx",), (), _SLASHES, ("tree_sitter_typescript", "language_tsx")),
    Language("Java", "java", (".java",), (), _SLASHES, ("tree_sitter_java", "language")),
    Language("Go", "go", (".go",), ("golang",), _SLASHES, ("tree_sitter_go", "language")),
    Language("Rust", "rust", (".rs",), ("rs",), _SLASHES, ("tree_sitter_rust", "language")),
    Language("C", "c", (".c", ".h"), (), _SLASHES, ("tree_sitter_c", "language")),
    Language(
        "C++",
        "cpp",
        (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx", ".ipp"),
        ("c++", "cxx"),
        _SLASHES,
        ("tree_sitter_cpp", "language"),
    ),
    Language(
        "Ruby",
        "ruby",
        (".rb", ".rake", ".gemspec"),
        ("rb",),
        _HASH,
        ("tree_sitter_ruby", "language"),
        filenames=("rakefile", "gemfile"),
    ),
    Language("Bash", "bash", (".sh", ".bash"), ("sh", "shell", "zsh"), _HASH, ("tree_sitter_bash", "language")),
    Language("C#", "csharp", (".cs",), ("cs", "c#")),
    Language("Kotlin", "kotlin", (".kt", ".kts"), ("kt",)),
    Language("Swift", "swift", (".swift",)),
    Language("Scala", "scala", (".scala",)),
    Language("Dart", "dart", (".dart",)),
    Language("PHP", "php", (".php",), (), ("//", "#")),
    Language("Zig", "zig", (".zig",)),
    Language("Lua", "lua", (".lua",), (), ("--",)),
    Language("Haskell", "haskell", (".hs",), ("hs",), ("--",), brackets=False),
    Language("Elixir", "elixir", (".ex", ".exs"), (), _HASH),
    Language("Perl", "perl", (".pl", ".pm"), (), _HASH, brackets=False),
    Language("R", "r", (".r",), (), _HASH),
    Language("Julia", "julia", (".jl",), (), _HASH, brackets=False),
    Language("SQL", "sql", (".sql",), (), ("--",)),
    Language("PowerShell", "powershell", (".ps1",), ("ps1", "pwsh"), _HASH, brackets=False),
    Language("CSS", "css", (".css", ".scss", ".less"), ("scss", "less")),
    Language("JSON", "json", (".json",), (), ()),
    Language("YAML", "yaml", (".yaml", ".yml"), ("yml",), _HASH, brackets=False),
    Language("TOML", "toml", (".toml",), (), _HASH),
    Language("INI", "ini", (".ini", ".cfg"), (), ("#", ";"), brackets=False),
    Language("HTML", "html", (".html", ".htm"), (), (), brackets=False),
    Language("XML", "xml", (".xml", ".svg"), (), (), brackets=False),
    Language("Markdown", "markdown", (".md", ".markdown"), ("md",), (), brackets=False),
    Language("Makefile", "makefile", (".mk",), ("make",), _HASH, brackets=False, filenames=("makefile", "gnumakefile")),
    Language("Dockerfile", "dockerfile", (".dockerfile",), ("docker",), _HASH, brackets=False, filenames=("dockerfile",)),
    PLAIN,
)


def language_of(path: PurePath | str | None) -> Language:
    """The language of the file called `path`, by its name alone; plain text where the name says nothing."""
    if path is None:
        return PLAIN
    name = PurePath(path).name.lower()
    suffix = PurePath(name).suffix
    for language in LANGUAGES:
        if name in language.filenames or (suffix and suffix in language.extensions):
            return language
    return PLAIN


def language_of_fence(info: str) -> Language | None:
    """The language that the info string of a code fence names, or None where it names none that we know."""
    word = info.strip().lower().split()[0] if info.strip() else ""
    for language in LANGUAGES:
        if word and word in (language.fence, *language.aliases):
            return language
    return None


def language_named(word: str) -> Language | None:
    """The language that a person means by `word`: its name, an info string, an alias, or a file name ending."""
    wanted = word.strip().lower()
    for language in LANGUAGES:
        names = (language.name.lower(), language.fence, *language.aliases)
        if wanted and (wanted in names or f".{wanted.removeprefix('.')}" in language.extensions):
            return language
    return None
