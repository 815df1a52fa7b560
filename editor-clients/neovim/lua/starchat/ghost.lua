--- Ghost text: what the server would insert at the cursor, shown while one types.
local M = {}

local space = vim.api.nvim_create_namespace("starchat.ghost")

local request ---@type { client: vim.lsp.Client, id: integer, place: integer[] }?
local ghost ---@type { buffer: integer, row: integer, column: integer, text: string, mapped: string[] }?

local allowed, ask, at_cursor, bind, insert, place, unbind

--- Show suggestions from now on, where the options say so.
function M.setup()
  local group = vim.api.nvim_create_augroup("starchat.ghost", {})
  vim.api.nvim_create_autocmd({ "TextChangedI", "CursorMovedI" }, { group = group, callback = M.update })
  vim.api.nvim_create_autocmd({ "InsertLeave", "BufLeave", "CompleteChanged" }, { group = group, callback = M.dismiss })
end

function M.toggle()
  local options = require("starchat").options
  options.ghost_text = not options.ghost_text
  M.dismiss()
  vim.notify("StarChat: ghost text is " .. (options.ghost_text and "on." or "off."))
end

--- The text that is shown now.
function M.text()
  return ghost and ghost.text
end

--- Ask what fits at the cursor; what was asked before is stopped.
function M.update()
  if ghost and at_cursor(ghost) or request and vim.deep_equal(request.place, place()) then
    return -- typing a character is an event twice: the text has changed, and the cursor has moved
  end
  M.dismiss()
  local client = vim.lsp.get_clients({ name = "starchat", bufnr = 0 })[1]
  if client and allowed() then
    ask(client)
  end
end

--- Take the text away.
function M.dismiss()
  if request then
    request.client:cancel_request(request.id)
    request = nil
  end
  if ghost then
    unbind()
    if vim.api.nvim_buf_is_valid(ghost.buffer) then
      vim.api.nvim_buf_clear_namespace(ghost.buffer, space, 0, -1)
    end
    ghost = nil
  end
end

--- Insert the text, or its first word.
function M.accept(word)
  local now = ghost
  if not now then
    return
  end
  M.dismiss()
  insert(now, word and now.text:match("^%s*%S+") or now.text)
end

function ask(client)
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = 2 }
  local asked = place()
  local _, id = client:request("textDocument/inlineCompletion", params, function(_, found)
    request = nil
    local item = found and (found.items or found)[1]
    if item and vim.deep_equal(asked, place()) and allowed() then
      M.show(asked[1], asked[3] - 1, asked[4], item.insertText)
    end
  end, asked[1])
  request = id and { client = client, id = id, place = asked }
end

--- Buffer, state of its text, line and column of the cursor.
function place()
  local buffer = vim.api.nvim_get_current_buf()
  return { buffer, vim.api.nvim_buf_get_changedtick(buffer), unpack(vim.api.nvim_win_get_cursor(0)) }
end

--- Show `text` at a place; columns count bytes.
function M.show(buffer, row, column, text)
  local lines = vim.iter(vim.split(text, "\n")):map(function(line) return { { line, "StarchatGhost" } } end):totable()
  vim.api.nvim_buf_set_extmark(buffer, space, row, column, {
    virt_text = lines[1],
    virt_text_pos = "inline",
    virt_lines = #lines > 1 and vim.list_slice(lines, 2) or nil,
    right_gravity = true,
  })
  ghost = { buffer = buffer, row = row, column = column, text = text, mapped = {} }
  bind()
end

function insert(now, text)
  local lines = vim.split(text, "\n")
  vim.api.nvim_buf_set_text(now.buffer, now.row, now.column, now.row, now.column, lines)
  local column = #lines > 1 and #lines[#lines] or now.column + #lines[1]
  vim.api.nvim_win_set_cursor(0, { now.row + #lines, column })
end

--- The keys are ours only while there is something to accept.
function bind()
  local keys = require("starchat").options.keys
  local actions = {
    accept = M.accept,
    accept_word = function() M.accept(true) end,
    dismiss = M.dismiss,
  }
  for name, action in pairs(actions) do
    if keys[name] and vim.fn.maparg(keys[name], "i", false, true).buffer ~= 1 then
      vim.keymap.set("i", keys[name], action, { buffer = ghost.buffer, desc = "StarChat: " .. name })
      table.insert(ghost.mapped, keys[name])
    end
  end
end

function unbind()
  for _, key in ipairs(ghost.mapped) do
    pcall(vim.keymap.del, "i", key, { buffer = ghost.buffer })
  end
end

function at_cursor(now)
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  return now.buffer == vim.api.nvim_get_current_buf() and now.row == row - 1 and now.column == column
end

function allowed()
  return require("starchat").options.ghost_text and vim.fn.pumvisible() == 0 and vim.fn.mode() == "i"
end

vim.api.nvim_set_hl(0, "StarchatGhost", { link = "NonText", default = true })

return M
