--- The connection: what we tell the server of ourselves, what it tells us, and the one way to run a command.
local answers = require("starchat.answers")
local status = require("starchat.status")

local M = {}

--- A server that lived this many milliseconds is started again when it ends by itself.
local LIVED = 3000

local started = {} ---@type table<integer, integer>
local tokens = 0

M.capabilities = vim.tbl_deep_extend("force", vim.lsp.protocol.make_client_capabilities(), {
  workspace = { textDocumentContent = { dynamicRegistration = false } },
})

M.handlers = {
  ["$/progress"] = function(err, params, context)
    if not require("starchat.chat").on_progress(params) then
      status.on_progress(params)
      vim.lsp.handlers["$/progress"](err, params, context)
    end
  end,
  ["starchat/status"] = function(_, params)
    status.on_status(params)
  end,
  ["window/showMessage"] = function(_, params)
    M.tell(params.message, params.type)
    return vim.NIL
  end,
  ["window/showDocument"] = function(err, params, context)
    if answers.is_answer(params.uri) then
      answers.show(vim.lsp.get_client_by_id(context.client_id), params.uri)
      return { success = true }
    end
    return vim.lsp.handlers["window/showDocument"](err, params, context)
  end,
  ["workspace/applyEdit"] = function(err, params, context)
    local confirm = require("starchat").options.confirm
    return (confirm and require("starchat.review").apply or vim.lsp.handlers["workspace/applyEdit"])(err, params, context)
  end,
  ["workspace/textDocumentContent/refresh"] = function(_, params, context)
    answers.refresh(vim.lsp.get_client_by_id(context.client_id), params.uri)
    return vim.NIL
  end,
}

--- Say something to the user; `kind` is LSP's: 1 is an error, 2 a warning.
function M.tell(message, kind)
  local level = ({ vim.log.levels.ERROR, vim.log.levels.WARN })[kind] or vim.log.levels.INFO
  vim.notify("StarChat: " .. message, level)
end

--- The client that serves a buffer, or where that has none, any that runs.
function M.find(buffer)
  local found = vim.lsp.get_clients({ name = "starchat", bufnr = buffer })
  return found[1] or vim.lsp.get_clients({ name = "starchat" })[1]
end

--- Call `work` with the buffer's client, which is started where there is none.
function M.with(buffer, work)
  local client = vim.lsp.get_clients({ name = "starchat", bufnr = buffer, _uninitialized = true })[1]
  if not client and vim.bo[buffer].buftype == "" then
    local config = vim.lsp.config.starchat
    local id = vim.lsp.start(config, { bufnr = buffer, _root_markers = config.root_markers })
    client = id and vim.lsp.get_client_by_id(id)
  end
  client = client or M.find()
  if not client then
    return M.tell("The server does not run here. Open a file first, or see :checkhealth starchat.", 2)
  end
  started[client.id] = started[client.id] or vim.uv.now()
  if client.initialized then
    return work(client)
  end
  local group = vim.api.nvim_create_augroup("starchat.start." .. client.id, { clear = false })
  vim.api.nvim_create_autocmd("LspAttach", {
    group = group,
    buffer = buffer,
    callback = function(event)
      if event.data.client_id == client.id then
        work(client)
        return true
      end
    end,
  })
end

--- Run a command of the server's about lines of the current buffer; without a range, about the definition at the cursor.
function M.run(name, about)
  local buffer = vim.api.nvim_get_current_buf()
  local argument = M.argument(buffer, about)
  M.with(buffer, function(client)
    tokens = tokens + 1
    local token = "starchat.nvim-" .. tokens
    status.place(token, buffer, argument.range)
    local params = { command = "starchat." .. name, arguments = { argument }, workDoneToken = token }
    client:request("workspace/executeCommand", params, function(err, outcome)
      status.forget(token)
      outcome = outcome or { outcome = "failed", reason = err.message }
      if err then
        M.tell(err.message, 1)
      elseif outcome.outcome == "applied" or outcome.outcome == "cancelled" then
        M.tell(outcome.reason)
      end
      answers.last = outcome.answer or answers.last
      if about.done then
        about.done(outcome)
      end
    end, buffer)
  end)
end

--- The one argument of a command: where, what else the user said, and the problems that are known there.
function M.argument(buffer, about)
  local argument = { question = about.question, language = about.language }
  if vim.bo[buffer].buftype ~= "" then
    return next(argument) and argument or vim.empty_dict()
  end
  local first, last = unpack(about.range or { vim.fn.line("."), vim.fn.line(".") })
  argument.uri = vim.uri_from_bufnr(buffer)
  argument.range = {
    start = { line = first - 1, character = 0 },
    ["end"] = { line = last - 1, character = first == last and 0 or #vim.fn.getline(last) },
  }
  local problems = {}
  for _, each in ipairs(vim.diagnostic.get(buffer)) do
    if each.lnum >= first - 1 and each.lnum <= last - 1 then
      local source = each.source and (" (%s)"):format(each.source) or ""
      table.insert(problems, ("line %d: %s%s"):format(each.lnum + 1, each.message:gsub("%s+", " "), source))
    end
  end
  argument.problems = #problems > 0 and problems or nil
  return argument
end

--- Start the server again, in every buffer that it served.
function M.restart()
  vim.lsp.enable("starchat", false)
  vim.wait(2000, function()
    return #vim.lsp.get_clients({ name = "starchat" }) == 0
  end, 20)
  vim.lsp.enable("starchat", true)
end

--- Whether a client's server lives, or lived, long enough to be started again.
function M.is_settled(id)
  return started[id] ~= nil and vim.uv.now() - started[id] > LIVED
end

--- Called when the server has ended; one that ended by itself, and not at once, is started again.
function M.on_exit(code, signal, id)
  vim.schedule(function()
    status.reset()
    require("starchat.chat").on_exit(id)
    local broke = code ~= 0 or signal ~= 0 -- which Neovim itself says
    if broke and M.is_settled(id) and vim.lsp.is_enabled("starchat") and vim.v.exiting == vim.NIL then
      vim.lsp.enable("starchat", true)
    end
  end)
end

vim.api.nvim_create_autocmd("LspAttach", {
  group = vim.api.nvim_create_augroup("starchat.started", {}),
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    if client and client.name == "starchat" then
      started[client.id] = started[client.id] or vim.uv.now()
    end
  end,
})

return M
