--- Chats: asked for, streamed, stopped. How one looks is told in `starchat.transcript`.
local client = require("starchat.client")
local transcript = require("starchat.transcript")

local M = {}

---@class starchat.Chat
---@field view starchat.Transcript
---@field id? string the server's name for it, once it has one
---@field server? integer the id of the client that knows this name
---@field context table[] what goes with the next message
---@field turn? { client: vim.lsp.Client, request: integer, token: string } the turn under way

local chats = {} ---@type starchat.Chat[]
local numbers = 0

local attach, begin, chat_of, ended, known, new, too_long

--- Open the latest chat, or a new one; `range` goes with the message, and `text` is sent.
---@param about { new?: boolean, range?: integer[], text?: string }
function M.open(about)
  local source = vim.api.nvim_get_current_buf()
  client.with(source, function()
    local chat = not about.new and chats[#chats]
    if not chat then
      chat = new()
      transcript.add(chat.view, "You", "")
    end
    if about.range then
      attach(chat, source, about.range)
    end
    transcript.focus(chat.view)
    if about.text and about.text ~= "" then
      transcript.append(chat.view, about.text)
      M.send(chat)
    end
  end)
end

--- Choose one of the server's chats, and open it.
function M.choose()
  client.with(vim.api.nvim_get_current_buf(), function(server)
    server:request("starchat/chat/list", vim.empty_dict(), function(err, list)
      if err or #list.chats == 0 then
        return client.tell(err and err.message or "There are no chats yet.")
      end
      local options = { prompt = "Chat:", format_item = function(each) return each.title ~= "" and each.title or each.chat end }
      vim.ui.select(list.chats, options, function(chosen)
        if chosen then
          M.show(server, chosen.chat)
        end
      end)
    end)
  end)
end

--- Open a chat of the server's.
function M.show(server, id)
  for _, chat in ipairs(chats) do
    if chat.id == id and vim.api.nvim_buf_is_valid(chat.view.buffer) then
      return transcript.focus(chat.view)
    end
  end
  server:request("starchat/chat/show", { chat = id }, function(err, shown)
    if err then
      return client.tell(err.message, 1)
    end
    local chat = new()
    chat.id, chat.server = id, server.id
    for _, message in ipairs(shown.messages) do
      transcript.add(chat.view, message.role == "user" and "You" or "StarChat", message.content)
    end
    transcript.add(chat.view, "You", "")
    transcript.focus(chat.view)
  end)
end

--- Send the message at the end of a chat.
function M.send(chat)
  local text = transcript.message(chat.view)
  if chat.turn or text == "" then
    return client.tell(chat.turn and "It is still answering." or "Write a message first.")
  end
  client.with(chat.view.buffer, function(server)
    transcript.seal(chat.view)
    local params = { text = text, context = chat.context }
    chat.context = {}
    known(chat, server, function() begin(chat, server, params) end)
  end)
end

--- Stop answering; what has come stays.
function M.stop(chat)
  if chat.turn then
    chat.turn.client:cancel_request(chat.turn.request) -- Neovim forgets the request: no reply will reach us
    ended(chat, "*Stopped.*")
  end
end

function M.stop_all()
  vim.iter(chats):each(M.stop)
end

--- Whether these are pieces of a chat's answer; if so, they are shown.
function M.on_progress(params)
  local chat = chat_of(function(each) return each.token == params.token end)
  if not chat then
    return false
  elseif params.value.kind == "delta" then
    transcript.note(chat.view)
    transcript.append(chat.view, params.value.text)
  elseif params.value.kind == "note" then
    client.tell(params.value.message)
  else
    transcript.note(chat.view, params.value.message)
  end
  return true
end

--- A server has ended, and with it what it was at.
function M.on_exit(id)
  local chat = chat_of(function(turn) return turn.client.id == id end)
  if chat then
    ended(chat, "*The server ended.*")
  end
end

--- Have the server know the chat, which a server that was started later may not.
function known(chat, server, go_on)
  if chat.id and chat.server == server.id then
    return go_on()
  end
  server:request("starchat/chat/show", { chat = chat.id or "" }, function(unknown)
    if not unknown then
      chat.server = server.id
      return go_on()
    end
    server:request("starchat/chat/create", vim.empty_dict(), function(err, created)
      if err then
        return ended(chat, err.message)
      end
      chat.id, chat.server = created.chat, server.id
      go_on()
    end)
  end)
end

function begin(chat, server, params)
  numbers = numbers + 1
  params = vim.tbl_extend("force", params, { chat = chat.id, token = "starchat.chat-" .. numbers })
  chat.turn = { client = server, token = params.token }
  local _, request = server:request("starchat/chat/turn", params, function(err)
    if not chat.turn or chat.turn.token ~= params.token then
      return
    elseif err and vim.tbl_get(err, "data", "code") == "chat_full" and not params.shorten then
      return too_long(chat, server, params, err.message)
    end
    ended(chat, err and err.message)
  end)
  chat.turn.request = request
end

--- The chat has outgrown the model's window: the user says whether its beginning may be left out.
function too_long(chat, server, params, why)
  vim.ui.select({ "Leave the oldest messages out", "Stop" }, { prompt = why }, function(_, choice)
    if choice == 1 then
      begin(chat, server, vim.tbl_extend("force", params, { shorten = true }))
    else
      ended(chat, why)
    end
  end)
end

function ended(chat, note)
  chat.turn = nil
  transcript.note(chat.view)
  transcript.add(chat.view, "You", "", note)
end

function attach(chat, buffer, range)
  local about = client.argument(buffer, { range = range })
  if about.uri then
    table.insert(chat.context, { uri = about.uri, range = about.range })
    local name = vim.fs.basename(vim.api.nvim_buf_get_name(buffer))
    transcript.mention(chat.view, ("%s:%d-%d"):format(name, range[1], range[2]))
  end
end

function new()
  local chat = { context = {} }
  chat.view = transcript.open({
    send = function() M.send(chat) end,
    stop = function() M.stop(chat) end,
    gone = function()
      if chat.turn then
        chat.turn.client:cancel_request(chat.turn.request)
      end
      chats = vim.tbl_filter(function(each) return each ~= chat end, chats)
    end,
  })
  table.insert(chats, chat)
  return chat
end

function chat_of(fits)
  return vim.iter(chats):find(function(chat) return chat.turn and fits(chat.turn) end)
end

return M
