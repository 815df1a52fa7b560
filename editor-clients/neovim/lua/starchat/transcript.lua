--- How a chat looks: Markdown, one heading for each message, and at its end the message that is being written.
local M = {}

---@class starchat.Transcript
---@field buffer integer
---@field heading integer the mark of the last heading
---@field mentions string[] what goes with the message that is being written

local space = vim.api.nvim_create_namespace("starchat.transcript")
local numbers = 0

local at_end, heading_row, last_row, windows

--- A new one, empty. `keys.send` and `keys.stop` are called when the user wants that, `keys.gone` when the buffer is closed.
---@return starchat.Transcript
function M.open(keys)
  numbers = numbers + 1
  local buffer = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_name(buffer, "starchat://chats/" .. numbers)
  vim.bo[buffer].filetype = "markdown"
  local function map(modes, key, what, description)
    vim.keymap.set(modes, key, what, { buffer = buffer, desc = description })
  end
  map("n", "<CR>", keys.send, "Send this message")
  map({ "n", "i" }, "<C-s>", keys.send, "Send this message")
  map({ "n", "i" }, "<C-c>", keys.stop, "Stop answering")
  vim.api.nvim_create_autocmd("BufUnload", { buffer = buffer, once = true, callback = keys.gone })
  return { buffer = buffer, mentions = {} }
end

--- Show it, with the cursor where one writes.
function M.focus(view)
  local window = windows(view)[1] or vim.api.nvim_open_win(view.buffer, true, { split = "right", win = 0 })
  vim.api.nvim_set_current_win(window)
  vim.wo[window].wrap, vim.wo[window].linebreak, vim.wo[window].number = true, true, false
  vim.api.nvim_win_set_cursor(window, { last_row(view) + 1, 0 })
end

--- The message that is being written.
function M.message(view)
  return vim.trim(table.concat(vim.api.nvim_buf_get_lines(view.buffer, heading_row(view) + 1, -1, false), "\n"))
end

--- Say in the heading what goes with the message.
function M.mention(view, name)
  table.insert(view.mentions, name)
  local row = heading_row(view)
  local heading = ("## You (%s)"):format(table.concat(view.mentions, ", "))
  vim.api.nvim_buf_set_lines(view.buffer, row, row + 1, false, { heading })
  view.heading = vim.api.nvim_buf_set_extmark(view.buffer, space, row, 0, { id = view.heading })
end

--- The message is sent: the answer begins.
function M.seal(view)
  view.mentions = {}
  vim.cmd.stopinsert()
  M.add(view, "StarChat", "")
end

--- Add a message at the end, after a closing word about the one before.
function M.add(view, who, text, note)
  local gap = vim.api.nvim_buf_line_count(view.buffer) > 1 and "\n\n" or ""
  M.append(view, ("%s%s## %s\n\n"):format(note and "\n\n" .. note or "", gap, who))
  view.heading = vim.api.nvim_buf_set_extmark(view.buffer, space, last_row(view) - 2, 0, { id = view.heading })
  M.append(view, text)
end

--- Add text at the end; windows that show the end go with it.
function M.append(view, text)
  local follow = vim.tbl_filter(function(window) return at_end(view, window) end, windows(view))
  vim.api.nvim_buf_set_text(view.buffer, -1, -1, -1, -1, vim.split(text, "\n"))
  for _, window in ipairs(follow) do
    local last = vim.api.nvim_buf_get_lines(view.buffer, -2, -1, false)[1]
    vim.api.nvim_win_set_cursor(window, { last_row(view) + 1, #last })
  end
end

--- Show what is waited for below the end; without a text, nothing.
function M.note(view, text)
  vim.api.nvim_buf_clear_namespace(view.buffer, space, last_row(view), -1)
  if text then
    vim.api.nvim_buf_set_extmark(view.buffer, space, last_row(view), 0, { virt_lines = { { { text, "StarchatProgress" } } } })
  end
end

function heading_row(view)
  return vim.api.nvim_buf_get_extmark_by_id(view.buffer, space, view.heading, {})[1]
end

function last_row(view)
  return vim.api.nvim_buf_line_count(view.buffer) - 1
end

function at_end(view, window)
  return vim.api.nvim_win_get_cursor(window)[1] == last_row(view) + 1
end

function windows(view)
  return vim.fn.win_findbuf(view.buffer)
end

return M
