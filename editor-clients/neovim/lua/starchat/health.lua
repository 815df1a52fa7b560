--- `:checkhealth starchat`.
local M = {}

local clients, server

function M.check()
  vim.health.start("starchat")
  if vim.fn.has("nvim-0.11") == 0 then
    return vim.health.error("Neovim 0.11 or newer is needed.")
  end
  vim.health.ok("Neovim " .. tostring(vim.version()))
  server()
  clients()
end

function server()
  local config = vim.lsp.config.starchat
  local command = type(config.cmd) == "table" and config.cmd[1] or nil
  if not command then
    return vim.health.info("The server is reached by a function of yours.")
  end
  if vim.fn.executable(command) == 0 then
    return vim.health.error(
      ("%s is not on the PATH."):format(command),
      { "Install StarChat Assistant, or name the command: require('starchat').setup({ cmd = { '/path/to/assistant-server' } })." }
    )
  end
  local done = vim.system({ command, "--version" }, { text = true }):wait(10000)
  if done.code ~= 0 then
    return vim.health.error(("%s does not start: %s"):format(command, done.stderr))
  end
  vim.health.ok(("%s (%s)"):format(vim.trim(done.stdout), vim.fn.exepath(command)))
end

function clients()
  local found = vim.lsp.get_clients({ name = "starchat" })
  if #found == 0 then
    vim.health.warn("The server does not run. It starts with the first file of a known type.", { "vim.lsp.enable('starchat')" })
  end
  for _, client in ipairs(found) do
    local buffers = vim.tbl_count(client.attached_buffers)
    vim.health.ok(("It serves %d buffers in %s."):format(buffers, client.root_dir or "single files"))
  end
  local model = require("starchat.status").model()
  local report = model.state == "failed" and vim.health.error or vim.health.info
  report(("The model %s is %s. %s"):format(model.model or "", model.state or "not asked for yet", model.reason or ""))
  if model.remote then
    vim.health.warn(("Your code leaves this machine: it goes to %s."):format(model.remote))
  end
end

return M
