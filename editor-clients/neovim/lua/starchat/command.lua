--- `:Starchat`: what the server can do, and a few words of our own.
local client = require("starchat.client")

local M = {}

local range_of, starting

--- What a command must be told, and by what it is asked for.
local ASKED = {
  ask = { "question", "Question: " },
  edit = { "question", "Change: " },
  plot = { "question", "Draw: " },
  translate = { "language", "Translate to: " },
}

local OWN = {
  chat = function(call, words)
    require("starchat.chat").open({ new = call.bang, range = range_of(call), text = words })
  end,
  chats = function()
    require("starchat.chat").choose()
  end,
  cancel = function()
    require("starchat.chat").stop_all()
    client.run("cancel", {})
  end,
  answer = function()
    local answers = require("starchat.answers")
    if not answers.last then
      return client.tell("There is no answer yet.")
    end
    answers.show(client.find(0), answers.last, true)
  end,
  ghost = function()
    require("starchat.ghost").toggle()
  end,
  restart = function()
    client.restart()
  end,
}

--- Carry out `:Starchat {name} {words}`.
function M.run(call)
  local name, words = call.args:match("^(%S*)%s*(.*)$")
  if name == "" then
    return client.tell("Say what to do: " .. table.concat(M.names(), ", ") .. ".", 2)
  elseif OWN[name] then
    return OWN[name](call, words)
  elseif not vim.tbl_contains(M.names(), name) and client.find(0) then
    return client.tell(("There is no command %q."):format(name), 2)
  end
  local field, prompt = unpack(ASKED[name] or { "question" })
  local about = { range = range_of(call), [field] = words ~= "" and words or nil }
  if not prompt or about[field] then
    return client.run(name, about)
  end
  vim.ui.input({ prompt = prompt }, function(said)
    if said and said ~= "" then
      about[field] = said
      client.run(name, about)
    end
  end)
end

--- Names for the command line's completion, and languages for `translate`.
function M.complete(lead, line)
  local command = line:match("Starchat!?%s+(%S+)%s")
  if command == "translate" then
    local settings = require("starchat").options.settings
    return starting(vim.tbl_get(settings, "translate", "targets") or settings["translate.targets"] or {}, lead)
  end
  return command and {} or starting(M.names(), lead)
end

--- All names: those that the server offers, and ours.
function M.names()
  local names = vim.tbl_keys(OWN)
  local server = client.find(0)
  for _, command in ipairs(server and server.server_capabilities.executeCommandProvider.commands or {}) do
    local name = command:gsub("^starchat%.", "")
    if not OWN[name] then
      table.insert(names, name)
    end
  end
  table.sort(names)
  return names
end

function range_of(call)
  return call.range > 0 and { call.line1, call.line2 } or nil
end

function starting(words, lead)
  return vim.tbl_filter(function(word)
    return vim.startswith(word, lead)
  end, words)
end

return M
