-- What `vim.lsp.enable("starchat")` starts. `vim.lsp.config("starchat", { ... })` says otherwise, as with every server.
local client = require("starchat.client")

return {
  cmd = { "assistant-server" },
  filetypes = {
    "bash", "c", "cpp", "cs", "css", "dart", "elixir", "erlang", "go", "haskell", "html", "java", "javascript", "javascriptreact",
    "julia", "kotlin", "lua", "markdown", "ocaml", "perl", "php", "python", "r", "ruby", "rust", "scala", "sh", "sql", "swift",
    "typescript", "typescriptreact", "vim", "vue", "zig",
  },
  root_markers = { ".git", "pyproject.toml", "package.json", "Cargo.toml", "go.mod" },
  capabilities = client.capabilities,
  handlers = client.handlers,
  on_exit = client.on_exit,
}
