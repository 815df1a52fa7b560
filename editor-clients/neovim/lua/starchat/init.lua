--- StarChat Assistant in Neovim: a thin client of `assistant-server`. |starchat.txt| says how it is used.
local M = {}

---@class starchat.Options
M.options = {
  --- Sent to the server as they are, under `starchat`: `{ model = "qwen2.5-coder-0.5b" }`.
  settings = vim.empty_dict(),
  --- Whether suggestions are shown as one types.
  ghost_text = true,
  --- Whether each edit and new file is shown as a diff first.
  confirm = false,
  --- Whether a job is shown beside the lines that it is about.
  virtual_text = true,
  --- Keys for ghost text, in insert mode, while there is some; false for none.
  keys = { accept = "<Tab>", accept_word = "<M-Right>", dismiss = "<C-]>" },
}

--- Set the client up and start it in the buffers that it is for.
---@param options? table `M.options`, and all that `vim.lsp.config` takes: `cmd`, `filetypes`, `root_markers` ...
function M.setup(options)
  options = options or {}
  local config = {}
  for name, value in pairs(options) do
    if M.options[name] == nil then
      config[name] = value
    end
  end
  for name, default in pairs(M.options) do
    if type(default) == "table" then
      M.options[name] = vim.tbl_extend("force", default, options[name] or {})
    elseif options[name] ~= nil then
      M.options[name] = options[name]
    end
  end
  config.settings = { starchat = M.options.settings }
  config.init_options = config.settings
  vim.lsp.config("starchat", config)
  vim.lsp.enable("starchat")
  require("starchat.ghost").setup()
end

--- Run one of the server's commands: `run("fix", { range = { 3, 7 } })`.
---@param name string
---@param about? { range?: integer[], question?: string, language?: string, done?: fun(outcome: table) }
function M.run(name, about)
  require("starchat.client").run(name, about or {})
end

--- What the assistant is doing, in a few words, for the status line; empty where there is nothing to say.
---@return string
function M.statusline()
  return require("starchat.status").line()
end

return M
